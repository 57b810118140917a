"""The log: its unstable end, its storage, and both as one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petcd.raft import (
    NO_LIMIT,
    Compacted,
    ConfState,
    Entry,
    InvariantBroken,
    MemoryStorage,
    SilentLogger,
    Snapshot,
    SnapshotMetadata,
    SnapshotOutOfDate,
    Unavailable,
)
from petcd.raft.log import RaftLog
from petcd.raft.sizes import entries_size, entry_size, limit_size
from petcd.raft.unstable import Unstable


def entries(first: int, *terms: int) -> list[Entry]:
    return [Entry(0, term, first + i, b"%d" % (first + i)) for i, term in enumerate(terms)]


def snapshot(index: int, term: int) -> Snapshot:
    return Snapshot(b"s", SnapshotMetadata(ConfState([1]), index, term))


def storage_of(*terms: int, base: int = 0, base_term: int = 0) -> MemoryStorage:
    storage = MemoryStorage()
    if base:
        storage.apply_snapshot(snapshot(base, base_term))
    storage.append(entries(base + 1, *terms))
    return storage


def log_of(*terms: int, base: int = 0, stable: int = 0) -> RaftLog:
    """A log with these terms behind `base`, the first `stable` of them in storage."""
    log = RaftLog(storage_of(*terms[:stable], base=base, base_term=1), SilentLogger())
    log.append(entries(base + 1 + stable, *terms[stable:]))
    return log


def indexes(found: list[Entry]) -> list[int]:
    return [entry.index for entry in found]


# ---- storage ----


def test_storage_knows_the_term_before_its_first_entry() -> None:
    storage = storage_of(4, 5, base=3, base_term=3)
    assert [storage.term(i) for i in (3, 4, 5)] == [3, 4, 5]
    assert (storage.first_index(), storage.last_index()) == (4, 5)
    with pytest.raises(Compacted):
        storage.term(2)
    with pytest.raises(Unavailable):
        storage.term(6)


def test_storage_returns_at_least_one_entry_whatever_the_limit() -> None:
    storage = storage_of(4, 5, 6, base=3, base_term=3)
    size = entry_size(storage.entries(4, 5)[0])
    assert indexes(storage.entries(4, 7, 0)) == [4]
    assert indexes(storage.entries(4, 7, 2 * size)) == [4, 5]
    assert indexes(storage.entries(4, 7, 3 * size - 1)) == [4, 5]
    assert indexes(storage.entries(4, 7)) == [4, 5, 6]
    with pytest.raises(Compacted):
        storage.entries(3, 5)
    with pytest.raises(InvariantBroken, match="out of bound"):
        storage.entries(4, 8)
    with pytest.raises(Unavailable):
        storage_of(base=3, base_term=3).entries(4, 4)


@pytest.mark.parametrize(
    ("first", "terms", "result"),
    [
        (1, (1, 2), [3, 4, 5]),  # compacted already
        (3, (3, 4, 5), [3, 4, 5]),
        (3, (3, 6, 6), [3, 6, 6]),
        (3, (3, 4, 5, 5), [3, 4, 5, 5]),
        (2, (3, 3, 6), [3, 6]),
        (4, (5,), [3, 5]),
        (6, (5,), [3, 4, 5, 5]),
    ],
)
def test_appending_replaces_what_follows(
    first: int, terms: tuple[int, ...], result: list[int]
) -> None:
    storage = storage_of(4, 5, base=3, base_term=3)
    storage.append(entries(first, *terms))
    last = storage.last_index()
    assert [storage.term(i) for i in range(3, last + 1)] == result


def test_a_gap_in_the_log_is_refused() -> None:
    with pytest.raises(InvariantBroken, match="missing log entry"):
        storage_of(1, 1).append(entries(4, 1))


def test_lists_handed_out_do_not_change_when_the_log_does() -> None:
    storage = storage_of(1, 1, 1)
    taken = storage.entries(1, 4)
    storage.append(entries(2, 2))
    storage.compact(1)
    assert [entry.term for entry in taken] == [1, 1, 1]


def test_compaction_keeps_the_tail_and_the_term_before_it() -> None:
    storage = storage_of(4, 5, 6, base=3, base_term=3)
    with pytest.raises(Compacted):
        storage.compact(3)
    storage.compact(5)
    assert (storage.first_index(), storage.term(5)) == (6, 5)
    assert indexes(storage.entries(6, 7)) == [6]
    with pytest.raises(InvariantBroken, match="out of bound"):
        storage.compact(7)


def test_snapshots_only_go_forward() -> None:
    storage = storage_of(4, 5, base=3, base_term=3)
    made = storage.create_snapshot(4, ConfState([1, 2]), b"d")
    assert made == Snapshot(b"d", SnapshotMetadata(ConfState([1, 2]), 4, 4))
    assert storage.create_snapshot(5, None, b"e").metadata.conf_state == ConfState([1, 2])
    with pytest.raises(SnapshotOutOfDate):
        storage.create_snapshot(5, None, b"f")
    with pytest.raises(InvariantBroken, match="out of bound"):
        storage.create_snapshot(9, None, b"f")
    with pytest.raises(SnapshotOutOfDate):
        storage.apply_snapshot(snapshot(5, 5))
    storage.apply_snapshot(snapshot(9, 6))
    assert (storage.first_index(), storage.last_index(), storage.term(9)) == (10, 9, 6)


# ---- the unstable end ----


class Listening(SilentLogger):
    def __init__(self) -> None:
        self.level = 0
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)


def unstable_of(*terms: int, offset: int = 5) -> tuple[Unstable, Listening]:
    logger = Listening()
    unstable = Unstable(offset, logger)
    if terms:
        unstable.truncate_and_append(entries(offset, *terms))
    return unstable, logger


def test_entries_are_handed_out_for_writing_once() -> None:
    unstable, _ = unstable_of(1, 1)
    assert indexes(unstable.next_entries()) == [5, 6]
    unstable.accept_in_progress()
    assert unstable.next_entries() == []
    assert not unstable.has_next_entries()
    unstable.truncate_and_append(entries(7, 1))
    assert indexes(unstable.next_entries()) == [7]


def test_a_replaced_entry_is_handed_out_again() -> None:
    unstable, logger = unstable_of(1, 1, 1)
    unstable.accept_in_progress()
    unstable.truncate_and_append(entries(6, 2))
    assert [(e.index, e.term) for e in unstable.next_entries()] == [(6, 2)]
    unstable.accept_in_progress()
    unstable.truncate_and_append(entries(4, 3, 3))
    assert (unstable.offset, indexes(unstable.next_entries())) == (4, [4, 5])
    assert logger.lines == [
        "truncate the unstable entries before index 6",
        "replace the unstable entries from index 4",
    ]


def test_a_gap_in_the_unstable_end_is_refused() -> None:
    unstable, _ = unstable_of(1)
    with pytest.raises(InvariantBroken, match="out of bound"):
        unstable.truncate_and_append(entries(7, 1))
    with pytest.raises(InvariantBroken, match="out of bound"):
        unstable.slice(4, 6)


@pytest.mark.parametrize(
    ("index", "term", "left", "why"),
    [
        (5, 1, [6], ""),
        (6, 1, [], ""),
        (6, 2, [5, 6], "mismatched with entry at (6,1) in unstable log; ignoring"),
        (7, 1, [5, 6], "entry at index 7 missing from unstable log; ignoring"),
        (4, 1, [5, 6], "entry at index 4 matched unstable snapshot; ignoring"),
        (3, 1, [5, 6], "entry at index 3 missing from unstable log; ignoring"),
    ],
)
def test_stable_entries_are_let_go_if_they_are_the_same_still(
    index: int, term: int, left: list[int], why: str
) -> None:
    unstable, logger = unstable_of(1, 1)
    unstable.snapshot = snapshot(4, 1)
    unstable.stable_to(index, term)
    assert indexes(unstable.entries) == left
    assert unstable.offset == 7 - len(left)
    assert unstable.offset_in_progress >= unstable.offset
    assert "".join(logger.lines).endswith(why)


def test_a_snapshot_is_handed_out_once_and_let_go_when_it_is_the_same_still() -> None:
    unstable, _ = unstable_of(1)
    unstable.restore(snapshot(9, 2))
    assert (unstable.offset, unstable.entries) == (10, [])
    assert unstable.next_snapshot() == snapshot(9, 2)
    unstable.accept_in_progress()
    assert unstable.next_snapshot() is None
    unstable.stable_snapshot_to(8)
    assert unstable.snapshot is not None
    assert unstable.maybe_term(9) == 2
    unstable.stable_snapshot_to(9)
    assert unstable.snapshot is None
    assert unstable.maybe_term(9) == -1


# ---- both together ----


@pytest.mark.parametrize("stable", range(6))
def test_the_log_reads_the_same_however_much_of_it_is_stable(stable: int) -> None:
    log = log_of(1, 1, 2, 2, 3, base=10, stable=stable)
    assert (log.first_index(), log.last_index(), log.last_term()) == (11, 15, 3)
    assert [log.maybe_term(i) for i in range(9, 18)] == [-1, 1, 1, 1, 2, 2, 3, -1, -1]
    for lo in range(11, 17):
        for hi in range(lo, 17):
            assert indexes(log.slice(lo, hi, NO_LIMIT)) == list(range(lo, hi))
    assert indexes(log.all_entries()) == [11, 12, 13, 14, 15]
    assert log.entries(16, NO_LIMIT) == []
    with pytest.raises(Compacted):
        log.slice(10, 12, NO_LIMIT)
    with pytest.raises(InvariantBroken, match="out of bound"):
        log.slice(11, 17, NO_LIMIT)
    with pytest.raises(InvariantBroken, match="invalid slice"):
        log.slice(12, 11, NO_LIMIT)


@given(st.integers(0, 5), st.integers(0, 60), st.lists(st.integers(0, 12), min_size=5, max_size=5))
def test_a_size_limit_cuts_the_same_prefix_wherever_the_entries_lie(
    stable: int, limit: int, lengths: list[int]
) -> None:
    made = [Entry(0, 1, 11 + i, b"x" * length) for i, length in enumerate(lengths)]
    storage = storage_of(base=10, base_term=1)
    storage.append(made[:stable])
    log = RaftLog(storage, SilentLogger())
    log.append(made[stable:])
    taken = log.slice(11, 16, limit)
    assert taken == made[: len(taken)]
    assert taken
    assert len(taken) == 1 or entries_size(taken) <= limit
    if len(taken) < 5 and (len(taken) > 1 or entries_size(made[:1]) <= limit):
        assert entries_size(made[: len(taken) + 1]) > limit
    assert limit_size(made, limit) == taken


def test_the_log_finds_where_another_one_may_agree() -> None:
    log = log_of(2, 2, 2, 4, 4, 6, base=10, stable=3)
    assert log.find_conflict_by_term(16, 6) == (16, 6)
    assert log.find_conflict_by_term(16, 5) == (15, 4)
    assert log.find_conflict_by_term(15, 3) == (13, 2)
    assert log.find_conflict_by_term(15, 1) == (10, 1)
    assert log.find_conflict_by_term(15, 0) == (9, 0)  # compacted: cannot be told
    assert log.find_conflict_by_term(20, 9) == (20, 0)  # not there: cannot be told
    assert log.find_conflict_by_term(0, 9) == (0, 0)
    empty = RaftLog(MemoryStorage(), SilentLogger())
    assert empty.find_conflict_by_term(0, 3) == (0, 0)


def test_the_commit_index_never_falls_and_never_leaves_the_log() -> None:
    log = log_of(1, 1, 1)
    log.commit_to(2)
    log.commit_to(1)
    assert log.committed == 2
    with pytest.raises(InvariantBroken, match=r"tocommit\(4\) is out of range \[lastIndex\(3\)\]"):
        log.commit_to(4)
    with pytest.raises(InvariantBroken, match=r"after\(1\) is out of range \[committed\(2\)\]"):
        log.append(entries(2, 2))


def applying_log(limit: int) -> RaftLog:
    log = RaftLog(storage_of(1, 1, 1, 1), SilentLogger(), limit)
    log.commit_to(4)
    return log


def take(log: RaftLog) -> list[int]:
    taken = log.next_committed(True)
    if taken:
        log.accept_applying(taken[-1].index, log.applying_bytes(taken), True)
    return indexes(taken)


def test_applying_pauses_at_the_limit_until_it_is_reported_back() -> None:
    size = entry_size(entries(1, 1)[0])
    log = applying_log(2 * size)
    assert take(log) == [1, 2]
    assert not log.has_next_committed(True)
    log.applied_to(1, size)
    assert take(log) == [3]
    log.applied_to(3, 2 * size)
    assert take(log) == [4]


def test_applying_pauses_if_the_limit_has_cut_a_batch_short() -> None:
    log = applying_log(3 * entry_size(entries(1, 1)[0]) - 1)
    assert take(log) == [1, 2]
    assert take(log) == []
    log.applied_to(2, NO_LIMIT)
    assert take(log) == [3, 4]


def test_nothing_is_applied_beside_a_snapshot_or_before_it_is_stable() -> None:
    log = log_of(1, 1, 1, stable=1)
    log.commit_to(3)
    assert indexes(log.next_committed(False)) == [1]
    assert indexes(log.next_committed(True)) == [1, 2, 3]
    log.restore(snapshot(9, 2))
    assert log.next_committed(True) == []


@pytest.mark.parametrize("index", [1, 5])
def test_what_was_never_handed_out_cannot_be_applied(index: int) -> None:
    log = applying_log(NO_LIMIT)
    log.applied_to(2, 0)
    with pytest.raises(InvariantBroken, match="is out of range"):
        log.applied_to(index, 0)
    with pytest.raises(InvariantBroken, match="is out of range"):
        log.accept_applying(9, 0, True)


def test_configuration_changes_are_found_page_by_page() -> None:
    storage = storage_of(1, 1, 1)
    storage.append([Entry(1, 1, 4, b"")])
    log = RaftLog(storage, SilentLogger(), 1)
    assert not log.has_conf_change(1, 4)
    assert log.has_conf_change(1, 5)


def test_entry_sizes_are_those_of_the_encoding() -> None:
    cases: list[tuple[Any, int]] = [
        (Entry(0, 1, 1, b""), 4),
        (Entry(1, 1, 1, b""), 6),
        (Entry(0, 127, 128, b"abc"), 2 + 3 + 5),
        (Entry(0, 1 << 20, 1 << 62, b"x" * 200), 4 + 10 + 203),
    ]
    for entry, size in cases:
        assert entry_size(entry) == size
