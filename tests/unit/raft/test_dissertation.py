"""Claims of Ongaro's dissertation that go beyond the paper: membership, transfer, disruption."""

from __future__ import annotations

from typing import Any

import pytest

from petcd.raft import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Message,
    MessageType,
    ProposalDropped,
    StateType,
)

FOLLOWER, CANDIDATE, LEADER = StateType.FOLLOWER, StateType.CANDIDATE, StateType.LEADER
PRE_CANDIDATE = StateType.PRE_CANDIDATE
ELECTION_TICK = 10
ADD, REMOVE = ConfChangeType.ADD_NODE, ConfChangeType.REMOVE_NODE
LEARN = ConfChangeType.ADD_LEARNER_NODE
SAFE_GROUP = {"pre_vote": True, "check_quorum": True}


def change(kind: int, node: int) -> ConfChange:
    return ConfChange(kind, node)


def voters(member: Any) -> str:
    return str(member.raft.tracker.config)


# ---- 3.8 Persisted state and server restarts ----


def test_3_8_an_append_is_acknowledged_with_the_write_that_holds_it(
    make_member: Any, app: Any
) -> None:
    """3.8: "each server also persists new log entries before they are counted towards the
    entries' commitment". The acknowledgement is part of the Ready that holds the entries."""
    follower = make_member()
    follower.raw.step(app(1, 2, 1, 2, 1, 1))
    ready = follower.raw.ready()
    assert [entry.index for entry in ready.entries] == [3]
    assert [(m.type, m.index) for m in ready.messages] == [(MessageType.APP_RESP, 3)]
    assert ready.must_sync


def test_3_8_the_commit_index_may_be_lost(make_group: Any) -> None:
    """3.8: "The commit index ... can safely be reinitialized to zero on a restart": a Ready that
    moves only the commit index needs no sync, and a restart without it catches up."""
    group = make_group([1])
    member = group.elect(1)
    group.propose(1, b"x")
    stored = member.raw.ready()
    member.storage.append(stored.entries)
    member.raw.advance()
    committed = member.raw.ready()
    assert committed.hard_state is not None
    assert not committed.must_sync
    member.raw.advance()
    member.applied.clear()
    member.raw = type(member)(1, member.storage).raw
    group.elect(1)
    assert member.data == [b"x"]


# ---- 3.10 Leadership transfer extension ----


def test_3_10_a_transfer_ends_with_the_target_leading(make_group: Any) -> None:
    """3.10: "the prior leader sends its log entries to the target server, then the target server
    runs an election without waiting for the election timeout to elapse." """
    group = make_group(**SAFE_GROUP)
    group.elect(1)
    group.propose(1, b"x")
    group[1].raw.transfer_leader(2)
    group.settle()
    assert group.leaders() == [2]
    assert group[2].raft.term == 2
    assert group[2].data == [b"x"]


def test_3_10_a_transfer_brings_a_slow_target_up_to_date_first(make_group: Any) -> None:
    """3.10: "The prior leader ensures that the target server's log is brought up to date" """
    group = make_group(**SAFE_GROUP)
    group.elect(1)
    group.isolate(3)
    group.propose(1, *[b"%d" % n for n in range(50)])
    group.settle()
    group.heal()
    group[1].raw.report_unreachable(3)
    group[1].raw.transfer_leader(3)
    group.settle()
    assert group.leaders() == [3]
    assert len(group[3].data) == 50


def test_3_10_the_leader_takes_no_proposals_during_a_transfer(make_group: Any) -> None:
    """3.10: "The current leader stops accepting new client requests." """
    group = make_group()
    leader = group.elect(1)
    group.isolate(2)
    leader.raw.transfer_leader(2)
    with pytest.raises(ProposalDropped):
        group.propose(1, b"x")


@pytest.mark.parametrize("check_quorum", [True, False])
def test_3_10_a_transfer_that_takes_an_election_timeout_is_given_up(
    make_group: Any, check_quorum: bool
) -> None:
    """3.10: "If leadership transfer does not complete after about an election timeout, the prior
    leader aborts the transfer and resumes accepting client requests." """
    group = make_group(check_quorum=check_quorum)
    leader = group.elect(1)
    group.isolate(2)
    leader.raw.transfer_leader(2)
    group.tick(1, ELECTION_TICK - 1)
    assert leader.raft.lead_transferee == 2
    group.tick(1)
    assert (leader.raft.lead_transferee, leader.state) == (0, LEADER)
    group.propose(1, b"x")
    group.settle()
    assert leader.data == [b"x"]


