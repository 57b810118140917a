"""`RawNode`: the one object a caller holds. See `petcd.raft` for the contract.

It turns calls into steps and the state of `Raft` into Readies. Not thread-safe: one caller.
"""

from __future__ import annotations

from typing import Final

from petcd.raft import leader, reads
from petcd.raft.changes import encode_conf_change
from petcd.raft.config import Config
from petcd.raft.core import Raft
from petcd.raft.errors import StepLocalMessage, StepPeerNotFound, broken
from petcd.raft.kinds import (
    LOCAL_APPLY_THREAD,
    NO_LIMIT,
    EntryType,
    MessageType,
    SnapshotStatus,
    StateType,
)
from petcd.raft.membership import apply_conf_change
from petcd.raft.ready import Ready, storage_append_message, storage_apply_message
from petcd.raft.sizes import payloads_size
from petcd.raft.start import Peer, bootstrap, make_raft
from petcd.raft.status import Status, make_status
from petcd.raft.step import step, tick
from petcd.raft.storage_acks import append_done, apply_done
from petcd.raft.types import (
    ConfChange,
    ConfChangeV2,
    ConfState,
    Entry,
    HardState,
    Message,
    Snapshot,
)

_LEADER: Final = StateType.LEADER
_LOCAL_TYPES: Final = frozenset(
    (
        MessageType.HUP,
        MessageType.BEAT,
        MessageType.UNREACHABLE,
        MessageType.SNAP_STATUS,
        MessageType.CHECK_QUORUM,
        MessageType.STORAGE_APPEND,
        MessageType.STORAGE_APPEND_RESP,
        MessageType.STORAGE_APPLY,
        MessageType.STORAGE_APPLY_RESP,
    )
)
_RESPONSE_TYPES: Final = frozenset(
    (
        MessageType.APP_RESP,
        MessageType.VOTE_RESP,
        MessageType.HEARTBEAT_RESP,
        MessageType.UNREACHABLE,
        MessageType.READ_INDEX_RESP,
        MessageType.PRE_VOTE_RESP,
        MessageType.STORAGE_APPEND_RESP,
        MessageType.STORAGE_APPLY_RESP,
    )
)


