"""Bugs that other Raft implementations shipped, each as a scenario that must not happen here."""

from __future__ import annotations

from typing import Any

import pytest

from petcd.raft import (
    ConfChange,
    ConfChangeType,
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
    StateType,
    encode_conf_change,
)

FOLLOWER, CANDIDATE, LEADER = StateType.FOLLOWER, StateType.CANDIDATE, StateType.LEADER
ELECTION_TICK = 10
SAFE_GROUP = {"pre_vote": True, "check_quorum": True}


def snapshot(index: int, term: int, voters: list[int]) -> Snapshot:
    return Snapshot(b"s", SnapshotMetadata(ConfState(voters), index, term))


def install(to: int, from_: int, term: int, snap: Snapshot) -> Message:
    return Message(MessageType.SNAP, to, from_, term, snapshot=snap)


def test_term_and_vote_are_never_stored_apart(make_member: Any) -> None:
    """hashicorp/raft#661: written in two steps, a crash in between forgot the vote of the new
    term, and the node voted twice. Every Ready here carries both or neither."""
    member = make_member()
    member.raw.step(Message(MessageType.VOTE, 1, 2, 4, log_term=1, index=2))
    member.raw.step(Message(MessageType.VOTE, 1, 3, 6, log_term=1, index=2))
    member.carry_out()
    stored = [ready.hard_state for ready in member.history if ready.hard_state is not None]
    assert [(each.term, each.vote) for each in stored] == [(6, 3)]


def test_a_full_restart_of_the_group_keeps_every_commitment(make_group: Any) -> None:
    """PySyncObj#201: neither term nor vote was stored, and committed entries were overwritten
    after a full restart."""
    group = make_group()
    group.elect(1)
    group.propose(1, b"kept")
    group.settle()
    group.elect(2)
    terms = {n: group[n].raft.term for n in group.members}
    for each in group.members.values():
        each.restart()
    assert {n: group[n].raft.term for n in group.members} == terms
    group.elect(3)
    assert group[3].raft.term == 3
    assert [each.data for each in group.members.values()] == [[b"kept"]] * 3


@pytest.mark.parametrize("size", [3, 5])
def test_a_seen_vote_is_not_a_granted_one(make_group: Any, size: int) -> None:
    """databend#16175: answers were counted, whatever they said."""
    group = make_group(range(1, size + 1))
    group[1].raw.campaign()
    group.run(1)
    for voter in range(2, size + 1):
        group[1].raw.step(Message(MessageType.VOTE_RESP, 1, voter, 1, reject=True))
        assert group[1].state != LEADER


def test_a_vote_counts_once_however_often_it_arrives(make_group: Any) -> None:
    group = make_group([1, 2, 3, 4, 5])
    group[1].raw.campaign()
    group.run(1)
    for _ in range(4):
        group[1].raw.step(Message(MessageType.VOTE_RESP, 1, 2, 1))
    assert group[1].state == CANDIDATE
    group[1].raw.step(Message(MessageType.VOTE_RESP, 1, 2, 1, reject=True))
    group[1].raw.step(Message(MessageType.VOTE_RESP, 1, 3, 1))
    assert group[1].state == LEADER


def test_a_lost_answer_does_not_lose_the_vote(make_group: Any) -> None:
    """nebula#2419: the repeated request of the same candidate was refused."""
    group = make_group()
    group[1].raw.campaign()
    group.run(1)
    requests = [m for m in group.post if m.to == 2]
    group.deliver(2)
    group.run(2)
    group.post = requests
    group.deliver(2)
    group.run(2)
    group.deliver(1)
    assert group[1].state == LEADER


def test_a_deposed_leaders_tail_is_rolled_back(make_group: Any) -> None:
    """nebula#2419, second part: what the old leader appended alone must go."""
    group = make_group()
    group.elect(1)
    group.isolate(1)
    group.propose(1, b"lost", b"lost too")
    group.settle()
    group.elect(2)
    group.propose(2, b"kept")
    group.settle()
    group.heal()
    group.tick(2)
    group.settle()
    assert group[1].log() == group[2].log()
    assert group[1].data == [b"kept"]


