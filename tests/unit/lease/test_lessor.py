"""Leases as replicated state, and their expiry on the primary."""

import pytest

from petcd.lease import (
    TTL_S_MAX,
    LeaseExists,
    LeaseNotFound,
    LeaseRecordDamaged,
    Lessor,
    NotPrimary,
    TimeToLive,
    TtlTooLarge,
    ttl_s_min,
)
from petcd.wire.internal import StoredLease


@pytest.fixture
def lessor(backend):
    return Lessor(backend, ttl_s_min=2)


@pytest.fixture
def primary(lessor):
    lessor.promote(1000.0, 0.0)
    return lessor


# -- grant, revoke, keys -----------------------------------------------------------------------


def test_grant_returns_the_time_to_live_that_was_asked_for(lessor):
    assert lessor.grant(7, 60, 0.0) == 60
    assert lessor.exists(7)
    assert not lessor.exists(8)


@pytest.mark.parametrize("ttl_s", [1, 0, -5])
def test_time_to_live_below_the_minimum_is_raised(lessor, ttl_s):
    assert lessor.grant(7, ttl_s, 0.0) == 2


def test_largest_time_to_live_is_granted_and_a_larger_one_is_refused(lessor):
    assert lessor.grant(7, TTL_S_MAX, 0.0) == 9_000_000_000
    with pytest.raises(TtlTooLarge) as refused:
        lessor.grant(8, TTL_S_MAX + 1, 0.0)
    assert refused.value.ttl_s == TTL_S_MAX + 1
    assert not lessor.exists(8)


def test_granting_a_living_id_again_is_refused(lessor):
    lessor.grant(7, 60, 0.0)
    with pytest.raises(LeaseExists) as refused:
        lessor.grant(7, 10, 0.0)
    assert refused.value.lease_id == 7


def test_granting_id_zero_is_refused_since_it_means_no_lease(lessor):
    with pytest.raises(LeaseNotFound):
        lessor.grant(0, 60, 0.0)


def test_an_unknown_id_is_judged_after_the_size_of_the_time_to_live(lessor):
    lessor.grant(7, 60, 0.0)
    with pytest.raises(TtlTooLarge):
        lessor.grant(7, TTL_S_MAX + 1, 0.0)


def test_revoke_returns_the_keys_in_order_and_ends_the_lease(lessor):
    lessor.grant(7, 60, 0.0)
    for key in (b"b", b"c", b"a", b"b"):
        lessor.attach(7, key)
    assert lessor.keys(7) == [b"a", b"b", b"c"]
    assert lessor.revoke(7) == [b"a", b"b", b"c"]
    assert not lessor.exists(7)
    with pytest.raises(LeaseNotFound):
        lessor.revoke(7)
    with pytest.raises(LeaseNotFound):
        lessor.keys(7)


def test_a_revoked_id_can_be_granted_again_without_its_old_keys(lessor):
    lessor.grant(7, 60, 0.0)
    lessor.attach(7, b"k")
    lessor.revoke(7)
    lessor.grant(7, 60, 0.0)
    assert lessor.keys(7) == []


def test_a_detached_key_is_not_deleted_with_the_lease(lessor):
    lessor.grant(7, 60, 0.0)
    lessor.attach(7, b"moves")
    lessor.attach(7, b"stays")
    lessor.detach(7, b"moves")
    lessor.detach(7, b"was never there")
    assert lessor.revoke(7) == [b"stays"]


def test_a_lease_that_lost_a_key_is_noted(lessor):
    for lease in (7, 8):
        lessor.grant(lease, 60, 0.0)
        lessor.attach(lease, b"k%d" % lease)
    lessor.detach(8, b"k8")
    assert lessor.loosened == {8}


def test_attaching_to_and_detaching_from_an_unknown_lease_changes_nothing(lessor):
    lessor.attach(9, b"k")
    lessor.detach(9, b"k")
    assert not lessor.exists(9)


def test_minimum_time_to_live_is_one_and_a_half_election_timeouts_rounded_up():
    assert ttl_s_min(10, 100) == 2
    assert ttl_s_min(11, 100) == 2  # 16 ticks
    assert ttl_s_min(10, 1000) == 15
    assert ttl_s_min(3, 10) == 1


# -- persistence -------------------------------------------------------------------------------


def test_leases_come_back_after_a_restart(backend, lessor):
    lessor.grant(7, 60, 0.0)
    lessor.grant(-1, 3600, 0.0)
    lessor.grant(8, 60, 0.0)
    lessor.checkpoint(-1, 1800, 0.0)
    lessor.revoke(8)
    again = Lessor(backend)
    again.load()
    assert again.leases() == [-1, 7]
    assert again.remainder(-1) == 1800
    assert not again.primary


