"""Compaction: what goes, what stays, marks, slices, interruptions."""

import pytest

from petcd.mvcc import compaction
from petcd.mvcc.errors import Compacted, FutureRevision
from petcd.wire.kv import DeleteRangeRequest, PutRequest, RequestOp, TxnRequest


def revisions(store):
    """Main revisions of the rows, negative for tombstones."""
    return [
        int.from_bytes(row[:8], "big") * (1 if len(row) == 17 else -1) for row, _ in store.rows()
    ]


def mark(store, name):
    value = store.backend.get(b"meta", name)
    return value and value.hex()


def write_lives(store):
    for step in "ppdppdp":
        if step == "p":
            store.put_plain(b"k", b"")
        else:
            store.delete_range(DeleteRangeRequest(key=b"k"))
    store.put_plain(b"other", b"")
    return store


@pytest.fixture
def lives(store):
    """k: put 2, 3, deleted 4, put 5, 6, deleted 7, put 8; other: 9."""
    return write_lives(store)


@pytest.mark.parametrize(
    ("revision", "left"),
    [
        (1, [2, 3, -4, 5, 6, -7, 8, 9]),
        (2, [2, 3, -4, 5, 6, -7, 8, 9]),
        (3, [3, -4, 5, 6, -7, 8, 9]),
        (4, [-4, 5, 6, -7, 8, 9]),  # a tombstone exactly there stays
        (5, [5, 6, -7, 8, 9]),
        (6, [6, -7, 8, 9]),
        (7, [-7, 8, 9]),
        (8, [8, 9]),
        (9, [8, 9]),
    ],
)
def test_newest_at_or_below_stays_and_older_tombstones_go(lives, revision, left):
    lives.compact_fully(revision)
    assert revisions(lives) == left
    assert len(lives) == 2


@pytest.mark.parametrize("first", range(1, 9))
def test_two_compactions_leave_what_the_second_alone_leaves(lives, new_store, first):
    lives.compact_fully(first)
    for second in range(first + 1, 10):
        lives.compact_fully(second)
        alone = write_lives(new_store())
        alone.compact_fully(second)
        assert lives.rows() == alone.rows()


def test_tombstone_kept_at_the_compacted_revision_goes_with_the_next(lives):
    lives.compact_fully(7)
    assert -7 in revisions(lives)
    lives.compact_fully(8)
    assert -7 not in revisions(lives)


def test_bounds_are_checked_with_their_numbers(lives):
    with pytest.raises(FutureRevision) as future:
        lives.compact(10)
    assert (future.value.requested, future.value.current) == (10, 9)
    assert lives.compact(5) == 9
    for revision in (5, 4, -1):
        with pytest.raises(Compacted) as compacted:
            lives.compact(revision)
        assert (compacted.value.requested, compacted.value.compacted) == (revision, 5)


def test_revision_zero_may_be_compacted_once(store):
    store.compact_fully(0)
    assert (store.compact_revision, store.restarted().compact_revision) == (0, 0)
    with pytest.raises(Compacted):
        store.compact(0)


def test_marks_are_written_as_etcd_writes_them(lives):
    assert mark(lives, b"scheduledCompactRev") is None
    lives.compact(6)
    assert mark(lives, b"scheduledCompactRev") == "00000000000000065f0000000000000000"
    assert mark(lives, b"finishedCompactRev") is None
    assert lives.compacting
    assert lives.finished_compact_revision == -1
    for _ in lives.compaction_steps():
        pass
    assert mark(lives, b"finishedCompactRev") == "00000000000000065f0000000000000000"
    assert not lives.compacting
    assert lives.finished_compact_revision == 6
    assert lives.compacted_rows == 4


@pytest.fixture
def tiny_slices(monkeypatch):
    monkeypatch.setattr(compaction, "SLICE_WORK", 1)
    monkeypatch.setattr(compaction, "KEY_ROWS_MAX", 1)


@pytest.mark.parametrize("steps", range(12))
@pytest.mark.usefixtures("tiny_slices")
def test_interrupted_compaction_goes_on_after_a_restart(lives, steps):
    for i in range(20):
        lives.put_plain(b"many %d" % (i % 3), b"")
    before = [lives.get(key) for key in (b"k", b"other", b"many 1")]
    lives.compact(lives.revision)
    for _ in range(steps):
        lives.compact_step()
    assert lives.compacting
    again = lives.restarted()
    assert again.compacting
    assert again.compact_revision == lives.revision == again.revision
    assert [again.get(key) for key in (b"k", b"other", b"many 1")] == before
    for _ in again.compaction_steps():
        pass
    assert revisions(again) == [8, 9, 27, 28, 29]
    assert not again.restarted().compacting


