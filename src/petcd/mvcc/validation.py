"""Static checks of requests: what can be refused without looking at the store.

Pure functions; each returns None or raises a class of ``errors``.  The order of the checks is
etcd's, because clients see the first one that fails: for a transaction the lengths of the lists,
then keys and options in order, then duplicate keys in ``success``, then in ``failure``.

The duplicate rule: a branch may not put a key twice, nor put a key that it deletes.  Deletes of
one level count for it and for the transactions inside it; the two branches of an inner
transaction exclude each other, so both may put the same key.  Two gaps are etcd's and kept, since
the log of a mixed cluster holds what the Go members let through: a delete without end (range end
``\\0``) is not seen to overlap anything, and a put of an inner transaction is not compared with
deletes of a *later* inner transaction.  The store executes what comes through in order.

Unlike etcd 3.5, which would fall over such a number or ignore it, unknown sort options are
refused (as etcd 3.6 does).

Source: etcd's server/etcdserver/api/v3rpc/key.go.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from petcd.mvcc.errors import (
    DuplicateKey,
    EmptyKey,
    InvalidSortOption,
    KeyNotFound,
    LeaseProvided,
    TooManyOperations,
    ValueProvided,
)
from petcd.wire.kv import (
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    SortOrder,
    SortTarget,
    TxnRequest,
)

# --max-txn-ops' default.
TXN_OPERATIONS_MAX = 128


def check_range(request: RangeRequest) -> None:
    """EmptyKey, InvalidSortOption."""
    if not request.key:
        raise EmptyKey
    order, target = request.sort_order, request.sort_target
    if not (
        SortOrder.NONE <= order <= SortOrder.DESCEND
        and SortTarget.KEY <= target <= SortTarget.VALUE
    ):
        raise InvalidSortOption(order, target)


def check_put(request: PutRequest) -> None:
    """EmptyKey, ValueProvided, LeaseProvided."""
    check_put_fields(
        request.key, request.value, request.lease, request.ignore_value, request.ignore_lease
    )


def check_put_fields(
    key: bytes, value: bytes, lease: int, ignore_value: bool, ignore_lease: bool
) -> None:
    """``check_put`` for a request that was never made into a message."""
    if not key:
        raise EmptyKey
    if ignore_value and value:
        raise ValueProvided
    if ignore_lease and lease:
        raise LeaseProvided


def check_delete(request: DeleteRangeRequest) -> None:
    """EmptyKey."""
    if not request.key:
        raise EmptyKey


def check_txn(request: TxnRequest, operations_max: int = TXN_OPERATIONS_MAX) -> None:
    """All static checks of a transaction, see the module's text."""
    _check_lists(request, operations_max)
    _check_branch(request.success)
    _check_branch(request.failure)


def is_readonly(request: TxnRequest) -> bool:
    """Whether both branches hold only ranges: such a transaction stays out of the log."""
    return all(op.request_range is not None for op in request.success + request.failure)


def is_serializable(request: TxnRequest) -> bool:
    """Whether a read-only transaction needs no round to the leader."""
    ranges = [op.request_range for op in request.success + request.failure]
    return all(r is not None and r.serializable for r in ranges)


def _check_lists(request: TxnRequest, operations_max: int) -> None:
    operations = max(len(request.compare), len(request.success), len(request.failure))
    if operations > operations_max:
        raise TooManyOperations(operations, operations_max)
    for compare in request.compare:
        if not compare.key:
            raise EmptyKey
    for op in request.success:
        _check_op(op, operations_max - operations)
    for op in request.failure:
        _check_op(op, operations_max - operations)


def _check_op(op: RequestOp, operations_max: int) -> None:
    if op.request_range is not None:
        check_range(op.request_range)
    elif op.request_put is not None:
        check_put(op.request_put)
    elif op.request_delete_range is not None:
        check_delete(op.request_delete_range)
    elif op.request_txn is not None:
        _check_lists(op.request_txn, operations_max)
    else:
        raise KeyNotFound(b"")


class _Intervals:
    """A union of half-open key intervals, kept as sorted disjoint ones: O(log n) to ask."""

    __slots__ = ("_begins", "_ends")

    def __init__(self) -> None:
        self._begins: list[bytes] = []
        self._ends: list[bytes] = []

    def add(self, begin: bytes, end: bytes) -> None:
        """Add [begin, end); an empty or inverted interval holds nothing."""
        if begin >= end:
            return
        low = bisect_left(self._ends, begin)
        high = bisect_right(self._begins, end)
        if low < high:
            begin = min(begin, self._begins[low])
            end = max(end, self._ends[high - 1])
        self._begins[low:high] = [begin]
        self._ends[low:high] = [end]

    def update(self, other: _Intervals) -> None:
        """Add all of another's."""
        for begin, end in zip(other._begins, other._ends, strict=True):
            self.add(begin, end)

    def holds(self, key: bytes) -> bool:
        """Whether the key lies in one of them."""
        i = bisect_right(self._begins, key) - 1
        return i >= 0 and key < self._ends[i]


def _check_branch(ops: list[RequestOp]) -> tuple[set[bytes], _Intervals]:
    """DuplicateKey, or the keys that the branch puts and the ranges that it deletes."""
    deletes = _Intervals()
    puts: set[bytes] = set()
    for op in ops:
        delete = op.request_delete_range
        if delete is not None:
            deletes.add(delete.key, delete.range_end or delete.key + b"\0")
    for op in ops:
        if op.request_txn is not None:
            _merge_inner(op.request_txn, puts, deletes)
    for op in ops:
        if op.request_put is not None:
            _add_put(op.request_put.key, puts, deletes)
    return puts, deletes


def _merge_inner(inner: TxnRequest, puts: set[bytes], deletes: _Intervals) -> None:
    """Add an inner transaction's puts and deletes to those of the branch around it."""
    then_puts, then_deletes = _check_branch(inner.success)
    else_puts, else_deletes = _check_branch(inner.failure)
    for key in then_puts | else_puts:
        _add_put(key, puts, deletes)
    deletes.update(then_deletes)
    deletes.update(else_deletes)


def _add_put(key: bytes, puts: set[bytes], deletes: _Intervals) -> None:
    if key in puts or deletes.holds(key):
        raise DuplicateKey(key)
    puts.add(key)
