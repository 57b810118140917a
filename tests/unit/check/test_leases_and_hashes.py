"""The checkers of leases, of hashes and of numbers that must not fall."""

from __future__ import annotations

from typing import Any

from sim.check import hashes, leases, linear
from sim.check.history import (
    LEASE_NOT_FOUND,
    Done,
    Grant,
    HashSample,
    KeepAlive,
    KeyValue,
    LeaseResponse,
    MemberSample,
    Operation,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Refused,
    Revoke,
)

TTL = 5
KV = KeyValue(b"k", b"v", 2, 2, 1, 7)


def op(call: float, ret: float | None, request: Any, response: Any = None, at: int = 0) -> Any:
    session = int(call * 1000)
    return Operation(session, session, 1, call, request, ret, response, at)


def life(*more: Operation) -> list[Operation]:
    """A lease of 5 s, granted between 1 and 2, with a key; then what the test is about."""
    granted = op(1, 2, Grant(7, TTL), LeaseResponse(7, TTL), 1)
    return [granted, op(2.1, 2.2, Put(b"k", b"v", 7), PutResponse(), 2), *more]


def laws(operations: list[Operation], **how: Any) -> list[str]:
    verdict = linear.check(operations)
    assert not verdict.violations, verdict.violations
    ended = verdict.ended_leases
    return [found.law for found in leases.check(operations, ended=ended, **how)]


def gone(call: float) -> Operation:
    """A read that no longer sees the key."""
    return op(call, call + 0.1, Range(b"k"), RangeResponse((), 0), 3)


def renewed(call: float, ttl: int = TTL) -> Operation:
    return op(call, call + 0.1, KeepAlive(7), LeaseResponse(7, ttl), 2)


def test_a_lease_that_ends_in_time_is_right() -> None:
    assert laws(life(gone(6.1))) == []
    assert laws(life(renewed(5), gone(10.1))) == []


def test_a_lease_that_ends_early_is_found() -> None:
    assert laws(life(gone(5))) == ["a lease ended early"]
    assert laws(life(renewed(5), gone(9))) == ["a lease ended early"]
    assert laws(life(gone(5.8)), drift=0.1) == []


def test_a_refusal_too_shows_that_a_lease_ended() -> None:
    late = op(4, 4.1, Put(b"l", b"v", 7), Refused(LEASE_NOT_FOUND))
    assert laws(life(late)) == ["a lease ended early"]
    assert laws(life(renewed(4, ttl=0))) == ["a lease ended early"]
    before = op(0.5, 0.6, Put(b"l", b"v", 7), Refused(LEASE_NOT_FOUND))
    assert laws([before, *life()]) == []


def test_a_renewal_after_the_end_is_found() -> None:
    assert laws(life(gone(7), renewed(8))) == ["a lease was renewed after its end"]


def test_a_revoke_ends_a_lease_at_any_time() -> None:
    revoke = op(3, 3.1, Revoke(7), Done(), 3)
    assert laws(life(revoke, gone(3.2))) == []
    assert laws(life(op(3, None, Revoke(7)), gone(4.2))) == []


def test_what_is_attached_after_a_revoke_is_found() -> None:
    revoke = op(3, 3.1, Revoke(7), Done(), 3)
    late = op(4, 4.1, Put(b"l", b"v", 7), PutResponse(), 4)
    assert laws(life(revoke, late)) == ["a revoked lease was used"]
    again = op(3.5, 3.6, Grant(7, TTL), LeaseResponse(7, TTL), 3)
    assert laws(life(revoke, again, late)) == []


def test_a_lease_that_outlives_its_time_is_found_in_calm_times() -> None:
    seen = op(30, 30.1, Range(b"k"), RangeResponse((KV,), 1), 2)
    assert laws(life(seen)) == []
    assert laws(life(seen), calm_since_s=26.0) == []
    assert laws(life(seen), calm_since_s=10.0) == ["a lease outlived its time"]
    assert laws(life(renewed(28), seen), calm_since_s=10.0) == []
    assert laws(life(op(20, None, KeepAlive(7)), seen), calm_since_s=10.0) == []


def test_members_with_different_data_are_found() -> None:
    one = HashSample(1, 1.0, 10, 5, 0xABCD)
    assert not hashes.check_hashes([one, one._replace(member=2), one._replace(revision=11, hash=1)])
    found = hashes.check_hashes([one, one._replace(member=2, hash=0xABCE)])
    assert [violation.law for violation in found] == ["members hold different data"]


def test_a_member_that_goes_back_is_found() -> None:
    one = MemberSample(1, 1, 1.0, term=3, applied_index=100, revision=50, compact_revision=20)
    later = one._replace(time_s=2.0, applied_index=101)
    assert not hashes.check_monotone([one, later])
    for name in ("term", "applied_index", "revision", "compact_revision"):
        back = later._replace(**{name: getattr(one, name) - 1})
        assert len(hashes.check_monotone([one, back])) == 1
    restarted = one._replace(run=2, time_s=2.0, applied_index=90, revision=45)
    assert not hashes.check_monotone([one, restarted])
    assert hashes.check_monotone([one, restarted._replace(term=2)])
    assert not hashes.check_monotone([one, back._replace(member=2)])
