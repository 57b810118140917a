"""A hundred thousand leases: what each operation costs, counted in comparisons, not in time."""

import pytest

from petcd.lease import Lessor
from petcd.lease.lessor import EXAMINED_MAX
from petcd.lease.spread import ExpirySpread

LEASES = 100_000
HEAP_DEPTH = 17  # ceil(log2(LEASES))


class CountedSeconds(float):
    """A time that counts how often it is compared with another."""

    comparisons = 0

    def __add__(self, other):
        return CountedSeconds(float(self) + other)

    def __lt__(self, other):
        CountedSeconds.comparisons += 1
        return float(self) < other

    def __eq__(self, other):
        CountedSeconds.comparisons += 1
        return float(self) == other

    def __ne__(self, other):
        CountedSeconds.comparisons += 1
        return float(self) != other

    __hash__ = float.__hash__


def comparisons_of(action):
    before = CountedSeconds.comparisons
    action()
    return CountedSeconds.comparisons - before


@pytest.fixture(scope="module")
def crowded():
    """A primary with many leases that end in a scrambled order."""

    class NoBackend:
        def put(self, bucket, key, value):
            pass

        def delete(self, bucket, key):
            pass

        def scan(self, bucket, start, end, limit=0):
            return iter(())

    lessor = Lessor(NoBackend())
    lessor.promote(0.0, 0.0)
    for i in range(1, LEASES + 1):
        lessor.grant(i, 1000 + i * 7919 % LEASES, CountedSeconds(0.0))
    return lessor


def test_a_grant_costs_at_most_the_depth_of_the_heap(crowded):
    worst = max(
        comparisons_of(lambda i=i: crowded.grant(LEASES + i, 1000 - i, CountedSeconds(1.0)))
        for i in range(1, 20)
    )
    assert worst <= 3 * HEAP_DEPTH


def test_a_renewal_costs_a_constant(crowded):
    worst = max(
        comparisons_of(lambda i=i: crowded.renew(i, CountedSeconds(2.0)))
        for i in range(1, LEASES, 997)
    )
    assert worst <= 4


def test_a_revocation_costs_a_constant(crowded):
    assert comparisons_of(lambda: [crowded.revoke(i) for i in range(1, 101)]) <= 100 * 2


def test_an_expiry_costs_a_few_times_the_depth_of_the_heap(crowded):
    def expire():
        assert len(crowded.expired(CountedSeconds(1500.0), 100)) == 100

    crowded.expired(CountedSeconds(0.0), 1)
    assert comparisons_of(expire) <= 100 * 12 * HEAP_DEPTH


def test_asking_when_nothing_is_due_costs_a_constant(crowded):
    assert comparisons_of(lambda: crowded.expired(CountedSeconds(0.0), 1000)) <= 4


def test_promotion_touches_no_lease_and_each_call_of_expired_only_some(crowded):
    crowded.promote(CountedSeconds(5000.0), 0.0)
    assert len(crowded._expiries) == 0
    crowded.expired(CountedSeconds(5000.0), 100)
    assert len(crowded._expiries) == EXAMINED_MAX
    calls = 1
    while crowded.unfinished:
        assert crowded.next_deadline_s() <= 5000.0
        crowded.expired(CountedSeconds(5000.0), 100)
        calls += 1
    assert len(crowded._expiries) == len(crowded)
    assert calls <= len(crowded) / EXAMINED_MAX + 1


def test_renewed_leases_that_come_up_together_are_looked_at_in_slices(backend):
    lessor = Lessor(backend)
    lessor.promote(0.0, 0.0)
    for i in range(1, 10_001):
        lessor.grant(i, 10, 0.0)
        lessor.renew(i, 9.0)
    lessor.grant(20_000, 11, 0.0)
    assert lessor.expired(11.0, 100) == []  # a slice of the renewed ones
    assert lessor.next_deadline_s() <= 11.0
    assert lessor.unfinished
    calls = 1
    while not (found := lessor.expired(11.0, 100)):
        calls += 1
        assert calls <= 10_000 / EXAMINED_MAX + 1
    assert found == [20_000]
    assert not lessor.unfinished


def test_a_call_that_found_as_many_as_asked_for_is_not_unfinished(backend):
    lessor = Lessor(backend)
    lessor.promote(0.0, 0.0)
    for i in range(1, 6):
        lessor.grant(i, 10, 0.0)
    assert lessor.expired(10.0, 3) == [1, 2, 3]
    assert not lessor.unfinished
    assert lessor.expired(10.0, 3) == [4, 5]
    assert not lessor.unfinished


def test_many_leases_are_spread_over_the_seconds_after_a_promotion(backend):
    lessor = Lessor(backend, revoke_rate=1000)
    for i in range(1, 10_001):
        lessor.grant(i, 10, 0.0)
    lessor.promote(0.0, 0.0)
    gone = 0
    for second in range(30):
        while batch := lessor.expired(second + 0.999, 100):
            assert second >= 10
            gone += len(batch)
            for lease_id in batch:
                lessor.revoke(lease_id)
        while lessor.unfinished:
            assert lessor.expired(float(second), 100) == []
        assert gone <= max(0, second - 9) * 750
    assert gone == 10_000


def test_few_leases_are_not_spread(backend):
    lessor = Lessor(backend, revoke_rate=1000)
    for i in range(1, 1000):
        lessor.grant(i, 10, 0.0)
    lessor.promote(0.0, 0.0)
    assert len(lessor.expired(10.0, 1000)) == 999


def test_spread_never_moves_to_an_earlier_time_and_fills_no_second_too_much():
    spread = ExpirySpread(3)
    placed = [(wanted, spread.place(wanted)) for wanted in (5.5, 5.1, 5.9, 5.2, 6.0, 4.0, 5.3, 5.4)]
    assert all(got >= wanted for wanted, got in placed)
    seconds = [int(got) for _, got in placed]
    assert all(seconds.count(second) <= 3 for second in seconds)
    assert placed[3] == (5.2, 6.2)
    assert placed[5] == (4.0, 4.0)
    assert placed[7] == (5.4, 7.4)