def test_3_10_a_second_transfer_replaces_the_first(make_group: Any) -> None:
    group = make_group()
    leader = group.elect(1)
    group.isolate(2)
    leader.raw.transfer_leader(2)
    leader.raw.transfer_leader(3)
    group.settle()
    assert group.leaders() == [3]


def test_3_10_a_transfer_to_oneself_ends_a_transfer_that_runs(make_group: Any) -> None:
    group = make_group()
    leader = group.elect(1)
    group.isolate(2)
    leader.raw.transfer_leader(2)
    leader.raw.transfer_leader(1)
    assert leader.raft.lead_transferee == 0


@pytest.mark.parametrize("target", [2, 9])
def test_3_10_only_voters_of_the_group_can_be_given_leadership(
    make_group: Any, target: int
) -> None:
    group = make_group([1], learners=[2])
    leader = group.elect(1)
    leader.raw.transfer_leader(target)
    assert leader.raft.lead_transferee == 0
    group.settle()
    assert group.leaders() == [1]


def test_3_10_a_follower_passes_the_wish_on_to_its_leader(make_group: Any) -> None:
    group = make_group()
    group.elect(1)
    group[2].raw.transfer_leader(3)
    group.settle()
    assert group.leaders() == [3]


@pytest.mark.parametrize("kind", [REMOVE, LEARN])
def test_3_10_a_transfer_ends_when_its_target_is_removed_or_demoted(
    make_group: Any, kind: int
) -> None:
    group = make_group()
    leader = group.elect(1)
    leader.raw.propose_conf_change(change(kind, 2))
    group.run(1)
    leader.raw.transfer_leader(2)
    group.drop(kind=MessageType.TIMEOUT_NOW)
    group.settle()
    assert leader.raft.lead_transferee == 0
    assert group.leaders() == [1]


# ---- 4.1, 4.2 Cluster membership changes ----


def test_4_1_a_server_is_added_and_counts(make_group: Any) -> None:
    """4.1: adding one server at a time keeps any two majorities overlapping."""
    group = make_group([1])
    leader = group.elect(1)
    group.add_blank(2)
    leader.raw.propose_conf_change(change(ADD, 2))
    group.run(1)
    assert voters(leader) == "voters=(1 2)"
    group.propose(1, b"x")
    group.run(1)
    assert leader.data == []
    group[2].storage.apply_snapshot(leader.storage.snapshot())
    group[2].restart()
    group.tick(1)
    group.settle()
    assert leader.data == group[2].data == [b"x"]
    assert voters(group[2]) == "voters=(1 2)"


def test_4_1_only_one_change_is_pending_at_a_time(make_group: Any) -> None:
    """4.1: "the leader must not ... begin a configuration change while an earlier one is not
    committed". The second one becomes an empty entry."""
    group = make_group()
    leader = group.elect(1)
    leader.raw.propose_conf_change(change(ADD, 4))
    leader.raw.propose_conf_change(change(ADD, 5))
    group.settle()
    assert voters(leader) == "voters=(1 2 3 4)"
    leader.raw.propose_conf_change(change(ADD, 5))
    group.settle()
    assert voters(leader) == "voters=(1 2 3 4 5)"


def test_4_1_a_new_leader_waits_until_its_log_is_applied(make_group: Any) -> None:
    """4.1 and the erratum of 2015: a new leader proposes no change before it has committed an
    entry of its own term, for an earlier change might hide in its log."""
    group = make_group()
    group.elect(1)
    group.isolate(1)
    group.propose(1, b"uncommitted")
    group.run(1)
    group.drop()
    group.heal()
    group[1].restart()
    group[1].raw.campaign()
    group.run(1)
    group.deliver(2)
    group.run(2)
    group.deliver(1)
    leader = group[1]
    assert (leader.state, leader.terms()) == (LEADER, [1, 1, 2])
    leader.raw.propose_conf_change(change(ADD, 4))
    assert leader.log()[-1] == (6, 2, b"")
    group.settle()
    leader.raw.propose_conf_change(change(ADD, 4))
    group.settle()
    assert voters(leader) == "voters=(1 2 3 4)"