class RawNode:
    """One raft node. Raises `ValueError` if the settings are wrong."""

    __slots__ = (
        "_apply_index",
        "_apply_payload",
        "_apply_size",
        "_async",
        "_last_commit",
        "_last_lead",
        "_last_state",
        "_last_term",
        "_last_vote",
        "_self_messages",
        "_stable_index",
        "_stable_log_term",
        "_stable_snapshot",
        "_stable_term",
        "raft",
    )

    def __init__(self, config: Config) -> None:
        r = make_raft(config)
        self.raft: Raft = r
        self._async = config.async_storage_writes
        self._last_lead = r.lead
        self._last_state = r.state
        self._last_term = r.term
        self._last_vote = r.vote
        self._last_commit = r.raft_log.committed
        # What advance() will do, noted by ready().
        self._self_messages: list[Message] = []
        self._stable_term = 0
        self._stable_index = 0
        self._stable_log_term = 0
        self._stable_snapshot: Snapshot | None = None
        self._apply_index = 0
        self._apply_size = 0
        self._apply_payload = 0

    def bootstrap(self, peers: list[Peer]) -> None:
        """Found a group on an empty storage; raises `ValueError`. See `start.bootstrap`."""
        bootstrap(self.raft, peers)
        self._last_term = self._last_vote = self._last_commit = 0

    # ---- input ----

    def tick(self) -> None:
        """One tick of the logical clock passed."""
        tick(self.raft)

    def step(self, message: Message) -> None:
        """A message arrived from another node, or a response from a storage thread.

        Raises `StepLocalMessage` for types that never travel, `StepPeerNotFound` for a response
        of a stranger, `ProposalDropped` or `ConfChangeDamaged` for a forwarded proposal.
        """
        kind = message.type
        if message.from_ < LOCAL_APPLY_THREAD:
            if kind in _LOCAL_TYPES:
                raise StepLocalMessage
            if kind in _RESPONSE_TYPES and message.from_ not in self.raft.tracker.progress:
                raise StepPeerNotFound(message.from_)
        step(self.raft, message)

    def campaign(self) -> None:
        """Start an election, if this node may."""
        step(self.raft, Message(MessageType.HUP))

    def propose(self, data: bytes) -> None:
        """Propose one payload; raises `ProposalDropped`. No error is no promise of a commit."""
        self.propose_batch([data])

    def propose_batch(self, payloads: list[bytes]) -> None:
        """Propose payloads as consecutive entries, all or none; raises `ProposalDropped`."""
        r = self.raft
        if r.state == _LEADER:
            leader.propose_data(r, payloads)
            return
        entries = [Entry(EntryType.NORMAL, 0, 0, data) for data in payloads]
        step(r, Message(MessageType.PROP, from_=r.id, entries=entries))

    def propose_conf_change(self, change: ConfChange | ConfChangeV2) -> None:
        """Propose a configuration change; raises `ProposalDropped`.

        A change that may not be proposed now is replaced by an empty entry, without an error.
        """
        kind, data = encode_conf_change(change)
        step(self.raft, Message(MessageType.PROP, entries=[Entry(kind, data=data)]))

    def apply_conf_change(self, change: ConfChange | ConfChangeV2) -> ConfState:
        """A committed change is being applied; returns the resulting configuration.

        Must be called for every committed change, unless the application rejects it.
        """
        return apply_conf_change(self.raft, change.as_v2())

    def read_index(self, context: bytes) -> None:
        """Ask for a linearizable read. The answer is a `ReadState` with this context in a later
        Ready, or never: after a time-out ask again, with a new context."""
        r = self.raft
        if r.state == _LEADER:
            reads.request(r, 0, context)
            return
        step(r, Message(MessageType.READ_INDEX, entries=[Entry(data=context)]))

    def transfer_leader(self, transferee: int) -> None:
        """Try to make `transferee` the leader."""
        step(self.raft, Message(MessageType.TRANSFER_LEADER, from_=transferee))

    def forget_leader(self) -> None:
        """Follow nobody until a leader is heard again, so as to vote at once."""
        step(self.raft, Message(MessageType.FORGET_LEADER))

    def report_unreachable(self, node: int) -> None:
        """The last message to `node` could not be sent."""
        step(self.raft, Message(MessageType.UNREACHABLE, from_=node))

    def report_snapshot(self, node: int, status: int) -> None:
        """Sending a snapshot to `node` ended: `SnapshotStatus.FINISH` or `FAILURE`."""
        rejected = status == SnapshotStatus.FAILURE
        step(self.raft, Message(MessageType.SNAP_STATUS, from_=node, reject=rejected))

    # ---- output ----

    def has_ready(self) -> bool:
        """Is there work in a Ready?"""
        r = self.raft
        log = r.raft_log
        unstable = log.unstable
        return bool(
            r.msgs
            or r.msgs_after_append
            or len(unstable.entries) > unstable.offset_in_progress - unstable.offset
            or log.committed != self._last_commit
            or r.read_states
            or r.term != self._last_term
            or r.vote != self._last_vote
            or r.lead != self._last_lead
            or r.state != self._last_state
            or (unstable.snapshot is not None and not unstable.snapshot_in_progress)
            or log.has_next_committed(not self._async)
        )

    def ready(self) -> Ready:
        """Take the outstanding work. It must be carried out; without asynchronous storage
        writes, `advance` must follow before the next call."""
        r = self.raft
        log = r.raft_log
        unstable = log.unstable
        entries: list[Entry] = unstable.next_entries() if unstable.has_next_entries() else []
        committed = log.next_committed(not self._async)
        ready = Ready(entries, committed)
        ready.messages = r.msgs
        r.msgs = []
        if r.lead != self._last_lead or r.state != self._last_state:
            ready.soft_state = r.soft_state()
            self._last_lead = r.lead
            self._last_state = r.state
        self._take_hard_state(ready)
        if unstable.snapshot is not None and not unstable.snapshot_in_progress:
            ready.snapshot = unstable.snapshot
        if r.read_states:
            ready.read_states = r.read_states
            r.read_states = []
        size = log.applying_bytes(committed) if committed else 0
        if self._async:
            self._order_storage_work(ready)
        else:
            self._note_for_advance(ready, size)
        r.msgs_after_append = []
        unstable.accept_in_progress()
        if committed:
            log.accept_applying(committed[-1].index, size, not self._async)
        return ready

    def _take_hard_state(self, ready: Ready) -> None:
        r = self.raft
        commit = r.raft_log.committed
        moved = r.term != self._last_term or r.vote != self._last_vote
        ready.must_sync = moved or bool(ready.entries)
        if moved or commit != self._last_commit:
            ready.hard_state = HardState(r.term, r.vote, commit)
            self._last_term = r.term
            self._last_vote = r.vote
            self._last_commit = commit

    def _order_storage_work(self, ready: Ready) -> None:
        r = self.raft
        append = storage_append_message(r, ready)
        if append is not None:
            ready.messages.append(append)
        if ready.committed_entries:
            ready.messages.append(storage_apply_message(r, ready.committed_entries))

    def _note_for_advance(self, ready: Ready, size: int) -> None:
        """Promises to others go out with this Ready; those to ourselves wait for advance()."""
        r = self.raft
        if (
            self._self_messages
            or self._stable_index
            or self._apply_index
            or self._stable_snapshot is not None
        ):
            broken("two accepted Ready structs without call to Advance")
        for message in r.msgs_after_append:
            if message.to == r.id:
                self._self_messages.append(message)
            else:
                ready.messages.append(message)
        entries = r.raft_log.unstable.entries
        if entries or ready.snapshot is not None:
            self._stable_term = r.term
            self._stable_index = entries[-1].index if entries else 0
            self._stable_log_term = entries[-1].term if entries else 0
            self._stable_snapshot = ready.snapshot
        committed = ready.committed_entries
        if committed:
            self._apply_index = committed[-1].index
            self._apply_size = size
            if r.max_uncommitted_size < NO_LIMIT:
                self._apply_payload = payloads_size(committed)

    def advance(self) -> None:
        """The last Ready is carried out: written, and applied (or about to be, in order).

        Not with asynchronous storage writes: there the responses take its place.
        """
        if self._async:
            broken("Advance must not be called when using AsyncStorageWrites")
        r = self.raft
        messages = self._self_messages
        if messages:
            self._self_messages = []
            for message in messages:
                step(r, message)
        if self._stable_index or self._stable_snapshot is not None:
            index, snapshot = self._stable_index, self._stable_snapshot
            self._stable_index = 0
            self._stable_snapshot = None
            append_done(r, self._stable_term, index, self._stable_log_term, snapshot)
        if self._apply_index:
            index = self._apply_index
            self._apply_index = 0
            apply_done(r, index, self._apply_size, self._apply_payload)

    def status(self) -> Status:
        """A copy of what is worth showing; the progress of the others only on a leader."""
        return make_status(self.raft)
