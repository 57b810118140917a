"""Changes of the cluster's members, and of its leader, as clients ask for them.

    client -> strict check -> ConfChange in the log -> applied by every member -> the new list

The check before the proposal protects the quorum, as far as this member can tell; whether a change
is valid at all is decided when it is applied, alike on every member. Only the leader knows how far
a learner is, so a promotion travels to the leader over the peer port.
Source: etcd 3.5's server, with its texts in `api.errors`.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from petcd.api.host import Finish
from petcd.cluster import (
    MemberInfo,
    MemberUnknown,
    NotALearner,
    format_id,
    member_id,
    promotion,
)
from petcd.cluster.strict import (
    may_add_voter,
    may_promote,
    may_remove_voter,
    quorum,
    voters_of,
)
from petcd.member.errors import (
    BadLeaderTransferee,
    LearnerNotReady,
    NoLeader,
    NotEnoughStarted,
    NotLeader,
    TimedOut,
    TransferTimedOut,
    Unhealthy,
)
from petcd.raft.types import ConfChange, ConfChangeType
from petcd.server.log import LogLines
from petcd.server.network import PeerCalls
from petcd.server.runtime import Runtime
from petcd.server.surroundings import Surroundings

# How long a peer must have been connected to count as healthy; etcd's.
HEALTH_INTERVAL_S = 5.0
# A learner is in sync when it holds this part of the leader's log; etcd's.
READY_SHARE = 0.9
RETRY_S = 0.05
PROMOTE_PATH = "/members/promote/"
NOT_READY = "etcdserver: can only promote a learner member which is in sync with leader"
NOT_A_LEARNER = "membership: can only promote a learner member"


class Reconfiguration:
    """See `petcd.api.host.Reconfiguring`."""

    def __init__(
        self,
        runtime: Runtime,
        surroundings: Surroundings,
        calls: PeerCalls,
        log: LogLines,
        strict: bool,
        tick_s: float,
        election_timeout_s: float,
        request_timeout_s: float,
    ) -> None:
        self.promotions_total = 0
        self.promotions_failed: dict[str, int] = {}
        self._runtime = runtime
        self._member = runtime.member
        self._membership = runtime.member.membership
        self._connections = runtime.connections
        self._loop = surroundings.loop
        self._wall_ns = surroundings.wall_ns
        self._calls = calls
        self._log = log
        self._strict = strict
        self._tick_s = tick_s
        self._election_timeout_s = election_timeout_s
        self._timeout_s = request_timeout_s

    # -- changes ------------------------------------------------------------------------------

    def add(self, peer_urls: Sequence[str], is_learner: bool, finish: Finish, context: Any) -> None:
        """Add a member that is to start afterwards; outcome: (the member, all members)."""
        added = MemberInfo(
            id=member_id(peer_urls, "", self._wall_ns() // 10**9),
            peer_urls=tuple(peer_urls),
            is_learner=is_learner,
        )
        refusal = self._why_not_add(is_learner) if self._strict else None
        if refusal is not None:
            finish(context, refusal)
            return
        kind = ConfChangeType.ADD_LEARNER_NODE if is_learner else ConfChangeType.ADD_NODE

        def applied(context: Any, outcome: object) -> None:
            finish(context, outcome if isinstance(outcome, Exception) else (added, outcome))

        self._propose(kind, added.id, added.to_json(), applied, context)

    def _why_not_add(self, is_learner: bool) -> Exception | None:
        members = self._membership.members()
        if not is_learner and not may_add_voter(members):
            return NotEnoughStarted()
        voters = voters_of(members)
        if len(voters) > 1 and self._healthy(voters) < quorum(len(voters) + 1):
            return Unhealthy()
        return None

    def remove(self, member_id: int, finish: Finish, context: Any) -> None:
        """Remove a member; outcome: the members left."""
        refusal = self._why_not_remove(member_id) if self._strict else None
        if refusal is not None:
            finish(context, refusal)
            return

        def propose(refusal: Exception | None) -> None:
            self._propose(ConfChangeType.REMOVE_NODE, member_id, b"", finish, context)

        to = self._successor() if member_id == self._member.leader_id else None
        if to is None:
            propose(None)
        else:
            # Nobody listens to a removed leader any more, so that it could not hand over then.
            self.hand_over(to, self._election_timeout_s, propose)

    def _why_not_remove(self, member_id: int) -> Exception | None:
        known = self._membership.get(member_id)
        if known is not None and known.is_learner:
            return None
        members = self._membership.members()
        if not may_remove_voter(members, member_id):
            return NotEnoughStarted()
        # One who is down takes no part in deciding, and may go.
        if not self._connections.is_connected(member_id, self._loop.time()):
            return None
        voters = voters_of(members)
        if self._healthy(voters) - 1 < quorum(len(voters) - 1):
            return Unhealthy()
        return None

    def _healthy(self, voters: Sequence[MemberInfo]) -> int:
        since_s = self._loop.time() - HEALTH_INTERVAL_S
        return self._connections.count_connected([voter.id for voter in voters], since_s)

    def update(
        self, member_id: int, peer_urls: Sequence[str], finish: Finish, context: Any
    ) -> None:
        """Change a member's peer URLs; outcome: all members."""
        body = MemberInfo(id=member_id, peer_urls=tuple(peer_urls)).to_json()
        self._propose(ConfChangeType.UPDATE_NODE, member_id, body, finish, context)

    def _propose(
        self, kind: int, member_id: int, body: bytes, finish: Finish, context: Any
    ) -> None:
        request_id = self._runtime.next_request_id()
        self._runtime.propose_change(ConfChange(kind, member_id, body, request_id), finish, context)

    # -- promotion ----------------------------------------------------------------------------

    def promote(self, member_id: int, finish: Finish, context: Any) -> None:
        """Make a learner a voter, here or at the leader; outcome: all members."""

        def counted(context: Any, outcome: object) -> None:
            if isinstance(outcome, Exception):
                reason = type(outcome).__name__
                self.promotions_failed[reason] = self.promotions_failed.get(reason, 0) + 1
            else:
                self.promotions_total += 1
            finish(context, outcome)

        if self._member.is_leader:
            self.promote_as_leader(member_id, counted, context)
        else:
            until_s = self._loop.time() + self._timeout_s
            self._promote_elsewhere(member_id, until_s, counted, context)

    def promote_as_leader(self, member_id: int, finish: Finish, context: Any) -> None:
        """The same at the leader; NotLeader anywhere else."""
        refusal = self._why_not_promote(member_id)
        if refusal is not None:
            finish(context, refusal)
            return
        self._propose(ConfChangeType.ADD_NODE, member_id, promotion(member_id), finish, context)

    def _why_not_promote(self, member_id: int) -> Exception | None:
        member = self._member
        if not member.is_leader:
            return NotLeader()
        progress = member.node.raft.tracker.progress.get(member_id)
        if progress is None:
            return MemberUnknown(member_id, "not a member")
        if progress.match < member.node.raft.raft_log.last_index() * READY_SHARE:
            return LearnerNotReady()
        if self._strict and not may_promote(self._membership.members()):
            return NotEnoughStarted()
        return None

    def _promote_elsewhere(
        self, member_id: int, until_s: float, finish: Finish, context: Any
    ) -> None:
        """Ask the leader, again and again while there is none or it does not answer."""
        left_s = until_s - self._loop.time()
        if left_s <= 0:
            finish(context, TimedOut() if self._member.leader_id else NoLeader())
            return
        if self._member.is_leader:
            self.promote_as_leader(member_id, finish, context)
            return

        def answered(status: int, body: bytes) -> None:
            outcome = read_promotion(member_id, status, body)
            if outcome is None:
                again()
            else:
                finish(context, outcome)

        def again() -> None:
            self._loop.call_later(
                RETRY_S, self._promote_elsewhere, member_id, until_s, finish, context
            )

        leader_id = self._member.leader_id
        if leader_id:
            self._calls.ask(leader_id, f"{PROMOTE_PATH}{member_id}", b"", left_s, answered)
        else:
            again()

    # -- the leader ---------------------------------------------------------------------------

    def move_leader(self, to: int, finish: Finish, context: Any) -> None:
        """Hand the lead to this member; outcome None once it leads."""
        if not self._member.is_leader:
            finish(context, NotLeader())
            return
        target = self._membership.get(to)
        if target is None or target.is_learner:
            finish(context, BadLeaderTransferee())
            return
        self.hand_over(to, self._timeout_s, lambda outcome: finish(context, outcome))

    def hand_over(
        self, to: int, timeout_s: float, done: Callable[[Exception | None], None]
    ) -> None:
        """Transfer the lead to a voter and wait until it leads; the leader need not be here."""
        started_s = self._loop.time()
        fields = {
            "local_member_id": format_id(self._member.id),
            "transferee_member_id": format_id(to),
        }
        self._log.info("leadership transfer starting", **fields)
        self._member.node.transfer_leader(to)
        self._runtime.schedule_turn()

        def look() -> None:
            took_s = self._loop.time() - started_s
            if self._member.leader_id == to:
                self._log.info("leadership transfer finished", took=f"{took_s:.3f}s", **fields)
                done(None)
            elif took_s > timeout_s:
                done(TransferTimedOut())
            else:
                self._loop.call_later(self._tick_s, look)

        look()

    def _successor(self) -> int | None:
        """Who is to lead instead of the leader: we, if we may, else a voter we know well."""
        voters = [m.id for m in voters_of(self._membership.members())]
        if not self._member.is_leader and self._member.id in voters:
            return self._member.id
        others = [voter for voter in voters if voter != self._member.leader_id]
        return self._connections.longest_connected(others)

    def leave(self, done: Callable[[], None]) -> None:
        """Before a clean stop: somebody else leads, if there is somebody."""
        member = self._member
        to = self._successor()
        if self._runtime.is_stopped or not member.is_leader or member.is_removed or to is None:
            done()
            return

        def over(refusal: Exception | None) -> None:
            if refusal is not None:
                self._log.warn("leadership transfer failed", error=type(refusal).__name__)
            done()

        self.hand_over(to, self._timeout_s, over)


