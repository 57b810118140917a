"""Raft: the algorithm, and nothing else. Messages in; work to do out. No IO, no clock, no chance.

A caller owns the network, the disk, the clock and the state machine, and drives one `RawNode`:

    tick(), step(message), propose(...), read_index(...)      whenever there is cause
    while node.has_ready(): carry out node.ready(), then node.advance()

The vocabulary, the messages and the log lines are those of etcd's raft library, so that members
can share a group with etcd's and its published traces test ours.

## The contract, in steps

For each `Ready`, in this order:

1. Make durable, in this order: `snapshot` if there is one, `entries`, `hard_state` if there is
   one. Entry i replaces whatever the log held at i and behind. `must_sync` False means that only
   the commit index moved: then the write may wait for the next one. Afterwards the entries must be
   readable through the `Storage` handed in (append them to the `MemoryStorage`).
2. Send `messages` (after step 1: they promise what it made durable). Exception: a leader may send
   APP messages while it still writes (dissertation section 10.2.1), since our own acknowledgement
   counts only from `advance()` on. Sending may fail silently. After a failed send call
   `report_unreachable`; after a SNAP message always `report_snapshot`.
3. Apply `snapshot`, then `committed_entries` in order. For an entry of type CONF_CHANGE or
   CONF_CHANGE_V2 call `apply_conf_change(decode_conf_change(entry))`, unless the application
   refuses the change for reasons that are equal on every member. Skip empty entries, and entries
   at or before a snapshot that was installed since they were handed out.
4. Answer `read_states` whose index is applied; keep the others until it is.
5. Call `advance()`. Only step 1 must have happened; applying may still be under way, as long as
   it keeps the order. Then ask `has_ready()` again: a lone voter commits in advance().

What must be durable before what:

* a vote or term before any message of that term leaves;
* entries before the APP_RESP that acknowledges them, and before they count as our own;
* entries before their commit is relied upon after a restart. The commit index itself is a hint:
  losing it costs nothing but time;
* a snapshot before the entries behind it.

A failed write ends the process. There is no way to tell raft that step 1 did not happen.

After a restart give the last durable snapshot, entries and hard state to the storage, and the last
applied index to `Config.applied`. Never start a known id with less than it had made durable: it
might vote twice. An id stands for one node forever.

## Asynchronous storage writes

With `Config.async_storage_writes` the caller ignores all of a Ready but `messages` and
`read_states`, and never calls `advance()`. Work for the disk and for the state machine comes as
messages to LOCAL_APPEND_THREAD and LOCAL_APPLY_THREAD, each to be handled in order, reliably:

* STORAGE_APPEND: make durable `snapshot`, `entries`, and (if not all zero) the hard state in
  `term`, `vote`, `commit`; then deliver `responses`, to ourselves by `step`, to others by network.
  Without responses it need not be durable yet.
* STORAGE_APPLY: apply `entries`; then deliver `responses`.

Other messages may be sent at once. Entries are applied only once they are in our own stable log.

## Reads

`read_index(context)` answers by a `ReadState`, or not at all: requests are dropped while there is
no leader, lost with messages, and forgotten with the leadership. Ask again after a time-out, each
time with a context never used before; an answer to an old context must not serve a new request.

## What this room does not do

It does not store, send, time or apply anything. It does not deduplicate proposals, nor tell which
of them were committed: put ids into the payloads. It does not know addresses.

Sources: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended
version: "Raft section n" in comments); Ongaro's dissertation ("dissertation section n").

The rooms within, each importing only what stands above it:

    kinds types errors logger quoting sizes changes    values and their text and bytes
    quorum inflights progress tracker changer          who decides, and how far everybody is
    storage unstable log                               the log
    config read_only core                              the state of a node
    replication reads membership election              what it can do
    leader follower candidate storage_acks step        what it does with what happens
    start ready status rawnode describe                how it meets its caller
"""

from petcd.raft.changes import decode_conf_change, encode_conf_change
from petcd.raft.config import Config
from petcd.raft.core import Raft
from petcd.raft.describe import (
    describe_entries,
    describe_entry,
    describe_hard_state,
    describe_message,
    describe_ready,
    describe_soft_state,
)
from petcd.raft.errors import (
    Compacted,
    ConfChangeDamaged,
    ConfChangeRefused,
    InvariantBroken,
    ProposalDropped,
    RaftError,
    SnapshotOutOfDate,
    SnapshotTemporarilyUnavailable,
    StepLocalMessage,
    StepPeerNotFound,
    Unavailable,
)
from petcd.raft.kinds import (
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
from petcd.raft.logger import DEBUG, ERROR, INFO, SILENT, WARNING, Logger, SilentLogger
from petcd.raft.progress import Progress, ProgressState
from petcd.raft.rawnode import RawNode
from petcd.raft.ready import Ready
from petcd.raft.start import Peer
from petcd.raft.status import Status
from petcd.raft.storage import MemoryStorage, Storage
from petcd.raft.types import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeV2,
    ConfState,
    Entry,
    HardState,
    Message,
    ReadState,
    Snapshot,
    SnapshotMetadata,
    SoftState,
)

__all__ = [
    "DEBUG",
    "ERROR",
    "INFO",
    "LOCAL_APPEND_THREAD",
    "LOCAL_APPLY_THREAD",
    "MESSAGE_TYPE_NAMES",
    "NONE",
    "NO_LIMIT",
    "SILENT",
    "STATE_NAMES",
    "WARNING",
    "Compacted",
    "ConfChange",
    "ConfChangeDamaged",
    "ConfChangeRefused",
    "ConfChangeSingle",
    "ConfChangeTransition",
    "ConfChangeType",
    "ConfChangeV2",
    "ConfState",
    "Config",
    "Entry",
    "EntryType",
    "HardState",
    "InvariantBroken",
    "Logger",
    "MemoryStorage",
    "Message",
    "MessageType",
    "Peer",
    "Progress",
    "ProgressState",
    "ProposalDropped",
    "Raft",
    "RaftError",
    "RawNode",
    "ReadOnlyOption",
    "ReadState",
    "Ready",
    "SilentLogger",
    "Snapshot",
    "SnapshotMetadata",
    "SnapshotOutOfDate",
    "SnapshotStatus",
    "SnapshotTemporarilyUnavailable",
    "SoftState",
    "StateType",
    "Status",
    "StepLocalMessage",
    "StepPeerNotFound",
    "Storage",
    "Unavailable",
    "decode_conf_change",
    "describe_entries",
    "describe_entry",
    "describe_hard_state",
    "describe_message",
    "describe_ready",
    "describe_soft_state",
    "encode_conf_change",
]
