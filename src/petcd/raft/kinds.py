"""Named numbers of raft: kinds of entries, messages, roles and configuration changes.

The values are those of etcd's raftpb. They are plain ints, since comparing them is most of what a
step does; the name tables beside them serve log lines and traces.
"""

from __future__ import annotations

from typing import Final

NONE: Final = 0
"""Placeholder id: no leader, no vote, no transferee."""

LOCAL_APPEND_THREAD: Final = (1 << 64) - 1
"""Target of `STORAGE_APPEND` messages (asynchronous storage writes)."""

LOCAL_APPLY_THREAD: Final = (1 << 64) - 2
"""Target of `STORAGE_APPLY` messages (asynchronous storage writes)."""

NO_LIMIT: Final = (1 << 64) - 1
"""A byte limit that never binds; sizes are not even computed under it."""


class EntryType:
    """Kinds of log entries (wire values)."""

    NORMAL: Final = 0
    CONF_CHANGE: Final = 1
    CONF_CHANGE_V2: Final = 2


ENTRY_TYPE_NAMES: Final = ("EntryNormal", "EntryConfChange", "EntryConfChangeV2")


class MessageType:
    """Kinds of messages (wire values). Those named STORAGE_*, HUP, BEAT, ... never leave a node."""

    HUP: Final = 0
    BEAT: Final = 1
    PROP: Final = 2
    APP: Final = 3
    APP_RESP: Final = 4
    VOTE: Final = 5
    VOTE_RESP: Final = 6
    SNAP: Final = 7
    HEARTBEAT: Final = 8
    HEARTBEAT_RESP: Final = 9
    UNREACHABLE: Final = 10
    SNAP_STATUS: Final = 11
    CHECK_QUORUM: Final = 12
    TRANSFER_LEADER: Final = 13
    TIMEOUT_NOW: Final = 14
    READ_INDEX: Final = 15
    READ_INDEX_RESP: Final = 16
    PRE_VOTE: Final = 17
    PRE_VOTE_RESP: Final = 18
    STORAGE_APPEND: Final = 19
    STORAGE_APPEND_RESP: Final = 20
    STORAGE_APPLY: Final = 21
    STORAGE_APPLY_RESP: Final = 22
    FORGET_LEADER: Final = 23


MESSAGE_TYPE_NAMES: Final = (
    "MsgHup",
    "MsgBeat",
    "MsgProp",
    "MsgApp",
    "MsgAppResp",
    "MsgVote",
    "MsgVoteResp",
    "MsgSnap",
    "MsgHeartbeat",
    "MsgHeartbeatResp",
    "MsgUnreachable",
    "MsgSnapStatus",
    "MsgCheckQuorum",
    "MsgTransferLeader",
    "MsgTimeoutNow",
    "MsgReadIndex",
    "MsgReadIndexResp",
    "MsgPreVote",
    "MsgPreVoteResp",
    "MsgStorageAppend",
    "MsgStorageAppendResp",
    "MsgStorageApply",
    "MsgStorageApplyResp",
    "MsgForgetLeader",
)


class StateType:
    """Roles of a node."""

    FOLLOWER: Final = 0
    CANDIDATE: Final = 1
    LEADER: Final = 2
    PRE_CANDIDATE: Final = 3


STATE_NAMES: Final = ("StateFollower", "StateCandidate", "StateLeader", "StatePreCandidate")


class ConfChangeType:
    """What one configuration change does to a node (wire values)."""

    ADD_NODE: Final = 0
    REMOVE_NODE: Final = 1
    UPDATE_NODE: Final = 2
    ADD_LEARNER_NODE: Final = 3


CONF_CHANGE_TYPE_NAMES: Final = (
    "ConfChangeAddNode",
    "ConfChangeRemoveNode",
    "ConfChangeUpdateNode",
    "ConfChangeAddLearnerNode",
)


class ConfChangeTransition:
    """Whether joint consensus is used, and who leaves it (wire values).

    AUTO: the simple protocol for one change, else as JOINT_IMPLICIT. JOINT_IMPLICIT: joint, raft
    leaves by itself. JOINT_EXPLICIT: joint until the application proposes an empty change.
    """

    AUTO: Final = 0
    JOINT_IMPLICIT: Final = 1
    JOINT_EXPLICIT: Final = 2


CONF_CHANGE_TRANSITION_NAMES: Final = (
    "ConfChangeTransitionAuto",
    "ConfChangeTransitionJointImplicit",
    "ConfChangeTransitionJointExplicit",
)


class SnapshotStatus:
    """What `report_snapshot` tells about a snapshot that was sent."""

    FINISH: Final = 1
    FAILURE: Final = 2


class ReadOnlyOption:
    """How a linearizable read is confirmed.

    SAFE asks a quorum. LEASE_BASED trusts the leader's lease: no message, but wrong reads under
    unbounded clock drift; it needs check_quorum.
    """

    SAFE: Final = 0
    LEASE_BASED: Final = 1