def test_a_lease_is_stored_under_its_big_endian_id_in_etcds_encoding(backend, lessor):
    lessor.grant(0x1122334455667789, 60, 0.0)
    row = backend.rows[bytes.fromhex("1122334455667789")]
    assert StoredLease.decode(row) == StoredLease(ID=0x1122334455667789, TTL=60)
    lessor.revoke(0x1122334455667789)
    assert backend.rows == {}


def test_attaching_and_renewing_write_nothing(backend, primary):
    primary.grant(7, 60, 1000.0)
    writes = backend.writes
    primary.attach(7, b"k")
    primary.renew(7, 1001.0)
    primary.detach(7, b"k")
    assert backend.writes == writes


def test_loading_raises_a_stored_time_to_live_to_the_minimum(backend, lessor):
    lessor.grant(7, 2, 0.0)
    again = Lessor(backend, ttl_s_min=15)
    again.load()
    again.promote(0.0, 0.0)
    assert again.renew(7, 0.0) == 15


@pytest.mark.parametrize("row", [b"\x08", StoredLease(ID=8, TTL=60).encode()])
def test_a_damaged_row_is_named(backend, lessor, row):
    key = (7).to_bytes(8, "big")
    backend.rows[key] = row
    with pytest.raises(LeaseRecordDamaged) as damage:
        lessor.load()
    assert damage.value.key == key


def test_loading_again_forgets_what_the_backend_does_not_hold(backend, lessor):
    lessor.grant(7, 60, 0.0)
    lessor.promote(0.0, 0.0)
    backend.rows.clear()
    lessor.load()
    assert lessor.leases() == []
    assert lessor.expired(1e9, 10) == []


# -- expiry ------------------------------------------------------------------------------------


def test_a_lease_expires_when_its_time_has_passed_and_not_before(primary):
    primary.grant(7, 5, 1000.0)
    assert primary.expired(1004.999, 10) == []
    assert primary.expired(1005.0, 10) == [7]


def test_renewal_starts_the_time_again(primary):
    primary.grant(7, 5, 1000.0)
    assert primary.renew(7, 1004.0) == 5
    assert primary.expired(1008.9, 10) == []
    assert primary.expired(1009.0, 10) == [7]


def test_renewing_an_unknown_lease_gives_zero(primary):
    assert primary.renew(7, 1000.0) == 0
    assert not primary.expiring(7, 1000.0)


def test_a_lease_past_its_expiry_is_not_renewed_while_it_waits_for_its_revocation(primary):
    primary.grant(7, 5, 1000.0)
    assert not primary.expiring(7, 1004.9)
    assert primary.renew(7, 1005.0) == 0
    assert primary.expiring(7, 1005.0)
    assert primary.expired(1005.0, 10) == [7]
    assert primary.renew(7, 1006.0) == 0
    primary.revoke(7)
    assert not primary.expiring(7, 1006.0)


def test_an_expired_lease_is_proposed_again_only_after_the_retry_interval(primary):
    primary.grant(7, 5, 1000.0)
    assert primary.expired(1005.0, 10) == [7]
    assert primary.expired(1005.0, 10) == []
    assert primary.expired(1007.9, 10) == []
    assert primary.expired(1008.0, 10) == [7]
    primary.revoke(7)
    assert primary.expired(2000.0, 10) == []


def test_expired_leases_come_in_batches_earliest_first(primary):
    for lease_id, ttl_s in ((1, 9), (2, 7), (3, 8), (4, 6)):
        primary.grant(lease_id, ttl_s, 1000.0)
    assert primary.expired(1010.0, 3) == [4, 2, 3]
    assert primary.expired(1010.0, 3) == [1]


def test_a_lease_granted_with_a_revoked_id_has_its_own_time(primary):
    primary.grant(7, 5, 1000.0)
    primary.revoke(7)
    primary.grant(7, 60, 1000.0)
    assert primary.expired(1006.0, 10) == []
    assert primary.expired(1060.0, 10) == [7]


def test_next_deadline_is_never_later_than_the_next_expiry(primary):
    assert primary.next_deadline_s() is None
    primary.grant(7, 60, 1000.0)
    primary.grant(8, 5, 1000.0)
    assert primary.next_deadline_s() == 1005.0
    primary.revoke(8)
    assert primary.next_deadline_s() == 1060.0
    primary.renew(7, 1030.0)
    assert primary.next_deadline_s() <= 1090.0
    assert primary.expired(primary.next_deadline_s(), 10) == []
    assert primary.next_deadline_s() == 1090.0


