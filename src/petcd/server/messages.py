"""Raft messages between the turns: what came in waits here, what goes out leaves in due order.

    Network --received--> inbox --turn: step each--> raft
    raft --Ready.messages--> before the sync: what a leader sends and promises nothing with
                             after the sync:  everything else

A message arrives at most once, except that a network may deliver a copy late. Raft does not mind,
but for forwarded proposals, which would be applied twice: those are known by their first request.

It does not decide when a turn is taken, and has no sockets.
Source: Raft dissertation, sections 3.8 (what must be durable) and 10.2.1 (a leader need not wait).
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Protocol

from petcd.cluster import format_id
from petcd.member import Member
from petcd.raft.changes import decode_conf_change
from petcd.raft.errors import ConfChangeDamaged, ProposalDropped, StepLocalMessage, StepPeerNotFound
from petcd.raft.kinds import MESSAGE_TYPE_NAMES, EntryType, MessageType, SnapshotStatus
from petcd.raft.ready import Ready
from petcd.raft.types import ConfChange, Message, Snapshot
from petcd.server.log import LogLines
from petcd.server.network import Network
from petcd.wire.codec import DecodeError
from petcd.wire.hot import parse_internal

# More messages than this wait only when this member stands still; raft sends the rest again.
INBOX_MAX: Final = 10_000
# Forwarded batches of proposals that are remembered, so that a copy is known.
FORWARDED_MAX: Final = 4_096
_PROMISES: Final = frozenset(
    (MessageType.APP_RESP, MessageType.VOTE_RESP, MessageType.PRE_VOTE_RESP)
)
_SNAP: Final = MessageType.SNAP
_PROP: Final = MessageType.PROP
_APP: Final = MessageType.APP
_HEARTBEAT: Final = MessageType.HEARTBEAT


class Snapshots(Protocol):
    """Who sends and installs snapshots of the state."""

    def send(self, message: Message) -> None:
        """Raft wants this peer to have a snapshot. Ends with `Mailbox.snapshot_sent`."""
        ...

    def sent(self, member_id: int, ok: bool) -> None:
        """Sending to this peer is over, well (`ok`) or not."""
        ...

    def received(self, message: Message, snapshot: Any) -> None:
        """A snapshot came with its body. When it is ready to be installed, give the message to
        `Mailbox.snapshot_ready`; raft decides whether it is."""
        ...

    def is_coming(self, index: int) -> bool:
        """Whether a snapshot that reaches `index`, beyond our log, is being made ready."""
        ...

    def install(self, snapshot: Snapshot) -> None:
        """Put the state that came with this snapshot in the place of ours, durably; log and
        state machines afterwards stand at its index. Raises StorageFailed."""
        ...


class NoSnapshots:
    """For members that can neither send nor install any: who needs one does not get it."""

    def __init__(self, failed: Callable[[int], None]) -> None:
        """`failed` is called with the id of the peer."""
        self._failed = failed

    def send(self, message: Message) -> None:
        """See Snapshots."""
        self._failed(message.to)

    def sent(self, member_id: int, ok: bool) -> None:
        """See Snapshots."""

    def received(self, message: Message, snapshot: Any) -> None:
        """See Snapshots."""

    def is_coming(self, index: int) -> bool:
        """See Snapshots."""
        return False

    def install(self, snapshot: Snapshot) -> None:
        """Never asked, since none is received."""
        raise AssertionError(snapshot)


class Mailbox:
    """Incoming and outgoing messages of one member; it is what the network reports to."""

    def __init__(
        self,
        member: Member,
        network: Network,
        schedule_turn: Callable[[], None],
        log: LogLines,
        heartbeat_sent: Callable[[int, int], None],
    ) -> None:
        """`heartbeat_sent` is told of the peer and the term."""
        self.snapshots: Snapshots = NoSnapshots(self.snapshot_failed)
        self._member = member
        self._network = network
        self._schedule_turn = schedule_turn
        self._log = log
        self._heartbeat_sent = heartbeat_sent
        self._inbox: list[Message] = []
        self._held: list[Message] = []
        self._reports: list[tuple[int, int | None]] = []
        self._forwarded: OrderedDict[tuple[int, int], None] = OrderedDict()

    # -- what the network tells (petcd.server.network.PeerEvents) ------------------------------

    def received(self, message: Message) -> None:
        """See PeerEvents. A snapshot without its body is none."""
        if message.type != _SNAP:
            self._receive(message)

    def snapshot_ready(self, message: Message) -> None:
        """What this message brought can be installed at once."""
        self._receive(message)

    def _receive(self, message: Message) -> None:
        if len(self._inbox) < INBOX_MAX and not self.is_removed(message.from_):
            self._inbox.append(message)
            self._schedule_turn()

    def unreachable(self, member_id: int) -> None:
        """See PeerEvents."""
        self._reports.append((member_id, None))
        self._schedule_turn()

    def snapshot_sent(self, member_id: int, ok: bool) -> None:
        """See PeerEvents."""
        self.snapshots.sent(member_id, ok)
        self._reports.append((member_id, SnapshotStatus.FINISH if ok else SnapshotStatus.FAILURE))
        self._schedule_turn()

    def snapshot_failed(self, member_id: int) -> None:
        """This peer did not get the snapshot that raft asked for last."""
        self._reports.append((member_id, SnapshotStatus.FAILURE))
        self._schedule_turn()

    def snapshot_received(self, message: Message, snapshot: Any) -> None:
        """See PeerEvents."""
        self.snapshots.received(message, snapshot)

    def is_removed(self, member_id: int) -> bool:
        """See PeerEvents."""
        return self._member.membership.is_removed(member_id)

    # -- turns --------------------------------------------------------------------------------

    def step_received(self) -> None:
        """Give everything that came in since the last turn to raft."""
        if self._reports:
            reports, self._reports = self._reports, []
            node = self._member.node
            for peer, status in reports:
                if status is None:
                    node.report_unreachable(peer)
                else:
                    node.report_snapshot(peer, status)
        if self._inbox:
            messages, self._inbox = self._inbox, []
            for message in messages:
                self._step(message)

    def _step(self, message: Message) -> None:
        kind = message.type
        if message.to != self._member.id or (kind == _PROP and self._is_copy(message)):
            return
        if kind == _APP and self.snapshots.is_coming(message.index):
            return  # to refuse what follows upon it would only make the leader send another
        try:
            self._member.step(message)
        except (ProposalDropped, ConfChangeDamaged, StepPeerNotFound, StepLocalMessage) as error:
            # Whoever proposed asks again or gives up; a stranger is none of our business.
            self._log.debug(
                "dropped a raft message",
                type=MESSAGE_TYPE_NAMES[message.type],
                from_member=format_id(message.from_),
                reason=type(error).__name__,
            )

    def _is_copy(self, message: Message) -> bool:
        """Whether these forwarded proposals came before."""
        request_id = _request_id(message)
        name = (message.from_, request_id)
        if not request_id:
            return False
        if name in self._forwarded:
            return True
        self._forwarded[name] = None
        if len(self._forwarded) > FORWARDED_MAX:
            self._forwarded.popitem(last=False)
        return False

    # -- sending ------------------------------------------------------------------------------

    def send_before_sync(self, ready: Ready) -> None:
        """Send what need not wait for the disk; what must wait stays in `ready.messages`.

        Where nothing is to be written, nobody waits for the messages either: they tell what is
        committed. They leave with the next ones, or at the end of the turn behind the answers.
        """
        if not self._member.is_leader:
            return
        messages = ready.messages
        ready.messages = [m for m in messages if m.type in _PROMISES]
        self._held += self._for_members([m for m in messages if m.type not in _PROMISES])
        if ready.must_sync:
            self.send_held()

    def send_held(self) -> None:
        """Send what was held back, to those who were members then: one whom this turn has removed
        learns so that it is decided."""
        if self._held:
            messages, self._held = self._held, []
            self._send(messages)

    def send_after_sync(self, ready: Ready) -> None:
        """Send the rest."""
        self.send_held()
        self._send(self._for_members(latest_acknowledgements(ready.messages)))

    def send_while_syncing(self) -> None:
        """A sync takes long: let the peers hear from their leader meanwhile."""
        self.send_held()
        messages = self._member.take_urgent()
        if messages:
            self._send(self._for_members(messages))

    def _for_members(self, messages: list[Message]) -> list[Message]:
        """Without those to somebody who was removed; whom a snapshot goes to is looked at later."""
        removed = self._member.membership.is_removed
        return [m for m in messages if m.type == _SNAP or not removed(m.to)]

    def _send(self, messages: list[Message]) -> None:
        ordinary = []
        for message in messages:
            if message.type == _SNAP:
                self.snapshots.send(message)
            else:
                ordinary.append(message)
                if message.type == _HEARTBEAT:
                    self._heartbeat_sent(message.to, message.term)
        if ordinary:
            self._network.send(ordinary)


def latest_acknowledgements(messages: list[Message]) -> list[Message]:
    """Without those acknowledgements that a later one to the same peer makes superfluous."""
    kept: list[Message] = []
    told: dict[int, Message] = {}
    for message in reversed(messages):
        if message.type == MessageType.APP_RESP and not message.reject:
            later = told.get(message.to)
            if later is not None and later.term == message.term and later.index >= message.index:
                continue
            told[message.to] = message
        kept.append(message)
    kept.reverse()
    return kept


def _request_id(message: Message) -> int:
    """What names a batch of proposals: the id of its first one."""
    first = message.entries[0]
    try:
        if first.type == EntryType.NORMAL:
            return parse_internal(first.data)[0]
        change = decode_conf_change(first)
    except (DecodeError, ConfChangeDamaged):
        return 0
    return change.id if isinstance(change, ConfChange) else 0
