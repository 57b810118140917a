"""Raft's own messages (raftpb, proto2): log entries, hard state, snapshots, peer messages.

Numbers are always written, zero or not, and so is a message that etcd does not allow to be nil;
here such a field may be None, which is written as the zero message.  ``bytes | None`` keeps Go's
difference between nil (not written) and empty; petcd's own raft types have no nil, so code that
translates passes ``data or None``.  Lists of numbers are not packed.

Source: etcd's raft.proto of 3.5; ``Message.vote`` and ``responses`` are of raft 3.6 and stay
inside a member.
"""

from __future__ import annotations

from petcd.wire.codec import (
    ALWAYS,
    BOOL,
    BYTES,
    OPTIONAL,
    REPEATED,
    UINT64,
    EnumType,
    field,
)
from petcd.wire.codec import Message as WireMessage


class EntryType(EnumType):
    """What an entry's data is."""

    EntryNormal = 0
    EntryConfChange = 1
    EntryConfChangeV2 = 2


class MessageType(EnumType):
    """Kinds of Raft messages."""

    MsgHup = 0
    MsgBeat = 1
    MsgProp = 2
    MsgApp = 3
    MsgAppResp = 4
    MsgVote = 5
    MsgVoteResp = 6
    MsgSnap = 7
    MsgHeartbeat = 8
    MsgHeartbeatResp = 9
    MsgUnreachable = 10
    MsgSnapStatus = 11
    MsgCheckQuorum = 12
    MsgTransferLeader = 13
    MsgTimeoutNow = 14
    MsgReadIndex = 15
    MsgReadIndexResp = 16
    MsgPreVote = 17
    MsgPreVoteResp = 18
    MsgStorageAppend = 19
    MsgStorageAppendResp = 20
    MsgStorageApply = 21
    MsgStorageApplyResp = 22
    MsgForgetLeader = 23


class ConfChangeType(EnumType):
    """What happens to a node."""

    ConfChangeAddNode = 0
    ConfChangeRemoveNode = 1
    ConfChangeUpdateNode = 2
    ConfChangeAddLearnerNode = 3


class ConfChangeTransition(EnumType):
    """How a ConfChangeV2 passes through joint consensus."""

    ConfChangeTransitionAuto = 0
    ConfChangeTransitionJointImplicit = 1
    ConfChangeTransitionJointExplicit = 2


class Entry(WireMessage):
    """An entry of the log."""

    Type: int = field(1, EntryType, ALWAYS)
    Term: int = field(2, UINT64, ALWAYS)
    Index: int = field(3, UINT64, ALWAYS)
    Data: bytes | None = field(4, BYTES, OPTIONAL)


class ConfState(WireMessage):
    """Who votes and who learns; two sets of voters while a change is joint."""

    voters: list[int] = field(1, UINT64, REPEATED)
    learners: list[int] = field(2, UINT64, REPEATED)
    voters_outgoing: list[int] = field(3, UINT64, REPEATED)
    learners_next: list[int] = field(4, UINT64, REPEATED)
    auto_leave: bool = field(5, BOOL, ALWAYS)


class SnapshotMetadata(WireMessage):
    """The log position that a snapshot stands for."""

    conf_state: ConfState | None = field(1, ConfState, ALWAYS)
    index: int = field(2, UINT64, ALWAYS)
    term: int = field(3, UINT64, ALWAYS)


class Snapshot(WireMessage):
    """A snapshot of the state machine; ``data`` may be elsewhere (etcd sends it beside)."""

    data: bytes | None = field(1, BYTES, OPTIONAL)
    metadata: SnapshotMetadata | None = field(2, SnapshotMetadata, ALWAYS)


class Message(WireMessage):
    """Everything that Raft peers say to each other."""

    type: int = field(1, MessageType, ALWAYS)
    to: int = field(2, UINT64, ALWAYS)
    from_: int = field(3, UINT64, ALWAYS)
    term: int = field(4, UINT64, ALWAYS)
    logTerm: int = field(5, UINT64, ALWAYS)
    index: int = field(6, UINT64, ALWAYS)
    entries: list[Entry] = field(7, Entry, REPEATED)
    commit: int = field(8, UINT64, ALWAYS)
    snapshot: Snapshot | None = field(9, Snapshot, ALWAYS)
    reject: bool = field(10, BOOL, ALWAYS)
    rejectHint: int = field(11, UINT64, ALWAYS)
    context: bytes | None = field(12, BYTES, OPTIONAL)
    vote: int = field(13, UINT64)
    responses: list[Message] = field(14, "Message", REPEATED)


class HardState(WireMessage):
    """What must be on disk before a message that relies on it leaves."""

    term: int = field(1, UINT64, ALWAYS)
    vote: int = field(2, UINT64, ALWAYS)
    commit: int = field(3, UINT64, ALWAYS)


class ConfChange(WireMessage):
    """A change of one node, in an entry of type EntryConfChange."""

    id: int = field(1, UINT64, ALWAYS)
    type: int = field(2, ConfChangeType, ALWAYS)
    node_id: int = field(3, UINT64, ALWAYS)
    context: bytes | None = field(4, BYTES, OPTIONAL)


class ConfChangeSingle(WireMessage):
    """One node of a ConfChangeV2."""

    type: int = field(1, ConfChangeType, ALWAYS)
    node_id: int = field(2, UINT64, ALWAYS)


class ConfChangeV2(WireMessage):
    """A change of several nodes, in an entry of type EntryConfChangeV2."""

    transition: int = field(1, ConfChangeTransition, ALWAYS)
    changes: list[ConfChangeSingle] = field(2, ConfChangeSingle, REPEATED)
    context: bytes | None = field(3, BYTES, OPTIONAL)
