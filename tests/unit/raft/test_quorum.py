"""Quorum arithmetic against the obvious way to do it, and configurations against a plain model."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petcd.raft import ConfChangeRefused, ConfChangeSingle, ConfChangeType, ConfState
from petcd.raft.changer import Changer, restore
from petcd.raft.quorum import (
    INDEX_MAX,
    JointVoters,
    VoteResult,
    format_ids,
    majority_committed,
    majority_vote,
)
from petcd.raft.tracker import GroupConfig, Tracker

IDS = st.sets(st.integers(1, 9), max_size=7)
ACKED = st.dictionaries(st.integers(1, 9), st.integers(0, 20))
VOTES = st.dictionaries(st.integers(1, 9), st.booleans())


def slow_committed(voters: set[int], acked: dict[int, int]) -> int:
    """Try every index from the top: is it held by more than half?"""
    if not voters:
        return INDEX_MAX
    for index in range(20, -1, -1):
        holders = [one for one in voters if acked.get(one, 0) >= index]
        if 2 * len(holders) > len(voters):
            return index
    raise AssertionError("everybody holds index 0")


def slow_vote(voters: set[int], votes: dict[int, bool]) -> int:
    """Complete the votes in all ways: if all or none of them are won, it is decided."""
    if not voters:
        return VoteResult.WON
    known = [votes[one] for one in voters if one in votes]
    outcomes = set()
    for rest in itertools.product([False, True], repeat=len(voters) - len(known)):
        outcomes.add(2 * sum([*known, *rest]) > len(voters))
    if len(outcomes) == 2:
        return VoteResult.PENDING
    return VoteResult.WON if outcomes == {True} else VoteResult.LOST


@given(IDS, ACKED)
def test_the_committed_index_is_the_highest_one_a_majority_holds(
    voters: set[int], acked: dict[int, int]
) -> None:
    assert majority_committed(voters, acked) == slow_committed(voters, acked)


@given(IDS, VOTES)
def test_a_vote_is_decided_as_soon_as_the_missing_votes_cannot_change_it(
    voters: set[int], votes: dict[int, bool]
) -> None:
    assert majority_vote(voters, votes) == slow_vote(voters, votes)


@given(IDS, IDS, ACKED, VOTES)
def test_joint_decisions_need_both_halves_whichever_comes_first(
    incoming: set[int], outgoing: set[int], acked: dict[int, int], votes: dict[int, bool]
) -> None:
    voters, swapped = JointVoters(incoming, outgoing), JointVoters(outgoing, incoming)
    committed = voters.committed_index(acked)
    assert committed == min(slow_committed(incoming, acked), slow_committed(outgoing, acked))
    assert committed == swapped.committed_index(acked)
    halves = {slow_vote(incoming, votes), slow_vote(outgoing, votes)}
    result = voters.vote_result(votes)
    assert result == swapped.vote_result(votes)
    assert (result == VoteResult.WON) == (halves == {VoteResult.WON})
    assert (result == VoteResult.LOST) == (VoteResult.LOST in halves)


@given(IDS, ACKED)
def test_a_half_empty_joint_configuration_is_a_majority(
    voters: set[int], acked: dict[int, int]
) -> None:
    plain = majority_committed(voters, acked)
    assert JointVoters(voters, set()).committed_index(acked) == plain
    assert JointVoters(voters, set(voters)).committed_index(acked) == plain


def test_voters_print_in_hexadecimal_and_in_order() -> None:
    assert format_ids({10, 1, 255}) == "(1 a ff)"
    assert str(JointVoters({2, 1}, {3})) == "(1 2)&&(3)"


# ---- configurations ----


class Model:
    """A configuration as plain sets, without progress, copying or checks."""

    def __init__(self) -> None:
        self.incoming: set[int] = set()
        self.outgoing: set[int] = set()
        self.learners: set[int] = set()
        self.next: set[int] = set()

    def change(self, kind: int, node: int) -> None:
        if kind == ConfChangeType.ADD_NODE:
            self.incoming.add(node)
            self.learners.discard(node)
            self.next.discard(node)
        elif kind == ConfChangeType.ADD_LEARNER_NODE and node not in self.learners:
            self.incoming.discard(node)
            (self.next if node in self.outgoing else self.learners).add(node)
        elif kind == ConfChangeType.REMOVE_NODE:
            self.incoming.discard(node)
            self.learners.discard(node)
            self.next.discard(node)

    def state(self) -> ConfState:
        return ConfState(
            sorted(self.incoming),
            sorted(self.learners),
            sorted(self.outgoing),
            sorted(self.next),
        )


CHANGES = st.lists(
    st.builds(ConfChangeSingle, st.sampled_from([0, 1, 2, 3]), st.integers(1, 6)), max_size=5
)


def enter(tracker: Tracker, changes: list[ConfChangeSingle], model: Model) -> None:
    tracker.install(*Changer(tracker, 10).enter_joint(False, changes))
    model.outgoing = set(model.incoming)
    for each in changes:
        model.change(each.type, each.node_id)


@settings(max_examples=200)
@given(st.lists(CHANGES, min_size=1, max_size=6))
def test_any_walk_through_joint_configurations_agrees_with_a_plain_model(
    walk: list[list[ConfChangeSingle]],
) -> None:
    tracker, model = Tracker(10, 0), Model()
    tracker.install(*Changer(tracker, 10).simple([ConfChangeSingle(0, 1)]))
    model.change(0, 1)
    for changes in walk:
        try:
            enter(tracker, changes, model)
        except ConfChangeRefused as why:
            assert str(why) == "removed all voters"
            return
        assert tracker.config.conf_state() == model.state()
        assert set(tracker.progress) == (
            model.incoming | model.outgoing | model.learners | model.next
        )
        rebuilt = restore(Changer(Tracker(10, 0), 10), tracker.config.conf_state())
        assert rebuilt[0].conf_state() == model.state()
        tracker.install(*Changer(tracker, 10).leave_joint())
        model.outgoing, model.next = set(), set()
        model.learners |= rebuilt[0].learners_next
        assert tracker.config.conf_state() == model.state()
        learners = {one for one, each in tracker.progress.items() if each.is_learner}
        assert learners == model.learners


@given(CHANGES)
def test_a_change_of_one_voter_is_the_same_with_and_without_joint_consensus(
    changes: list[ConfChangeSingle],
) -> None:
    tracker = Tracker(10, 0)
    for node in (1, 2, 3):
        tracker.install(*Changer(tracker, 10).simple([ConfChangeSingle(0, node)]))
    changer = Changer(tracker, 10)
    try:
        simple = changer.simple(changes)[0].conf_state()
    except ConfChangeRefused:
        return
    joint = Tracker(10, 0)
    joint.install(*changer.enter_joint(True, changes))
    assert Changer(joint, 10).leave_joint()[0].conf_state() == simple


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (GroupConfig(JointVoters({1, 2})), "no progress for 2"),
        (GroupConfig(JointVoters({1}), set(), {1}), "1 is in LearnersNext, but not Voters[1]"),
        (GroupConfig(JointVoters({1}), {1}), "1 is in Learners and Voters[0]"),
        (GroupConfig(JointVoters(set(), {1}), {1}), "1 is in Learners and Voters[1]"),
        (GroupConfig(JointVoters(), {1}), "1 is in Learners, but is not marked as learner"),
        (GroupConfig(JointVoters({1}), auto_leave=True), "AutoLeave must be false when not joint"),
    ],
)
def test_a_broken_configuration_is_refused(config: GroupConfig, why: str) -> None:
    tracker = Tracker(10, 0)
    tracker.install(*Changer(tracker, 10).simple([ConfChangeSingle(0, 1)]))
    tracker.config = config
    with pytest.raises(ConfChangeRefused) as refused:
        Changer(tracker, 10).simple([])
    assert str(refused.value) == why


def test_a_staged_learner_must_not_be_marked_yet() -> None:
    tracker = Tracker(10, 0)
    tracker.install(*Changer(tracker, 10).simple([ConfChangeSingle(3, 1), ConfChangeSingle(0, 2)]))
    tracker.config = GroupConfig(JointVoters({2}, {1}), set(), {1})
    with pytest.raises(ConfChangeRefused, match="already marked as learner"):
        Changer(tracker, 10).leave_joint()


def test_an_unknown_kind_of_change_is_refused() -> None:
    with pytest.raises(ConfChangeRefused, match="unexpected conf type 7"):
        Changer(Tracker(10, 0), 0).simple([ConfChangeSingle(7, 1)])