def test_4_2_1_a_learner_is_sent_the_log_but_has_no_vote(make_group: Any) -> None:
    """4.2.1: "the new server joins the cluster as a non-voting member. The leader replicates log
    entries to it, but it is not yet counted towards majorities for voting or commitment." """
    group = make_group([1, 2], learners=[3])
    group.elect(1)
    group.propose(1, b"x")
    group.settle()
    assert group[3].data == [b"x"]
    group.isolate(2)
    group.propose(1, b"y")
    group.settle()
    assert group[1].data == [b"x"]
    group[3].raw.campaign()
    group.tick(3, 5 * ELECTION_TICK)
    assert (group[3].state, group[3].raft.term) == (FOLLOWER, 1)


def test_4_2_1_a_learner_that_was_promoted_unawares_may_vote(make_group: Any) -> None:
    """A learner's promotion may be committed without the learner knowing; then its vote can be
    needed, so it answers whoever asks with an up-to-date log."""
    group = make_group([1, 2], learners=[3])
    group.elect(1)
    group.settle()
    group[3].raw.step(Message(MessageType.VOTE, 3, 2, 2, log_term=1, index=3))
    (answer,) = group[3].carry_out()
    assert not answer.reject


@pytest.mark.parametrize("step_down", [True, False])
def test_4_2_2_a_leader_removes_itself(make_group: Any, step_down: bool) -> None:
    """4.2.2: "a leader that is removed from the configuration steps down once the C_new entry is
    committed." With the option off it stays, takes no proposals, and is replaced by election."""
    group = make_group(step_down_on_removal=step_down)
    leader = group.elect(1)
    leader.raw.propose_conf_change(change(REMOVE, 1))
    group.settle()
    assert voters(group[2]) == "voters=(2 3)"
    assert leader.state == (FOLLOWER if step_down else LEADER)
    with pytest.raises(ProposalDropped):
        group.propose(1, b"x")
    group.elect(2)
    group.propose(2, b"y")
    group.settle()
    assert group[3].data == [b"y"]


def test_4_2_2_a_commit_needs_only_the_remaining_voters_after_a_removal(make_group: Any) -> None:
    """A smaller quorum may commit entries that waited for the larger one."""
    group = make_group([1, 2])
    leader = group.elect(1)
    leader.raw.propose_conf_change(change(REMOVE, 2))
    group.run(1)
    group.propose(1, b"waiting")
    group.run(1)
    assert leader.data == []
    group[1].raw.step(Message(MessageType.APP_RESP, 1, 2, 1, index=4))
    group.run(1)
    assert voters(leader) == "voters=(1)"
    assert leader.data == [b"waiting"]


def test_4_2_3_a_server_that_hears_its_leader_ignores_candidates(make_group: Any) -> None:
    """4.2.3: "if a server receives a RequestVote request within the minimum election timeout of
    hearing from a current leader, it does not update its term or grant its vote." """
    group = make_group(check_quorum=True)
    group.elect(1)
    request = Message(MessageType.VOTE, 2, 3, 9, log_term=9, index=9)
    group[2].raw.step(request)
    assert group[2].carry_out() == []
    assert group[2].raft.term == 1
    group.tick(2, ELECTION_TICK)
    group[2].raw.step(request)
    assert group[2].raft.vote == 3


def test_4_2_3_a_transfer_is_exempt_from_that_rule(make_group: Any) -> None:
    """4.2.3: "the leadership transfer mechanism ... a special flag in its RequestVote requests" """
    group = make_group(check_quorum=True)
    group.elect(1)
    request = Message(MessageType.VOTE, 2, 3, 9, log_term=9, index=9, context=b"CampaignTransfer")
    group[2].raw.step(request)
    (answer,) = group[2].carry_out()
    assert (answer.term, answer.reject) == (9, False)


def test_4_2_3_a_removed_server_does_not_disturb_the_group(make_group: Any) -> None:
    """4.2.3: "the servers not in C_new ... will time out and start new elections"; they must not
    depose a leader that the others hear."""
    group = make_group(**SAFE_GROUP)
    leader = group.elect(1)
    group.isolate(3)
    leader.raw.propose_conf_change(change(REMOVE, 3))
    group.settle()
    group.heal()
    for _ in range(6 * ELECTION_TICK):
        for node in (1, 2, 3):
            group.tick(node)
        group.settle()
    assert group.leaders() == [1]
    assert leader.raft.term == 1


# ---- 4.3 Arbitrary configuration changes using joint consensus ----


def joint(*changes: tuple[int, int], explicit: bool = False) -> ConfChangeV2:
    kind = ConfChangeTransition.JOINT_EXPLICIT if explicit else ConfChangeTransition.AUTO
    return ConfChangeV2(kind, [ConfChangeSingle(what, node) for what, node in changes])


