"""What a follower does with messages: it follows its leader's log and forwards requests to it.

Source: Raft section 5.3 and 7; the hint in a refusal is dissertation section 3.5's, sharpened.
"""

from __future__ import annotations

from petcd.raft.core import Raft
from petcd.raft.election import TRANSFER, start_election
from petcd.raft.errors import ProposalDropped
from petcd.raft.kinds import NONE, MessageType, ReadOnlyOption
from petcd.raft.logger import DEBUG, ERROR, INFO
from petcd.raft.membership import restore_snapshot
from petcd.raft.types import Message, ReadState, Snapshot


def step(r: Raft, m: Message) -> None:
    """Handle a message of the current term. May raise `ProposalDropped`."""
    kind = m.type
    if kind == MessageType.APP:
        _hear_leader(r, m)
        handle_append(r, m)
    elif kind == MessageType.HEARTBEAT:
        _hear_leader(r, m)
        handle_heartbeat(r, m)
    elif kind == MessageType.SNAP:
        _hear_leader(r, m)
        handle_snapshot(r, m)
    elif kind == MessageType.PROP:
        _forward_proposal(r, m)
    elif kind == MessageType.READ_INDEX:
        _forward(r, m, "index reading msg")
    elif kind == MessageType.READ_INDEX_RESP:
        _take_read_state(r, m)
    elif kind == MessageType.TRANSFER_LEADER:
        _forward(r, m, "leader transfer msg")
    elif kind == MessageType.TIMEOUT_NOW:
        if r.logger.level <= INFO:
            r.logger.info(
                f"{r.id:x} [term {r.term}] received MsgTimeoutNow from {m.from_:x} "
                "and starts an election to get leadership."
            )
        start_election(r, TRANSFER)  # no pre-vote: we are not back from a partition
    elif kind == MessageType.FORGET_LEADER:
        _forget_leader(r)


def _hear_leader(r: Raft, m: Message) -> None:
    r.election_elapsed = 0
    r.lead = m.from_


# ---- from the leader (candidates use these too, once they follow) ----


def handle_append(r: Raft, m: Message) -> None:
    """Append what the leader sends, or refuse with a hint where the logs may agree.

    The hint is the last position at or before the append's with a term not above the append's:
    the leader's log before that position has no higher term, so everything of ours in between
    differs from it and need not be probed.
    """
    log = r.raft_log
    if m.index < log.committed:
        r.send(Message(MessageType.APP_RESP, m.from_, index=log.committed))
        return
    last = log.maybe_append(m.index, m.log_term, m.entries, m.commit)
    if last >= 0:
        r.send(Message(MessageType.APP_RESP, m.from_, index=last))
        return
    if r.logger.level <= DEBUG:
        r.logger.debug(
            f"{r.id:x} [logterm: {log.term_or_zero(m.index)}, index: {m.index}] rejected MsgApp "
            f"[logterm: {m.log_term}, index: {m.index}] from {m.from_:x}"
        )
    hint, hint_term = log.find_conflict_by_term(min(m.index, log.last_index()), m.log_term)
    r.send(
        Message(
            MessageType.APP_RESP,
            m.from_,
            log_term=hint_term,
            index=m.index,
            reject=True,
            reject_hint=hint,
        )
    )


def handle_heartbeat(r: Raft, m: Message) -> None:
    """Learn the commit index and answer with the context unread."""
    r.raft_log.commit_to(m.commit)
    r.send(Message(MessageType.HEARTBEAT_RESP, m.from_, context=m.context))


def handle_snapshot(r: Raft, m: Message) -> None:
    """Install a snapshot, or tell how far our log is committed if it brings nothing."""
    snapshot = Snapshot() if m.snapshot is None else m.snapshot
    restored = restore_snapshot(r, snapshot)
    if r.logger.level <= INFO:
        meta = snapshot.metadata
        r.logger.info(
            f"{r.id:x} [commit: {r.raft_log.committed}] {'restored' if restored else 'ignored'} "
            f"snapshot [index: {meta.index}, term: {meta.term}]"
        )
    index = r.raft_log.last_index() if restored else r.raft_log.committed
    r.send(Message(MessageType.APP_RESP, m.from_, index=index))


# ---- to the leader ----


def _forward_proposal(r: Raft, m: Message) -> None:
    if r.lead == NONE:
        if r.logger.level <= INFO:
            r.logger.info(f"{r.id:x} no leader at term {r.term}; dropping proposal")
        raise ProposalDropped
    if r.disable_proposal_forwarding:
        if r.logger.level <= INFO:
            r.logger.info(
                f"{r.id:x} not forwarding to leader {r.lead:x} at term {r.term}; dropping proposal"
            )
        raise ProposalDropped
    r.send(Message(MessageType.PROP, r.lead, m.from_, entries=m.entries))


def _forward(r: Raft, m: Message, what: str) -> None:
    """Pass a request on to the leader under the name of whoever asked."""
    if r.lead == NONE:
        if r.logger.level <= INFO:
            r.logger.info(f"{r.id:x} no leader at term {r.term}; dropping {what}")
        return
    r.send(Message(m.type, r.lead, m.from_, entries=m.entries, context=m.context))


def _take_read_state(r: Raft, m: Message) -> None:
    if len(m.entries) != 1:
        if r.logger.level <= ERROR:
            r.logger.error(
                f"{r.id:x} invalid format of MsgReadIndexResp from {m.from_:x}, "
                f"entries count: {len(m.entries)}"
            )
        return
    r.read_states.append(ReadState(m.index, m.entries[0].data))


def _forget_leader(r: Raft) -> None:
    """Forget the leader, so as to grant votes at once. Not under lease-based reads: the leader
    relies on our silence towards candidates."""
    if r.read_only.option == ReadOnlyOption.LEASE_BASED:
        if r.logger.level <= ERROR:
            r.logger.error("ignoring MsgForgetLeader due to ReadOnlyLeaseBased")
    elif r.lead != NONE:
        if r.logger.level <= INFO:
            r.logger.info(f"{r.id:x} forgetting leader {r.lead:x} at term {r.term}")
        r.lead = NONE
