"""Members are added, removed, changed and promoted while the cluster runs; the lead moves."""

from dataclasses import replace

import pytest

from petcd.cluster import (
    LastVoter,
    MemberUnknown,
    NotALearner,
    PeerUrlKnown,
    TooManyLearners,
)
from petcd.member.errors import (
    BadLeaderTransferee,
    LearnerNotReady,
    NotEnoughStarted,
    NotLeader,
    Unhealthy,
)
from petcd.raft.kinds import MessageType
from petcd.server.truncation import last_v2_entry
from petcd.wire.hot import internal_request
from petcd.wire.v2request import Request

V2 = 2


@pytest.fixture
def trio(in_memory_cluster):
    cluster = in_memory_cluster("a", "b", "c")
    cluster.run(8.0)  # long enough connected to count as healthy
    return cluster


def do(cluster, name, method, *args, limit_s=10.0):
    """Ask a member for a change and wait for the outcome."""
    outcome = []
    changes = cluster[name].engine.reconfiguration
    getattr(changes, method)(*args, lambda context, what: outcome.append(what), None)
    cluster.run_until(lambda: outcome, limit_s)
    return outcome[0]


def add_and_start(cluster, name, is_learner=False, asked=None):
    asked = asked or cluster.leader()
    url = f"http://{name}:2380"
    added, members = do(cluster, asked, "add", [url], is_learner)
    cluster.join(name, added, members)
    assert len(cluster[name].port.peers) == len(members) - 1  # before there is any log
    cluster.run_until(lambda: cluster[name].published, 10.0)
    return added


def test_a_member_that_is_added_catches_up_and_votes(trio):
    done = trio.put("a", b"before", b"1")
    trio.run_until(lambda: done)
    add_and_start(trio, "d")
    assert trio["d"].member.store.get(b"before") is not None
    trio.stop(trio.followers()[0])  # three of four are needed now
    done = trio.put(trio.leader(), b"after", b"1")
    trio.run_until(lambda: done)
    assert not isinstance(done[0], Exception)


def test_a_member_is_added_at_any_member(trio):
    follower = trio.followers()[0]
    add_and_start(trio, "d", asked=follower)
    assert len(trio[follower].member.membership.members()) == 4


def test_a_removed_member_is_told_and_stays_away(trio):
    gone = trio.followers()[0]
    kept = next(name for name in "abc" if name != gone)
    member_id = trio[gone].id
    left = do(trio, kept, "remove", member_id)
    assert member_id not in {m.id for m in left}
    trio.run(2.0)
    for name in "abc":
        if name != gone:
            assert trio[name].member.membership.is_removed(member_id)
            assert member_id not in trio[name].port.peers
    again = do(trio, kept, "remove", member_id)
    assert isinstance(again, MemberUnknown)


@pytest.mark.parametrize("is_leader", [True, False])
def test_a_member_that_is_to_remove_itself_answers_and_says_so(trio, is_leader):
    gone = trio.leader() if is_leader else trio.followers()[0]
    left = do(trio, gone, "remove", trio[gone].id)
    assert sorted(member.name for member in left) == [name for name in "abc" if name != gone]
    assert trio[gone].told_of_removal


@pytest.mark.parametrize("is_asked_itself", [True, False])
def test_a_leader_that_is_removed_hands_over_before(trio, is_asked_itself):
    leader = trio.leader()
    asked = leader if is_asked_itself else trio.followers()[0]
    do(trio, asked, "remove", trio[leader].id)
    assert trio.leader() != leader
    done = trio.put(trio.leader(), b"k", b"v")
    trio.run_until(lambda: done, 0.1)


def test_a_member_that_applies_its_own_removal_says_so(trio):
    """A leader that nobody could take over from, say."""
    leader = trio.leader()
    trio.net.dropped_kinds |= {MessageType.TIMEOUT_NOW}
    do(trio, leader, "remove", trio[leader].id)
    assert trio[leader].told_of_removal
    trio.run_until(lambda: trio.leader(besides=leader), 10.0)
    other = trio.leader(besides=leader)
    done = trio.put(other, b"k", b"v")
    trio.run_until(lambda: done)
    assert not isinstance(done[0], Exception)


def test_a_learner_follows_without_a_vote_until_it_is_promoted(trio):
    learner = add_and_start(trio, "d", is_learner=True)
    assert trio["d"].member.node.raft.is_learner
    leader = trio.leader()
    refusal = do(trio, leader, "move_leader", learner.id)
    assert isinstance(refusal, BadLeaderTransferee)
    members = do(trio, leader, "promote", learner.id)
    assert not next(m for m in members if m.id == learner.id).is_learner
    trio.run(1.0)
    assert not trio["d"].member.node.raft.is_learner


