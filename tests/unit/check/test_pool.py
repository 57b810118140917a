"""Which open operations are looked at in a gap."""

from __future__ import annotations

from typing import Any

from sim.check.case import NOBODY, Case
from sim.check.history import Event, KeyValue, Operation, Put, Revoke
from sim.check.model import Model
from sim.check.pool import Pool
from sim.check.v2_evidence import V2Evidence
from sim.check.v2_records import V2Expire, V2Set


def unknown(call_s: float, request: Any) -> Operation:
    return Operation(1, 1, 1, call_s, request)


def requests_at(case: Case, pool: Pool, revision: int, model: Model) -> list[Any]:
    return [case.open[index].request for index in pool.unused(revision, model)]


def test_only_leases_that_have_keys_are_looked_at() -> None:
    leased = [unknown(lease, Put(b"k%d" % lease, b"v", lease)) for lease in range(1, 1001)]
    case = Case([*leased, unknown(2000, Revoke(700))], {}, V2Evidence())
    pool, model = Pool(case), Model()
    assert not [r for r in requests_at(case, pool, 2, model) if type(r) is Revoke]
    model.apply(Put(b"a", b"", 700))
    model.apply(Put(b"b", b"", 800))
    ends = [r for r in requests_at(case, pool, 4, model) if type(r) is Revoke]
    assert sorted(revoke.id for revoke in ends) == [700, 700, 800]
    model.apply(Put(b"a", b"", 0))
    ends = [r for r in requests_at(case, pool, 5, model) if type(r) is Revoke]
    assert ends == [Revoke(800)]


def test_only_nodes_with_a_time_to_live_end() -> None:
    sets = [unknown(1, V2Set(b"/a", b"x", ttl_s=5)), unknown(2, V2Set(b"/b", b"y"))]
    case = Case(sets, {}, V2Evidence())
    assert [op.client for op in case.open].count(NOBODY) == 1
    pool, model = Pool(case), Model()
    assert V2Expire(b"/a") not in requests_at(case, pool, 2, model)
    model.apply(V2Set(b"/a", b"x", ttl_s=5))
    assert V2Expire(b"/a") in requests_at(case, pool, 3, model)


def test_what_was_seen_has_its_one_place() -> None:
    seen = Event("put", KeyValue(b"k", b"only", 3, 3, 1))
    case = Case([unknown(1, Put(b"k", b"only"))], {3: [seen]}, V2Evidence())
    pool = Pool(case)
    places = [revision for revision in range(2, 6) if requests_at(case, pool, revision, Model())]
    assert places == [3]


def test_one_that_fills_a_gap_is_not_offered_again_until_it_is_given_back() -> None:
    case = Case([unknown(1, Put(b"a", b"")), unknown(2, Put(b"b", b""))], {}, V2Evidence())
    pool = Pool(case)
    before = pool.fingerprint
    pool.use(0)
    first = pool.fingerprint
    assert list(pool.unused(2, Model())) == [1]
    pool.use(1)
    pool.give_back(0)
    assert list(pool.unused(2, Model())) == [0]
    assert len({before, first, pool.fingerprint}) == 3
    pool.give_back(1)
    assert pool.fingerprint == before
