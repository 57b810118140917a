"""The mind of a member: events in, effects out.

            proposals, ticks, messages, finished writes
                             |
                        +---------+      Ready: what to write, what to send
              events -> | Member  | ->   outcomes: what to answer
                        +---------+
                  raft | apply -> store, leases, membership, alarms

The shell (or the simulator) drives it in turns:

    1. propose(), step(), tick() as events come in
    2. ready = take_ready(); nothing to do when it is None
    3. write ready.entries and ready.hard_state to the log, and sync when ready.must_sync.
       A leader may send ready.messages meanwhile; everybody else only afterwards.
    4. outcomes = complete(ready, now_s): the entries are durable, committed ones are applied
    5. again from 2

Order that must never break: a vote or an append is answered only after it is durable; only
committed entries are applied; data and applied index go to the backend in one transaction; a
failed write ends the process and is never retried.

Nothing here reads a clock, draws a random number, opens a file or a socket.
"""

from collections.abc import Sequence

from petcd.cluster import ChangeRefused, MemberInfo, Membership, is_promotion
from petcd.member.apply import Applier, Outcome
from petcd.member.errors import NoLeader
from petcd.member.meta import MetaBackend, save_applied, save_conf_state
from petcd.raft.errors import ProposalDropped
from petcd.raft.kinds import STATE_NAMES
from petcd.raft.rawnode import RawNode
from petcd.raft.ready import Ready
from petcd.raft.storage import MemoryStorage
from petcd.raft.types import (
    ConfChange,
    ConfChangeType,
    Entry,
    EntryType,
    Message,
    Snapshot,
    StateType,
)
from petcd.wire.raftpb import ConfChange as WireConfChange

NORMAL = EntryType.NORMAL


