"""What a leader does with messages: proposals, acknowledgements, reads, transfers.

Source: Raft sections 5.3, 5.4.2 and 8; dissertation sections 3.10 (transfer), 6.2 (check of the
quorum), 6.4 (reads) and 10.2.1 (its disk runs beside the followers').
"""

from __future__ import annotations

from typing import Final

from petcd.raft import reads
from petcd.raft.changes import decode_conf_change
from petcd.raft.core import Raft
from petcd.raft.errors import ProposalDropped, RaftError, broken
from petcd.raft.kinds import (
    CONF_CHANGE_TRANSITION_NAMES,
    CONF_CHANGE_TYPE_NAMES,
    NO_LIMIT,
    NONE,
    EntryType,
    MessageType,
)
from petcd.raft.logger import DEBUG, INFO, WARNING
from petcd.raft.progress import Progress, ProgressState
from petcd.raft.quoting import quote_bytes
from petcd.raft.replication import (
    broadcast_append,
    broadcast_heartbeat,
    maybe_commit,
    maybe_send_append,
    send_append,
    send_timeout_now,
)
from petcd.raft.types import ConfChangeV2, Entry, Message

_APP_RESP: Final = MessageType.APP_RESP
_HEARTBEAT_RESP: Final = MessageType.HEARTBEAT_RESP
_PROP: Final = MessageType.PROP
_READ_INDEX: Final = MessageType.READ_INDEX
_PROBE: Final = ProgressState.PROBE


def step(r: Raft, m: Message) -> None:
    """Handle a message of the current term. May raise `ProposalDropped`."""
    kind = m.type
    if kind == _PROP:
        propose(r, m.entries)
    elif kind == _READ_INDEX:
        if m.entries:
            reads.request(r, m.from_, m.entries[0].data)
    elif kind == MessageType.BEAT:
        broadcast_heartbeat(r)
    elif kind == MessageType.CHECK_QUORUM:
        check_quorum(r)
    elif kind != MessageType.FORGET_LEADER:
        _step_about_peer(r, m)


def _step_about_peer(r: Raft, m: Message) -> None:
    """Messages that concern the progress of the node `m.from_`."""
    progress = r.tracker.progress.get(m.from_)
    if progress is None:
        if r.logger.level <= DEBUG:
            r.logger.debug(f"{r.id:x} no progress available for {m.from_:x}")
        return
    kind = m.type
    if kind == _APP_RESP:
        progress.recent_active = True
        if m.reject:
            _handle_rejection(r, m, progress)
        else:
            handle_acknowledgement(r, m.from_, m.index, progress)
    elif kind == _HEARTBEAT_RESP:
        _handle_heartbeat_resp(r, m, progress)
    elif kind == MessageType.SNAP_STATUS:
        _handle_snapshot_status(r, m, progress)
    elif kind == MessageType.UNREACHABLE:
        progress.unreachable()
        if r.logger.level <= DEBUG:
            r.logger.debug(
                f"{r.id:x} failed to send message to {m.from_:x} "
                f"because it is unreachable [{progress}]"
            )
    elif kind == MessageType.TRANSFER_LEADER:
        _start_transfer(r, m.from_, progress)


# ---- proposals ----


def propose(r: Raft, entries: list[Entry]) -> None:
    """Append proposed entries (type and data count) and send them out.

    Raises `ProposalDropped` while leadership is being handed over, after our own removal, and
    when too much is uncommitted. A configuration change that must not be proposed now becomes
    an empty entry.
    """
    if not entries:
        broken(f"{r.id:x} stepped empty MsgProp")
    _check_open(r)
    first = r.raft_log.last_index() + 1
    pending_before = r.pending_conf_index
    own: list[Entry] = []
    try:
        for index, entry in enumerate(entries, first):
            if entry.type != EntryType.NORMAL and not _admit_conf_change(r, entry, index):
                own.append(Entry(0, r.term, index))
            else:
                own.append(Entry(entry.type, r.term, index, entry.data))
        _append_own(r, own)
    except RaftError:
        r.pending_conf_index = pending_before
        raise


