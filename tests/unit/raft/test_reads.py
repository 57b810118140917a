"""Linearizable reads: when they are answered, with which index, and when never."""

from __future__ import annotations

from typing import Any

import pytest

from petcd.raft import (
    ConfChange,
    ConfChangeType,
    Entry,
    Message,
    MessageType,
    ReadOnlyOption,
    StateType,
)
from petcd.raft.quorum import JointVoters
from petcd.raft.read_only import ReadOnly, ReadRequest

HEARTBEAT, HEARTBEAT_RESP = MessageType.HEARTBEAT, MessageType.HEARTBEAT_RESP


def test_a_lone_voter_answers_at_once(make_group: Any) -> None:
    group = make_group([1])
    member = group.elect(1)
    group.propose(1, b"x")
    group.settle()
    member.raw.read_index(b"r")
    assert member.raw.has_ready()
    group.run(1)
    assert member.reads == {b"r": 4}


def test_a_restarted_lone_voter_first_commits_in_its_new_term(make_group: Any) -> None:
    """Its stored commit index may be older than what it has acknowledged."""
    group = make_group([1])
    member = group.elect(1)
    group.propose(1, b"acknowledged")
    group.settle()
    member.storage.set_hard_state(type(member.raft.hard_state())(1, 1, 2))
    member.settings["applied"] = 2
    member.raw = type(member)(1, member.storage).raw
    member.raw.campaign()
    ready = member.raw.ready()
    member.storage.set_hard_state(ready.hard_state)
    member.raw.advance()
    assert member.state == StateType.LEADER
    member.raw.read_index(b"r")
    assert member.raft.read_states == []
    group.run(1)
    assert member.reads == {b"r": 5}


def test_the_index_is_the_commit_index_when_the_read_arrived(make_group: Any) -> None:
    group = make_group()
    leader = group.elect(1)
    leader.raw.read_index(b"before")
    group.run(1)
    beats = [m for m in group.post if m.type == HEARTBEAT]
    group.post = []
    group.propose(1, b"x")
    group.settle()
    assert leader.raft.raft_log.committed == 4
    group.post = beats
    group.settle()
    assert leader.reads == {b"before": 3}


def test_an_answer_confirms_only_reads_that_came_before_its_question(make_group: Any) -> None:
    """A leader that was paused gets the answers to old heartbeats when it wakes up. They prove
    nothing about now, and must not confirm what is asked now."""
    group = make_group()
    leader = group.elect(1)
    leader.raw.read_index(b"first")
    group.run(1)
    group.deliver(2, 3)
    group.run(2, 3)
    old_answers = [m for m in group.post if m.type == HEARTBEAT_RESP]
    assert len(old_answers) == 2
    leader.raw.read_index(b"second")
    for m in old_answers:
        leader.raw.step(m)
    leader.carry_out()
    assert leader.reads == {b"first": 3}


def test_an_old_leader_answers_nothing_with_answers_from_before_its_pause(
    make_group: Any,
) -> None:
    """The stale read of etcd 20418: a paused leader wakes up after another one was elected and has
    committed, finds answers to its old heartbeats, and serves a new read from its old state."""
    group = make_group()
    old = group.elect(1)
    old.raw.read_index(b"old round")
    group.run(1)
    group.deliver(2, 3)
    group.run(2, 3)
    answers = [m for m in group.post if m.to == 1]
    group.post = []
    group.isolate(1)
    group.elect(2)
    group.propose(2, b"newer")
    group.settle()
    old.raw.read_index(b"new round")
    for m in answers:
        old.raw.step(m)
    group.run(1)
    assert b"new round" not in old.reads
    group.heal()
    group.tick(2)
    group.settle()
    assert b"new round" not in old.reads


def test_reads_are_forgotten_with_the_leadership(make_group: Any) -> None:
    """Neither those that wait for a quorum nor those that wait for the first commit survive."""
    group = make_group()
    leader = group[1]
    leader.raw.campaign()
    group.run(1)
    group.deliver(2)
    group.run(2)
    group.deliver(1)
    leader.raw.step(Message(MessageType.READ_INDEX, 1, 2, entries=[Entry(data=b"r")]))
    leader.raw.read_index(b"mine")
    leader.raw.step(Message(MessageType.APP, 1, 3, 5))
    assert leader.raft.pending_reads == []
    group.post = []
    group.elect(1)
    assert group[2].reads == leader.reads == {}


