"""Campaigns: asking for votes.

    PRE_ELECTION   would we win? nothing changes anywhere (dissertation section 9.6)
    ELECTION       a new term, our own vote, and everybody else asked (Raft section 5.2)
    TRANSFER       the same without a pre-vote, because the old leader told us to go; voters
                   answer even while they still hear that leader (dissertation section 3.10)

Our own vote counts like any other, when it is durable: it comes back as a message to ourselves.
"""

from __future__ import annotations

from typing import Final

from petcd.raft.core import Raft
from petcd.raft.kinds import MESSAGE_TYPE_NAMES, MessageType, StateType
from petcd.raft.logger import DEBUG, INFO, WARNING
from petcd.raft.types import Message

PRE_ELECTION: Final = b"CampaignPreElection"
ELECTION: Final = b"CampaignElection"
TRANSFER: Final = b"CampaignTransfer"
"""Also the context by which voters recognise a transfer."""


def start_election(r: Raft, kind: bytes) -> None:
    """Campaign, if this node may.

    It may not with a committed but unapplied configuration change: its own configuration could be
    too old by more than one step, and then two leaders might be elected.
    """
    if r.state == StateType.LEADER:
        if r.logger.level <= DEBUG:
            r.logger.debug(f"{r.id:x} ignoring MsgHup because already leader")
        return
    if not r.promotable():
        if r.logger.level <= WARNING:
            r.logger.warning(f"{r.id:x} is unpromotable and can not campaign")
        return
    if r.raft_log.has_conf_change(r.raft_log.applied + 1, r.raft_log.committed + 1):
        if r.logger.level <= WARNING:
            r.logger.warning(
                f"{r.id:x} cannot campaign at term {r.term} since there are still "
                "pending configuration changes to apply"
            )
        return
    if r.logger.level <= INFO:
        r.logger.info(f"{r.id:x} is starting a new election at term {r.term}")
    campaign(r, kind)


def campaign(r: Raft, kind: bytes) -> None:
    """Become (pre-)candidate and ask every voter. The caller has checked that this is right."""
    if kind == PRE_ELECTION:
        r.become_pre_candidate()
        request, response = MessageType.PRE_VOTE, MessageType.PRE_VOTE_RESP
        term = r.term + 1
    else:
        r.become_candidate()
        request, response = MessageType.VOTE, MessageType.VOTE_RESP
        term = r.term
    index, log_term = r.raft_log.last_index(), r.raft_log.last_term()
    context = TRANSFER if kind == TRANSFER else b""
    for voter in sorted(r.tracker.config.voters.ids()):
        if voter == r.id:
            r.send(Message(response, voter, term=term))
            continue
        if r.logger.level <= INFO:
            r.logger.info(
                f"{r.id:x} [logterm: {log_term}, index: {index}] sent "
                f"{MESSAGE_TYPE_NAMES[request]} request to {voter:x} at term {r.term}"
            )
        r.send(Message(request, voter, term=term, log_term=log_term, index=index, context=context))


def poll(r: Raft, voter: int, kind: int, granted: bool) -> int:
    """Count a vote; returns the `VoteResult` so far."""
    name = MESSAGE_TYPE_NAMES[kind]
    if r.logger.level <= INFO:
        word = "" if granted else " rejection"
        r.logger.info(f"{r.id:x} received {name}{word} from {voter:x} at term {r.term}")
    r.tracker.record_vote(voter, granted)
    yes, no, result = r.tracker.tally_votes()
    if r.logger.level <= INFO:
        r.logger.info(f"{r.id:x} has received {yes} {name} votes and {no} vote rejections")
    return result


def answer_vote_request(r: Raft, m: Message) -> None:
    """Grant or refuse a VOTE or PRE_VOTE whose term is ours, or, for PRE_VOTE, above it.

    Learners answer too. A learner may have been promoted without knowing it yet; if the leader
    that promoted it is gone, its vote may be needed to elect the node that could tell it.
    A granted pre-vote carries the term asked for, since the candidate compares it with the term it
    wants; a refusal carries ours, so that a candidate that is behind learns of it.
    """
    can_vote = (
        r.vote == m.from_  # a repetition of the vote we cast already
        or (r.vote == 0 and r.lead == 0)
        or (m.type == MessageType.PRE_VOTE and m.term > r.term)
    )
    grant = can_vote and r.raft_log.is_up_to_date(m.index, m.log_term)
    if r.logger.level <= INFO:
        r.logger.info(describe_vote(r, m, "cast" if grant else "rejected"))
    real = m.type == MessageType.VOTE
    response = MessageType.VOTE_RESP if real else MessageType.PRE_VOTE_RESP
    if not grant:
        r.send(Message(response, m.from_, term=r.term, reject=True))
        return
    r.send(Message(response, m.from_, term=m.term))
    if real:
        r.election_elapsed = 0
        r.vote = m.from_


def describe_vote(r: Raft, m: Message, verb: str) -> str:
    """The log line about a vote request: what we hold, what we did, what was asked."""
    word = "for" if verb == "cast" else "from"
    return (
        f"{r.id:x} [logterm: {r.raft_log.last_term()}, index: {r.raft_log.last_index()}, "
        f"vote: {r.vote:x}] {verb} {MESSAGE_TYPE_NAMES[m.type]} {word} {m.from_:x} "
        f"[logterm: {m.log_term}, index: {m.index}] at term {r.term}"
    )