def test_a_snapshot_replaces_an_uncommitted_membership(make_member: Any) -> None:
    """openraft#1808: a follower kept the membership of an uncommitted entry that the snapshot
    had replaced; with disjoint quorums committed entries were lost."""
    follower = make_member(3)
    kind, data = encode_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    entries = [Entry(kind, 1, 3, data)]
    follower.raw.step(Message(MessageType.APP, 3, 1, 1, 1, 2, entries))
    follower.carry_out()
    follower.raw.step(install(3, 2, 2, snapshot(3, 2, [1, 2, 3, 4])))
    follower.carry_out()
    assert str(follower.raft.tracker.config) == "voters=(1 2 3 4)"
    assert follower.log() == []
    follower.restart()
    assert str(follower.raft.tracker.config) == "voters=(1 2 3 4)"


def test_the_configuration_for_a_snapshot_is_that_of_the_applied_log(make_group: Any) -> None:
    """dragonboat: a snapshot right after a configuration change did not contain it. What
    `apply_conf_change` returns is what a snapshot at that entry must carry."""
    group = make_group()
    leader = group.elect(1)
    leader.raw.propose_conf_change(ConfChange(ConfChangeType.ADD_LEARNER_NODE, 4))
    group.settle()
    index = leader.raft.raft_log.applied
    assert leader.applied[-1].type == EntryType.CONF_CHANGE
    leader.snapshot_at(index)
    _, conf = leader.storage.initial_state()
    assert conf == ConfState([1, 2, 3], [4])
    leader.restart()
    assert str(leader.raft.tracker.config) == "voters=(1 2 3) learners=(4)"


def test_the_answer_to_a_snapshot_carries_our_own_term(make_member: Any) -> None:
    """openraft#1042: the reply named another vote than the node's."""
    follower = make_member()
    follower.raw.step(install(1, 2, 7, snapshot(9, 3, [1, 2, 3])))
    (answer,) = follower.carry_out()
    assert (answer.type, answer.term, answer.index) == (MessageType.APP_RESP, 7, 9)


def test_two_snapshots_in_quick_succession_are_both_fine(make_member: Any) -> None:
    """etcd#18055: the second snapshot arrived before the first was installed: panic."""
    follower = make_member()
    follower.raw.step(install(1, 2, 1, snapshot(9, 1, [1, 2, 3])))
    follower.raw.step(install(1, 2, 1, snapshot(12, 1, [1, 2, 3])))
    follower.raw.step(install(1, 2, 1, snapshot(12, 1, [1, 2, 3])))
    answers = follower.carry_out()
    assert [m.index for m in answers] == [9, 12, 12]
    assert follower.raft.raft_log.applied == 12
    assert follower.storage.first_index() == 13


def test_two_snapshots_overlap_in_asynchronous_storage(make_member: Any) -> None:
    """The same with the first one still being written when the second arrives."""
    follower = make_member(async_storage_writes=True)
    work = []
    for index in (9, 12):
        follower.raw.step(install(1, 2, 1, snapshot(index, 1, [1, 2, 3])))
        work += [m for m in follower.raw.ready().messages if m.snapshot is not None]
    for m in work:
        follower.storage.apply_snapshot(m.snapshot)
        for response in m.responses:
            if response.to == 1:
                follower.raw.step(response)
    assert follower.raft.raft_log.unstable.snapshot is None
    assert follower.raft.raft_log.applied == 12


@pytest.mark.parametrize("kind", [MessageType.APP, MessageType.HEARTBEAT, MessageType.SNAP])
def test_everything_a_leader_sends_counts_as_contact(make_member: Any, kind: int) -> None:
    """redpanda#30817: a recovering follower did not count the leader's messages as contact, and
    went on asking for pre-votes without end."""
    follower = make_member(**SAFE_GROUP)
    follower.raft.election_elapsed = ELECTION_TICK - 1
    snap = snapshot(9, 1, [1, 2, 3]) if kind == MessageType.SNAP else None
    follower.raw.step(Message(kind, 1, 2, 1, snapshot=snap))
    assert (follower.raft.election_elapsed, follower.raft.lead) == (0, 2)


