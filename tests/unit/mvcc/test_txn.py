"""Transactions: comparisons, the order of things, headers inside, and all or nothing."""

import pytest

from petcd.mvcc.errors import Compacted, FutureRevision, KeyNotFound, LeaseNotFound
from petcd.wire.header import ResponseHeader
from petcd.wire.kv import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)


def put(key, value=b"", **options):
    return RequestOp(request_put=PutRequest(key=key, value=value, **options))


def delete(key, range_end=b"", **options):
    return RequestOp(
        request_delete_range=DeleteRangeRequest(key=key, range_end=range_end, **options)
    )


def get(key, range_end=b"", **options):
    return RequestOp(request_range=RangeRequest(key=key, range_end=range_end, **options))


def inner(*success, compare=(), failure=()):
    return RequestOp(
        request_txn=TxnRequest(compare=list(compare), success=list(success), failure=list(failure))
    )


def run(store, *success, compare=(), failure=()):
    return store.txn(
        TxnRequest(compare=list(compare), success=list(success), failure=list(failure))
    ).response()


def holds(store, **compare):
    return run(store, compare=[Compare(**compare)]).succeeded


@pytest.fixture
def pair(store):
    """k with version 2, create revision 2, mod revision 3, value m, lease 7."""
    store.put(b"k", b"a", 7)
    store.put(b"k", b"m", 7)
    return store


TARGETS = [
    ("version", CompareTarget.VERSION, 1, 2, 3),
    ("create_revision", CompareTarget.CREATE, 1, 2, 3),
    ("mod_revision", CompareTarget.MOD, 2, 3, 4),
    ("value", CompareTarget.VALUE, b"l", b"m", b"n"),
    ("lease", CompareTarget.LEASE, 6, 7, 8),
]


@pytest.mark.parametrize(("name", "target", "below", "equal", "above"), TARGETS)
def test_each_target_is_compared_in_each_way(pair, name, target, below, equal, above):
    for operand, true in (
        (below, {CompareResult.GREATER, CompareResult.NOT_EQUAL}),
        (equal, {CompareResult.EQUAL}),
        (above, {CompareResult.LESS, CompareResult.NOT_EQUAL}),
    ):
        for result in range(4):
            found = holds(pair, key=b"k", target=target, result=result, **{name: operand})
            assert found == (result in true)


@pytest.mark.parametrize(("name", "target"), [t[:2] for t in TARGETS])
def test_missing_key_counts_as_zero_but_has_no_value(store, name, target):
    zero = b"" if name == "value" else 0
    found = holds(store, key=b"k", target=target, **{name: zero})
    assert found == (name != "value")
    differs = holds(store, key=b"k", target=target, result=CompareResult.NOT_EQUAL, **{name: zero})
    assert not differs


@pytest.mark.parametrize(("name", "target"), [t[:2] for t in TARGETS])
def test_target_without_its_member_is_compared_with_zero(pair, name, target):
    other = {"lease": 7} if name != "lease" else {"version": 7}
    assert holds(pair, key=b"k", target=target, result=CompareResult.GREATER, **other)


def test_unknown_relation_holds_and_unknown_target_is_zero(pair):
    assert holds(pair, key=b"k", result=9, version=100)
    assert holds(pair, key=b"k", target=9)


def test_no_comparison_succeeds_and_all_must_hold(pair):
    assert run(pair).succeeded
    yes, no = Compare(key=b"k", version=2), Compare(key=b"k", version=1)
    assert run(pair, compare=[yes, yes]).succeeded
    assert not run(pair, compare=[yes, no]).succeeded


def test_range_comparison_holds_for_every_key_and_an_empty_range_is_a_missing_key(pair):
    pair.put_plain(b"l", b"")
    both = {"key": b"k", "range_end": b"m", "target": CompareTarget.VERSION}
    assert holds(pair, **both, result=CompareResult.GREATER, version=0)
    assert not holds(pair, **both, result=CompareResult.GREATER, version=1)
    assert holds(pair, key=b"x", range_end=b"z", version=0)
    assert holds(pair, key=b"k", range_end=b"\0", result=CompareResult.GREATER, version=0)
    assert not holds(pair, key=b"x", range_end=b"z", target=CompareTarget.VALUE, value=b"")


def test_transaction_without_a_change_keeps_the_revision(pair):
    answer = run(pair, get(b"k"), delete(b"x"))
    assert answer.header.revision == pair.revision == 3
    assert pair.take_changes()[2:] == []


def test_writes_share_a_revision_and_count_subs(store):
    answer = run(store, put(b"b"), put(b"a"), inner(put(b"c")), delete(b"b"))
    assert answer.header.revision == store.revision == 2
    changes = [(c.revision, c.sub, c.key) for c in store.take_changes()]
    assert changes == [(2, 0, b"b"), (2, 1, b"a"), (2, 2, b"c"), (2, 3, b"b")]


def test_reads_see_earlier_writes_of_the_same_transaction(pair):
    answer = run(pair, get(b"k"), put(b"k", b"new"), get(b"k"), delete(b"k"), get(b"k"))
    kvs = [r.response_range.kvs for r in answer.responses if r.response_range]
    assert [[kv.value for kv in found] for found in kvs] == [[b"m"], [b"new"], []]