def read_promotion(member_id: int, status: int, body: bytes) -> object | None:
    """What the leader said of a promotion: the members, a refusal, or None to ask again."""
    if status == 404:
        return MemberUnknown(member_id, "not a member")
    text = body.decode("utf-8", "replace")
    if status == 412 and NOT_READY in text:
        return LearnerNotReady()
    if status == 412 and NOT_A_LEARNER in text:
        return NotALearner(member_id, "not a learner")
    if status != 200:
        return None
    try:
        return [MemberInfo.from_json(json.dumps(fields).encode()) for fields in json.loads(body)]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def say_promotion(outcome: object) -> tuple[int, bytes]:
    """The leader's answer to a promotion that was asked over the peer port: (status, body)."""
    if isinstance(outcome, list):
        return 200, b"[" + b",".join([member.to_json() for member in outcome]) + b"]\n"
    if isinstance(outcome, MemberUnknown):
        return 404, b"membership: ID not found\n"
    if isinstance(outcome, LearnerNotReady):
        return 412, f"{NOT_READY}\n".encode()
    if isinstance(outcome, NotALearner):
        return 412, f"{NOT_A_LEARNER}\n".encode()
    if isinstance(outcome, TimedOut):
        return 408, b"etcdserver: request timed out\n"
    return 500, b"Internal Server Error\n"
