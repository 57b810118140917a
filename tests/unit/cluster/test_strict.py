"""The strict check against the plain reading of its rule, for all small clusters."""

from itertools import product

import pytest

from petcd.cluster import MemberInfo
from petcd.cluster.strict import may_add_voter, may_promote, may_remove_voter, quorum


def clusters():
    """Every mix of started and unstarted voters, up to five, with and without a learner."""
    for count in range(1, 6):
        for started in product((True, False), repeat=count):
            voters = [MemberInfo(i, (), "x" if up else "") for i, up in enumerate(started, 1)]
            yield voters
            yield [*voters, MemberInfo(99, (), "x", is_learner=True)]


def voters_of(members):
    return [member for member in members if not member.is_learner]


@pytest.mark.parametrize(("voters", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)])
def test_more_than_half_decide(voters, needed):
    assert quorum(voters) == needed


def test_a_voter_is_added_if_the_started_ones_still_decide():
    for members in clusters():
        voters = voters_of(members)
        started = sum(member.is_started for member in voters)
        alone = len(voters) == 1 and started == 1
        assert may_add_voter(members) == (alone or started > (len(voters) + 1) // 2), members


def test_a_promoted_learner_counts_as_started():
    for members in clusters():
        voters = voters_of(members)
        started = sum(member.is_started for member in voters) + 1
        assert may_promote(members) == (started > (len(voters) + 1) // 2), members


def test_a_voter_is_removed_if_the_rest_decides():
    for members in clusters():
        for gone in voters_of(members):
            rest = [member for member in voters_of(members) if member is not gone]
            started = sum(member.is_started for member in rest)
            assert may_remove_voter(members, gone.id) == (started > len(rest) // 2), members