def test_4_3_a_joint_configuration_is_left_by_itself(make_group: Any) -> None:
    """4.3: C_old goes through C_old,new to C_new."""
    group = make_group()
    leader = group.elect(1)
    group.add(4)
    leader.raw.propose_conf_change(joint((REMOVE, 3), (ADD, 4)))
    seen = set()
    for _ in range(12):
        group.run()
        seen.add(voters(leader))
        group.deliver()
    assert seen == {
        "voters=(1 2 3)",
        "voters=(1 2 4)&&(1 2 3) autoleave",
        "voters=(1 2 4)",
    }


def test_4_3_joint_decisions_need_both_majorities(make_group: Any) -> None:
    """4.3: "Agreement (for elections and entry commitment) requires majorities from both the old
    and new configurations." """
    group = make_group([1, 2, 3])
    leader = group.elect(1)
    for node in (4, 5):
        group.add(node)
    leader.raw.propose_conf_change(
        joint((REMOVE, 2), (REMOVE, 3), (ADD, 4), (ADD, 5), explicit=True)
    )
    group.settle()
    assert voters(leader) == "voters=(1 4 5)&&(1 2 3)"
    group.split([1, 2, 3], [4, 5])
    group.propose(1, b"x")
    group.settle()
    assert leader.data == []
    group.heal()
    group.split([1, 4, 5], [2, 3])
    leader.raw.report_unreachable(4)
    leader.raw.report_unreachable(5)
    group.tick(1)
    group.settle()
    assert leader.data == [b"x"]
    group.propose(1, b"y")
    group.settle()
    assert leader.data == [b"x"]


def test_4_3_elections_in_a_joint_configuration_need_both_majorities(make_group: Any) -> None:
    group = make_group([1, 2, 3])
    leader = group.elect(1)
    for node in (4, 5):
        group.add(node)
    leader.raw.propose_conf_change(
        joint((REMOVE, 2), (REMOVE, 3), (ADD, 4), (ADD, 5), explicit=True)
    )
    group.settle()
    group.isolate(1)
    group[4].raw.campaign()
    group.split([4, 5], [2, 3])
    group.settle()
    assert group[4].state == CANDIDATE
    group.heal()
    group.isolate(1)
    group[4].raw.campaign()
    group.settle()
    assert group[4].state == LEADER


def test_4_3_an_explicit_joint_configuration_is_left_by_an_empty_change(make_group: Any) -> None:
    group = make_group()
    leader = group.elect(1)
    leader.raw.propose_conf_change(joint((LEARN, 3), explicit=True))
    group.settle()
    assert voters(leader) == "voters=(1 2)&&(1 2 3) learners_next=(3)"
    leader.raw.propose_conf_change(joint((ADD, 4)))
    group.settle()
    assert voters(leader) == "voters=(1 2)&&(1 2 3) learners_next=(3)"
    leader.raw.propose_conf_change(ConfChangeV2())
    group.settle()
    assert voters(leader) == "voters=(1 2) learners=(3)"
    assert group[3].raft.is_learner


def test_4_3_a_new_leader_leaves_the_joint_configuration_of_its_predecessor(
    make_group: Any,
) -> None:
    """4.3: the transition completes whoever leads."""
    group = make_group()
    leader = group.elect(1)
    leader.raw.propose_conf_change(joint((LEARN, 3), (ADD, 4)))
    group.run(1)
    group.deliver(2, 3)
    group.run(2, 3)
    group.deliver(1)
    group.run(1)
    group.isolate(1)
    group.add(4)
    group.settle()
    group.elect(2)
    group.heal()
    group.tick(2)
    group.settle()
    assert {voters(each) for each in group.members.values()} == {"voters=(1 2 4) learners=(3)"}


# ---- 6.2 and 6.4 Client interaction ----


def test_6_2_a_leader_steps_down_without_a_quorum(make_group: Any) -> None:
    """6.2: "a leader in Raft steps down if an election timeout elapses without a successful round
    of heartbeats to a majority of its cluster" """
    group = make_group(check_quorum=True)
    leader = group.elect(1)
    group.isolate(1)
    group.tick(1, 2 * ELECTION_TICK)
    assert leader.state == FOLLOWER
    assert leader.raft.term == 1


def test_6_2_a_leader_with_a_quorum_stays(make_group: Any) -> None:
    group = make_group(check_quorum=True)
    leader = group.elect(1)
    group.isolate(3)
    for _ in range(5 * ELECTION_TICK):
        group.tick(1)
        group.settle()
    assert leader.state == LEADER


