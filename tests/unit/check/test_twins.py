"""Which open operations are as good as each other."""

from __future__ import annotations

from typing import Any

import pytest

from sim.check import linear
from sim.check.case import NOBODY, Case
from sim.check.history import (
    Compare,
    Delete,
    Done,
    KeyValue,
    Operation,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Revoke,
    Txn,
)
from sim.check.model import Model
from sim.check.pool import Pool
from sim.check.v2_evidence import V2Evidence
from sim.check.v2_records import V2Expire, V2Set

READ = Operation(1, 1, 1, 8.0, Range(b"k"), 9.0, RangeResponse((KeyValue(b"k", b"x", 2, 3, 2),), 1))


def unknown(request: Any) -> Operation:
    return Operation(1, 1, 1, 1.0, request)


def case_of(*requests: Any) -> Case:
    asks_for_y = unknown(Txn((Compare(b"q", "value", "equal", b"y"),), (Range(b"q"),)))
    return Case([READ, asks_for_y, *map(unknown, requests)], {}, V2Evidence())


def kinds_of(*requests: Any) -> list[Any]:
    case = case_of(*requests)
    pairs = zip(case.open, case.kinds, strict=True)
    return [kind for op, kind in pairs if op.client != NOBODY]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Put(b"k", b"1"), Put(b"k", b"2")),
        (Put(b"k", b"1", 7), Put(b"k", b"2", 7, prev_kv=True)),
        (V2Set(b"/k", b"1", 2, prev_exist="true"), V2Set(b"/k", b"2", 8, prev_exist="true")),
        (Txn((), (Put(b"k", b"1"), Delete(b"j"))), Txn((), (Put(b"k", b"2"), Delete(b"j")))),
        (Delete(b"k"), Delete(b"k")),
    ],
)
def test_what_nobody_can_tell_apart_is_of_one_kind(one: Any, other: Any) -> None:
    kinds = kinds_of(one, other)
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Put(b"k", b"1"), Put(b"j", b"2")),
        (Put(b"k", b"1"), Put(b"k", b"2", 7)),
        (Put(b"k", b"1"), Put(b"k", b"x")),
        (Put(b"k", b"1"), Put(b"k", b"y")),
        (Put(b"k", b"1"), Put(b"k", b"")),
        (V2Set(b"/k", b"1"), V2Set(b"/k", b"2", 8)),
        (V2Set(b"/k", b"1"), V2Set(b"/k", b"2", prev_exist="true")),
        (V2Set(b"/k", b"1"), V2Set(b"/k", b"2", prev_value=b"1")),
        (Txn((), (Put(b"k", b"1"),)), Txn((), (Put(b"k", b"x"),))),
        (Txn((), (Put(b"k", b"1"),)), Txn((), (), (Put(b"k", b"2"),))),
        (V2Set(b"/k", b"1"), V2Expire(b"/k")),
    ],
)
def test_what_somebody_may_tell_apart_is_not(one: Any, other: Any) -> None:
    kinds = kinds_of(one, other)
    assert kinds[0] != kinds[1]


def test_revokes_that_were_answered_have_places_of_their_own() -> None:
    revokes = [Operation(1, 1, 1, 1.0, Revoke(7), end, Done(), 3) for end in (2.0, 5.0)]
    kinds = Case(revokes, {}, V2Evidence()).kinds
    assert len(set(kinds)) == len(kinds)


def test_a_store_and_a_pool_do_not_tell_twins_apart() -> None:
    case = case_of(Put(b"k", b"1"), Put(b"k", b"2"), Put(b"k", b"y"))
    prints = []
    for index in range(3):
        model, pool = Model(case.unseen), Pool(case)
        model.apply(case.open[index].request)
        pool.use(index)
        prints.append((model.fingerprint, pool.fingerprint))
    assert prints[0] == prints[1] != prints[2]
    pool = Pool(case)
    empty = pool.fingerprint
    for index in (0, 1):
        pool.use(index)
    assert pool.fingerprint not in (empty, prints[0][1])
    for index in (0, 1):
        pool.give_back(index)
    assert pool.fingerprint == empty


def test_many_twins_are_one_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gap more than there are writes for: all orders of twenty puts would have to be tried."""
    monkeypatch.setattr(linear, "TRIES_MAX", 1_000)
    lost = [unknown(Put(b"k", b"%d" % number)) for number in range(20)]
    last = Operation(1, 1, 1, 2.0, Put(b"end", b""), 3.0, PutResponse(), 23)
    verdict = linear.check([*lost, last])
    assert not verdict.undecided
    assert [violation.law for violation in verdict.violations] == ["nobody wrote a revision"]


def test_a_change_that_no_open_write_can_have_made_is_found_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(linear, "TRIES_MAX", 0)
    lost = [unknown(Put(b"k%d" % number, b"%d" % number)) for number in range(30)]
    seen = KeyValue(b"k0", b"another", 15, 15, 1)
    read = Operation(1, 1, 1, 2.0, Range(b"k0"), 3.0, RangeResponse((seen,), 1), 20)
    verdict = linear.check([*lost, read])
    assert [str(violation) for violation in verdict.violations] == [
        "nobody wrote a revision: revision 15"
    ]
