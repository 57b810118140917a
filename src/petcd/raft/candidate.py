"""What a candidate or pre-candidate does with messages: it counts votes until someone leads.

Source: Raft section 5.2, dissertation section 9.6 (pre-vote).
"""

from __future__ import annotations

from petcd.raft import follower
from petcd.raft.core import Raft
from petcd.raft.election import ELECTION, campaign, poll
from petcd.raft.errors import ProposalDropped
from petcd.raft.kinds import NONE, STATE_NAMES, MessageType, StateType
from petcd.raft.logger import DEBUG, INFO
from petcd.raft.quorum import VoteResult
from petcd.raft.replication import broadcast_append
from petcd.raft.types import Message


def step(r: Raft, m: Message) -> None:
    """Handle a message of the current term. May raise `ProposalDropped`.

    Only answers to the running campaign count: as a candidate, late answers to the pre-vote that
    came before are ignored.
    """
    kind = m.type
    pre = r.state == StateType.PRE_CANDIDATE
    if kind == MessageType.PROP:
        if r.logger.level <= INFO:
            r.logger.info(f"{r.id:x} no leader at term {r.term}; dropping proposal")
        raise ProposalDropped
    if kind == MessageType.APP:
        r.become_follower(m.term, m.from_)
        follower.handle_append(r, m)
    elif kind == MessageType.HEARTBEAT:
        r.become_follower(m.term, m.from_)
        follower.handle_heartbeat(r, m)
    elif kind == MessageType.SNAP:
        r.become_follower(m.term, m.from_)
        follower.handle_snapshot(r, m)
    elif kind == (MessageType.PRE_VOTE_RESP if pre else MessageType.VOTE_RESP):
        _count(r, m)
    elif kind == MessageType.TIMEOUT_NOW and r.logger.level <= DEBUG:
        r.logger.debug(
            f"{r.id:x} [term {r.term} state {STATE_NAMES[r.state]}] "
            f"ignored MsgTimeoutNow from {m.from_:x}"
        )


def _count(r: Raft, m: Message) -> None:
    result = poll(r, m.from_, m.type, not m.reject)
    if result == VoteResult.WON:
        if r.state == StateType.PRE_CANDIDATE:
            campaign(r, ELECTION)
        else:
            r.become_leader()
            broadcast_append(r)
    elif result == VoteResult.LOST:
        r.become_follower(r.term, NONE)