def test_inner_headers_show_the_revision_visible_at_that_point(pair):
    answer = run(
        pair, get(b"k"), delete(b"x"), put(b"y"), get(b"k"), delete(b"x"), inner(get(b"k"))
    )
    first, second, third, fourth, fifth, sixth = answer.responses
    assert first.response_range.header == ResponseHeader(revision=3)
    assert second.response_delete_range.header == ResponseHeader(revision=3)
    assert third.response_put.header == ResponseHeader(revision=4)
    assert fourth.response_range.header == ResponseHeader(revision=4)
    assert fifth.response_delete_range.header == ResponseHeader(revision=4)
    assert sixth.response_txn.header == ResponseHeader()
    assert sixth.response_txn.responses[0].response_range.header == ResponseHeader(revision=4)


def test_all_comparisons_see_the_state_before_the_transaction(store):
    missing = Compare(key=b"k", version=0)
    answer = run(
        store,
        put(b"k", b"1"),
        inner(put(b"then"), compare=[missing], failure=[put(b"else")]),
    )
    assert answer.responses[1].response_txn.succeeded
    assert store.get(b"then") is not None


def test_untaken_branch_is_neither_checked_nor_run(store):
    broken = [put(b"k", lease=99), get(b"k", revision=99)]
    answer = run(store, put(b"ok"), inner(put(b"in"), failure=broken), failure=broken)
    assert answer.succeeded
    assert store.revision == 2


@pytest.mark.parametrize(
    ("op", "error"),
    [
        (put(b"x", lease=99), LeaseNotFound),
        (put(b"x", ignore_value=True), KeyNotFound),
        (put(b"x", ignore_lease=True), KeyNotFound),
        (get(b"k", revision=5), FutureRevision),
        (get(b"k", revision=2), Compacted),
        (get(b"k", revision=-1), Compacted),
        (inner(put(b"x", lease=99)), LeaseNotFound),
    ],
)
def test_failing_operation_fails_everything_before_anything_is_written(pair, op, error):
    pair.compact_fully(3)
    pair.take_changes()
    rows = pair.rows()
    with pytest.raises(error):
        run(pair, put(b"a"), delete(b"k"), op)
    assert pair.rows() == rows
    assert pair.revision == 3
    assert pair.take_changes() == []
    assert pair.leases.keys[7] == {b"k"}


def test_puts_are_checked_before_ranges(store):
    with pytest.raises(LeaseNotFound):
        run(store, get(b"k", revision=99), put(b"k", lease=99))


def test_key_put_earlier_in_the_transaction_does_not_count_for_ignore_value(store):
    with pytest.raises(KeyNotFound):
        run(store, inner(put(b"k")), inner(put(b"k", ignore_value=True)))


def test_ignore_value_on_a_key_that_the_transaction_deletes_first_is_refused(pair):
    with pytest.raises(KeyNotFound):
        run(pair, delete(b"a", b"\0"), put(b"k", ignore_value=True))
    assert KeyValue.decode(pair.get(b"k")).value == b"m"


def test_negative_revision_is_the_current_one_until_something_is_compacted(pair):
    assert run(pair, get(b"k", revision=-1)).responses[0].response_range.count == 1
    with pytest.raises(Compacted):
        run(pair, get(b"k", revision=-2))


def test_future_revision_is_measured_against_the_state_before(pair):
    with pytest.raises(FutureRevision):
        run(pair, put(b"x"), get(b"k", revision=4))
    answer = run(pair, put(b"x"), get(b"k", revision=3))
    assert answer.responses[1].response_range.kvs[0].value == b"m"


def test_put_and_delete_answer_with_previous_pairs_as_of_that_point(pair):
    before = KeyValue.decode(pair.get(b"k"))
    answer = run(pair, put(b"k", b"n", prev_kv=True), delete(b"k", prev_kv=True))
    assert answer.responses[0].response_put.prev_kv == before
    [deleted] = answer.responses[1].response_delete_range.prev_kvs
    assert (deleted.value, deleted.version) == (b"n", 3)
    assert answer.responses[1].response_delete_range.deleted == 1


def test_key_put_and_deleted_in_one_revision_leaves_nothing(store):
    run(store, put(b"k"), delete(b"k"))
    assert store.get(b"k") is None
    assert store.pairs(b"k", revision=2) == []
    again = store.restarted()
    assert again.get(b"k") is None
    assert again.hash_kv(0)[0].hash == store.hash_kv(0)[0].hash


def test_key_deleted_and_put_in_one_revision_begins_a_new_life(pair):
    run(pair, delete(b"a", b"\0"), put(b"k", b"new"))
    kv = KeyValue.decode(pair.get(b"k"))
    assert (kv.create_revision, kv.version) == (4, 1)
    again = pair.restarted()
    assert again.get(b"k") == pair.get(b"k")
    again.compact_fully(4)
    assert len(again.rows()) == 1


def test_changes_name_the_pair_before_the_whole_transaction(pair):
    pair.take_changes()
    run(pair, put(b"k", b"x"), put(b"new"), delete(b"\0", b"\0"))
    put_k, put_new, delete_k, delete_new = pair.take_changes()
    run(pair, put(b"l"))
    run(pair, put(b"l"), put(b"l"))  # refused by the static checks, but the log may hold it
    assert [c.prev_revision for c in pair.take_changes()] == [None, (5, 0), (5, 0)]
    assert put_k.prev_revision == (3, 0)
    assert put_new.prev_revision is None
    assert delete_k.prev_revision == (3, 0)
    assert delete_new.prev_revision is None


def test_range_in_a_transaction_counts_by_rank_too(store):
    answer = run(store, put(b"a"), put(b"b"), get(b"a", b"z", limit=1))
    found = answer.responses[2].response_range
    assert (len(found.kvs), found.more, found.count) == (1, True, 2)