class Member:
    """One member's replicated state and its raft node.

    Laws: `applied_index` <= committed index; `applied_index` is what the backend buffer says;
    outcomes come in log order, one for each entry that carries a request id.
    """

    def __init__(
        self,
        node: RawNode,
        log: MemoryStorage,
        applier: Applier,
        backend: MetaBackend,
        applied: tuple[int, int],
        election_timeout_s: float,
    ) -> None:
        self.node = node
        self.log = log
        self.applier = applier
        self.store = applier.store
        self.lessor = applier.lessor
        self.membership: Membership = applier.membership
        self.alarms = applier.alarms
        self.applied_index, self.applied_term = applied
        self._backend = backend
        self._election_timeout_s = election_timeout_s
        self._first_commit_term = 0
        self._was_leader = False
        self.leader_changes = 0
        # When this member learned of the present leader, or of the last one when there is none.
        self.leader_since_s = 0.0
        self._last_leader_id = 0
        self._look_at_voters()

    # -- who we are ---------------------------------------------------------------------------

    @property
    def id(self) -> int:
        """This member's id."""
        return self.membership.local_id

    @property
    def term(self) -> int:
        """The current raft term."""
        return self.node.raft.term

    @property
    def leader_id(self) -> int:
        """Id of the leader as far as known, 0 for none."""
        return self.node.raft.lead

    @property
    def is_leader(self) -> bool:
        """Whether this member leads in its term."""
        return self.node.raft.state == StateType.LEADER

    @property
    def state_name(self) -> str:
        """What this member is in its term, in the words of etcd's logs: StateLeader, ..."""
        return STATE_NAMES[self.node.raft.state]

    @property
    def committed_index(self) -> int:
        """Index of the last entry known to be committed."""
        return self.node.raft.raft_log.committed

    @property
    def is_removed(self) -> bool:
        """Whether the cluster has removed this member."""
        return self.membership.is_removed(self.id)

    # -- events -------------------------------------------------------------------------------

    def propose(self, payloads: list[bytes]) -> None:
        """Append requests to the log. Raises NoLeader when nobody can take them."""
        if not self.leader_id:
            raise NoLeader
        try:
            self.node.propose_batch(payloads)
        except ProposalDropped:
            raise NoLeader from None

    def propose_conf_change(self, change: ConfChange) -> None:
        """Propose a change of the raft configuration. Raises NoLeader."""
        try:
            self.node.propose_conf_change(change)
        except ProposalDropped:
            raise NoLeader from None

    def step(self, message: Message) -> None:
        """Take a message from a peer. Raises what `RawNode.step` raises."""
        self.node.step(message)

    def tick(self) -> None:
        """One heartbeat interval has passed."""
        self.node.tick()

    def read_is_confirmed(self) -> bool:
        """Whether a linearizable read may be served this instant, without asking anybody.

        True for the leader of a group of one voter once it committed in its term and has applied
        all that is committed: no one else can have committed anything newer.
        """
        raft = self.node.raft
        return (
            self._first_commit_term == raft.term
            and raft.state == StateType.LEADER
            and self.applied_index == raft.raft_log.committed
            and self.decides_alone
        )

    def is_ahead_of(self, peer: int, index: int) -> bool:
        """Whether this member leads, and a peer does not hold its log up to `index` yet."""
        progress = self.node.raft.tracker.progress.get(peer)
        return self.is_leader and progress is not None and progress.match < index

    # -- effects ------------------------------------------------------------------------------

    def take_ready(self) -> Ready | None:
        """The next bundle of effects, or None. It must be completed before the next is taken."""
        return self.node.ready() if self.node.has_ready() else None

    def take_urgent(self) -> list[Message]:
        """What a leader may send while a write is still under way, heartbeats above all."""
        raft = self.node.raft
        if raft.state != StateType.LEADER:
            return []
        messages, raft.msgs = raft.msgs, []
        return messages

    def installed(self, snapshot: Snapshot) -> None:
        """Log and state machines stand at this snapshot now, durably."""
        metadata = snapshot.metadata
        self.log.apply_snapshot(snapshot)
        self.applied_index, self.applied_term = metadata.index, metadata.term
        self._look_at_voters()

    def complete(self, ready: Ready, now_s: float) -> list[tuple[int, Outcome]]:
        """The effects are done: keep the entries, apply what is committed.

        Returns (request id, outcome) for each applied request, in log order.
        """
        if ready.entries:
            self.log.append(ready.entries)
        if ready.hard_state is not None:
            self.log.set_hard_state(ready.hard_state)
        outcomes: list[tuple[int, Outcome]] = []
        if ready.committed_entries:
            outcomes = self._apply(ready.committed_entries, now_s)
        self.node.advance()
        self._follow_leadership(now_s)
        return outcomes

    def _apply(self, entries: Sequence[Entry], now_s: float) -> list[tuple[int, Outcome]]:
        applier = self.applier
        applier.begin_batch(now_s)
        apply = applier.apply
        outcomes: list[tuple[int, Outcome]] = []
        expected = self.applied_index + 1
        for entry in entries:
            assert entry.index == expected, (entry.index, expected)
            expected += 1
            if entry.type != NORMAL:
                outcomes.append(self._apply_conf_change(entry))
            elif entry.data:
                outcomes.append(apply(entry.data))
            else:
                self._first_commit_term = entry.term
        last = entries[-1]
        self.applied_index, self.applied_term = last.index, last.term
        save_applied(self._backend, last.index, last.term)
        return outcomes

    def _apply_conf_change(self, entry: Entry) -> tuple[int, Outcome]:
        assert entry.type == EntryType.CONF_CHANGE, entry.type
        wire = WireConfChange.decode(entry.data)
        change = ConfChange(wire.type, wire.node_id, wire.context or b"", wire.id)
        try:
            self._change_membership(change)
        except ChangeRefused as refusal:
            self.node.apply_conf_change(ConfChange(change.type, 0, b"", change.id))
            return change.id, refusal
        state = self.node.apply_conf_change(change)
        self._look_at_voters()
        save_conf_state(self._backend, state)
        return change.id, self.membership.members()

    def _look_at_voters(self) -> None:
        """Whether this member is the only voter. One that removed itself is not, even if only one
        voter is left: that one decides now."""
        voters = self.node.raft.tracker.config.voters
        self.decides_alone = voters.ids() == {self.id}

    def _change_membership(self, change: ConfChange) -> None:
        membership = self.membership
        if change.type == ConfChangeType.REMOVE_NODE:
            membership.check_remove(change.node_id)
            membership.remove(change.node_id)
            return
        member = MemberInfo.from_json(change.context)
        if change.type == ConfChangeType.UPDATE_NODE:
            membership.check_update(member.id, member.peer_urls)
            membership.update_peer_urls(member.id, member.peer_urls)
        elif is_promotion(change.context):
            membership.check_promote(member.id)
            membership.promote(member.id)
        else:
            membership.check_add(member)
            membership.add(member)

    def _follow_leadership(self, now_s: float) -> None:
        """The leader alone watches lease expiry, from its first commit in the term on."""
        leader_id = self.leader_id
        if leader_id != self._last_leader_id:
            self._last_leader_id = leader_id
            if leader_id:
                self.leader_changes += 1
                self.leader_since_s = now_s
        leads = self.is_leader and self._first_commit_term == self.term
        if leads and not self._was_leader:
            self.lessor.promote(now_s, self._election_timeout_s)
        elif self._was_leader and not leads:
            self.lessor.demote()
        self._was_leader = leads
