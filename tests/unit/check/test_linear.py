"""The checker of linearizability, on histories with known verdicts."""

from __future__ import annotations

import random
from typing import Any

import pytest
from perfect_store import PerfectStore

from sim.check import linear
from sim.check.history import (
    COMPACTED,
    FUTURE_REVISION,
    Compact,
    Delete,
    DeleteResponse,
    Done,
    Event,
    Grant,
    KeyValue,
    LeaseResponse,
    Operation,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Refused,
    Revoke,
)
from sim.check.model import has_written


def op(
    call: float, ret: float | None, request: Any, response: Any = None, revision: int = 0
) -> Any:
    """An operation of a client of its own."""
    client = int(call * 1000)
    return Operation(client, client, 1, call, request, ret, response, revision)


def put(call: float, ret: float | None, value: bytes, revision: int = 0, key: bytes = b"k") -> Any:
    response = None if ret is None else PutResponse()
    return op(call, ret, Put(key, value), response, revision)


def kv(value: bytes, mod: int, create: int = 2, version: int = 0, key: bytes = b"k") -> KeyValue:
    return KeyValue(key, value, create, mod, version or mod - create + 1)


def get(call: float, ret: float, found: KeyValue | None, at: int, **how: Any) -> Any:
    kvs = () if found is None else (found,)
    return op(call, ret, Range(b"k", **how), RangeResponse(kvs, len(kvs)), at)


GOOD: dict[str, list[Operation]] = {
    "nothing": [],
    "a compaction that nobody answered may have been done": [
        put(1, 2, b"a", 2),
        op(3, None, Compact(2)),
        op(4, 5, Range(b"k", revision=1), Refused(COMPACTED)),
    ],
    "one after the other": [put(1, 2, b"a", 2), get(3, 4, kv(b"a", 2), 2)],
    "a read beside a write sees it": [put(1, 9, b"a", 2), get(2, 3, kv(b"a", 2), 2)],
    "a read beside a write does not see it": [put(1, 9, b"a", 2), get(2, 3, None, 1)],
    "writes side by side in any order": [put(1, 9, b"a", 3), put(2, 9, b"b", 2)],
    "an open write is seen": [put(1, None, b"a"), get(5, 6, kv(b"a", 2), 2)],
    "an open write is never seen": [put(1, None, b"a"), get(5, 6, None, 1)],
    "an open write takes effect late": [
        put(1, None, b"a"),
        put(2, 3, b"b", 2),
        get(4, 5, kv(b"b", 2), 2),
        get(6, 7, kv(b"a", 3), 3),
    ],
    "an open write is overwritten unseen": [
        put(1, None, b"a"),
        put(2, 3, b"b", 3),
        get(4, 5, kv(b"b", 3), 3),
    ],
    "an open write of another key takes the revision": [
        put(1, None, b"x", key=b"other"),
        put(1, None, b"y"),
        put(2, 3, b"b", 3),
        get(4, 5, kv(b"b", 3, create=3), 3),
    ],
    "a delete of nothing is a read": [
        op(1, 2, Delete(b"k"), DeleteResponse(0), 1),
        put(3, 4, b"a", 2),
    ],
    "a lease ends by itself": [
        op(1, 2, Grant(7, 5), LeaseResponse(7, 5), 1),
        op(3, 4, Put(b"k", b"v", 7), PutResponse(), 2),
        get(20, 21, None, 3),
    ],
    "a revoke takes the key along, its revision is later": [
        op(1, 2, Grant(7, 5), LeaseResponse(7, 5), 1),
        op(3, 4, Put(b"k", b"v", 7), PutResponse(), 2),
        op(5, 9, Revoke(7), Done(), 4),
        put(5, 9, b"w", 4, key=b"l"),
        get(10, 11, None, 4),
    ],
    "a serializable read is stale": [
        put(1, 2, b"a", 2),
        put(3, 4, b"b", 3),
        get(5, 6, kv(b"a", 2), 2, serializable=True),
    ],
    "a read of the past": [
        put(1, 2, b"a", 2),
        put(3, 4, b"b", 3),
        get(5, 6, kv(b"a", 2), 3, revision=2),
    ],
    "what is compacted is refused": [
        put(1, 2, b"a", 2),
        put(3, 4, b"b", 3),
        op(5, 6, Compact(3), Done(), 3),
        op(7, 8, Range(b"k", revision=2), Refused(COMPACTED)),
    ],
    "the future is refused": [op(7, 8, Range(b"k", revision=2), Refused(FUTURE_REVISION))],
}