def propose_data(r: Raft, payloads: list[bytes]) -> None:
    """The same for ordinary payloads only: the fast path."""
    if not payloads:
        broken(f"{r.id:x} stepped empty MsgProp")
    _check_open(r)
    first = r.raft_log.last_index() + 1
    term = r.term
    if len(payloads) == 1:
        _append_own(r, [Entry(0, term, first, payloads[0])])
    else:
        _append_own(r, [Entry(0, term, i, data) for i, data in enumerate(payloads, first)])


def _check_open(r: Raft) -> None:
    if r.id not in r.tracker.progress:
        raise ProposalDropped
    if r.lead_transferee != NONE:
        if r.logger.level <= DEBUG:
            r.logger.debug(
                f"{r.id:x} [term {r.term}] transfer leadership to {r.lead_transferee:x} "
                "is in progress; dropping proposal"
            )
        raise ProposalDropped


def _append_own(r: Raft, entries: list[Entry]) -> None:
    """Append and broadcast, within the limit of uncommitted bytes.

    Empty payloads are never refused (a new leader's first entry, the end of a joint
    configuration), nor is anything while nothing else is uncommitted.
    """
    if r.max_uncommitted_size < NO_LIMIT:
        size = sum([len(entry.data) for entry in entries])
        if r.uncommitted_size > 0 and 0 < size > r.max_uncommitted_size - r.uncommitted_size:
            if r.logger.level <= WARNING:
                r.logger.warning(
                    f"{r.id:x} appending new entries to log would exceed uncommitted entry "
                    "size limit; dropping proposal"
                )
            raise ProposalDropped
        r.uncommitted_size += size
    r.append_entries(entries)
    broadcast_append(r)


def _admit_conf_change(r: Raft, entry: Entry, index: int) -> bool:
    """May this change be proposed as entry `index`? The check is a best effort: the leader's
    configuration is that of its applied log. Raises `ConfChangeDamaged`."""
    change = decode_conf_change(entry)
    if change is None:
        return True
    wanted = change.as_v2()
    is_joint = r.tracker.config.voters.is_joint()
    reason = ""
    if r.pending_conf_index > r.raft_log.applied:
        reason = (
            f"possible unapplied conf change at index {r.pending_conf_index} "
            f"(applied to {r.raft_log.applied})"
        )
    elif is_joint and wanted.changes:
        reason = "must transition out of joint config first"
    elif not is_joint and not wanted.changes:
        reason = "not in joint state; refusing empty conf change"
    if reason and not r.disable_conf_change_validation:
        if r.logger.level <= INFO:
            r.logger.info(
                f"{r.id:x} ignoring conf change {_describe_change(wanted)} "
                f"at config {r.tracker.config}: {reason}"
            )
        return False
    r.pending_conf_index = index
    return True


def _describe_change(change: ConfChangeV2) -> str:
    text = f"transition:{CONF_CHANGE_TRANSITION_NAMES[change.transition]}"
    for single in change.changes:
        name = CONF_CHANGE_TYPE_NAMES[single.type]
        text += f" changes:{{type:{name} node_id:{single.node_id}}}"
    if change.context:
        text += f" context:{quote_bytes(change.context)}"
    return text


# ---- answers ----


def handle_acknowledgement(r: Raft, node: int, index: int, progress: Progress) -> None:
    """`node` holds our log up to `index`, durably. It may be ourselves: our own disk."""
    if not progress.acknowledge(index):
        return
    log = r.raft_log
    if progress.state != ProgressState.REPLICATE:
        first = log.first_index()
        if progress.can_leave_snapshot(first) and r.logger.level <= DEBUG:
            r.logger.debug(
                f"{r.id:x} recovered from needing snapshot, resumed sending replication "
                f"messages to {node:x} [{progress}]"
            )
        progress.resume_after(index, first)
    else:
        progress.inflights.free_to(index)
    if maybe_commit(r):
        reads.release_pending(r)
        broadcast_append(r)
    elif node != r.id and progress.can_bump_commit(log.committed):
        send_append(r, node)
    if node == r.id:
        return
    # The window may have room for several size-limited appends now.
    while maybe_send_append(r, node, False):
        pass
    if node == r.lead_transferee and progress.match == log.last_index():
        if r.logger.level <= INFO:
            r.logger.info(f"{r.id:x} sent MsgTimeoutNow to {node:x} after received MsgAppResp")
        send_timeout_now(r, node)


