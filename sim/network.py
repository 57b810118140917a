"""The network between simulated members: every message finds its own fate.

    member --send--> Port --> Wires (a link for each direction) --event--> Port --> PeerEvents

A link loses, delays, repeats and reorders as its `Weather` says, and lets nothing through while it
is cut. Without reordering it is first in, first out, as the streams of the peer protocol are.
What arrives is the very message, which raft promises not to change any more, and now and then one
that went through the peer protocol's own encoding.

A message that arrives as something that is none is the end of its connection: it is lost, and so
is what follows until the receiver has dialled again. What the peer protocol's reader would take
for another message is not tried: the protocol has no checksum, and leaves that to TCP's, as etcd's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

from petcd.peer.errors import MalformedPeerData
from petcd.peer.remote_requests import PeerHash
from petcd.peer.stream_kind import APPEND, MESSAGE
from petcd.peer.stream_reader import DIAL_EVERY_S
from petcd.raft.types import Entry, Message, MessageType
from petcd.server.network import PeerEvents
from sim.loop import Process

# One in so many messages travels in encoded form.
ENCODED_ONE_IN = 16
# What arrives late by chance does so by at most this.
STRAGGLE_S = 0.5
ARRIVAL_GRID_S = 0.001
SNAPSHOT_BYTES_PER_S = 10_000_000


class Weather(NamedTuple):
    """How links behave. Probabilities from 0 to 1; `late` is that of a delay up to STRAGGLE_S."""

    delay_s: float = 0.001
    jitter_s: float = 0.001
    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    reordered: bool = False
    garbled: float = 0.0


FAIR = Weather()


class Wires:
    """All links. Members are known by their ids; who has no port is not running."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.weather = FAIR
        self.encode: Callable[[Message], bytes] | None = None
        self.decode: Callable[[bytes], Message] | None = None
        self.look: Callable[[int, Message], None] = lambda sender, message: None
        self.ports: dict[int, Port] = {}
        self.cut: set[tuple[int, int]] = set()
        self.sent = 0
        self.lost = 0
        self.resets = 0
        self._reset_until_s: dict[tuple[int, int], float] = {}
        self._changed_s: dict[tuple[int, int], float] = {}
        self._last_due_s: dict[tuple[int, int], float] = {}

    def cut_links(self, links: set[tuple[int, int]], now_s: float) -> None:
        """Let nothing through these links (sender, receiver), and everything through the others."""
        for link in self.cut ^ links:
            self._changed_s[link] = now_s
        self.cut = links

    def connected_since_s(self, one: int, other: int) -> float | None:
        """World time since when both directions work; None while they do not."""
        there, here = self.ports.get(other), self.ports.get(one)
        if there is None or here is None or (one, other) in self.cut or (other, one) in self.cut:
            return None
        changed_s = self._changed_s
        return max(
            *(here.opened_s, there.opened_s),
            *(changed_s.get((one, other), 0.0), changed_s.get((other, one), 0.0)),
        )

    def transport(self, sender: Port, message: Message) -> bool:
        """Take a message; False when the sender notices at once that nobody is there."""
        self.sent += 1
        link = (sender.id, message.to)
        receiver = self.ports.get(message.to)
        if receiver is None or link in self.cut:
            self.lost += 1
            return receiver is not None
        weather, chance = self.weather, self.random.random
        if weather.lost and chance() < weather.lost:
            self.lost += 1
            return True
        if self._is_reset(link, sender.process.now_s(), message):
            self.lost += 1
            return True
        copies = 2 if weather.doubled and chance() < weather.doubled else 1
        for copy in range(copies):
            due_s = sender.process.now_s() + weather.delay_s + weather.jitter_s * chance()
            if weather.late and chance() < weather.late:
                due_s += STRAGGLE_S * chance()
            due_s = on_grid(due_s)
            if not weather.reordered:
                due_s = max(due_s, self._last_due_s.get(link, 0.0))
                self._last_due_s[link] = due_s
            arriving = copy_of(message) if copy else self._encoded(message)
            receiver.process.call_at_global(due_s, receiver.deliver, arriving)
        return True

    def _is_reset(self, link: tuple[int, int], now_s: float, message: Message) -> bool:
        """Whether a connection is gone that something arrived on which was no message."""
        garbled, until_s = self.weather.garbled, self._reset_until_s
        if garbled and self.random.random() < garbled and is_refused(message, self.random):
            self.resets += 1
            self._changed_s[link] = until_s[link] = now_s + DIAL_EVERY_S
        return link in until_s and now_s < until_s[link]

    def carry(
        self, sender: Port, receiver: Port, callback: Callable[..., object], *args: Any
    ) -> None:
        """Take a request or an answer across, if the link lets it through."""
        weather, chance = self.weather, self.random.random
        if (sender.id, receiver.id) not in self.cut and chance() >= weather.lost:
            due_s = sender.process.now_s() + weather.delay_s + weather.jitter_s * chance()
            receiver.process.call_at_global(on_grid(due_s), callback, *args)

    def _encoded(self, message: Message) -> Message:
        """The message, now and then through its encoding: nothing else of it may matter."""
        if self.encode is not None and self.decode is not None and self.sent % ENCODED_ONE_IN == 0:
            return self.decode(self.encode(message))
        return message


def is_refused(message: Message, random: Random) -> bool:
    """Whether the reader of a stream refuses what the line made of a message, or waits in vain for
    the rest. The reader must not fail in any other way."""
    stream = APPEND if message.type == MessageType.APP else MESSAGE
    data = bytearray(stream.writer().encode(message))
    place = random.randrange(len(data))
    match random.randrange(3):
        case 0:
            data[place] ^= 1 << random.randrange(8)
        case 1:
            del data[place:]
        case _:
            data[place:place] = random.randbytes(random.randint(1, 16))
    try:
        return not stream.reader(message.to, message.from_).feed(bytes(data))
    except MalformedPeerData:
        return True


