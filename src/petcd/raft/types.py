"""Plain core types of raft: what goes in, what comes out, what is stored.

No codec lives here: the wire room converts at the edge, so that a change of encoding never reaches
the algorithm. All objects count as immutable once they are handed over (entries are shared by the
log, by messages and by storage); nothing in this room copies them to be safe.

Numbers: ids, terms and indexes are unsigned 64-bit on the wire and plain ints here; 0 is "none".
"""

from __future__ import annotations

from petcd.raft.kinds import (
    CONF_CHANGE_TRANSITION_NAMES,
    CONF_CHANGE_TYPE_NAMES,
    ENTRY_TYPE_NAMES,
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    MESSAGE_TYPE_NAMES,
    NO_LIMIT,
    NONE,
    STATE_NAMES,
    ConfChangeTransition,
    ConfChangeType,
    EntryType,
    MessageType,
    ReadOnlyOption,
    SnapshotStatus,
    StateType,
)

__all__ = [
    "CONF_CHANGE_TRANSITION_NAMES",
    "CONF_CHANGE_TYPE_NAMES",
    "ENTRY_TYPE_NAMES",
    "LOCAL_APPEND_THREAD",
    "LOCAL_APPLY_THREAD",
    "MESSAGE_TYPE_NAMES",
    "NONE",
    "NO_LIMIT",
    "STATE_NAMES",
    "ConfChange",
    "ConfChangeSingle",
    "ConfChangeTransition",
    "ConfChangeType",
    "ConfChangeV2",
    "ConfState",
    "Entry",
    "EntryType",
    "HardState",
    "Message",
    "MessageType",
    "ReadOnlyOption",
    "ReadState",
    "Snapshot",
    "SnapshotMetadata",
    "SnapshotStatus",
    "SoftState",
    "StateType",
]


class Entry:
    """One log entry. `data` is opaque; an empty one is what a new leader appends first."""

    __slots__ = ("data", "index", "term", "type")

    def __init__(self, type: int = 0, term: int = 0, index: int = 0, data: bytes = b"") -> None:
        self.type = type
        self.term = term
        self.index = index
        self.data = data

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Entry):
            return NotImplemented
        return (
            self.index == other.index
            and self.term == other.term
            and self.type == other.type
            and self.data == other.data
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Entry(type={self.type}, term={self.term}, index={self.index}, data={self.data!r})"


class HardState:
    """What must be durable before messages go out: term, vote, and (lazily) the commit index."""

    __slots__ = ("commit", "term", "vote")

    def __init__(self, term: int = 0, vote: int = 0, commit: int = 0) -> None:
        self.term = term
        self.vote = vote
        self.commit = commit

    def is_empty(self) -> bool:
        """True when nothing was ever stored."""
        return self.term == 0 and self.vote == 0 and self.commit == 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HardState):
            return NotImplemented
        return (self.term, self.vote, self.commit) == (other.term, other.vote, other.commit)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"HardState(term={self.term}, vote={self.vote}, commit={self.commit})"


class SoftState:
    """What is worth knowing but not storing: the leader's id (0 = none) and our role."""

    __slots__ = ("lead", "state")

    def __init__(self, lead: int, state: int) -> None:
        self.lead = lead
        self.state = state

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SoftState):
            return NotImplemented
        return self.lead == other.lead and self.state == other.state

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SoftState(lead={self.lead:x}, state={STATE_NAMES[self.state]})"