def _handle_rejection(r: Raft, m: Message, progress: Progress) -> None:
    """`m.from_` lacks the entry before our append.

    Its hint is the last position at which both logs may agree, as far as it can tell: its term
    there is at most that of our append. We can often tell more. Terms only rise along a log, so
    wherever our term is above the hint's term both logs must differ; the next probe goes to the
    last position where ours is not above it. At most one probe is needed per term:

        index       1 2 3 4 5 6 7 8 9
        leader      1 3 3 3 5 5 5 5 5      append behind 9 refused, hint (6, term 2)
        follower    1 1 1 1 2 2            next probe behind 1, not behind 6
    """
    if r.logger.level <= DEBUG:
        r.logger.debug(
            f"{r.id:x} received MsgAppResp(rejected, hint: (index {m.reject_hint}, "
            f"term {m.log_term})) from {m.from_:x} for index {m.index}"
        )
    hint = m.reject_hint
    if m.log_term > 0:
        hint, _ = r.raft_log.find_conflict_by_term(hint, m.log_term)
    if progress.reject(m.index, hint):
        if r.logger.level <= DEBUG:
            r.logger.debug(f"{r.id:x} decreased progress of {m.from_:x} to [{progress}]")
        if progress.state == ProgressState.REPLICATE:
            progress.become_probe()
        send_append(r, m.from_)


def _handle_heartbeat_resp(r: Raft, m: Message, progress: Progress) -> None:
    """A sign of life. A follower that is behind, or being probed, gets an append (perhaps an
    empty one), so that lost messages never stall it."""
    progress.heard_heartbeat()
    if progress.match < r.raft_log.last_index() or progress.state == _PROBE:
        send_append(r, m.from_)
    reads.acknowledge(r, m.from_, m.context)


def _handle_snapshot_status(r: Raft, m: Message, progress: Progress) -> None:
    """The caller reports how sending a snapshot went. Either way nothing is sent now: after
    success the follower speaks next, after failure one heartbeat interval passes first."""
    if progress.state != ProgressState.SNAPSHOT:
        return
    if m.reject:
        progress.snapshot_failed()
        word = "failed"
    else:
        progress.snapshot_sent()
        word = "succeeded"
    if r.logger.level <= DEBUG:
        r.logger.debug(
            f"{r.id:x} snapshot {word}, resumed sending replication messages "
            f"to {m.from_:x} [{progress}]"
        )
    progress.wait_for_contact()


def check_quorum(r: Raft) -> None:
    """Step down if a quorum was silent since the last check (dissertation section 6.2)."""
    if not r.tracker.quorum_active():
        if r.logger.level <= WARNING:
            r.logger.warning(f"{r.id:x} stepped down to follower since quorum is not active")
        r.become_follower(r.term, NONE)
    for one, progress in r.tracker.progress.items():
        if one != r.id:
            progress.recent_active = False


# ---- handing over ----


def _start_transfer(r: Raft, to: int, progress: Progress) -> None:
    """Hand leadership to `to`: bring its log up to ours, then tell it to campaign."""
    if progress.is_learner:
        if r.logger.level <= DEBUG:
            r.logger.debug(f"{r.id:x} is learner. Ignored transferring leadership")
        return
    if r.lead_transferee != NONE:
        if r.lead_transferee == to:
            if r.logger.level <= INFO:
                r.logger.info(
                    f"{r.id:x} [term {r.term}] transfer leadership to {to:x} is in progress, "
                    f"ignores request to same node {to:x}"
                )
            return
        before = r.lead_transferee
        r.lead_transferee = NONE
        if r.logger.level <= INFO:
            r.logger.info(
                f"{r.id:x} [term {r.term}] abort previous transferring leadership to {before:x}"
            )
    if to == r.id:
        if r.logger.level <= DEBUG:
            r.logger.debug(f"{r.id:x} is already leader. Ignored transferring leadership to self")
        return
    if r.logger.level <= INFO:
        r.logger.info(f"{r.id:x} [term {r.term}] starts to transfer leadership to {to:x}")
    r.election_elapsed = 0  # the transfer has one election timeout to succeed
    r.lead_transferee = to
    if progress.match == r.raft_log.last_index():
        send_timeout_now(r, to)
        if r.logger.level <= INFO:
            r.logger.info(
                f"{r.id:x} sends MsgTimeoutNow to {to:x} immediately as {to:x} "
                "already has up-to-date log"
            )
    else:
        send_append(r, to)
