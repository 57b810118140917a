"""Several members in one process: elections, replication, forwarding, reads, without sockets."""

import pytest

from petcd.member.errors import TimedOut, TimedOutByLeaderFailure
from petcd.raft.types import MessageType
from petcd.server.runtime import BATCH_BYTES_MAX


@pytest.fixture
def trio(in_memory_cluster):
    cluster = in_memory_cluster("a", "b", "c")
    cluster.run_until(cluster.leader)
    return cluster


def test_three_members_elect_one_leader_and_publish_themselves(trio):
    trio.run(3.0)
    leaders = [name for name in "abc" if trio[name].member.is_leader]
    assert len(leaders) == 1
    for name in "abc":
        members = trio[name].member.membership.members()
        assert sorted(m.name for m in members) == ["a", "b", "c"]
        assert trio[name].published
        assert trio[name].member.leader_id == trio[leaders[0]].member.id


def test_a_put_at_any_member_is_applied_everywhere(trio):
    for name in "abc":
        done = trio.put(name, b"from-" + name.encode(), b"1")
        trio.run_until(lambda done=done: done)
        assert not isinstance(done[0], Exception), done
    trio.run(0.5)
    for name in "abc":
        store = trio[name].member.store
        assert [store.get(b"from-" + one) is not None for one in (b"a", b"b", b"c")] == [True] * 3
    revisions = {trio[name].member.store.revision for name in "abc"}
    assert len(revisions) == 1


def test_many_proposals_of_a_follower_travel_together(trio):
    follower = trio.followers()[0]
    trio.run(1.0)
    sent = trio.net.sent_of(follower)
    answers = [trio.put(follower, b"k%d" % i, b"v") for i in range(500)]
    trio.run_until(lambda: all(answers))
    assert trio.net.sent_of(follower) - sent < 50


