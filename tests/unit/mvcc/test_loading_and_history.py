"""What a restart brings back, and the history read from the rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petcd.mvcc import hashing, history, index, loading
from petcd.mvcc.errors import StoreReplaced
from petcd.mvcc.revision import DELETE, PUT
from petcd.wire.kv import (
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from petcd.wire.varint import uvarint


def fields(change):
    when = (change.revision, change.sub, change.kind)
    return (*when, change.key, change.kv, change.prev_revision)


@pytest.fixture
def written(store):
    """Puts, overwrites, a delete, a new life, a transaction and leases."""
    store.put_plain(b"a", b"1")
    store.put(b"a", b"2", 7)
    store.put(b"b", b"3", 8)
    store.delete_range(DeleteRangeRequest(key=b"b"))
    store.put_plain(b"b", b"4")
    store.txn(
        TxnRequest(
            success=[RequestOp(request_put=PutRequest(key=k, lease=8)) for k in (b"c", b"d")]
        )
    )
    return store


@pytest.mark.parametrize("rows", [1, 3, 5000])
def test_restart_brings_everything_back(written, rows, monkeypatch):
    monkeypatch.setattr(loading, "CHUNK_ROWS", rows)
    again = written.restarted()
    assert again.revision == written.revision == 7
    assert again.leases.keys == written.leases.keys == {7: {b"a"}, 8: {b"c", b"d"}}
    ours, theirs = again._space.index, written._space.index
    assert ours.live == theirs.live
    assert ours.history == theirs.history
    assert list(ours.ordered) == list(theirs.ordered)
    assert list(ours.dead) == list(theirs.dead)
    assert list(ours.superseded._mains) == list(theirs.superseded._mains)
    assert list(ours.buried._keys) == list(theirs.buried._keys)
    for revision in range(1, 8):
        assert again.pairs(b"\0", b"\0", revision=revision) == written.pairs(
            b"\0", b"\0", revision=revision
        )


REVISIONS = st.one_of(st.integers(1, 400), st.integers(1, 1 << 61))


@given(
    key=st.binary(min_size=1, max_size=200),
    value=st.one_of(st.binary(max_size=300), st.sampled_from([b"v" * 16383, b"v" * 16384])),
    create=REVISIONS,
    later=st.one_of(st.just(0), REVISIONS),
    version=st.sampled_from([1, 1, 2, 127, 128]),
    lease=st.sampled_from([0, 0, 7, -1]),
)
def test_short_way_to_the_key_is_taken_only_for_created_pairs_without_lease(
    key, value, create, later, version, lease
):
    mod = create + later
    kv = KeyValue(key=key, create_revision=create, mod_revision=mod, value=value)
    kv.version, kv.lease = version, lease
    found = loading.created_key(kv.encode(), len(uvarint(mod)))
    plain = create == mod and version == 1 and not lease
    assert found in ((key, b"") if plain else (b"",))
    if plain and len(key) < 128 and len(value) < 16384:
        assert found == key


def test_long_key_that_looks_like_a_created_pair_inside_takes_the_long_way():
    inside = b"\x05\x18\x05\x20\x01\x2a"
    start = (300 & 127 | 128) + 3 - 3  # where the short way looks, counted within the key
    value = b"v" * 50
    tail = KeyValue(key=b"", create_revision=5, mod_revision=5, version=1, value=value).encode()
    rest = 300 - start - len(inside) - 2 + len(tail)
    length = bytes((rest & 127 | 128, rest >> 7))
    key = (b"k" * start + inside + length).ljust(300, b"k")
    kv = KeyValue(key=key, create_revision=5, mod_revision=5, version=1, value=value).encode()
    assert loading.created_key(kv, 1) == b""


def finished(steps):
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("keys", [1, 2, 2000])
def test_a_store_becomes_what_it_read_from_another_backend(written, keys, monkeypatch):
    """As `load` would, in small steps; until then it serves what it has."""
    monkeypatch.setattr(index, "SLICE_KEYS", keys)
    other = type(written)()
    other.put_plain(b"old", b"old")
    space = finished(other.read_steps(written.backend))
    assert other.revision == 2 and other.get(b"old") is not None
    other.backend.store.buckets = written.restarted().backend.store.buckets
    other.adopt(space)
    again = written.restarted()
    for name in ("live", "history"):
        assert getattr(other._space.index, name) == getattr(again._space.index, name)
    for name in ("ordered", "dead"):
        assert list(getattr(other._space.index, name)) == list(getattr(again._space.index, name))
    assert other.revision == again.revision and other.leases.keys == again.leases.keys
    assert other.get(b"old") is None
    other.put_plain(b"z", b"1")
    assert other.backend.get(b"key", (8).to_bytes(8, "big") + b"_" + bytes(8)) is not None


def test_who_reads_in_slices_is_told_when_the_store_becomes_another(written, monkeypatch):
    monkeypatch.setattr(hashing, "SLICE_ROWS", 1)
    for number in range(300):
        written.put_plain(b"k%03d" % number, b"v")
    readers = [
        written.hash_kv_steps(0),
        written.range_steps(RangeRequest(key=b"k", range_end=b"l")),
    ]
    for reader in readers:
        next(reader, None)
    written.adopt(finished(written.read_steps(written.backend)))
    with pytest.raises(StoreReplaced):
        finished(readers[0])
    assert written.hash_kv(0)[0].hash == written.restarted().hash_kv(0)[0].hash


def test_loading_reports_its_progress(written, monkeypatch):
    monkeypatch.setattr(loading, "CHUNK_ROWS", 3)
    assert list(written.load()) == [3, 6, 7]


def test_lease_that_the_book_does_not_know_is_kept_in_the_pair_only(written):
    written.leases.granted.discard(8)
    for _ in written.load():
        pass
    assert KeyValue.decode(written.get(b"c")).lease == 8
    written.put_plain(b"c", b"")
    assert KeyValue.decode(written.get(b"c")).lease == 0


def test_tombstone_whose_past_is_compacted_is_loaded(store):
    store.put_plain(b"k", b"")
    store.delete_range(DeleteRangeRequest(key=b"k"))
    store.compact_fully(3)
    again = store.restarted()
    assert (again.get(b"k"), len(again.rows())) == (None, 1)
    again.put_plain(b"k", b"")
    again.compact_fully(4)
    assert len(again.rows()) == 1
    assert again.pairs(b"k")[0].version == 1


@pytest.mark.parametrize("rows", [1, 2, 500])
def test_history_repeats_what_was_told(written, rows, monkeypatch):
    monkeypatch.setattr(history, "CHUNK_ROWS", rows)
    told = [fields(c) for c in written.take_changes()]
    assert [fields(c) for c in written.history(0, 8)] == told
    assert [fields(c) for c in written.restarted().history(0, 8)] == told
    assert [c.revision for c in written.history(3, 6)] == [3, 4, 5]
    assert list(written.history(8, 100)) == []
    assert list(written.history(5, 5)) == []


def test_history_without_previous_revisions(written):
    assert [c.prev_revision for c in written.history(0, 8, with_prev=False)] == [None] * 7


def test_history_may_pause_while_writes_go_on(written, monkeypatch):
    monkeypatch.setattr(history, "CHUNK_ROWS", 2)
    changes = written.history(2, 9)
    first = next(changes)
    written.put_plain(b"a", b"later")
    written.put_plain(b"a", b"too late")
    assert [first.revision, *(c.revision for c in changes)] == [2, 3, 4, 5, 6, 7, 7, 8]


def test_delete_is_told_with_key_and_mod_revision_only(written):
    [change] = written.history(5, 6)
    assert change.kind == DELETE
    assert KeyValue.decode(change.kv) == KeyValue(key=b"b", mod_revision=5)
    assert KeyValue.decode(written.prev_kv(change)).value == b"3"


def test_pair_before_a_change_is_none_for_a_creation(written):
    creations = [c for c in written.history(0, 8) if c.kind == PUT and c.revision in (2, 4, 6, 7)]
    assert len(creations) == 5
    assert [written.prev_kv(c) for c in creations] == [None] * 5


def test_pair_before_a_change_is_gone_when_its_revision_is_compacted(written):
    [overwrite] = written.history(3, 4)
    assert KeyValue.decode(written.prev_kv(overwrite)).value == b"1"
    written.compact_fully(2)
    assert written.prev_kv(overwrite) is not None
    written.compact(3)
    assert written.prev_kv(overwrite) is None  # though its row is still there
    assert written.kv_at(2, 0) is not None
    for _ in written.compaction_steps():
        pass
    assert written.kv_at(2, 0) is None
