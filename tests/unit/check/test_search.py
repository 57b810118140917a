"""The general search, and the replay by revisions against it."""

from __future__ import annotations

import random
from math import inf
from typing import Any

import pytest
from perfect_store import PerfectStore

from sim.check import linear
from sim.check.history import (
    Compare,
    Grant,
    KeyValue,
    Operation,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Refused,
    Txn,
    TxnResponse,
)
from sim.check.model import Model
from sim.check.search import Call, check_registers, is_linearizable


def register(state: int, request: Any) -> tuple[Any, int]:
    """A register: None reads, a number writes."""
    return (state, state) if request is None else ("ok", request)


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([], True),
        ([Call(1, 2, 5, "ok"), Call(3, 4, None, 5)], True),
        ([Call(1, 2, 5, "ok"), Call(3, 4, None, 0)], False),
        ([Call(1, 9, 5, "ok"), Call(2, 3, None, 5), Call(4, 5, None, 0)], False),
        ([Call(1, 9, 5, "ok"), Call(2, 3, None, 0), Call(4, 5, None, 5)], True),
        ([Call(1, inf, 5, None), Call(3, 4, None, 0), Call(6, 7, None, 5)], True),
        ([Call(1, inf, 5, None), Call(3, 4, None, 5), Call(6, 7, None, 0)], False),
        ([Call(5, inf, 5, None), Call(3, 4, None, 5)], False),
        ([Call(1, 4, 1, "ok"), Call(2, 5, 2, "ok"), Call(3, 6, None, 1)], True),
        ([Call(1, 3, 1, "ok"), Call(2, 4, 2, "ok"), Call(5, 6, None, 3)], False),
        # two readers that saw two writes in opposite order
        (
            [
                *[Call(1, 9, 1, "ok"), Call(1, 9, 2, "ok")],
                *[Call(2, 3, None, 1), Call(4, 5, None, 2)],
                *[Call(2, 3, None, 2), Call(4, 5, None, 1)],
            ],
            False,
        ),
    ],
)
def test_registers_with_known_verdicts(calls: list[Call], expected: bool) -> None:
    assert is_linearizable(calls, 0, register) is expected


def whole_store(done: tuple[Any, ...], request: Any) -> tuple[Any, tuple[Any, ...]]:
    """The state is what was done so far; the response is etcd's with its revision."""
    model = Model()
    for one in done:
        model.apply(one)
    response, changes = model.apply(request)
    return (response, model.revision), (*done, request) if changes else done


def verdict_of_search(operations: list[Operation]) -> bool:
    calls = []
    for op in operations:
        if type(op.response) in (Refused,) or type(op.request) is Grant:
            continue
        response = None if op.response is None else (op.response, op.revision)
        return_s = inf if op.return_s is None else op.return_s
        calls.append(Call(op.call_s, return_s, op.request, response))
    return is_linearizable(calls, (), whole_store)


def linearizable_only(store: PerfectStore) -> list[Operation]:
    return [
        op
        for op in store.history.operations
        if not (type(op.request) is Range and op.request.serializable)
    ]


def disturb(operations: list[Operation], chance: random.Random) -> None:
    """Change one answer, into something that may or may not be possible."""
    answered = [op for op in operations if op.response is not None and op.return_s is not None]
    if not answered:
        return
    op = chance.choice(answered)
    kind = chance.randrange(4)
    if kind == 0:
        op.revision = max(1, op.revision + chance.choice([-1, 1]))
    elif kind == 1:
        op.call_s += chance.choice([-0.03, 0.03])
        op.return_s = max(op.call_s, (op.return_s or 0.0) + chance.choice([-0.03, 0.03]))
    elif kind == 2:
        other = chance.choice([o for o in answered if type(o.request) is type(op.request)])
        op.response, other.response = other.response, op.response
        op.revision, other.revision = other.revision, op.revision
    else:
        op.return_s, op.response, op.revision = None, None, 0


@pytest.mark.parametrize("block", range(6))
def test_the_replay_agrees_with_the_search(block: int) -> None:
    """Random small histories, most of them disturbed: two programs, one verdict."""
    good = bad = 0
    for seed in range(block * 500, block * 500 + 500):
        chance = random.Random(seed)
        store = PerfectStore(seed, 8, clients=4, lost=0.3, leases=False, unique_values=False)
        for one in range(8):
            store.sessions[one] = one
        for number, op in enumerate(store.history.operations):
            op.session = number  # the search knows no sessions
        operations = linearizable_only(store)
        for _ in range(chance.randrange(3)):
            disturb(operations, chance)
        expected = verdict_of_search(operations)
        verdict = linear.check(operations)
        assert (not verdict.violations) is expected, (seed, verdict.violations, operations)
        good += expected
        bad += not expected
    assert good > 20
    assert bad > 10


def test_registers_are_judged_key_by_key() -> None:
    operations = []
    for seed in range(3):
        store = PerfectStore(seed, 60, clients=4, lost=0.1, leases=False)
        for op in store.history.operations:
            request = op.request
            if type(request) is Put and not request.prev_kv:
                operations.append(op)
    assert not check_registers(operations)


def stored(value: bytes, version: int) -> RangeResponse:
    return RangeResponse((KeyValue(b"k", value, 9, 9, version),), 1)


def test_a_lost_update_is_found_without_revisions() -> None:
    claim = Txn((Compare(b"k", "version", "equal", 0),), (Put(b"k", b"mine"),), (Range(b"k"),))
    won = TxnResponse(True, (PutResponse(),))
    lost = TxnResponse(False, (stored(b"mine", 1),))
    first = Operation(1, 1, 1, 1.0, claim, 4.0, won)
    second = Operation(2, 2, 2, 2.0, claim, 3.0, lost)
    assert not check_registers([first, second])
    second.response = won
    assert check_registers([first, second])


def test_only_requests_for_one_key_are_judged_as_registers() -> None:
    with pytest.raises(ValueError, match="several keys"):
        check_registers([Operation(1, 1, 1, 1.0, Range(b"a", b"c"))])
    with pytest.raises(ValueError, match="one key"):
        check_registers([Operation(1, 1, 1, 1.0, Grant(1, 5))])
