"""What versions that were shown leave room for."""

from typing import Any

import pytest
from perfect_store import KEYS, PerfectStore

from sim.check import linear
from sim.check.history import (
    Delete,
    DeleteResponse,
    Event,
    History,
    KeyValue,
    Operation,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Txn,
    TxnResponse,
)
from sim.check.judge import judge
from sim.check.lineage import Lineage
from sim.check.v2_records import NOT_FOUND, V2Error, V2Get, V2Node, V2Response, V2Set


def pair(version: int, modified: int, created: int, key: bytes = b"k") -> KeyValue:
    return KeyValue(key, b"", created, modified, version, 0)


def put(version: int, modified: int, created: int, key: bytes = b"k") -> Event:
    return Event("put", pair(version, modified, created, key))


def delete(modified: int) -> Event:
    return Event("delete", KeyValue(b"k", b"", 0, modified, 0))


def shown(*kvs: KeyValue) -> list[Operation]:
    return [Operation(1, 1, 1, 0.0, Range(b"k", b"\0"), 1.0, RangeResponse(kvs, len(kvs)), 12)]


@pytest.mark.parametrize("by_watcher", [False, True])
def test_between_two_versions_there_is_room_for_those_that_are_missing(by_watcher: bool) -> None:
    last = pair(4, 12, 5)
    lineage = Lineage([], {12: [Event("put", last)]}) if by_watcher else Lineage(shown(last), {})
    assert not lineage.denies(7, [put(2, 7, 5)])
    assert not lineage.denies(8, [put(3, 8, 5)])
    assert lineage.denies(9, [put(4, 9, 5)])
    assert lineage.denies(9, [delete(9)])
    assert lineage.denies(9, [put(1, 9, 9)])  # it would be another life
    assert not lineage.denies(9, [put(4, 9, 5, b"other")])
    assert not lineage.denies(13, [delete(13)])


def test_a_key_begins_where_its_pair_says() -> None:
    lineage = Lineage(shown(pair(4, 12, 5)), {})
    assert lineage.denies(5, [put(1, 5, 5, b"other")])
    assert lineage.denies(5, [put(2, 5, 3)])
    assert not lineage.denies(5, [put(1, 5, 5), put(1, 5, 5, b"other")])
    assert not lineage.denies(4, [delete(4)])
    assert not lineage.denies(3, [put(7, 3, 2)])
    assert lineage.denies(4, [put(7, 4, 2)])  # who would delete it?


def test_the_pair_before_an_event_is_as_certain_as_the_event() -> None:
    lineage = Lineage([], {12: [delete(12)._replace(prev=pair(4, 10, 5))]})
    assert not lineage.denies(9, [put(3, 9, 5)])
    assert lineage.denies(9, [put(4, 9, 5)])
    assert lineage.denies(9, [put(1, 9, 9)])
    assert lineage.denies(11, [delete(11)])


def answered(revision: int, request: Any, response: Any) -> Operation:
    return Operation(1, 1, 1, 0.0, request, 1.0, response, revision)


def test_what_is_certain_is_no_work_for_gaps() -> None:
    known = [*shown(pair(4, 12, 5)), *shown(pair(2, 7, 5))]
    lineage = Lineage([*known, answered(10, Put(b"k", b""), PutResponse())], {})
    assert lineage.denies(8, [put(3, 8, 5)])
    assert lineage.due(8, {b"k": pair(2, 7, 5)}) == set()


def test_a_read_tells_what_was_left_alone_before_it() -> None:
    read = answered(9, Range(b"k"), RangeResponse((pair(2, 7, 5),), 1))
    last = answered(12, Put(b"k", b""), PutResponse())
    lineage = Lineage([read, last], {})
    assert lineage.denies(8, [put(3, 8, 5)])
    assert not lineage.denies(10, [put(3, 10, 5)])


def test_the_last_gaps_are_due_to_what_is_missing() -> None:
    lineage = Lineage([*shown(pair(4, 9, 5)), answered(8, Put(b"a", b""), PutResponse())], {})
    assert lineage.due(6, {b"k": pair(1, 5, 5)}) == {b"k"}
    assert lineage.due(7, {b"k": pair(2, 6, 5)}) == {b"k"}
    assert lineage.due(7, {b"k": pair(1, 5, 5)}) is None
    assert lineage.due(7, {b"k": pair(3, 6, 5)}) == set()
    assert lineage.due(7, {b"k": pair(4, 6, 5)}) is None