def test_time_to_live_shows_whole_seconds_cut(primary):
    primary.grant(7, 10, 1000.0)
    assert primary.time_to_live(7, 1000.0) == TimeToLive(10, 10)
    assert primary.time_to_live(7, 1000.1) == TimeToLive(9, 10)
    assert primary.time_to_live(7, 1009.5) == TimeToLive(0, 10)
    assert primary.time_to_live(7, 1015.0) == TimeToLive(0, 10)
    with pytest.raises(LeaseNotFound):
        primary.time_to_live(8, 1000.0)


def test_leases_are_listed_by_expiry(primary):
    for lease_id, ttl_s in ((1, 30), (2, 10), (3, 20), (4, 10)):
        primary.grant(lease_id, ttl_s, 1000.0)
    assert primary.leases() == [2, 4, 3, 1]
    primary.renew(2, 1025.0 - 20)
    assert primary.leases() == [4, 2, 3, 1]
    assert len(primary) == 4


# -- who is primary ----------------------------------------------------------------------------


def test_only_the_primary_renews_and_lets_expire(lessor):
    lessor.grant(7, 5, 0.0)
    assert lessor.expired(1e9, 10) == []
    assert lessor.next_deadline_s() is None
    with pytest.raises(NotPrimary):
        lessor.renew(7, 1.0)
    with pytest.raises(NotPrimary):
        lessor.expiring(7, 1.0)
    with pytest.raises(NotPrimary):
        lessor.time_to_live(7, 1.0)
    with pytest.raises(LeaseNotFound):
        lessor.time_to_live(8, 1.0)


def test_promotion_gives_every_lease_its_full_time_and_the_extension(lessor):
    lessor.grant(7, 10, 0.0)
    lessor.promote(500.0, 1.5)
    assert lessor.time_to_live(7, 500.0) == TimeToLive(11, 10)
    assert lessor.expired(511.4, 10) == []
    assert lessor.expired(511.5, 10) == [7]


def test_a_lease_that_nobody_asks_about_expires_after_promotion_too(lessor):
    lessor.grant(7, 10, 0.0)
    lessor.promote(500.0, 1.0)
    assert lessor.next_deadline_s() <= 500.0
    assert lessor.expired(500.0, 10) == []
    assert lessor.next_deadline_s() == 511.0
    assert lessor.expired(511.0, 10) == [7]


def test_renewal_right_after_promotion_does_not_shorten_the_extended_time(lessor):
    lessor.grant(7, 10, 0.0)
    lessor.promote(500.0, 5.0)
    assert lessor.renew(7, 501.0) == 10
    assert lessor.time_to_live(7, 501.0).remaining_s == 14
    assert lessor.expired(514.9, 10) == []
    assert lessor.expired(515.0, 10) == [7]


def test_demotion_stops_expiry_and_a_later_promotion_starts_afresh(primary):
    primary.grant(7, 5, 1000.0)
    primary.demote()
    assert primary.expired(2000.0, 10) == []
    primary.promote(3000.0, 0.0)
    assert primary.expired(3004.9, 10) == []
    assert primary.expired(3005.0, 10) == [7]


def test_an_expired_lease_lives_again_under_a_new_primary(primary):
    primary.grant(7, 5, 1000.0)
    assert primary.expired(1005.0, 10) == [7]
    primary.promote(1006.0, 1.0)
    assert primary.renew(7, 1007.0) == 5


def test_a_lease_granted_while_following_expires_after_promotion(lessor):
    lessor.promote(0.0, 0.0)
    lessor.demote()
    lessor.grant(7, 5, 10.0)
    lessor.promote(100.0, 0.0)
    assert lessor.expired(104.0, 10) == []
    assert lessor.expired(105.0, 10) == [7]


def test_a_lease_revoked_and_granted_again_before_it_was_settled_keeps_the_new_time(lessor):
    lessor.grant(7, 5, 0.0)
    lessor.promote(100.0, 0.0)
    lessor.revoke(7)
    lessor.grant(7, 50, 101.0)
    assert lessor.expired(150.0, 10) == []
    assert lessor.expired(151.0, 10) == [7]


# -- checkpoints -------------------------------------------------------------------------------


