"""What versions that were shown leave room for."""

import pytest

from sim.check import linear
from sim.check.history import (
    Event,
    History,
    KeyValue,
    Operation,
    Put,
    PutResponse,
    Range,
    RangeResponse,
)
from sim.check.judge import judge
from sim.check.lineage import Lineage


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
    lineage = Lineage([], [[Event("put", last)]]) if by_watcher else Lineage(shown(last), [])
    assert not lineage.denies(7, [put(2, 7, 5)])
    assert not lineage.denies(8, [put(3, 8, 5)])
    assert lineage.denies(9, [put(4, 9, 5)])
    assert lineage.denies(9, [delete(9)])
    assert lineage.denies(9, [put(1, 9, 9)])  # it would be another life
    assert not lineage.denies(9, [put(4, 9, 5, b"other")])
    assert not lineage.denies(13, [delete(13)])


def test_a_key_begins_where_its_pair_says() -> None:
    lineage = Lineage(shown(pair(4, 12, 5)), [])
    assert lineage.denies(5, [put(1, 5, 5, b"other")])
    assert lineage.denies(5, [put(2, 5, 3)])
    assert not lineage.denies(5, [put(1, 5, 5), put(1, 5, 5, b"other")])
    assert not lineage.denies(4, [delete(4)])
    assert not lineage.denies(4, [put(7, 4, 2)])


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
