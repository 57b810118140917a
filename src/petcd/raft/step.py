"""The two verbs that drive a node: `step` a message, `tick` the clock.

A message's term is settled first (Raft section 5.1): a higher one makes us a follower, a lower one
is refused or ignored. What remains is of our term, or local (term 0), and goes to votes, storage
or the role.
"""

from __future__ import annotations

from typing import Final

from petcd.raft import candidate, follower, leader
from petcd.raft.core import Raft
from petcd.raft.election import (
    ELECTION,
    PRE_ELECTION,
    TRANSFER,
    answer_vote_request,
    describe_vote,
    start_election,
)
from petcd.raft.kinds import MESSAGE_TYPE_NAMES, NO_LIMIT, NONE, MessageType, StateType
from petcd.raft.logger import INFO
from petcd.raft.replication import broadcast_heartbeat
from petcd.raft.sizes import payloads_size
from petcd.raft.storage_acks import append_done, apply_done
from petcd.raft.types import Message

_LEADER: Final = StateType.LEADER
_FOLLOWER: Final = StateType.FOLLOWER
_PRE_VOTE: Final = MessageType.PRE_VOTE
_VOTE_REQUESTS: Final = (MessageType.VOTE, MessageType.PRE_VOTE)
_FROM_LEADER: Final = (MessageType.APP, MessageType.HEARTBEAT, MessageType.SNAP)


def step(r: Raft, m: Message) -> None:
    """Advance by one message, which the caller does not change afterwards.

    May raise `ProposalDropped` (PROP), or `ConfChangeDamaged` (PROP with a damaged change).
    """
    term = m.term
    if term != r.term and term and not _settle_term(r, m):
        return
    kind = m.type
    if kind in _VOTE_REQUESTS:
        answer_vote_request(r, m)
    elif kind == MessageType.STORAGE_APPEND_RESP:
        append_done(r, m.term, m.index, m.log_term, m.snapshot)
    elif kind == MessageType.STORAGE_APPLY_RESP:
        _apply_resp(r, m)
    elif kind == MessageType.HUP:
        start_election(r, PRE_ELECTION if r.pre_vote else ELECTION)
    elif r.state == _LEADER:
        leader.step(r, m)
    elif r.state == _FOLLOWER:
        follower.step(r, m)
    else:
        candidate.step(r, m)


def _apply_resp(r: Raft, m: Message) -> None:
    if m.entries:
        size = r.raft_log.applying_bytes(m.entries)
        payload = payloads_size(m.entries) if r.max_uncommitted_size < NO_LIMIT else 0
        apply_done(r, m.entries[-1].index, size, payload)


# ---- terms ----


def _settle_term(r: Raft, m: Message) -> bool:
    """Compare a foreign term with ours. True if the message is to be handled."""
    if m.term > r.term:
        return _settle_higher_term(r, m)
    _answer_lower_term(r, m)
    return False


def _settle_higher_term(r: Raft, m: Message) -> bool:
    """Follow the higher term, except where that would only disturb.

    * Within the minimum election timeout of hearing from a leader, a vote request is ignored,
      unless that leader asked for it (dissertation section 4.2.3).
    * A pre-vote names a term nobody is in yet, and so does a pre-vote that was granted.
    """
    kind = m.type
    if kind in _VOTE_REQUESTS:
        in_lease = r.check_quorum and r.lead != NONE and r.election_elapsed < r.election_timeout
        if in_lease and m.context != TRANSFER:
            if r.logger.level <= INFO:
                left = r.election_timeout - r.election_elapsed
                r.logger.info(
                    f"{describe_vote(r, m, 'ignored')}: "
                    f"lease is not expired (remaining ticks: {left})"
                )
            return False
    if kind == _PRE_VOTE or (kind == MessageType.PRE_VOTE_RESP and not m.reject):
        return True
    if r.logger.level <= INFO:
        r.logger.info(
            f"{r.id:x} [term: {r.term}] received a {MESSAGE_TYPE_NAMES[kind]} message "
            f"with higher term from {m.from_:x} [term: {m.term}]"
        )
    r.become_follower(m.term, m.from_ if kind in _FROM_LEADER else NONE)
    return True


def _answer_lower_term(r: Raft, m: Message) -> None:
    """A message from the past: mostly ignored.

    With check_quorum or pre_vote, a node of a higher term is not listened to when it asks for
    votes, so a leader of a lower term would never learn of it and the node would stay stuck; it
    answers that leader with its term instead. A pre-vote of a lower term is refused aloud, since
    candidates of both kinds might block each other otherwise.
    """
    kind = m.type
    if (r.check_quorum or r.pre_vote) and kind in (MessageType.HEARTBEAT, MessageType.APP):
        r.send(Message(MessageType.APP_RESP, m.from_))
    elif kind == _PRE_VOTE:
        if r.logger.level <= INFO:
            r.logger.info(describe_vote(r, m, "rejected"))
        r.send(Message(MessageType.PRE_VOTE_RESP, m.from_, term=r.term, reject=True))
    elif kind == MessageType.STORAGE_APPEND_RESP:
        append_done(r, m.term, m.index, m.log_term, m.snapshot)
    elif r.logger.level <= INFO:
        r.logger.info(
            f"{r.id:x} [term: {r.term}] ignored a {MESSAGE_TYPE_NAMES[kind]} message "
            f"with lower term from {m.from_:x} [term: {m.term}]"
        )


# ---- time ----


def tick(r: Raft) -> None:
    """One tick of the logical clock."""
    if r.state == _LEADER:
        _tick_leader(r)
        return
    r.election_elapsed += 1
    if r.past_election_timeout() and r.promotable():
        r.election_elapsed = 0
        start_election(r, PRE_ELECTION if r.pre_vote else ELECTION)


def _tick_leader(r: Raft) -> None:
    """Check the quorum once per election timeout; a transfer that took that long has failed."""
    r.heartbeat_elapsed += 1
    r.election_elapsed += 1
    if r.election_elapsed >= r.election_timeout:
        r.election_elapsed = 0
        if r.check_quorum:
            leader.check_quorum(r)
        if r.state == _LEADER:
            r.lead_transferee = NONE
    if r.state == _LEADER and r.heartbeat_elapsed >= r.heartbeat_timeout:
        r.heartbeat_elapsed = 0
        broadcast_heartbeat(r)