def test_a_learner_that_is_behind_is_not_promoted(trio):
    added, _ = do(trio, trio.leader(), "add", ["http://d:2380"], True)
    for name in (trio.leader(), trio.followers()[0]):
        assert isinstance(do(trio, name, "promote", added.id), LearnerNotReady)


def test_only_one_learner_at_a_time(trio):
    add_and_start(trio, "d", is_learner=True)
    refusal = do(trio, trio.leader(), "add", ["http://e:2380"], True)
    assert isinstance(refusal, TooManyLearners)


def test_a_promotion_is_asked_of_the_leader(trio):
    learner = add_and_start(trio, "d", is_learner=True)
    members = do(trio, trio.followers()[0], "promote", learner.id)
    assert not next(m for m in members if m.id == learner.id).is_learner


def test_who_is_no_learner_is_not_promoted(trio):
    follower = trio.followers()[0]
    refusal = do(trio, trio.leader(), "promote", trio[follower].id)
    assert isinstance(refusal, NotALearner)
    assert isinstance(do(trio, trio.leader(), "promote", 12345), MemberUnknown)
    assert isinstance(do(trio, follower, "promote", 12345), MemberUnknown)


def test_peer_urls_change_and_belong_to_one_member(trio):
    leader = trio.leader()
    target = trio[trio.followers()[0]].id
    members = do(trio, leader, "update", target, ["http://x:1"])
    assert next(m for m in members if m.id == target).peer_urls == ("http://x:1",)
    trio.run(0.5)
    assert trio[leader].port.peers[target] == ("http://x:1",)
    refusal = do(trio, leader, "update", target, [f"http://{leader}:2380"])
    assert isinstance(refusal, PeerUrlKnown)


def test_unstarted_voters_are_counted_against_the_quorum(trio):
    leader = trio.leader()
    for name in "de":
        do(trio, leader, "add", [f"http://{name}:2380"], False)
    refusal = do(trio, leader, "add", ["http://f:2380"], False)
    assert isinstance(refusal, NotEnoughStarted)  # 3 started of 6
    refusal = do(trio, leader, "remove", trio[leader].id)
    assert isinstance(refusal, NotEnoughStarted)  # 2 started of 4


def test_a_member_that_is_down_may_go_and_none_that_is_needed(trio):
    down, up = trio.followers()
    trio.stop(down)
    trio.run(1.0)
    leader = trio.leader()
    assert isinstance(do(trio, leader, "remove", trio[up].id), Unhealthy)
    assert len(do(trio, leader, "remove", trio[down].id)) == 2


def test_a_cluster_that_was_connected_only_just_now_is_not_changed(in_memory_cluster):
    cluster = in_memory_cluster("a", "b", "c")
    cluster.run_until(lambda: all(cluster[name].published for name in "abc"))
    refusal = do(cluster, cluster.leader(), "add", ["http://d:2380"], False)
    assert isinstance(refusal, Unhealthy)


def test_a_single_member_grows_and_shrinks(in_memory_cluster):
    cluster = in_memory_cluster("a")
    cluster.run_until(lambda: cluster["a"].published)
    added = add_and_start(cluster, "b")
    cluster.run(6.0)
    left = do(cluster, "a", "remove", added.id)
    assert [m.name for m in left] == ["a"]
    done = cluster.put("a", b"k", b"v")
    cluster.run_until(lambda: done)
    assert not isinstance(done[0], Exception)


def test_the_lead_moves_to_the_member_that_was_named(trio):
    leader, follower = trio.leader(), trio.followers()[0]
    assert do(trio, leader, "move_leader", trio[follower].id) is None
    assert trio.leader() == follower
    assert isinstance(do(trio, leader, "move_leader", trio[leader].id), NotLeader)
    assert isinstance(do(trio, follower, "move_leader", 99), BadLeaderTransferee)


def test_a_leader_that_stops_cleanly_has_handed_over(trio):
    leader = trio.leader()
    left = []
    trio[leader].engine.reconfiguration.leave(lambda: left.append(True))
    trio.run_until(lambda: left, 2.0)
    assert trio.leader() not in (None, leader)