class ConfState:
    """A configuration as stored in a snapshot. Joint when `voters_outgoing` is not empty.

    `learners_next` are voters of the outgoing half that become learners when it is left;
    `auto_leave` says that raft itself leaves the joint configuration as soon as it may.
    """

    __slots__ = ("auto_leave", "learners", "learners_next", "voters", "voters_outgoing")

    def __init__(
        self,
        voters: list[int] | None = None,
        learners: list[int] | None = None,
        voters_outgoing: list[int] | None = None,
        learners_next: list[int] | None = None,
        auto_leave: bool = False,
    ) -> None:
        self.voters: list[int] = [] if voters is None else voters
        self.learners: list[int] = [] if learners is None else learners
        self.voters_outgoing: list[int] = [] if voters_outgoing is None else voters_outgoing
        self.learners_next: list[int] = [] if learners_next is None else learners_next
        self.auto_leave = auto_leave

    def is_equivalent(self, other: ConfState) -> bool:
        """True when both describe the same configuration, in whatever order."""
        return (
            sorted(self.voters) == sorted(other.voters)
            and sorted(self.learners) == sorted(other.learners)
            and sorted(self.voters_outgoing) == sorted(other.voters_outgoing)
            and sorted(self.learners_next) == sorted(other.learners_next)
            and self.auto_leave == other.auto_leave
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConfState):
            return NotImplemented
        return (
            self.voters == other.voters
            and self.learners == other.learners
            and self.voters_outgoing == other.voters_outgoing
            and self.learners_next == other.learners_next
            and self.auto_leave == other.auto_leave
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"ConfState(voters={self.voters}, learners={self.learners}, "
            f"voters_outgoing={self.voters_outgoing}, learners_next={self.learners_next}, "
            f"auto_leave={self.auto_leave})"
        )


class SnapshotMetadata:
    """The log position (index, term) that a snapshot replaces, and the configuration there."""

    __slots__ = ("conf_state", "index", "term")

    def __init__(self, conf_state: ConfState | None = None, index: int = 0, term: int = 0) -> None:
        self.conf_state: ConfState = ConfState() if conf_state is None else conf_state
        self.index = index
        self.term = term

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SnapshotMetadata):
            return NotImplemented
        return (
            self.index == other.index
            and self.term == other.term
            and self.conf_state == other.conf_state
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SnapshotMetadata({self.conf_state}, index={self.index}, term={self.term})"


class Snapshot:
    """The state machine at `metadata.index`. `data` is opaque. Empty when the index is 0."""

    __slots__ = ("data", "metadata")

    def __init__(self, data: bytes = b"", metadata: SnapshotMetadata | None = None) -> None:
        self.data = data
        self.metadata: SnapshotMetadata = SnapshotMetadata() if metadata is None else metadata

    def is_empty(self) -> bool:
        """True for the snapshot of nothing."""
        return self.metadata.index == 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return self.data == other.data and self.metadata == other.metadata

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Snapshot(data={len(self.data)} bytes, {self.metadata})"


class ReadState:
    """Answer to a read request: what is applied up to `index` may serve the read `context`."""

    __slots__ = ("context", "index")

    def __init__(self, index: int, context: bytes) -> None:
        self.index = index
        self.context = context

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReadState):
            return NotImplemented
        return self.index == other.index and self.context == other.context

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ReadState(index={self.index}, context={self.context!r})"


_MESSAGE_FIELDS = (
    "commit",
    "context",
    "entries",
    "from_",
    "index",
    "log_term",
    "reject",
    "reject_hint",
    "responses",
    "snapshot",
    "term",
    "to",
    "type",
    "vote",
)