def test_many_reads_share_a_round(make_group: Any) -> None:
    group = make_group()
    leader = group.elect(1)
    for number in range(10):
        leader.raw.read_index(b"%d" % number)
    ready = leader.raw.ready()
    leader.raw.advance()
    last = [m for m in ready.messages if m.type == HEARTBEAT and m.to == 2][-1]
    leader.raw.step(Message(HEARTBEAT_RESP, 1, 2, 1, context=last.context))
    leader.carry_out()
    assert len(leader.reads) == 10


def test_the_same_context_twice_is_answered_twice(make_group: Any) -> None:
    group = make_group()
    leader = group.elect(1)
    for _ in range(2):
        leader.raw.read_index(b"same")
    group.run(1)
    group.deliver(2)
    group.run(2)
    group.deliver(1)
    ready = leader.raw.ready()
    assert [read.context for read in ready.read_states] == [b"same", b"same"]


def test_ticked_heartbeats_confirm_reads_whose_own_heartbeats_were_lost(make_group: Any) -> None:
    group = make_group()
    leader = group.elect(1)
    leader.raw.read_index(b"r")
    group.run(1)
    assert group.drop(kind=HEARTBEAT) == 2
    group.tick(1)
    group.settle()
    assert leader.reads == {b"r": 3}


def test_a_learners_answer_confirms_nothing_but_it_may_ask(make_group: Any) -> None:
    group = make_group([1, 2], learners=[3])
    leader = group.elect(1)
    group.isolate(2)
    leader.raw.read_index(b"r")
    group.settle()
    assert leader.reads == {}
    group.heal()
    group[3].raw.read_index(b"learner")
    group.settle()
    assert group[3].reads == {b"learner": 3}


def test_a_smaller_quorum_confirms_reads_that_waited_for_the_larger_one(make_group: Any) -> None:
    """The group shrinks to the leader alone: nobody is left to answer a heartbeat."""
    group = make_group([1, 2])
    leader = group.elect(1)
    leader.raw.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    group.run(1)
    leader.raw.read_index(b"r")
    leader.raw.step(Message(MessageType.APP_RESP, 1, 2, 1, index=4))
    group.run(1)
    assert leader.raft.tracker.is_singleton
    assert leader.reads == {b"r": 3}


@pytest.mark.parametrize("role", ["follower", "candidate"])
def test_without_a_leader_a_read_is_dropped(make_group: Any, role: str) -> None:
    group = make_group()
    if role == "candidate":
        group[1].raw.campaign()
        group.run(1)
        group.drop()
    group[1].raw.read_index(b"r")
    assert group[1].carry_out() == []
    group.elect(2)
    group.settle()
    assert group[1].reads == {}


def test_malformed_read_messages_are_ignored(make_group: Any) -> None:
    group = make_group()
    leader = group.elect(1)
    leader.raw.step(Message(MessageType.READ_INDEX, 1, 2))
    leader.raw.step(Message(HEARTBEAT_RESP, 1, 2, 1, context=b"short"))
    group[2].raw.step(Message(MessageType.READ_INDEX_RESP, 2, 1, 1, index=9))
    group.settle()
    assert group[2].reads == {}


def test_positions_count_reads_and_never_go_back() -> None:
    reads = ReadOnly(ReadOnlyOption.SAFE)
    assert reads.heartbeat_context() == b""
    for number in range(3):
        reads.add(ReadRequest(0, b"%d" % number), 10 + number)
    assert reads.heartbeat_context() == (3).to_bytes(8, "little")
    voters = JointVoters({1, 2, 3})
    reads.acknowledge(1, (3).to_bytes(8, "little"))
    assert reads.take_confirmed(voters) == []
    reads.acknowledge(2, (2).to_bytes(8, "little"))
    reads.acknowledge(2, (1).to_bytes(8, "little"))
    assert [read.index for read in reads.take_confirmed(voters)] == [10, 11]
    assert reads.waiting_count() == 1
    reads.acknowledge(3, (999).to_bytes(8, "little"))
    assert [read.index for read in reads.take_confirmed(voters)] == [12]
    assert reads.take_confirmed(voters) == []
    assert reads.heartbeat_context() == b""