def on_grid(time_s: float) -> float:
    """The next moment at which things arrive: what comes close together comes at once, as bytes
    do that wait in a socket, and is handled in one turn."""
    return int(time_s / ARRIVAL_GRID_S + 1) * ARRIVAL_GRID_S


def copy_of(message: Message) -> Message:
    """A message that shares nothing that anybody may change; entries never change."""
    return Message(
        message.type,
        message.to,
        message.from_,
        message.term,
        message.log_term,
        message.index,
        [Entry(entry.type, entry.term, entry.index, entry.data) for entry in message.entries],
        message.commit,
        message.reject,
        message.reject_hint,
        message.context,
        message.snapshot,
    )


class Port:
    """One run of one member on the network: `petcd.server.network.Network`."""

    def __init__(self, wires: Wires, member_id: int, process: Process) -> None:
        self.id = member_id
        self.process = process
        self.opened_s = process.schedule.now_s
        self.events: PeerEvents | None = None
        self.answer: Callable[[str, bytes, Callable[[int, bytes], None]], None] | None = None
        self.peers: dict[int, tuple[str, ...]] = {}
        self.hash_kv: Callable[[int], PeerHash | None] = lambda revision: None
        self._remotes: set[int] = set()
        """Who has introduced itself before this member knows of it; see `petcd.peer.network`."""
        self._wires = wires
        wires.ports[member_id] = self

    def close(self) -> None:
        """The member runs no more."""
        if self._wires.ports.get(self.id) is self:
            del self._wires.ports[self.id]

    def send(self, messages: Sequence[Message]) -> None:
        """See `petcd.server.network.Network`."""
        for message in messages:
            self._wires.look(self.id, message)
            known = message.to in self.peers or message.to in self._remotes
            if (not known or not self._wires.transport(self, message)) and self.events is not None:
                self.process.call_soon(self.events.unreachable, message.to)

    def deliver(self, message: Message) -> None:
        """A message has come through."""
        if self.events is not None and not self.events.is_removed(message.from_):
            self._meet(message.from_)
            self.events.received(message)
            self.process.is_unchanged = True

    def _meet(self, member_id: int) -> None:
        """Somebody was heard of; what comes from members says where they are."""
        if member_id not in self.peers:
            self._remotes.add(member_id)

    def send_snapshot(self, message: Message, snapshot: Any, size_bytes: int) -> None:
        """See `petcd.server.network.Network`."""
        wires = self._wires
        due_s = self.process.now_s() + wires.weather.delay_s + size_bytes / SNAPSHOT_BYTES_PER_S
        due_s += STRAGGLE_S * wires.random.random()
        self.process.call_at_global(due_s, self._snapshot_arrives, message, snapshot, due_s)

    def _snapshot_arrives(self, message: Message, snapshot: Any, due_s: float) -> None:
        wires = self._wires
        assert self.events is not None
        receiver = wires.ports.get(message.to)
        lost = wires.random.random() < wires.weather.lost
        if receiver is None or lost or (self.id, message.to) in wires.cut:
            self.events.snapshot_sent(message.to, False)
            return
        receiver.process.call_at_global(due_s, receiver.deliver_snapshot, message, snapshot)
        self.events.snapshot_sent(message.to, True)

    def deliver_snapshot(self, message: Message, snapshot: Any) -> None:
        """A snapshot has come through, with its body."""
        if self.events is not None and not self.events.is_removed(message.from_):
            self._meet(message.from_)
            self.events.snapshot_received(copy_of(message), snapshot)

    def add(self, member_id: int, peer_urls: Sequence[str]) -> None:
        """See `petcd.server.network.Network`."""
        self._remotes.discard(member_id)
        self.peers[member_id] = tuple(peer_urls)

    def update(self, member_id: int, peer_urls: Sequence[str]) -> None:
        """See `petcd.server.network.Network`."""
        self.peers[member_id] = tuple(peer_urls)

    def remove(self, member_id: int) -> None:
        """See `petcd.server.network.Network`."""
        self.peers.pop(member_id, None)

    def active_since_s(self, member_id: int) -> float | None:
        """See `petcd.server.network.Network`."""
        since_s = self._wires.connected_since_s(self.id, member_id)
        return None if since_s is None else self.process.local_s(since_s)

    # -- short requests -----------------------------------------------------------------------

    def ask(
        self,
        member_id: int,
        target: str,
        body: bytes,
        timeout_s: float,
        done: Callable[[int, bytes], None],
    ) -> None:
        """See `petcd.server.network.PeerCalls`."""
        is_over = False

        def end(status: int, answer: bytes) -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                limit.cancel()
                done(status, answer)

        def respond(status: int, answer: bytes) -> None:
            if receiver is not None and not receiver.process.ended:
                self._wires.carry(receiver, self, end, status, answer)

        limit = self.process.call_later(timeout_s, end, 0, b"")
        receiver = self._wires.ports.get(member_id)
        if receiver is None:
            self.process.call_soon(end, 0, b"")
        else:
            self._wires.carry(self, receiver, receiver.serve, target, body, respond)

    def hashes_of_others(self, revision: int) -> dict[int, PeerHash | None]:
        """What the others say that can be asked, at once."""
        cut = self._wires.cut
        return {
            other.id: other.hash_kv(revision)
            for other in self._wires.ports.values()
            if other is not self and not cut & {(self.id, other.id), (other.id, self.id)}
        }

    def serve(self, target: str, body: bytes, respond: Callable[[int, bytes], None]) -> None:
        """Another member asks something."""
        if self.answer is not None:
            self.answer(target, body, respond)