class Message:
    """One message between nodes, or between a node and its storage threads.

    `from_` and `to` are ids. `term` is 0 on what is forwarded to the leader (PROP, READ_INDEX).
    `index` and `log_term` name a log position: the one before `entries` in an APP, the
    acknowledged (or, with `reject`, the refused) one in an APP_RESP, the sender's last one in a
    vote request. `commit` is the leader's commit index, capped at what the receiver is known to
    hold in a HEARTBEAT. `vote` is set in STORAGE_APPEND only. `reject_hint` with `log_term` is
    the follower's guess where both logs agree. `context` is carried back unread by heartbeats.
    `responses` are the messages to deliver once a storage write is done.
    """

    __slots__ = _MESSAGE_FIELDS

    def __init__(
        self,
        type: int,
        to: int = 0,
        from_: int = 0,
        term: int = 0,
        log_term: int = 0,
        index: int = 0,
        entries: list[Entry] | None = None,
        commit: int = 0,
        reject: bool = False,
        reject_hint: int = 0,
        context: bytes = b"",
        snapshot: Snapshot | None = None,
        vote: int = 0,
        responses: list[Message] | None = None,
    ) -> None:
        self.type = type
        self.to = to
        self.from_ = from_
        self.term = term
        self.log_term = log_term
        self.index = index
        self.entries: list[Entry] = [] if entries is None else entries
        self.commit = commit
        self.reject = reject
        self.reject_hint = reject_hint
        self.context = context
        self.snapshot = snapshot
        self.vote = vote
        self.responses: list[Message] = [] if responses is None else responses

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _MESSAGE_FIELDS)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """The fields that are set, in wire order; for test failures."""
        parts = [f"{self.from_:x}->{self.to:x} {MESSAGE_TYPE_NAMES[self.type]}"]
        for name in ("term", "log_term", "index", "commit", "reject", "reject_hint", "vote"):
            value = getattr(self, name)
            if value:
                parts.append(f"{name}={value}")
        if self.entries:
            parts.append(f"entries={self.entries}")
        if self.context:
            parts.append(f"context={self.context!r}")
        if self.snapshot is not None:
            parts.append(f"snapshot={self.snapshot}")
        if self.responses:
            parts.append(f"responses={self.responses}")
        return f"<{' '.join(parts)}>"


class ConfChangeSingle:
    """One operation of a `ConfChangeV2`. A node id of 0 means "cancelled": it is skipped."""

    __slots__ = ("node_id", "type")

    def __init__(self, type: int = 0, node_id: int = 0) -> None:
        self.type = type
        self.node_id = node_id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConfChangeSingle):
            return NotImplemented
        return self.type == other.type and self.node_id == other.node_id

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{CONF_CHANGE_TYPE_NAMES[self.type]}({self.node_id:x})"


class ConfChangeV2:
    """A configuration change of any number of operations; empty, it leaves a joint configuration.

    `context` is opaque and reaches whoever applies the entry.
    """

    __slots__ = ("changes", "context", "transition")

    def __init__(
        self,
        transition: int = 0,
        changes: list[ConfChangeSingle] | None = None,
        context: bytes = b"",
    ) -> None:
        self.transition = transition
        self.changes: list[ConfChangeSingle] = [] if changes is None else changes
        self.context = context

    def as_v2(self) -> ConfChangeV2:
        """Itself."""
        return self

    def leaves_joint(self) -> bool:
        """True for the empty change, whose meaning is "leave the joint configuration"."""
        return self.transition == ConfChangeTransition.AUTO and not self.changes

    def uses_joint(self) -> bool:
        """True when the change goes through joint consensus: asked for, or more than one part."""
        return self.transition != ConfChangeTransition.AUTO or len(self.changes) > 1

    def leaves_automatically(self) -> bool:
        """True when raft itself proposes to leave the joint configuration this change enters."""
        return self.transition != ConfChangeTransition.JOINT_EXPLICIT

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConfChangeV2):
            return NotImplemented
        return (
            self.transition == other.transition
            and self.changes == other.changes
            and self.context == other.context
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ConfChangeV2({self.transition}, {self.changes}, {self.context!r})"


class ConfChange:
    """The older form: exactly one operation. `id` belongs to the application."""

    __slots__ = ("context", "id", "node_id", "type")

    def __init__(self, type: int = 0, node_id: int = 0, context: bytes = b"", id: int = 0) -> None:
        self.type = type
        self.node_id = node_id
        self.context = context
        self.id = id

    def as_v2(self) -> ConfChangeV2:
        """The same operation as a `ConfChangeV2`."""
        return ConfChangeV2(0, [ConfChangeSingle(self.type, self.node_id)], self.context)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConfChange):
            return NotImplemented
        return (
            self.type == other.type
            and self.node_id == other.node_id
            and self.context == other.context
            and self.id == other.id
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ConfChange({self.type}, {self.node_id:x}, {self.context!r}, id={self.id:x})"
