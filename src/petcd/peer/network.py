"""All peers of a member: the production form of `server.network.Network`.

```
  runtime -- send, add, ... --> PeerNetwork --> Peer, one each --> sockets
  runtime <-- events ------------- Context <--- Peer, Door <------ sockets
```

Putting it together, inside a running loop:

    network = PeerNetwork(Identity(member_id, cluster_id, advertised_peer_urls), events, log,
                          executor, dial_timeout_s=1 + election_timeout_s)
    door = Door(network, snap_directory)             # what the peer port serves (`door`)
    listener = Listener(Router(), door.handle, peer_limits())
    listener.open_sink = door.open_sink
    network.flush_writes = listener.flush            # messages leave in the turn they are sent in
    network.after_receive = runtime.received         # optional: a turn right behind their messages
    network.on_removed = ...                         # a peer said that we are none any more
    ...
    await network.stop()                             # before the listener is closed

Everything runs on the loop's thread; only files are read and written on the executor. `send` never
waits: it encodes, and one write per open stream carries all messages of one call. A message to an
unknown member is ignored. `remotes` are members that introduced themselves before this one has
applied the change that added them (or has any log at all): messages reach them as single requests.

TLS: give `tls` for the side that dials, and the listener its own context.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from petcd.cluster import format_id
from petcd.peer.context import (
    DEFAULT_TIMEOUTS,
    Context,
    Log,
    PeerEvents,
    PeerStatus,
    Timeouts,
    Timer,
)
from petcd.peer.counters import NetworkCounters
from petcd.peer.identity import Identity
from petcd.peer.peer import Peer
from petcd.peer.pipeline import Pipeline
from petcd.peer.url_picker import UrlPicker
from petcd.raft.types import Message
from petcd.transport.http_client import HttpClient, Unreachable, address_of

TICKS_PER_TIMEOUT = 10
"""How often silent streams are looked at."""
REMOTES_MAX = 64
"""Strangers of our own cluster whose URLs are kept; etcd has no bound."""


class PeerNetwork:
    """Connections to the other members; `server.network` describes the methods."""

    def __init__(
        self,
        identity: Identity,
        events: PeerEvents,
        log: Log,
        executor: Executor,
        dial_timeout_s: float = 2.0,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        tls: ssl.SSLContext | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.executor = executor
        self._wall = wall
        self.client = HttpClient(dial_timeout_s, tls)
        self.counters = NetworkCounters(identity.member_id)
        self.flush_writes: Callable[[], None] | None = None
        """Called at the end of `send`: the listener's flush."""
        self.on_removed: Callable[[], None] = lambda: None
        """Called, perhaps often, when a peer says that this member was removed."""
        self.context = Context(
            identity,
            self._loop,
            self.client,
            events,
            log,
            self.counters,
            lambda: self.on_removed(),
            timeouts,
        )
        self._peers: dict[int, Peer] = {}
        self._remotes: dict[int, Pipeline] = {}
        self._stopped = False
        self._tick_s = timeouts.read_s / TICKS_PER_TIMEOUT
        self._timer: Timer = self._loop.call_later(self._tick_s, self._tick)

    @property
    def after_receive(self) -> Callable[[], None] | None:
        """Called when the messages that one read of a stream brought were all handed over."""
        return self.client.after_stream_data

    @after_receive.setter
    def after_receive(self, callback: Callable[[], None] | None) -> None:
        self.client.after_stream_data = callback

    # -- messages ----------------------------------------------------------------------------------

    def send(self, messages: Sequence[Message]) -> None:
        """Send raft messages, but no snapshots."""
        touched: dict[int, Peer] = {}
        for message in messages:
            to = message.to
            peer = self._peers.get(to)
            if peer is not None:
                peer.send(message)
                touched[to] = peer
            elif to in self._remotes:
                self._remotes[to].send(message)
        for peer in touched.values():
            peer.flush()
        if touched and self.flush_writes is not None:
            self.flush_writes()

    def send_snapshot(self, message: Message, snapshot: Any, size_bytes: int) -> None:
        """Stream the first bytes of a file (`snapshot` is its path) behind its message."""
        peer = self._peers.get(message.to)
        if peer is None:
            self._loop.call_soon(self.context.events.snapshot_sent, message.to, False)
        else:
            peer.send_snapshot(message, Path(snapshot), size_bytes)

    # -- members -----------------------------------------------------------------------------------

    def add(self, member_id: int, peer_urls: Sequence[str]) -> None:
        """From now on this member is a peer; one that is already gets the URLs."""
        if self._stopped or member_id == self.context.identity.member_id:
            return
        if member_id in self._peers:
            self._peers[member_id].update(peer_urls)
            return
        remote = self._remotes.pop(member_id, None)
        if remote is not None:
            remote.stop()
        self._peers[member_id] = Peer(self.context, member_id, peer_urls, self.executor, self._wall)
        self._tell("added remote peer", member_id, peer_urls)

    def update(self, member_id: int, peer_urls: Sequence[str]) -> None:
        """A peer is reached under other URLs."""
        peer = self._peers.get(member_id)
        if peer is not None:
            peer.update(peer_urls)
            self._tell("updated remote peer", member_id, peer_urls)

    def remove(self, member_id: int) -> None:
        """This member is no peer any more."""
        peer = self._peers.pop(member_id, None)
        if peer is not None:
            peer.stop()
            self._tell("removed remote peer", member_id, ())

    def add_remote(self, member_id: int, peer_urls: Sequence[str]) -> None:
        """A member of our cluster that is no peer yet said where it is."""
        known = member_id in self._peers or member_id in self._remotes
        if known or self._stopped or member_id == self.context.identity.member_id:
            return
        if len(self._remotes) >= REMOTES_MAX or not _are_urls(peer_urls):
            return
        status = PeerStatus(self.context, member_id)
        picker = UrlPicker(peer_urls)
        self._remotes[member_id] = Pipeline(self.context, member_id, picker, status)
        self._tell("added new remote peer", member_id, peer_urls)

    def peer(self, member_id: int) -> Peer | None:
        """The peer with this id."""
        return self._peers.get(member_id)

    def active_since_s(self, member_id: int) -> float | None:
        """Since when (loop time) the peer is connected; None when it is not."""
        peer = self._peers.get(member_id)
        return None if peer is None else peer.status.since

    # -- statistics, as the v2 API shows them ------------------------------------------------------

    def append_numbers(self) -> dict[str, object]:
        """Appends of this member: numbers and rates."""
        return self.counters.append_numbers(self._loop.time())

    def follower_numbers(self) -> dict[str, object]:
        """Appends to each peer: latencies and counts."""
        return self.counters.follower_numbers()

    # -- time and the end --------------------------------------------------------------------------

    async def stop(self) -> None:
        """Close every connection to and from the peers."""
        self._stopped = True
        self._timer.cancel()
        for peer in self._peers.values():
            peer.stop()
        for remote in self._remotes.values():
            remote.stop()
        if self.flush_writes is not None:
            self.flush_writes()  # the ends of our streams: peers need not wonder
        self._peers.clear()
        self._remotes.clear()
        await self.client.close()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._tick_s, self._tick)
        now = self._loop.time()
        for peer in list(self._peers.values()):
            peer.tick(now)

    def _tell(self, what: str, member_id: int, urls: Sequence[str]) -> None:
        self.context.log.info(
            what,
            local_member_id=format_id(self.context.identity.member_id),
            remote_peer_id=format_id(member_id),
            remote_peer_urls=list(urls),
        )


def _are_urls(urls: Sequence[str]) -> bool:
    try:
        return bool(urls) and all(address_of(url) for url in urls)
    except Unreachable:
        return False
