"""Puts and deletes: revisions, versions, options, leases, and what watchers are told."""

import pytest

from petcd.mvcc.errors import KeyNotFound, LeaseNotFound
from petcd.mvcc.revision import DELETE, PUT, mod_revision_field, tombstone_value
from petcd.wire.kv import DeleteRangeRequest, KeyValue


def test_new_store_has_revision_1_and_its_first_write_makes_2(store):
    assert (store.revision, store.compact_revision) == (1, -1)
    assert store.put(b"k", b"v").revision == 2
    assert store.revision == 2


def test_version_counts_puts_and_starts_again_after_a_delete(store):
    store.put_plain(b"k", b"1")
    store.put_plain(b"k", b"2")
    assert KeyValue.decode(store.get(b"k")) == KeyValue(
        key=b"k", create_revision=2, mod_revision=3, version=2, value=b"2"
    )
    store.delete_range(DeleteRangeRequest(key=b"k"))
    assert store.get(b"k") is None
    store.put_plain(b"k", b"3")
    assert KeyValue.decode(store.get(b"k")) == KeyValue(
        key=b"k", create_revision=5, mod_revision=5, version=1, value=b"3"
    )


def test_rows_lie_under_revisions_as_in_etcd(store):
    store.put_plain(b"k", b"v")
    store.delete_range(DeleteRangeRequest(key=b"k"))
    assert store.rows() == [
        (bytes(7) + b"\x02_" + bytes(8), b"\x0a\x01k\x10\x02\x18\x02\x20\x01\x2a\x01v"),
        (bytes(7) + b"\x03_" + bytes(8) + b"t", b"\x0a\x01k"),
    ]


@pytest.mark.parametrize("size", [1, 127, 128, 20_000])
def test_tombstones_and_delete_events_are_encoded_key_values(size):
    key = b"k" * size
    assert tombstone_value(key) == KeyValue(key=key).encode()
    assert (
        tombstone_value(key) + mod_revision_field(300)
        == KeyValue(key=key, mod_revision=300).encode()
    )


def test_previous_pair_is_returned_only_when_asked_for(store):
    assert store.put(b"k", b"1", prev_kv=True).prev is None
    assert store.put(b"k", b"2").prev is None
    before = store.get(b"k")
    assert store.put(b"k", b"3", prev_kv=True).prev == before


def test_ignore_value_keeps_the_value_and_ignore_lease_the_lease(store):
    store.put(b"k", b"v", lease=7)
    store.put(b"k", b"", lease=8, ignore_value=True)
    assert KeyValue.decode(store.get(b"k")).value == b"v"
    store.put(b"k", b"w", ignore_lease=True)
    kv = KeyValue.decode(store.get(b"k"))
    assert (kv.value, kv.lease, kv.version) == (b"w", 8, 3)


@pytest.mark.parametrize("option", ["ignore_value", "ignore_lease"])
def test_ignoring_on_a_missing_key_is_refused_and_changes_nothing(store, option):
    with pytest.raises(KeyNotFound):
        store.put(b"k", b"", **{option: True})
    assert store.revision == 1
    assert store.rows() == []
    assert store.take_changes() == []


def test_missing_lease_is_refused_before_a_missing_key(store):
    with pytest.raises(LeaseNotFound) as caught:
        store.put(b"k", b"", lease=9, ignore_value=True)
    assert caught.value.lease_id == 9


def test_put_moves_the_key_from_lease_to_lease_and_off(store):
    store.put(b"k", b"", lease=7)
    assert store.leases.keys == {7: {b"k"}, 8: set()}
    store.put(b"k", b"", lease=8)
    assert store.leases.keys == {7: set(), 8: {b"k"}}
    store.put_plain(b"k", b"")
    assert store.leases.keys == {7: set(), 8: set()}


def test_delete_takes_the_key_off_its_lease(store):
    store.put(b"k", b"", lease=7)
    store.delete_range(DeleteRangeRequest(key=b"k"))
    assert store.leases.keys == {7: set(), 8: set()}


def test_lease_that_is_gone_is_not_told_about_its_keys(store):
    store.put(b"k", b"", lease=7)
    store.leases.granted.remove(7)
    store.put_plain(b"k", b"")
    assert store.leases.keys[7] == {b"k"}


def test_delete_of_no_key_keeps_the_revision(store):
    store.put_plain(b"k", b"")
    outcome = store.delete_range(DeleteRangeRequest(key=b"x", range_end=b"z", prev_kv=True))
    assert (outcome.revision, outcome.deleted, outcome.prevs) == (2, 0, [])
    assert store.revision == 2


def test_delete_of_a_range_is_one_revision_with_subs_in_key_order(store):
    for key in (b"c", b"a", b"b", b"d"):
        store.put_plain(key, key)
    pairs = [store.get(key) for key in (b"a", b"b", b"c")]
    store.take_changes()
    outcome = store.delete_range(DeleteRangeRequest(key=b"a", range_end=b"d", prev_kv=True))
    assert (outcome.revision, outcome.deleted, outcome.prevs) == (6, 3, pairs)
    told = [(c.revision, c.sub, c.kind, c.key) for c in store.take_changes()]
    assert told == [(6, 0, DELETE, b"a"), (6, 1, DELETE, b"b"), (6, 2, DELETE, b"c")]


def test_delete_of_many_keys_at_once_keeps_the_order_lists_right(store):
    keys = [b"%04d" % i for i in range(1000)]
    for key in reversed(keys):
        store.put_plain(key, b"")
    store.delete_range(DeleteRangeRequest(key=b"0100", range_end=b"0900"))
    store.put_plain(b"0500", b"")
    left = [kv.key for kv in store.pairs(b"\0", b"\0")]
    assert left == [*keys[:100], b"0500", *keys[900:]]
    assert [kv.key for kv in store.pairs(b"\0", b"\0", revision=1001)] == keys


def test_delete_of_many_scattered_keys_leaves_those_between(store):
    keys = [b"%04d" % i for i in range(300)]
    for key in keys:
        store.put_plain(key, b"")
    store.delete_keys(keys[::2])
    assert [kv.key for kv in store.pairs(b"\0", b"\0")] == keys[1::2]
    assert [kv.key for kv in store.pairs(b"\0", b"\0", revision=301)] == keys


def test_delete_keys_skips_missing_ones_and_sorts(store):
    store.put_plain(b"b", b"")
    store.put_plain(b"a", b"")
    assert store.delete_keys([b"b", b"x", b"a", b"b"]) == 4
    assert [c.key for c in store.take_changes()][2:] == [b"a", b"b"]
    assert store.delete_keys([b"a"]) == 4


def test_changes_are_handed_out_once(store):
    store.put_plain(b"k", b"1")
    [change] = store.take_changes()
    assert (change.revision, change.sub, change.kind, change.key) == (2, 0, PUT, b"k")
    assert change.kv == store.get(b"k")
    assert change.prev_revision is None
    assert store.take_changes() == []
    store.put_plain(b"k", b"2")
    assert store.take_changes()[0].prev_revision == (2, 0)
