"""What a leader sends: appends, snapshots, heartbeats.

An append carries the entries from the receiver's `next` on, up to a size limit, and the position
before them; the receiver takes it only if its log holds that position. If the entries are
compacted, the receiver gets a snapshot instead. Source: Raft sections 5.3 and 7, dissertation
section 10.2.1 (pipelining).
"""

from __future__ import annotations

from typing import Final

from petcd.raft.core import Raft
from petcd.raft.errors import Compacted, SnapshotTemporarilyUnavailable, broken
from petcd.raft.kinds import NO_LIMIT, MessageType
from petcd.raft.logger import DEBUG
from petcd.raft.progress import Progress, ProgressState
from petcd.raft.sizes import payloads_size
from petcd.raft.types import Entry, Message

_APP: Final = MessageType.APP
_HEARTBEAT: Final = MessageType.HEARTBEAT
_REPLICATE: Final = ProgressState.REPLICATE


def send_append(r: Raft, to: int) -> bool:
    """Send an append to `to`, even an empty one, unless it is paused. True if something left."""
    return maybe_send_append(r, to, True)


def maybe_send_append(r: Raft, to: int, send_if_empty: bool) -> bool:
    """Send what `to` may get next. An empty append only tells the commit index.

    A follower whose window is full gets empty appends only. It needs those: had all appends in
    flight been lost, nothing else would ever free the window again.
    """
    progress = r.tracker.progress[to]
    if progress.is_paused():
        return False
    log = r.raft_log
    before = progress.next - 1
    before_term = log.maybe_term(before)
    if before_term < 0:
        return _maybe_send_snapshot(r, to, progress)
    entries: list[Entry] = []
    if progress.state != _REPLICATE or not progress.inflights.is_full():
        try:
            entries = log.entries(progress.next, r.max_msg_size)
        except Compacted:
            return send_if_empty and _maybe_send_snapshot(r, to, progress)
    if not entries and not send_if_empty:
        return False
    r.msgs.append(Message(_APP, to, r.id, r.term, before_term, before, entries, log.committed))
    size = 0 if progress.inflights.max_bytes >= NO_LIMIT else payloads_size(entries)
    progress.sent_entries(len(entries), size)
    progress.sent_commit = log.committed
    return True


def _maybe_send_snapshot(r: Raft, to: int, progress: Progress) -> bool:
    log = r.raft_log
    if not progress.recent_active:
        if r.logger.level <= DEBUG:
            r.logger.debug(f"ignore sending snapshot to {to:x} since it is not recently active")
        return False
    try:
        snapshot = log.snapshot()
    except SnapshotTemporarilyUnavailable:
        if r.logger.level <= DEBUG:
            r.logger.debug(
                f"{r.id:x} failed to send snapshot to {to:x} "
                "because snapshot is temporarily unavailable"
            )
        return False
    if snapshot.is_empty():
        broken("need non-empty snapshot")
    meta = snapshot.metadata
    if r.logger.level <= DEBUG:
        r.logger.debug(
            f"{r.id:x} [firstindex: {log.first_index()}, commit: {log.committed}] sent snapshot"
            f"[index: {meta.index}, term: {meta.term}] to {to:x} [{progress}]"
        )
    progress.become_snapshot(meta.index)
    if r.logger.level <= DEBUG:
        r.logger.debug(f"{r.id:x} paused sending replication messages to {to:x} [{progress}]")
    r.send(Message(MessageType.SNAP, to, snapshot=snapshot))
    return True


def broadcast_append(r: Raft) -> None:
    """Send an append to every other node that is not paused."""
    own = r.id
    for one in r.tracker.peer_ids:
        if one != own:
            maybe_send_append(r, one, True)


def send_pending_appends(r: Raft) -> None:
    """Send entries, but no empty appends, to every other node."""
    for one in r.tracker.peer_ids:
        if one != r.id:
            maybe_send_append(r, one, False)


def broadcast_heartbeat(r: Raft) -> None:
    """Send a heartbeat to every other node; it confirms the reads that wait.

    The commit index told to a node is capped at what its log is known to share with ours.
    """
    context = r.read_only.heartbeat_context()
    committed = r.raft_log.committed
    for one in r.tracker.peer_ids:
        if one != r.id:
            progress = r.tracker.progress[one]
            commit = min(progress.match, committed)
            r.msgs.append(Message(_HEARTBEAT, one, r.id, r.term, commit=commit, context=context))
            progress.sent_commit = commit


def maybe_commit(r: Raft) -> bool:
    """Commit what a quorum has acknowledged, if it is of our term. True if that moved."""
    return r.raft_log.maybe_commit(r.tracker.committed(), r.term)


def send_timeout_now(r: Raft, to: int) -> None:
    """Tell `to` to campaign at once (dissertation section 3.10)."""
    r.send(Message(MessageType.TIMEOUT_NOW, to))