def test_a_pre_candidate_follows_when_the_leader_speaks(make_group: Any) -> None:
    """The same, for a node that was already campaigning."""
    group = make_group(**SAFE_GROUP)
    group.elect(1)
    group.tick(3, 2 * ELECTION_TICK)
    group.run(3)
    group.drop()
    assert group[3].state == StateType.PRE_CANDIDATE
    group.tick(1)
    group.settle()
    assert (group[3].state, group[3].raft.lead) == (FOLLOWER, 1)


def test_pre_votes_do_not_block_each_other(make_group: Any) -> None:
    """canonical/raft#142: a node with a higher term but a shorter log, and nodes with a lower term
    and a longer log; none could win a pre-vote. The refusal must tell the higher term."""
    group = make_group(pre_vote=True)
    group.elect(1)
    group.isolate(3)
    group.propose(1, b"x")
    group.settle()
    group[3].raft.pre_vote = False  # an older version, without the pre-vote
    for _ in range(3):
        group[3].raw.campaign()
        group.settle()
    assert group[3].raft.term > group[1].raft.term
    group.heal()
    group.isolate(1)
    for _ in range(4):
        group.tick(2, 2 * ELECTION_TICK)
        group.settle()
    assert group.leaders() == [1, 2]
    assert group[2].raft.term > 1
    assert group[3].data == [b"x"]


def test_a_stuck_candidate_of_a_higher_term_is_freed(make_group: Any) -> None:
    """With check_quorum alone, a node that has raised its term in isolation is ignored by those
    who hear their leader. The leader must learn of that term and step down."""
    group = make_group(check_quorum=True)
    group.elect(1)
    group.isolate(3)
    group.tick(3, 5 * ELECTION_TICK)
    group.settle()
    higher = group[3].raft.term
    assert higher > 1
    group.heal()
    group.tick(1)
    group.settle()
    assert group[1].state == FOLLOWER
    assert group[1].raft.term == higher
    group.elect(1)
    assert group[3].raft.lead == 1


def run_for(group: Any, ticks: int) -> None:
    for _ in range(ticks):
        for node in group.members:
            group.tick(node)
        group.settle()


def test_a_bridge_partition_ends_with_one_leader_that_stays(make_group: Any) -> None:
    """RedisLabs/raft#24: 1 and 3 hear only 2. Without pre-vote, quorum checks and stickiness they
    depose each other for ever."""
    drawn = iter([3, 7, 1, 9, 4, 0, 8, 2, 6, 5] * 100)
    group = make_group(random=lambda count: next(drawn), **SAFE_GROUP)
    group.elect(1)
    group.cut = {(1, 3), (3, 1)}
    run_for(group, 10 * ELECTION_TICK)
    terms = {group[n].raft.term for n in group.members}
    run_for(group, 10 * ELECTION_TICK)
    assert {group[n].raft.term for n in group.members} == terms
    assert len(group.leaders()) == 1
    group.propose(group.leaders()[0], b"x")
    group.settle()
    assert group[2].data == [b"x"]


def test_a_node_that_is_not_heard_does_not_disturb(make_group: Any) -> None:
    """One-way loss: node 3 hears nobody, but is heard. Its campaigns change nothing."""
    group = make_group(**SAFE_GROUP)
    group.elect(1)
    group.cut = {(1, 3), (2, 3)}
    run_for(group, 10 * ELECTION_TICK)
    assert group.leaders() == [1]
    assert group[1].raft.term == 1


def test_a_removed_node_that_keeps_campaigning_is_harmless(make_group: Any) -> None:
    """microsoft/CCF#7361: a removed node goes on asking for votes."""
    group = make_group(**SAFE_GROUP)
    leader = group.elect(1)
    leader.raw.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 3))
    group.run(1)
    group.deliver(2)
    group.run(2)
    group.deliver(1)
    group.run(1)
    group.drop(to=3)
    group.settle()
    assert str(group[3].raft.tracker.config) == "voters=(1 2 3)"
    run_for(group, 5 * ELECTION_TICK)
    assert (group.leaders(), leader.raft.term) == ([1], 1)


