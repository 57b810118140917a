"""HashKV: real etcd's numbers, and the same number however far compaction has got."""

import pytest

from petcd.mvcc import hashing
from petcd.mvcc.errors import Compacted, FutureRevision
from petcd.mvcc.hashing import hash_steps
from petcd.storage.backend import KEY
from petcd.wire.kv import DeleteRangeRequest, PutRequest, RequestOp, TxnRequest


def number(store, revision=0):
    found, current = store.hash_kv(revision)
    return found.hash, found.compact_revision, current


def finish(steps):
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def write_first_part(store):
    store.put_plain(b"a", b"1")
    store.put(b"b", b"2", 7)
    store.put_plain(b"a", b"3")
    ops = [PutRequest(key=b"c", value=b"4"), PutRequest(key=b"d", value=b"5")]
    store.txn(TxnRequest(success=[RequestOp(request_put=op) for op in ops]))


@pytest.mark.parametrize("rows", [2, 500])
def test_numbers_are_those_of_etcd_3_5_1(store, rows, monkeypatch):
    monkeypatch.setattr(hashing, "SLICE_ROWS", rows)
    assert number(store) == (1084519789, -1, 1)
    write_first_part(store)
    assert number(store) == (3251913796, -1, 5)
    assert number(store, 4) == (2719140733, -1, 5)
    store.delete_range(DeleteRangeRequest(key=b"a"))
    store.put_plain(b"b", b"6")
    assert number(store) == (3575159538, -1, 7)
    store.compact_fully(6)  # exactly at a tombstone
    assert number(store) == (3909359748, 6, 7)
    assert number(store, 7) == (3909359748, 6, 7)
    store.put_plain(b"a", b"7")
    store.put_plain(b"c", b"8")
    assert number(store) == (3209066803, 6, 9)
    assert number(store, 8) == (23535520, 6, 9)
    store.delete_range(DeleteRangeRequest(key=b"a", range_end=b"\0"))
    assert number(store) == (3048001806, 6, 10)  # no key left: nothing is left out
    store.compact_fully(9)
    assert number(store) == (2385181366, 9, 10)
    store.put_plain(b"z", b"9")
    assert number(store) == (535702728, 9, 11)


def test_revision_must_be_readable_but_a_negative_one_is_before_everything(store):
    write_first_part(store)
    store.compact_fully(3)
    with pytest.raises(FutureRevision):
        store.hash_kv(6)
    with pytest.raises(Compacted):
        store.hash_kv(2)
    assert number(store, -5) == (1084519789, 3, 5)


def test_compaction_remembers_the_hash_from_just_before_it(store):
    write_first_part(store)
    store.delete_range(DeleteRangeRequest(key=b"a"))
    for revision in (3, 5, 6):
        before = number(store, revision)
        store.compact_fully(revision)
        found = store.compaction_hashes[-1]
        assert (found.hash, found.compact_revision, found.revision) == (*before[:2], revision)
        assert number(store, revision) == before


def test_memory_of_hashes_is_bounded(store):
    for i in range(30):
        store.put_plain(b"k", b"%d" % i)
        store.compact_fully(store.revision)
    kept = [found.revision for found in store.compaction_hashes]
    assert kept == list(range(22, 32))


def test_interrupted_compaction_leaves_no_hash(new_store):
    store = new_store()
    write_first_part(store)
    store.compact(5)
    again = store.restarted()
    assert finish(again.compaction_steps()) is None
    assert again.compaction_hashes == []


def test_rows_that_a_finished_compaction_should_have_dropped_do_not_hold_a_hash_up(new_store):
    """The key of a row has rotted into another one: that has two rows below the compaction."""
    store = new_store()
    store.put_plain(b"a", b"1")
    store.put_plain(b"b", b"2")
    store.put_plain(b"c", b"3")
    store.compact_fully(4)
    whole = number(store)
    [(row, kv)] = [pair for pair in store.backend.scan(KEY, b"", None) if b"b" in pair[1]]
    store.backend.put(KEY, row, kv.replace(b"b", b"a"))
    steps = store.restarted().hash_kv_steps(0)
    for _ in range(100):
        try:
            next(steps)
        except StopIteration as done:
            assert done.value[0].hash != whole[0]
            return
    raise AssertionError("no end")


def test_hash_is_the_same_while_a_compaction_runs(new_store):
    def build():
        store = new_store()
        for i in range(2000):
            store.put_plain(b"%d" % (i % 300), b"%d" % i)
        return store

    done, running = build(), build()
    done.compact_fully(1500)
    running.compact(1500)
    running.compact_step()
    assert number(running) == number(done)


def test_hash_keeps_its_revision_while_writes_and_compactions_go_on(new_store, monkeypatch):
    monkeypatch.setattr(hashing, "SLICE_ROWS", 10)
    store = new_store()
    for i in range(300):
        store.put_plain(b"%d" % (i % 100), b"%d" % i)
    store.compact_fully(150)
    expected = number(store)
    steps = store.hash_kv_steps(0)
    for _ in range(5):
        next(steps)
    store.delete_range(DeleteRangeRequest(key=b"0", range_end=b"\0"))
    store.compact(store.revision)
    for _ in range(200):
        store.compact_step()
    assert store.compacting
    found, current = finish(steps)
    assert (found.hash, found.compact_revision, current) == expected
    finish(store.compaction_steps())
    assert not store.compacting


def test_hash_of_a_snapshot_view_is_the_same(store):
    write_first_part(store)
    store.compact_fully(3)
    store.put_plain(b"a", b"9")
    expected = number(store)
    job = finish(store.hash_job_steps(0))
    store.backend.commit()
    view = store.backend.snapshot_view()
    store.put_plain(b"later", b"")
    assert finish(hash_steps(view, job)) == expected[0]
    view.close()
