"""Is a change of the members wise? Arithmetic with those who have started.

A change that raft accepts may still stop the cluster: a voter that never started counts for the
quorum and does not help to reach it. Only voters count; a learner may come and go.
Source: the strict reconfiguration check of etcd 3.5.
"""

from collections.abc import Iterable, Sequence

from petcd.cluster.membership import MemberInfo


def quorum(voters: int) -> int:
    """How many of so many voters decide."""
    return voters // 2 + 1


def voters_of(members: Iterable[MemberInfo]) -> list[MemberInfo]:
    """Those who vote."""
    return [member for member in members if not member.is_learner]


def may_add_voter(members: Sequence[MemberInfo]) -> bool:
    """Whether those who have started would still decide with one more voter.

    A cluster of one may always grow: that is how a cluster is rebuilt from its last member.
    """
    voters = voters_of(members)
    started = _started(voters)
    if started == 1 and len(voters) == 1:
        return True
    return started >= quorum(len(voters) + 1)


def may_promote(members: Sequence[MemberInfo]) -> bool:
    """The same when a learner becomes a voter; it has started, or it could not be in sync."""
    voters = voters_of(members)
    return _started(voters) + 1 >= quorum(len(voters) + 1)


def may_remove_voter(members: Sequence[MemberInfo], member_id: int) -> bool:
    """Whether those who have started still decide without this voter."""
    others = [member for member in voters_of(members) if member.id != member_id]
    return _started(others) >= quorum(len(others))


def _started(members: Iterable[MemberInfo]) -> int:
    return sum(member.is_started for member in members)