@pytest.mark.parametrize(
    "missing",
    [
        answered(9, Range(b"a", b"\0"), RangeResponse((), 0)),
        answered(9, Delete(b"k"), DeleteResponse(0)),
        answered(10, Put(b"k", b"", prev_kv=True), PutResponse(None)),
        answered(9, V2Get(b"k"), V2Error(NOT_FOUND)),
        answered(10, V2Set(b"k", b""), V2Response("set", V2Node(b"k", b"", 10, 10))),
        answered(9, Txn((), (Range(b"k"),)), TxnResponse(True, (RangeResponse((), 0),))),
    ],
)
def test_who_is_missing_must_have_been_deleted(missing: Operation) -> None:
    writes = [answered(revision, Put(b"a", b""), PutResponse()) for revision in (6, 7, 8)]
    lineage = Lineage([answered(5, Put(b"k", b""), PutResponse()), *writes, missing], {})
    assert lineage.due(9, {b"k": pair(1, 5, 5)}) == {b"k"}
    assert lineage.due(9, {}) == set()
    assert lineage.denies(9, [put(2, 9, 5)])
    assert not lineage.denies(9, [delete(9)])


def test_needs_of_several_keys_want_gaps_of_their_own() -> None:
    before = {key: pair(1, 2, 2, key) for key in (b"a", b"k")}
    known = shown(pair(3, 6, 2, b"a"), pair(3, 7, 2, b"k"))
    lineage = Lineage(known, {})
    assert lineage.due(4, before) == set()
    assert lineage.due(5, before) is None
    both = Operation(1, 1, 1, 0.0, Txn((), (Put(b"a", b""), Put(b"k", b""))))
    assert Lineage([*known, both], {}).due(5, before) == {b"a"}


class Pairwise(PerfectStore):
    """Clients delete single keys only, and many of their transactions write two."""

    def request(self) -> Any:
        request = super().request()
        if type(request) is Delete:
            return request._replace(end=b"")
        if type(request) is Txn and self.chance.random() < 0.6:
            keys = [key for key in KEYS if key != request.then[0].key]
            other = self.chance.choice(keys)
            more = Delete(other) if self.chance.random() < 0.3 else self.put(other)
            return request._replace(then=(*request.then, more))
        return request


@pytest.mark.parametrize("kind", [PerfectStore, Pairwise])
@pytest.mark.parametrize("seed", range(60))
def test_what_happened_is_never_ruled_out(kind: type[PerfectStore], seed: int) -> None:
    store = kind(seed, 150, 2 + seed % 8, seed % 5 * 0.15, unique_values=seed % 3 > 0)
    seen = {r: events for r, events in store.changes.items() if seed % 2 and r % 4 == 0}
    lineage = Lineage(store.history.operations, seen)
    for revision, changes in store.changes.items():
        assert not lineage.denies(revision, changes)
        before = {kv.key: kv for kv in store.model.at(b"a", b"\0", revision - 1)}
        due = lineage.due(revision, before)
        assert due is not None
        assert due <= {event.kv.key for event in changes}


def test_the_judge_does_not_try_what_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without, he comes back from revision 5 to try the others."""
    monkeypatch.setattr(linear, "TRIES_MAX", 0)
    history = History()
    history.operations = [
        Operation(1, 1, 1, 0.0, Put(b"k", b"1"), 0.1, PutResponse(None), 2),
        *(Operation(2, 2, 1, 0.2, Put(b"k", b"lost%d" % number)) for number in range(3)),
        *(Operation(3, 3, 1, 0.3, Put(key, b"")) for key in (b"a", b"b")),
        Operation(1, 1, 1, 1.0, Put(b"k", b"2"), 1.1, PutResponse(None), 5),
    ]
    read = RangeResponse((KeyValue(b"k", b"2", 2, 5, 2),), 1)
    history.operations.append(Operation(1, 1, 1, 2.0, Range(b"k"), 2.1, read, 5))
    found = judge(history)
    assert (found.violations, found.undecided) == ([], False)
