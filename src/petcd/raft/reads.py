"""Linearizable reads at the leader: which index must be applied before a read may be served.

    1. The leader must have committed an entry of its own term; until then reads wait. Before that
       it cannot know what its predecessors committed.
    2. The read's index is the commit index at that moment.
    3. A quorum must confirm, by heartbeats sent after the read arrived, that there is no newer
       leader (SAFE); or the leader trusts its lease (LEASE_BASED); or it is the only voter.

With the leadership, all waiting reads are gone; whoever asked asks again, with a new context.
Source: dissertation section 6.4 (and 6.4.1 for leases).
"""

from __future__ import annotations

from petcd.raft.core import Raft
from petcd.raft.kinds import NONE, MessageType, ReadOnlyOption
from petcd.raft.read_only import ReadRequest
from petcd.raft.replication import broadcast_heartbeat
from petcd.raft.types import Entry, Message, ReadState


def request(r: Raft, from_: int, context: bytes) -> None:
    """A read with this context arrives at the leader from node `from_` (0: from ourselves)."""
    if not r.committed_in_term():
        r.pending_reads.append(ReadRequest(from_, context))
    elif _is_alone(r):
        _answer(r, from_, context, r.raft_log.committed)
    else:
        _confirm(r, ReadRequest(from_, context))


def release_pending(r: Raft) -> None:
    """The leader has committed in its term: take up the reads that waited for it."""
    if not r.pending_reads or not r.committed_in_term():
        return
    pending = r.pending_reads
    r.pending_reads = []
    for each in pending:
        if _is_alone(r):
            _answer(r, each.from_, each.context, r.raft_log.committed)
        else:
            _confirm(r, each)


def acknowledge(r: Raft, node: int, context: bytes) -> None:
    """`node` answered a heartbeat that carried `context`: answer the reads this confirms."""
    if r.read_only.option == ReadOnlyOption.SAFE and context:
        r.read_only.acknowledge(node, context)
        answer_confirmed(r)


def answer_confirmed(r: Raft) -> None:
    """Answer the waiting reads that the active configuration's quorum has confirmed."""
    for each in r.read_only.take_confirmed(r.tracker.config.voters):
        _answer(r, each.from_, each.context, each.index)


def _is_alone(r: Raft) -> bool:
    """Are we the only voter? A leader that has removed itself is not, even if one voter is left:
    that one may have been elected meanwhile."""
    return r.tracker.is_singleton and r.id in r.tracker.config.voters.incoming


def _confirm(r: Raft, read: ReadRequest) -> None:
    if r.read_only.option == ReadOnlyOption.LEASE_BASED:
        _answer(r, read.from_, read.context, r.raft_log.committed)
        return
    r.read_only.add(read, r.raft_log.committed)
    r.read_only.acknowledge(r.id, r.read_only.heartbeat_context())
    broadcast_heartbeat(r)


def _answer(r: Raft, from_: int, context: bytes, index: int) -> None:
    if from_ == NONE or from_ == r.id:
        r.read_states.append(ReadState(index, context))
        return
    entries = [Entry(data=context)]
    r.send(Message(MessageType.READ_INDEX_RESP, from_, index=index, entries=entries))