def test_large_proposals_of_a_follower_travel_in_messages_of_bounded_size(trio):
    follower = trio.followers()[0]
    trio.run(1.0)
    sizes = []
    plain = trio.net.post

    def post(sender, message):
        if message.type == MessageType.PROP:
            sizes.append(sum(len(entry.data) for entry in message.entries))
        plain(sender, message)

    trio.net.post = post
    value = bytes(BATCH_BYTES_MAX // 3)
    answers = [trio.put(follower, b"k%d" % i, value) for i in range(10)]
    answers += [trio.put(follower, b"huge", bytes(2 * BATCH_BYTES_MAX))]
    answers += [trio.put(follower, b"small", b"v") for i in range(100)]
    trio.run_until(lambda: all(answers))
    assert not any(isinstance(answer[0], Exception) for answer in answers)
    assert len(sizes) == 7 and sum(size > BATCH_BYTES_MAX for size in sizes) == 1


def test_an_alarm_of_no_space_ends_whoever_raised_it(trio):
    trio.run(1.0)
    names = [trio.leader(), *trio.followers()]
    for name in names:
        trio[name].engine.runtime.raise_nospace()
    trio.run(0.1)
    raised = {alarm.memberID for alarm in trio["a"].member.alarms.get()}
    assert raised == {trio[name].id for name in names}
    trio.run(1.0)
    assert not any(trio[name].member.alarms.nospace for name in names)


def test_an_alarm_of_a_member_that_is_gone_ends_too(trio):
    trio.run(6.0)
    gone = trio.followers()[0]
    trio[gone].engine.timers.stop()  # it would take its alarm back itself
    trio[gone].engine.runtime.raise_nospace()
    trio.run(1.0)
    leader = trio[trio.leader()]
    assert leader.member.alarms.nospace
    leader.engine.reconfiguration.remove(trio[gone].id, lambda context, what: None, None)
    trio.run(2.0)
    assert leader.member.membership.is_removed(trio[gone].id)
    assert not leader.member.alarms.nospace


def test_a_linearizable_read_at_a_follower_sees_what_was_acknowledged(trio):
    leader, follower = trio.leader(), trio.followers()[0]
    done = trio.put(leader, b"k", b"v")
    trio.run_until(lambda: done)
    read = trio.read(follower, b"k")
    trio.run_until(lambda: read)
    assert read[0] is not None and not isinstance(read[0], Exception)


def test_when_the_leader_dies_another_one_takes_writes(trio):
    first = trio.leader()
    trio.stop(first)
    trio.run_until(lambda: trio.leader() not in (None, first))
    done = trio.put(trio.followers()[0], b"k", b"v")
    trio.run_until(lambda: done)
    assert not isinstance(done[0], Exception), done


def test_what_was_sent_to_a_dead_leader_is_refused_when_the_next_one_leads(trio):
    trio.run(1.0)
    trio.stop(trio.leader())
    asked_s = trio.loop.now_s
    done = trio.put(trio.followers()[0], b"lost", b"v")
    trio.run_until(lambda: done, 10.0)
    assert isinstance(done[0], TimedOutByLeaderFailure)
    assert trio.loop.now_s - asked_s < 3.5


def test_what_waited_for_a_leader_is_done_by_the_next_one(trio):
    trio.run(1.0)
    trio.stop(trio.leader())
    other = trio.followers()[0]
    trio.run_until(lambda: not trio[other].member.leader_id)
    done = trio.put(other, b"k", b"v")
    trio.run_until(lambda: done)
    assert not isinstance(done[0], Exception), done


def test_without_a_quorum_writes_and_reads_time_out(trio):
    survivor, *others = "abc"
    trio.run(1.0)
    for name in others:
        trio.stop(name)
    done, read = trio.put(survivor, b"k", b"v"), trio.read(survivor, b"k")
    trio.run_until(lambda: done and read, 12.0)
    assert isinstance(done[0], TimedOut) and isinstance(read[0], TimedOut)
    trio.run(3.0)
    assert trio[survivor].member.leader_id == 0


def test_what_was_refused_as_late_is_not_proposed_afterwards(trio):
    for name in "bc":
        trio.stop(name)
    trio.run(3.0)
    done = trio.put("a", b"late", b"v")
    trio.run_until(lambda: done, 12.0)
    for name in "bc":
        trio.start(name)
    trio.run_until(trio.leader, 10.0)
    trio.run(3.0)
    assert all(trio[name].member.store.get(b"late") is None for name in "abc")


def test_a_cut_off_leader_serves_no_stale_read(trio):
    old = trio.leader()
    trio.net.cut(old)
    other = trio.followers()[0]
    done = trio.put(other, b"k", b"new")
    trio.run_until(lambda: done, 10.0)
    read = trio.read(old, b"k")
    trio.run(2.0)
    assert read == []
    trio.net.heal()
    trio.run_until(lambda: read, 10.0)
    assert b"new" in read[0]


def test_a_member_that_was_away_catches_up_from_the_log(trio):
    away = trio.followers()[0]
    trio.stop(away)
    answers = [trio.put(trio.leader(), b"k%d" % i, b"v") for i in range(50)]
    trio.run_until(lambda: all(answers))
    trio.start(away)
    trio.run(3.0)
    assert trio[away].member.store.get(b"k49") is not None


def test_a_member_that_lost_its_unsynced_writes_keeps_its_vote(trio):
    """Its term and vote were on disk before anybody heard of them."""
    for _ in range(5):
        name = trio.leader()
        term = trio[name].member.term
        trio.crash(name)
        trio.run_until(lambda name=name: trio.leader() not in (None, name), 10.0)
        trio.start(name)
        assert trio[name].member.node.raft.term >= term
        trio.run(2.0)
    done = trio.put("a", b"k", b"v")
    trio.run_until(lambda: done, 10.0)
    assert len({trio[name].member.term for name in "abc"}) == 1


def test_copies_of_forwarded_proposals_are_applied_once(trio):
    trio.run(1.0)
    trio.net.doubles = True
    follower = trio.followers()[0]
    before = trio[follower].member.store.revision
    answers = [trio.put(follower, b"k%d" % i, b"v") for i in range(20)]
    trio.run_until(lambda: all(answers))
    trio.run(1.0)
    assert trio[follower].member.store.revision == before + 20


def test_a_slow_disk_of_the_leader_does_not_cost_it_the_lead(trio):
    name = trio.leader()
    trio.run(1.0)
    term = trio[name].member.term
    trio[name].slow_sync_s = 0.6
    answers = [trio.put(name, b"k%d" % i, b"v") for i in range(3)]
    trio.run_until(lambda: all(answers), 10.0)
    assert trio[name].member.is_leader and trio[name].member.term == term


def test_a_disk_that_hangs_gives_the_lead_away(trio):
    name = trio.leader()
    trio.run(1.0)
    trio[name].slow_sync_s = 30.0
    for _ in range(2):
        trio.put(name, b"k", b"v")
        trio.run(0.1)
    trio.run(5.0)
    assert trio.leader(besides=name) is not None
