"""Leases when the member that is asked is not the one that keeps their time."""

import pytest

from petcd.lease import LeaseNotFound
from petcd.member.errors import NoLeader
from petcd.wire.hot import internal_request
from petcd.wire.lease import LeaseGrantRequest, LeaseRevokeRequest

LEASE_GRANT = 8
LEASE_REVOKE = 9


@pytest.fixture
def trio(in_memory_cluster):
    cluster = in_memory_cluster("a", "b", "c")
    cluster.run_until(lambda: all(cluster[name].published for name in "abc"))
    return cluster


def grant(cluster, name, lease_id, ttl_s):
    outcome = []
    runtime = cluster[name].engine.runtime
    request_id = runtime.next_request_id()
    body = LeaseGrantRequest(ID=lease_id, TTL=ttl_s).encode()
    data = internal_request(request_id, LEASE_GRANT, body)
    runtime.propose(request_id, data, lambda context, what: outcome.append(what), None)
    cluster.run_until(lambda: outcome)


def ask(cluster, name, method, *args, limit_s=10.0):
    outcome = []
    leases = cluster[name].engine.leases
    getattr(leases, method)(*args, lambda context, what: outcome.append(what), None)
    cluster.run_until(lambda: outcome, limit_s)
    return outcome[0]


def test_a_lease_is_renewed_at_any_member(trio):
    grant(trio, "a", 7, 5)
    for _ in range(4):
        for name in "abc":
            trio.run(1.0)
            assert ask(trio, name, "renew", 7) == 5
    assert all(trio[name].member.lessor.exists(7) for name in "abc")


def test_what_is_left_is_told_at_any_member(trio):
    grant(trio, "a", 7, 50)
    trio.run(10.0)
    for name in "abc":
        (left_s, granted_s), keys = ask(trio, name, "time_to_live", 7, True)
        assert (granted_s, keys) == (50, []) and 38 <= left_s <= 40


def test_an_unknown_lease_is_unknown_at_any_member(trio):
    for name in "abc":
        assert ask(trio, name, "renew", 99) == 0
        assert isinstance(ask(trio, name, "time_to_live", 99, False), LeaseNotFound)


def test_a_lease_that_nobody_renews_ends_on_all_members(trio):
    grant(trio, "a", 7, 3)
    trio.run(2.5)
    assert all(trio[name].member.lessor.exists(7) for name in "abc")
    trio.run(2.0)
    assert not any(trio[name].member.lessor.exists(7) for name in "abc")


def test_the_next_leader_gives_a_lease_all_its_time(trio):
    grant(trio, "a", 7, 6)
    trio.run(5.0)
    first = trio.leader()
    trio.stop(first)
    trio.run_until(lambda: trio.leader() not in (None, first))
    trio.run(4.0)
    assert trio[trio.leader()].member.lessor.exists(7)
    trio.run(5.0)
    assert not trio[trio.leader()].member.lessor.exists(7)


def test_a_leader_that_was_replaced_ends_no_lease(trio):
    """It is cut off while the lease runs out by its clock; the others have renewed it."""
    grant(trio, "a", 7, 3)
    old = trio.leader()
    trio.net.cut(old)
    trio.run(2.0)
    trio.run_until(lambda: trio.leader(besides=old))
    while trio.loop.now_s < 12.0:
        trio.run(0.5)
        assert ask(trio, trio.leader(besides=old), "renew", 7) == 3
    trio.net.heal()
    trio.run(1.5)
    assert all(trio[name].member.lessor.exists(7) for name in "abc")


def test_a_leader_that_slept_promises_nothing(trio):
    """While it was paused another one took over, and the lease was revoked there."""
    grant(trio, "a", 7, 60)
    old = trio.leader()
    trio[old].pause()
    trio.run_until(lambda: trio.leader() not in (None, old))
    new = trio.leader()
    runtime, revoked = trio[new].engine.runtime, []
    request_id = runtime.next_request_id()
    data = internal_request(request_id, LEASE_REVOKE, LeaseRevokeRequest(ID=7).encode())
    runtime.propose(request_id, data, lambda context, what: revoked.append(what), None)
    trio.run_until(lambda: revoked)
    answer = []
    trio[old].engine.leases.renew(7, lambda context, what: answer.append(what), None)
    assert trio[old].member.is_leader  # as far as it knows
    trio[old].resume()
    trio.run_until(lambda: answer, 10.0)
    assert answer == [0]


def test_without_a_leader_a_renewal_waits_for_one(trio):
    grant(trio, "a", 7, 60)
    first = trio.leader()
    other = trio.followers()[0]
    trio.stop(first)
    assert ask(trio, other, "renew", 7) == 60
    assert trio.leader() not in (None, first)


def test_who_waited_for_a_leader_in_vain_hears_that_there_is_none(trio):
    grant(trio, "a", 7, 60)
    trio.stop(trio.leader())
    left = trio.followers()[0]
    trio.stop(trio.followers()[1])
    assert isinstance(ask(trio, left, "renew", 7), NoLeader)
    assert isinstance(ask(trio, left, "time_to_live", 7, False), NoLeader)
    promotion = []
    changes = trio[left].engine.reconfiguration
    changes.promote(7, lambda context, what: promotion.append(what), None)
    trio.run_until(lambda: promotion, 10.0)
    assert isinstance(promotion[0], NoLeader)


# -- checkpoints ------------------------------------------------------------------------------


@pytest.fixture
def checkpointed(in_memory_cluster):
    """Members that note what is left of a lease once a second; lease 7 has ten."""
    cluster = in_memory_cluster("a", "b", "c", lease_checkpoint=True)
    for name in "abc":
        cluster[name].member.lessor._checkpoint_interval_s = 1.0
    cluster.run_until(lambda: all(cluster[name].published for name in "abc"))
    grant(cluster, cluster.leader(), 7, 10)
    return cluster


def at_the_first_checkpoint(cluster, do):
    """Do it when a checkpoint was put into the log and is not applied."""
    runtime = cluster[cluster.leader()].engine.runtime
    plain = runtime.propose_as_leader

    def propose(payloads):
        plain(payloads)
        runtime.propose_as_leader = plain
        do()

    runtime.propose_as_leader = propose
    cluster.run_until(lambda: runtime.propose_as_leader is plain)


def renew_without_asking(cluster, answers):
    leases = cluster[cluster.leader()].engine.leases
    leases._renew_now((7, lambda context, what: answers.append(what), None), None)


def remainders(cluster):
    return [cluster[name].member.lessor.remainder(7) for name in "abc"]


def test_a_checkpoint_on_its_way_does_not_shorten_what_a_renewal_promises(checkpointed):
    answers = []
    at_the_first_checkpoint(checkpointed, lambda: renew_without_asking(checkpointed, answers))
    checkpointed.run(0.3)
    assert answers == [10] and remainders(checkpointed) == [0, 0, 0]


def test_a_checkpoint_that_overtakes_its_withdrawal_is_withdrawn_too(checkpointed):
    answers = []
    checkpointed.run_until(lambda: all(remainders(checkpointed)))
    leader = checkpointed[checkpointed.leader()]
    renew_without_asking(checkpointed, answers)
    leader.engine.runtime.turn()
    checkpointed.loop.now_s += 1.5  # nothing of this is applied yet
    leader.engine.timers._tend_leases(None, None)
    assert not answers and leader.member.lessor._leases[7].checkpoint_due
    checkpointed.run(0.3)
    assert answers == [10] and remainders(checkpointed) == [0, 0, 0]