@pytest.mark.usefixtures("tiny_slices")
def test_deleted_key_never_comes_back_from_a_crash_between_slices(store):
    for _ in range(10):
        store.put_plain(b"k", b"")
    store.delete_range(DeleteRangeRequest(key=b"k"))
    store.put_plain(b"x", b"")
    store.compact(store.revision)
    while store.compact_step():
        assert store.restarted().get(b"k") is None
    assert revisions(store) == [13]


@pytest.mark.usefixtures("tiny_slices")
def test_revision_never_goes_back_when_its_rows_are_compacted(store):
    store.put_plain(b"k", b"")
    store.delete_range(DeleteRangeRequest(key=b"k"))
    store.put_plain(b"k", b"")
    store.delete_range(DeleteRangeRequest(key=b"k"))
    revision = store.revision
    store.compact(revision)
    store.backend.delete(b"key", store.rows()[-1][0])  # as older etcd leaves it behind
    assert store.restarted().revision == revision


@pytest.mark.usefixtures("tiny_slices")
def test_newer_compaction_moves_the_goal_of_a_running_one(lives):
    lives.compact(3)
    lives.compact_step()
    lives.compact(9)
    for _ in lives.compaction_steps():
        pass
    assert lives.finished_compact_revision == 9
    assert [found.revision for found in lives.compaction_hashes] == [3]
    assert revisions(lives) == [8, 9]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.usefixtures("tiny_slices")
def test_tombstone_with_a_successor_in_its_own_revision_goes_with_it(store, restarts):
    store.put_plain(b"k", b"")
    ops = [
        RequestOp(request_delete_range=DeleteRangeRequest(key=b"a", range_end=b"\0")),
        RequestOp(request_put=PutRequest(key=b"k")),
    ]
    store.txn(TxnRequest(success=ops))
    if restarts:
        store = store.restarted()
    store.compact_fully(3)
    assert revisions(store) == [3]
    assert store.get(b"k") is not None


@pytest.mark.usefixtures("tiny_slices")
def test_writes_between_slices_are_untouched(lives):
    lives.compact(9)
    for i, _ in enumerate(lives.compaction_steps()):
        if i < 5:
            lives.put_plain(b"k", b"%d" % i)
    assert revisions(lives)[-5:] == [10, 11, 12, 13, 14]
    assert [kv.value for kv in lives.pairs(b"k", revision=12)] == [b"2"]


def test_one_key_with_a_long_history_goes_in_slices(store):
    for _ in range(5000):
        store.put_plain(b"k", b"")
    store.compact(store.revision)
    slices = sum(1 for _ in store.compaction_steps())
    assert slices > 5000 / (compaction.SLICE_WORK + compaction.KEY_ROWS_MAX)
    assert revisions(store) == [5001]


def test_queue_gives_its_memory_back(store):
    queue = store._space.index.superseded
    for _ in range(3):
        for _ in range(70_000):
            queue.push(1, b"k")
        for _ in range(70_000):
            queue.pop()
    assert len(queue) == 0
    assert len(queue._mains) < 140_000


class Failing(Exception):
    """What the backend raises."""


@pytest.mark.parametrize("who", ["compaction", "a hash"])
def test_after_a_slice_that_failed_no_other_one_is_done_before_the_next_start(
    lives, new_store, tiny_slices, monkeypatch, who
):
    """Whoever asked for the slice: the rows that it left are in no index any more."""
    rows = lives.rows()
    lives.compact(8)
    with monkeypatch.context() as broken:
        deletes = []

        def fail_once(backend, bucket, key):
            deletes.append(key)
            if len(deletes) == 2:
                raise Failing

        broken.setattr(type(lives.backend), "delete", fail_once)
        with pytest.raises(Failing):
            if who == "a hash":
                lives.hash_kv(0)
            else:
                list(lives.compaction_steps())
        for _ in range(2):
            with pytest.raises(Failing):
                lives.compact_step()
        assert len(deletes) == 2
    assert lives.compacting and mark(lives, b"finishedCompactRev") is None
    assert lives.rows() == rows
    again, unbroken = lives.restarted(), write_lives(new_store())
    assert again.compacting
    list(again.compaction_steps())
    unbroken.compact_fully(8)
    assert again.rows() == unbroken.rows()