def test_membership_survives_a_restart(trio):
    gone = trio.followers()[0]
    do(trio, trio.leader(), "remove", trio[gone].id)
    trio.run(1.0)
    survivors = [name for name in "abc" if name != gone]
    for name in survivors:
        trio.stop(name)
        trio.start(name)
    trio.run_until(lambda: trio.leader() in survivors, 10.0)
    for name in survivors:
        assert len(trio[name].member.membership.members()) == 2
        assert trio[name].member.node.raft.tracker.config.voters.ids() == {
            trio[other].id for other in survivors
        }


def set_by_v2(cluster, name, path):
    outcome = []
    runtime = cluster[name].engine.runtime
    request_id = runtime.next_request_id()
    body = Request(ID=request_id, Method="PUT", Path=path, Val="x").encode()
    data = internal_request(request_id, V2, body)
    runtime.propose(request_id, data, lambda context, what: outcome.append(what), None)
    cluster.run_until(lambda: outcome)


def test_a_member_of_which_nothing_is_known_gets_what_v2_wrote_by_a_snapshot(trio):
    """It may be one of etcd, which does not understand the entries."""
    set_by_v2(trio, "a", "/1/foo")
    trio.run(0.5)
    assert all(last_v2_entry(trio[n].member.log, trio[n].member.applied_index) for n in "abc")
    added, members = do(trio, trio.leader(), "add", ["http://d:2380"], False)
    trio.run(1.0)
    for name in "abc":
        member = trio[name].member
        assert not member.membership.is_all_petcd
        assert last_v2_entry(member.log, member.applied_index) == 0
    trio.join("d", added, members)
    trio.run_until(lambda: trio["d"].published, 10.0)
    assert trio["d"].member.store.get(b"/foo") is not None
    trio.run(1.0)
    assert all(trio[name].member.membership.is_all_petcd for name in "abcd")


def test_a_leader_that_removed_itself_from_two_serves_no_stale_read(in_memory_cluster):
    """One voter is left, but that is not the one who leads still."""
    cluster = in_memory_cluster("a", "b")
    cluster.run(8.0)
    old = cluster.leader()
    other = cluster.followers()[0]
    transfers = {MessageType.TIMEOUT_NOW}
    cluster.net.dropped_kinds |= transfers
    cluster[old].engine.reconfiguration._strict = False
    do(cluster, old, "remove", cluster[old].id)
    cluster.run(0.5)  # the other one has heard of it
    assert cluster[old].member.is_leader
    cluster.net.cut(old)
    cluster.run_until(lambda: cluster.leader(besides=old), 10.0)
    done = cluster.put(other, b"k", b"new")
    cluster.run_until(lambda: done)
    read = cluster.read(old, b"k")
    cluster.run(1.0)
    assert not [answer for answer in read if not isinstance(answer, Exception)]


@pytest.mark.parametrize("strict", [True, False])
def test_the_last_voter_stays_whoever_is_removed_at_the_same_time(in_memory_cluster, strict):
    cluster = in_memory_cluster("a", "b", strict_reconfig_check=strict)
    cluster.run(8.0)
    outcomes = []
    leader, other = cluster.leader(), cluster.followers()[0]
    # The leader first hands over to the other one, who is gone by then.
    for name in (leader, other):
        changes = cluster[leader].engine.reconfiguration
        changes.remove(cluster[name].id, lambda context, what: outcomes.append(what), None)
    cluster.run_until(lambda: len(outcomes) == 2, 20.0)
    assert sum(isinstance(outcome, list) for outcome in outcomes) == 1
    left = [name for name in (leader, other) if not cluster[name].member.is_removed]
    outcome = do(cluster, left[0], "remove", cluster[left[0]].id)
    assert isinstance(outcome, NotEnoughStarted if strict else LastVoter)
    done = cluster.put(left[0], b"k", b"v")
    cluster.run_until(lambda: done)
    assert not isinstance(done[0], Exception)


@pytest.mark.parametrize("is_learner", [True, False])
def test_who_was_added_last_goes_on_alone_when_it_is_told_to(trio, is_learner):
    add_and_start(trio, "d", is_learner)
    trio.put(trio.leader(), b"kept", b"1")
    trio.run(1.0)
    for name in "abcd":
        trio.stop(name)
    node = trio["d"]
    node.config = replace(node.config, force_new_cluster=True)
    trio.start("d")
    trio.run_until(lambda: node.published)
    assert [info.name for info in node.member.membership.members()] == ["d"]
    assert not node.member.membership.local.is_learner
    done = trio.put("d", b"more", b"1")
    trio.run_until(lambda: done)
    assert not isinstance(done[0], Exception)
    assert node.member.store.get(b"kept") is not None