def test_6_4_reads_of_followers_are_confirmed_by_the_leader(make_group: Any) -> None:
    """6.4: "a follower could issue a request to the leader that just asks for a current
    readIndex" """
    group = make_group()
    group.elect(1)
    group.propose(1, b"x")
    group.settle()
    group[2].raw.read_index(b"from 2")
    group.settle()
    assert group[2].reads == {b"from 2": 4}
    assert group[1].reads == {}


def test_6_4_1_a_lease_answers_without_a_message(make_group: Any) -> None:
    """6.4.1: "the leader would use the normal heartbeat mechanism to maintain a lease" """
    group = make_group(check_quorum=True, read_only_option=1)
    leader = group.elect(1)
    leader.raw.read_index(b"local")
    assert leader.carry_out() == []
    assert leader.reads == {b"local": 3}
    group[2].raw.read_index(b"remote")
    group.settle()
    assert group[2].reads == {b"remote": 3}


# ---- 9.6 Preventing disruptions when a server rejoins the cluster ----


def test_9_6_a_pre_vote_changes_neither_term_nor_vote(make_group: Any) -> None:
    """9.6: "a candidate only increments its term if it first learns from a majority of the cluster
    that they would be willing to grant the candidate their votes" """
    group = make_group(pre_vote=True)
    group.isolate(1)
    group.tick(1, 10 * ELECTION_TICK)
    group.settle()
    assert (group[1].state, group[1].raft.term, group[1].raft.vote) == (PRE_CANDIDATE, 0, 0)
    assert [group[n].raft.term for n in (2, 3)] == [0, 0]


def test_9_6_a_won_pre_vote_leads_to_the_election(make_group: Any) -> None:
    group = make_group(pre_vote=True)
    group.tick(1, ELECTION_TICK)
    group.settle()
    assert (group.leaders(), group[1].raft.term) == ([1], 1)


def test_9_6_a_rejoining_server_does_not_depose_the_leader(make_group: Any) -> None:
    """9.6: "when the server rejoins the cluster" its higher term would force a new election;
    with the pre-vote it has none."""
    group = make_group(**SAFE_GROUP)
    group.elect(1)
    group.isolate(3)
    group.propose(1, b"missed")
    group.settle()
    group.tick(3, 10 * ELECTION_TICK)
    group.heal()
    for _ in range(2 * ELECTION_TICK):
        for node in (1, 2, 3):
            group.tick(node)
        group.settle()
    assert (group.leaders(), group[1].raft.term) == ([1], 1)
    assert group[3].data == [b"missed"]


def test_9_6_a_late_pre_vote_answer_is_no_vote(make_group: Any) -> None:
    group = make_group([1, 2, 3, 4, 5], pre_vote=True)
    candidate = group[1]
    candidate.raw.campaign()
    group.run(1)
    for voter in (2, 3):
        candidate.raw.step(Message(MessageType.PRE_VOTE_RESP, 1, voter, 1))
    group.run(1)
    assert candidate.state == CANDIDATE
    for voter in (4, 5):
        candidate.raw.step(Message(MessageType.PRE_VOTE_RESP, 1, voter, 1))
    assert candidate.state == CANDIDATE


# ---- 10.2.1 Writing to the leader's disk in parallel ----


def test_10_2_1_a_leader_commits_without_its_own_disk_if_a_majority_has_it(
    make_group: Any,
) -> None:
    """10.2.1: "The leader may even commit an entry before it has been written to its own disk, if
    a majority of followers have written it to their disks; this is still safe." """
    group = make_group()
    leader = group.elect(1)
    group.propose(1, b"x")
    ready = leader.raw.ready()
    for m in ready.messages:
        group[m.to].raw.step(m)
    for node in (2, 3):
        for m in group[node].carry_out():
            leader.raw.step(m)
    assert leader.raft.raft_log.committed == 4
    leader.storage.append(ready.entries)
    leader.raw.advance()
    group.settle()
    assert leader.data == [b"x"]


def test_10_2_1_a_leader_does_not_count_itself_before_its_write(make_group: Any) -> None:
    """10.2.1: the leader's own match index moves when its disk is done."""
    group = make_group([1, 2])
    leader = group.elect(1)
    group.propose(1, b"x")
    leader.raw.ready()
    leader.raw.step(Message(MessageType.APP_RESP, 1, 2, 1, index=4))
    assert leader.raft.raft_log.committed == 3
    leader.raw.advance()
    assert leader.raft.raft_log.committed == 4