def forgotten_order(remained: bytes) -> list[Operation]:
    """Two deletes and a put that nobody answered; of their order only a late read of the past tells
    something: which key remained after the first delete."""
    answer = KeyValue(remained, b"x", 2 if remained == b"a" else 3, 2 if remained == b"a" else 3, 1)
    return [
        put(1, 2, b"x", 2, b"a"),
        put(3, 4, b"x", 3, b"b"),
        op(5, None, Delete(b"a")),
        op(6, None, Delete(b"b")),
        op(7, 8, Range(b"a", b"c"), RangeResponse((), 0), 5),
        op(9, None, Put(b"c", b"1")),
        op(10, None, Put(b"d", b"2")),
        op(11, 12, Range(b"a", b"c", revision=4), RangeResponse((answer,), 1), 6),
    ]


GOOD["a read of the past tells which of two deletes was the first"] = forgotten_order(b"a")
GOOD["a read of the past tells that it was the other one"] = forgotten_order(b"b")


BAD: dict[str, tuple[str, list[Operation]]] = {
    "a stale read": ("a stale read", [put(1, 2, b"a", 2), get(3, 4, None, 1)]),
    "reads that go back": (
        "a stale read",
        [put(1, 9, b"a", 2), get(2, 3, kv(b"a", 2), 2), get(4, 5, None, 1)],
    ),
    "a lost write": ("two writes have one revision", [put(1, 2, b"a", 2), put(3, 4, b"b", 2)]),
    "a write is seen before its call": (
        "a write went back in time",
        [get(1, 2, kv(b"a", 2), 2), put(3, 4, b"a", 2)],
    ),
    "an open write is seen before its call": (
        "nobody wrote a revision",
        [get(1, 2, kv(b"a", 2), 2), put(3, None, b"a")],
    ),
    "a serializable read sees the future": (
        "a revision was seen before its write",
        [get(1, 2, kv(b"a", 2), 2, serializable=True), put(3, 4, b"a", 2)],
    ),
    "a wrong value": (
        "a change was seen that nobody made",
        [put(1, 2, b"a", 2), get(3, 4, kv(b"b", 2), 2)],
    ),
    "a wrong version": (
        "a change was seen that nobody made",
        [put(1, 2, b"a", 2), get(3, 4, kv(b"a", 2, version=2), 2)],
    ),
    "a key is missing": (
        "a read was answered wrongly",
        [put(1, 2, b"a", 2), get(3, 4, None, 2)],
    ),
    "a serializable read of no state": (
        "a read was answered wrongly",
        [put(1, 2, b"a", 2), get(3, 4, None, 2, serializable=True)],
    ),
    "an open write takes effect twice": (
        "nobody wrote a revision",
        [put(1, None, b"a"), get(5, 6, kv(b"a", 3), 3)],
    ),
    "a revision out of nothing": (
        "nobody wrote a revision",
        [put(1, 2, b"a", 2), put(3, 4, b"b", 4)],
    ),
    "writes go back": (
        "a write went back in time",
        [put(1, 2, b"a", 3), put(3, 4, b"b", 2)],
    ),
    "a revoked lease keeps its key": (
        "a revoked lease has keys",
        [
            op(1, 2, Grant(7, 5), LeaseResponse(7, 5), 1),
            op(3, 4, Put(b"k", b"v", 7), PutResponse(), 2),
            op(5, 6, Revoke(7), Done(), 2),
            op(7, 8, Range(b"k"), RangeResponse((KeyValue(b"k", b"v", 2, 2, 1, 7),), 1), 2),
        ],
    ),
    "a session goes back": (
        "a session goes back",
        [
            put(1, 2, b"a", 2),
            Operation(1, 5, 1, 3, Range(b"k"), 4, RangeResponse((kv(b"a", 2),), 1), 2),
            Operation(1, 5, 1, 5, Range(b"k", serializable=True), 6, RangeResponse((), 0), 1),
        ],
    ),
    "the present is refused as future": (
        "a stale read",
        [put(1, 2, b"a", 2), op(3, 4, Range(b"k", revision=2), Refused(FUTURE_REVISION))],
    ),
    "nobody compacted": (
        "nobody has compacted that",
        [put(1, 2, b"a", 2), op(3, 4, Range(b"k", revision=1), Refused(COMPACTED))],
    ),
    "what is compacted is read": (
        "a compacted revision was read",
        [
            put(1, 2, b"a", 2),
            put(3, 4, b"b", 3),
            op(5, 6, Compact(3), Done(), 3),
            get(7, 8, kv(b"a", 2), 3, revision=2),
        ],
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_history_passes(name: str) -> None:
    verdict = linear.check(GOOD[name])
    assert not verdict.violations
    assert not verdict.undecided


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_told_by_its_law(name: str) -> None:
    law, operations = BAD[name]
    violations = linear.check(operations).violations
    assert violations
    assert law in [violation.law for violation in violations]


@pytest.mark.parametrize("seed", range(60))
def test_a_perfect_store_passes(seed: int) -> None:
    store = PerfectStore(seed, 200, clients=2 + seed % 8, lost=seed % 4 * 0.1)
    seen = {r: events for r, events in store.changes.items() if r % 3 == 0} if seed % 2 else None
    verdict = linear.check(store.history.operations, seen)
    assert not verdict.violations, verdict.violations[0]
    assert not verdict.undecided


def test_the_replayed_changes_are_what_happened() -> None:
    store = PerfectStore(1, 300, lost=0.1)
    verdict = linear.check(store.history.operations, store.changes)
    assert verdict.changes
    assert all(store.changes[revision] == found for revision, found in verdict.changes.items())


def answered(store: PerfectStore, kind: type) -> list[Operation]:
    ops = store.history.operations
    return [o for o in ops if type(o.request) is kind and o.revision and o.return_s is not None]


def read_the_past(store: PerfectStore, chance: random.Random) -> bool:
    """A linearizable read is answered from a state that was older when it was called."""
    reads = [
        o for o in answered(store, Range) if not o.request.serializable and not o.request.revision
    ]
    writes = [o for o in store.history.operations if o.return_s and has_written(o.response)]
    for read in chance.sample(reads, len(reads)):
        newest = max([w.revision for w in writes if (w.return_s or 0) < read.call_s], default=1)
        if newest > 2:
            read.revision = newest - 1
            read.response = store.model.read(read.request._replace(revision=newest - 1))
            return True
    return False


def drop_a_write(store: PerfectStore, chance: random.Random) -> bool:
    """An acknowledged put never was: the others' revisions close the gap."""
    writes = [o for o in answered(store, Put) if o.revision < store.model.revision - 3]
    lost = chance.choice(writes)
    for o in store.history.operations:
        if o.revision > lost.revision:
            o.revision -= 1
    return True


def change_a_value(store: PerfectStore, chance: random.Random) -> bool:
    reads = [o for o in answered(store, Range) if o.response.kvs]
    read = chance.choice(reads)
    kvs = read.response.kvs
    read.response = read.response._replace(kvs=(kvs[0]._replace(value=b"?"), *kvs[1:]))
    return True


def swap_two_writes(store: PerfectStore, chance: random.Random) -> bool:
    """Two puts that followed each other exchange their revisions."""
    writes = sorted(answered(store, Put), key=lambda o: o.revision)
    for first in chance.sample(writes, len(writes)):
        for then in writes:
            if first.return_s is not None and first.return_s < then.call_s:
                first.revision, then.revision = then.revision, first.revision
                return True
    return False


def apply_twice(store: PerfectStore, chance: random.Random) -> bool:
    """A put takes two revisions: all that follows comes one later, with its events."""
    write = chance.choice([o for o in answered(store, Put) if o.revision < store.model.revision])
    for o in store.history.operations:
        if o.revision > write.revision:
            o.revision += 1
    return True


@pytest.mark.parametrize(
    "damage", [read_the_past, drop_a_write, change_a_value, swap_two_writes, apply_twice]
)
@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_history_is_found(damage: Any, seed: int) -> None:
    store = PerfectStore(seed, 150, lost=0.02 * (seed % 3))
    assert damage(store, random.Random(seed))
    assert linear.check(store.history.operations).violations


def test_what_watchers_saw_settles_open_outcomes() -> None:
    operations = [put(1, None, b"a"), put(1, None, b"b"), put(2, 3, b"c", 3)]
    made = Event("put", kv(b"b", 2))
    verdict = linear.check(operations, {2: [made]})
    assert verdict.changes[2] == [made]
    foreign = Event("put", kv(b"z", 2))
    assert linear.check(operations, {2: [foreign]}).violations


def test_many_open_operations_are_decided_quickly() -> None:
    """Every fifth answer is lost, values repeat, and nobody watched: the search must hold out."""
    for seed in range(5):
        store = PerfectStore(seed, 400, clients=8, lost=0.2, unique_values=False)
        verdict = linear.check(store.history.operations)
        assert not verdict.violations
        assert not verdict.undecided


def test_ten_thousand_operations_are_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """No step is spent beyond one for each revision, give or take the open ones."""
    store = PerfectStore(7, 10_000, clients=10, lost=0.01)
    monkeypatch.setattr(linear, "STEPS_MAX", store.model.revision)
    verdict = linear.check(store.history.operations)
    assert not verdict.violations
    assert not verdict.undecided


def test_a_value_that_was_seen_has_its_place() -> None:
    """Three open puts and three gaps: what was seen of one decides where it is."""
    operations = [
        *[put(1, None, value, key=key) for key, value in ((b"k", b"x"), (b"l", b"y"))],
        put(1, None, b"z", key=b"m"),
        put(2, 3, b"c", 5, key=b"n"),
        get(4, 5, kv(b"x", 4, create=4), 5),
    ]
    verdict = linear.check(operations)
    assert not verdict.violations
    assert [event.kv.key for event in verdict.changes[4]] == [b"k"]


def test_a_search_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    store = PerfectStore(1, 300, clients=8, lost=0.5)
    monkeypatch.setattr(linear, "STEPS_MAX", 0)
    verdict = linear.check(store.history.operations)
    assert verdict.undecided
    assert not verdict.violations
