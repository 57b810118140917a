"""What happens when a storage write is done: the log's unstable end shrinks, applying goes on.

Both ways of working end here: `advance()` after a Ready, and the STORAGE_*_RESP messages of
asynchronous storage writes.
"""

from __future__ import annotations

from petcd.raft import leader
from petcd.raft.core import Raft
from petcd.raft.errors import ProposalDropped
from petcd.raft.kinds import EntryType, StateType
from petcd.raft.logger import DEBUG, INFO
from petcd.raft.types import Entry, Snapshot


def append_done(r: Raft, term: int, index: int, log_term: int, snapshot: Snapshot | None) -> None:
    """Everything handed out up to a write is durable; the log then ended with (index, log_term).

    `term` is our term when the write was handed out. If the term has changed since, the entries
    are not trusted to be stable: another write under way might replace them, and if they came
    back unchanged under a third leader, nothing in (index, log_term) would tell (the ABA problem).
    A later write of the new term vouches for them. Snapshots hold committed state and are valid
    under any term.
    """
    if index:
        if term == 0 or term >= r.term:
            r.raft_log.unstable.stable_to(index, log_term)
        elif r.logger.level <= INFO:
            r.logger.info(
                f"{r.id:x} [term: {r.term}] ignored entry appends from a "
                f"MsgStorageAppendResp message with lower term [term: {term}]"
            )
    if snapshot is not None:
        at = snapshot.metadata.index
        r.raft_log.unstable.stable_snapshot_to(at)
        applied_to(r, at, 0)


def apply_done(r: Raft, index: int, size: int, payload_size: int) -> None:
    """Entries up to `index` are applied: `size` bytes of them, `payload_size` of payload."""
    applied_to(r, index, size)
    r.uncommitted_size = max(r.uncommitted_size - payload_size, 0)


def applied_to(r: Raft, index: int, size: int) -> None:
    """The log is applied up to `index`. A leader now leaves a joint configuration, if that is
    its task and the latest change is among what is applied.

    The proposal to leave is empty, so that its size never matters. It is dropped while leadership
    is handed over; then the next leader, or the next applied entry, proposes it again.
    """
    index = max(index, r.raft_log.applied)
    r.raft_log.applied_to(index, size)
    config = r.tracker.config
    if config.auto_leave and index >= r.pending_conf_index and r.state == StateType.LEADER:
        try:
            leader.propose(r, [Entry(EntryType.CONF_CHANGE_V2)])
        except ProposalDropped as why:
            if r.logger.level <= DEBUG:
                r.logger.debug(
                    "not initiating automatic transition out of joint "
                    f"configuration {config}: {why}"
                )
            return
        if r.logger.level <= INFO:
            r.logger.info(f"initiating automatic transition out of joint configuration {config}")
