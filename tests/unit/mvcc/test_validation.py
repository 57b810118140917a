"""Static checks, and the duplicate rule against an obvious one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petcd.mvcc.errors import (
    DuplicateKey,
    EmptyKey,
    InvalidSortOption,
    KeyNotFound,
    LeaseProvided,
    TooManyOperations,
    ValueProvided,
)
from petcd.mvcc.validation import (
    check_delete,
    check_put,
    check_range,
    check_txn,
    is_readonly,
    is_serializable,
)
from petcd.wire.kv import (
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)


def put(key, **options):
    return RequestOp(request_put=PutRequest(key=key, **options))


def delete(key, range_end=b""):
    return RequestOp(request_delete_range=DeleteRangeRequest(key=key, range_end=range_end))


def get(key=b"k", **options):
    return RequestOp(request_range=RangeRequest(key=key, **options))


def inner(success=(), failure=(), compare=()):
    txn = TxnRequest(success=list(success), failure=list(failure), compare=list(compare))
    return RequestOp(request_txn=txn)


def check(*success, **options):
    check_txn(TxnRequest(success=list(success)), **options)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (PutRequest(value=b"v"), EmptyKey),
        (PutRequest(key=b"k", value=b"v", ignore_value=True), ValueProvided),
        (PutRequest(key=b"k", lease=7, ignore_lease=True), LeaseProvided),
        (PutRequest(value=b"v", ignore_value=True), EmptyKey),
        (
            PutRequest(key=b"k", value=b"v", ignore_value=True, lease=1, ignore_lease=True),
            ValueProvided,
        ),
    ],
)
def test_bad_puts_are_refused_alone_and_in_a_transaction(request_, error):
    with pytest.raises(error):
        check_put(request_)
    with pytest.raises(error):
        check(RequestOp(request_put=request_))


def test_good_puts_pass():
    check_put(PutRequest(key=b"k", ignore_value=True, lease=7))
    check_put(PutRequest(key=b"k", value=b"v", ignore_lease=True))


def test_ranges_and_deletes_need_a_key():
    for key in (b"", b"\0"):
        for call, request in (
            (check_range, RangeRequest(key=key)),
            (check_delete, DeleteRangeRequest(key=key)),
        ):
            if key:
                call(request)
            else:
                with pytest.raises(EmptyKey):
                    call(request)


@pytest.mark.parametrize(("order", "target"), [(3, 0), (0, 5), (-1, 0), (0, -1)])
def test_unknown_sort_options_are_refused(order, target):
    with pytest.raises(InvalidSortOption):
        check_range(RangeRequest(key=b"k", sort_order=order, sort_target=target))


def test_comparisons_need_a_key():
    with pytest.raises(EmptyKey):
        check_txn(TxnRequest(compare=[Compare()]))


def test_operation_without_content_is_a_key_not_found():
    with pytest.raises(KeyNotFound):
        check(RequestOp())


def test_each_list_may_be_as_long_as_the_limit():
    ops = [get() for _ in range(5)]
    compares = [Compare(key=b"k") for _ in range(6)]
    check_txn(TxnRequest(success=ops, failure=ops), operations_max=5)
    with pytest.raises(TooManyOperations) as caught:
        check_txn(TxnRequest(success=ops, compare=compares), operations_max=5)
    assert (caught.value.operations, caught.value.operations_max) == (6, 5)


def test_inner_transaction_gets_what_the_longest_list_around_it_leaves():
    check(inner([get(), get()]), operations_max=3)
    with pytest.raises(TooManyOperations):
        check(inner([get(), get()]), get(), operations_max=3)
    with pytest.raises(TooManyOperations):
        check(inner(failure=[get(), get()]), get(), operations_max=3)


def test_length_is_checked_before_keys_and_keys_before_duplicates():
    with pytest.raises(TooManyOperations):
        check(put(b""), put(b"k"), operations_max=1)
    with pytest.raises(EmptyKey):
        check(put(b"k"), put(b"k"), put(b""))


@pytest.mark.parametrize(
    "ops",
    [
        [put(b"k"), put(b"k")],
        [put(b"k"), delete(b"k")],
        [delete(b"k"), put(b"k")],
        [put(b"k"), delete(b"a", b"z")],
        [put(b"k"), inner([put(b"k")])],
        [put(b"k"), inner(failure=[put(b"k")])],
        [put(b"k"), inner([delete(b"a", b"z")])],
        [inner([put(b"k")]), delete(b"k")],
        [inner([put(b"k")]), inner([put(b"k")])],
        [inner([put(b"k")]), inner(failure=[put(b"k")])],
        [inner([delete(b"k")]), inner([put(b"k")])],
        [inner([inner([put(b"k")])]), put(b"k")],
    ],
)
def test_duplicate_keys_are_refused_in_either_branch(ops):
    for txn in (TxnRequest(success=ops), TxnRequest(failure=ops)):
        with pytest.raises(DuplicateKey) as caught:
            check_txn(txn)
        assert caught.value.key == b"k"


@pytest.mark.parametrize(
    "ops",
    [
        [delete(b"k"), delete(b"a", b"z")],
        [inner([put(b"k")], [put(b"k")])],
        [inner([put(b"k")], [delete(b"k")])],
        [put(b"k"), delete(b"ka"), delete(b"a", b"k"), delete(b"l", b"z")],
        [put(b"k"), get(b"k")],
        # Not seen by etcd either: no end, an inverted range, a later sibling's delete.
        [put(b"k"), delete(b"a", b"\0")],
        [put(b"k"), delete(b"z", b"a")],
        [inner([put(b"k")]), inner([delete(b"k")])],
    ],
)
def test_what_excludes_or_misses_each_other_passes(ops):
    check_txn(TxnRequest(success=ops, failure=ops))


KEYS = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
DELETES = st.tuples(KEYS, st.sampled_from([b"", b"a", b"b", b"c", b"d", b"e", b"f", b"\0"]))


@given(st.lists(DELETES, max_size=8), st.sets(KEYS, max_size=2))
def test_puts_meet_deletes_exactly_when_a_range_holds_the_key(deletes, puts):
    overlaps = any(
        key == start if not end else start <= key < end for start, end in deletes for key in puts
    )
    ops = [put(key) for key in sorted(puts)] + [delete(*d) for d in deletes]
    if overlaps:
        with pytest.raises(DuplicateKey):
            check(*ops)
    else:
        check(*ops)


def test_only_ranges_make_a_transaction_read_only():
    assert is_readonly(TxnRequest(success=[get()], failure=[get()]))
    assert is_readonly(TxnRequest())
    assert not is_readonly(TxnRequest(success=[get()], failure=[put(b"k")]))
    assert not is_readonly(TxnRequest(success=[inner([get()])]))


def test_every_range_must_be_serializable():
    local, ordered = get(serializable=True), get()
    assert is_serializable(TxnRequest(success=[local], failure=[local]))
    assert not is_serializable(TxnRequest(success=[local], failure=[ordered]))