def test_a_node_that_applied_its_own_removal_does_not_campaign(make_group: Any) -> None:
    group = make_group()
    leader = group.elect(1)
    leader.raw.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 3))
    group.run(1)
    group.deliver(2, 3)
    group.run(2, 3)
    group.deliver(1)
    for m in [Message(MessageType.HEARTBEAT, 3, 1, 1, commit=4)]:
        group[3].raw.step(m)
    group.run(3)
    assert str(group[3].raft.tracker.config) == "voters=(1 2)"
    group.tick(3, 5 * ELECTION_TICK)
    assert group[3].state == FOLLOWER


def test_a_lone_voter_acknowledges_nothing_before_its_disk(make_group: Any) -> None:
    """etcd#14370: a one-member cluster acknowledged before its fsync. The entry is not even
    committed before the caller has written it and says so."""
    group = make_group([1])
    member = group.elect(1)
    group.propose(1, b"x")
    ready = member.raw.ready()
    assert [entry.data for entry in ready.entries] == [b"x"]
    assert ready.committed_entries == []
    assert member.raft.raft_log.committed == 3
    member.storage.append(ready.entries)
    member.raw.advance()
    assert [entry.data for entry in member.raw.ready().committed_entries] == [b"x"]


def test_a_member_can_be_added_while_another_is_down(make_group: Any) -> None:
    """etcd#21667: quorum arithmetic refused it."""
    group = make_group()
    leader = group.elect(1)
    group.isolate(3)
    group.add_blank(4)
    leader.raw.propose_conf_change(ConfChange(ConfChangeType.ADD_NODE, 4))
    group.settle()
    assert str(leader.raft.tracker.config) == "voters=(1 2 3 4)"


def test_an_update_changes_no_role(make_group: Any) -> None:
    """etcd#21736: updating a member's addresses promoted a learner."""
    group = make_group([1, 2], learners=[3])
    leader = group.elect(1)
    for node in (2, 3, 9):
        leader.raw.propose_conf_change(ConfChange(ConfChangeType.UPDATE_NODE, node))
        group.settle()
    assert str(leader.raft.tracker.config) == "voters=(1 2) learners=(3)"


def test_entries_are_not_doubled_when_the_leader_changes(make_group: Any) -> None:
    """raftos#2: entries appeared twice after a change of leader."""
    group = make_group()
    group.elect(1)
    group.propose(1, b"a")
    group.run(1)
    group.deliver(2, 3)
    group.run(2, 3)
    group.drop()
    group.elect(2)
    group.propose(2, b"b")
    group.settle()
    assert [each.data for each in group.members.values()] == [[b"a", b"b"]] * 3


def test_a_write_of_an_earlier_term_does_not_vouch_for_entries(make_member: Any, app: Any) -> None:
    """The ABA problem of asynchronous writes: entries are replaced and come back while writes are
    under way; the end of the first write must not let go of them, for the second write will
    still replace them on disk."""
    member = make_member(async_storage_writes=True)

    def append_response() -> Message:
        (work,) = [m for m in member.raw.ready().messages if m.entries]
        return work.responses[-1]

    member.raw.step(app(1, 2, 2, 2, 1, 2))
    first = append_response()
    member.raw.step(app(1, 3, 3, 2, 1, 3))
    second = append_response()
    member.raw.step(app(1, 2, 4, 2, 1, 2))
    third = append_response()
    member.raw.step(first)
    assert len(member.raft.raft_log.unstable.entries) == 1
    member.raw.step(second)
    assert len(member.raft.raft_log.unstable.entries) == 1
    member.storage.append(member.raft.raft_log.unstable.entries)
    member.raw.step(third)
    assert member.raft.raft_log.unstable.entries == []


def test_a_leader_does_not_wait_for_a_peer_that_hangs(make_group: Any) -> None:
    """openraft#1810: one hung peer froze the leader. Peers' answers are never waited for: with
    node 3 silent, entries are committed at full speed and its window stays bounded."""
    group = make_group(max_inflight_msgs=4)
    leader = group.elect(1)
    for number in range(100):
        group.propose(1, b"%d" % number)
        group.run(1)
        group.deliver(2)
        group.run(2)
        group.deliver(1)
    group.run(1)
    assert len(leader.data) == 100
    to_3 = [m for m in group.post if m.to == 3 and m.entries]
    assert len(to_3) == 4