def test_long_leases_are_checkpointed_every_interval_with_what_is_left(primary):
    primary.grant(7, 3600, 1000.0)
    primary.grant(8, 300, 1000.0)
    assert primary.checkpoints_due(1299.9, 10) == []
    assert primary.checkpoints_due(1300.5, 10) == [(7, 3300)]
    assert primary.checkpoints_due(1300.5, 10) == []
    primary.checkpoint(7, 3300, 1300.6)
    assert primary.checkpoints_due(1600.4, 10) == []
    assert primary.checkpoints_due(1600.5, 10) == [(7, 3000)]


def test_what_is_left_is_rounded_up_in_a_checkpoint(primary):
    primary.grant(7, 1000, 1000.0)
    assert primary.checkpoints_due(1300.25, 10) == [(7, 700)]
    assert primary.checkpoints_due(1600.75, 10) == [(7, 400)]


def test_a_checkpoint_does_not_move_the_expiry_of_the_primary(primary):
    primary.grant(7, 1000, 1000.0)
    primary.checkpoint(7, 10, 1300.0)
    assert primary.expired(1999.0, 10) == []
    assert primary.expired(2000.0, 10) == [7]


def test_the_next_primary_starts_with_the_checkpointed_remainder(lessor):
    lessor.grant(7, 3600, 0.0)
    lessor.checkpoint(7, 100, 0.0)
    lessor.promote(1000.0, 1.0)
    assert lessor.remainder(7) == 100
    assert lessor.time_to_live(7, 1000.0) == TimeToLive(101, 3600)
    assert lessor.expired(1101.0, 10) == [7]


def test_a_checkpoint_of_zero_takes_the_remainder_back(backend, lessor):
    lessor.grant(7, 3600, 0.0)
    lessor.checkpoint(7, 100, 0.0)
    lessor.checkpoint(7, 0, 0.0)
    assert lessor.remainder(7) == 0
    again = Lessor(backend)
    again.load()
    again.promote(1000.0, 0.0)
    assert again.time_to_live(7, 1000.0) == TimeToLive(3600, 3600)


def test_a_checkpoint_of_an_unknown_lease_is_skipped(primary):
    primary.checkpoint(7, 100, 1000.0)
    assert not primary.exists(7)
    assert primary.remainder(7) == 0


def test_a_checkpoint_may_reach_a_lease_that_promotion_has_not_settled_yet(lessor):
    lessor.grant(7, 3600, 0.0)
    lessor.promote(1000.0, 0.0)
    lessor.checkpoint(7, 2000, 1001.0)
    assert lessor.checkpoints_due(1301.0, 10) == [(7, 3299)]


def test_a_just_renewed_lease_is_not_checkpointed_but_comes_again(primary):
    primary.grant(7, 3600, 1000.0)
    primary.renew(7, 1299.9)
    assert primary.checkpoints_due(1300.0, 10) == []
    assert primary.checkpoints_due(1600.0, 10) == [(7, 3300)]


def test_checkpoints_come_in_batches_and_skip_revoked_and_expired_leases(primary):
    for lease_id in range(1, 6):
        primary.grant(lease_id, 400, 1000.0)
    primary.revoke(2)
    assert primary.checkpoints_due(1300.0, 3) == [(1, 100), (3, 100), (4, 100)]
    assert primary.checkpoints_due(1400.0, 3) == []


def test_checkpoints_stay_in_memory_when_they_are_not_to_be_persisted(backend):
    lessor = Lessor(backend, persist_checkpoints=False)
    lessor.grant(7, 3600, 0.0)
    lessor.checkpoint(7, 100, 0.0)
    assert lessor.remainder(7) == 100
    again = Lessor(backend)
    again.load()
    assert again.remainder(7) == 0


def test_totals_count_what_happened(primary):
    primary.grant(7, 5, 1000.0)
    primary.grant(8, 5, 1000.0)
    primary.renew(7, 1001.0)
    primary.renew(9, 1001.0)
    primary.revoke(8)
    assert (primary.granted_total, primary.renewed_total, primary.revoked_total) == (2, 1, 1)


def test_granted_times_to_live_are_counted_by_powers_of_two(lessor):
    for lease_id, ttl_s in enumerate((1, 2, 3, 4, 60, 64, 65), start=1):
        lessor.grant(lease_id, ttl_s, 0.0)
    counts = {2**n: count for n, count in enumerate(lessor.ttl_counts) if count}
    assert counts == {2: 2, 4: 2, 64: 2, 128: 1}
    assert lessor.ttl_sum_s == 2 + 2 + 3 + 4 + 60 + 64 + 65
