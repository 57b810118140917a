"""Transactions: decide the whole path first, check it, then execute it under one revision.

1. **Decide.**  All comparisons, those of inner transactions on the taken path too, look at the
   state before the transaction.  The result is a ``Branch``: the taken operations, with an inner
   ``Branch`` in the place of each inner transaction.
2. **Check.**  Everything that can still be refused: puts first (``ignore_*`` on a missing key, a
   missing lease), then ranges (future or compacted revision).  Nothing is written before all of
   it has passed, so a failing transaction leaves no trace.
3. **Execute** in order.  Reads see the writes before them.  Sub-revisions count the changes.

Headers inside the answer carry only a revision: of a put the new one; of a range or delete the
one visible behind it, which is the old one until the first change; of an inner transaction
nothing, though the header is there.  The answer is built as bytes, since the pairs in it are.

A put with ``ignore_*`` whose key an earlier operation of the same transaction deletes (possible
through the gaps in the duplicate rule, see ``validation``) fails the transaction in step 2 with
KeyNotFound, like one on a missing key; etcd panics there.

Does not do: static checks, deciding whether the transaction must go through the log, permission.
Source: etcd's server/etcdserver/apply.go (Txn, compareToPath, checkRequests, applyTxn).
"""

from __future__ import annotations

from petcd.mvcc.errors import Compacted, FutureRevision, KeyNotFound, LeaseNotFound
from petcd.mvcc.keyspace import KeySpace
from petcd.mvcc.range import open_end, range_now
from petcd.wire.hot import decode_kv_meta, kv_value, put_response, range_response
from petcd.wire.kv import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
    TxnResponse,
)
from petcd.wire.varint import uvarint

# Tags of ResponseOp's members (fields 1 to 4) and of what the answers are made of.
_RANGE, _PUT, _DELETE, _TXN = b"\x0a", b"\x12", b"\x1a", b"\x22"
_HEADER, _SUCCEEDED, _RESPONSES = b"\x0a", b"\x10\x01", b"\x1a"
_DELETED, _PREV_KVS = b"\x10", b"\x1a"
_HEADER_REVISION = b"\x18"


class TxnResult:
    """``revision``: the store's after it; ``body``: the encoded TxnResponse without its header."""

    __slots__ = ("body", "revision", "succeeded")

    def __init__(self, revision: int, succeeded: bool, body: bytes) -> None:
        self.revision = revision
        self.succeeded = succeeded
        self.body = body

    def encode(self, header: bytes) -> bytes:
        """The TxnResponse with this encoded ResponseHeader."""
        return _field(_HEADER, header) + self.body

    def response(self) -> TxnResponse:
        """The TxnResponse as a message; its header has the revision only, as the inner ones."""
        return TxnResponse.decode(self.encode(_HEADER_REVISION + uvarint(self.revision)))


class Branch:
    """The operations of a transaction that will run; ``inner``: by position, for request_txn."""

    __slots__ = ("inner", "ops", "succeeded")

    def __init__(self, succeeded: bool, ops: list[RequestOp], inner: dict[int, Branch]) -> None:
        self.succeeded = succeeded
        self.ops = ops
        self.inner = inner

    def flat(self) -> list[RequestOp]:
        """The operations without the inner transactions, in order of execution."""
        flat: list[RequestOp] = []
        for i, op in enumerate(self.ops):
            if i in self.inner:
                flat += self.inner[i].flat()
            else:
                flat.append(op)
        return flat


def execute(space: KeySpace, request: TxnRequest) -> TxnResult:
    """Run a transaction; bumps ``space.revision`` if it changed anything.

    KeyNotFound, LeaseNotFound, FutureRevision, Compacted: nothing was done.
    """
    branch = decide(space, request)
    ops = branch.flat()
    _check_puts(space, ops)
    _check_ranges(space, ops)
    if len(ops) > 1:
        space.counts.txns += 1
    run = _Run(space)
    body = run.branch(branch)
    if run.sub:
        space.revision = run.main
    return TxnResult(space.revision, branch.succeeded, body)


# ---------------------------------------------------------------- deciding


def decide(space: KeySpace, request: TxnRequest) -> Branch:
    """Which operations run, given the present state."""
    succeeded = all(_holds(space, compare) for compare in request.compare)
    ops = request.success if succeeded else request.failure
    inner = {
        i: decide(space, op.request_txn) for i, op in enumerate(ops) if op.request_txn is not None
    }
    return Branch(succeeded, ops, inner)


def _holds(space: KeySpace, compare: Compare) -> bool:
    """Whether a comparison holds for its key, or for every key in its range."""
    live = space.index.live
    if compare.range_end:
        keys = space.index.live_keys(compare.key, open_end(compare.range_end))
    else:
        keys = [compare.key] if compare.key in live else []
    if keys:
        return all(_holds_for(space, compare, key) for key in keys)
    # A missing key has 0 everywhere, but no value to compare with.
    return compare.target != CompareTarget.VALUE and _relates(compare.result, 0, _operand(compare))


def _operand(compare: Compare) -> int:
    """The number to compare with; 0 when the member for the target is not given."""
    number: int | None = None
    if compare.target == CompareTarget.VERSION:
        number = compare.version
    elif compare.target == CompareTarget.CREATE:
        number = compare.create_revision
    elif compare.target == CompareTarget.MOD:
        number = compare.mod_revision
    elif compare.target == CompareTarget.LEASE:
        number = compare.lease
    return number or 0


def _holds_for(space: KeySpace, compare: Compare, key: bytes) -> bool:
    """Whether a comparison holds for one live key."""
    create, version, main, sub, _ = space.index.live[key]
    target = compare.target
    if target == CompareTarget.VALUE:
        value, operand = kv_value(space.row(main, sub)), compare.value or b""
        return _relates(compare.result, (value > operand) - (value < operand), 0)
    number = 0
    if target == CompareTarget.VERSION:
        number = version
    elif target == CompareTarget.CREATE:
        number = create
    elif target == CompareTarget.MOD:
        number = main
    elif target == CompareTarget.LEASE:
        number = space.lease_of.get(key, 0)
    return _relates(compare.result, number, _operand(compare))


def _relates(result: int, left: int, right: int) -> bool:
    """``left <result> right``; an unknown relation always holds, as in etcd."""
    if result == CompareResult.EQUAL:
        return left == right
    if result == CompareResult.NOT_EQUAL:
        return left != right
    if result == CompareResult.GREATER:
        return left > right
    if result == CompareResult.LESS:
        return left < right
    return True


# ---------------------------------------------------------------- checking


def _check_puts(space: KeySpace, ops: list[RequestOp]) -> None:
    """KeyNotFound, LeaseNotFound."""
    deletes: list[DeleteRangeRequest] = []
    for op in ops:
        put = op.request_put
        if op.request_delete_range is not None:
            deletes.append(op.request_delete_range)
        if put is None:
            continue
        if (put.ignore_value or put.ignore_lease) and (
            put.key not in space.index.live or any(_deletes(d, put.key) for d in deletes)
        ):
            raise KeyNotFound(put.key)
        if put.lease and not space.leases.exists(put.lease):
            raise LeaseNotFound(put.lease)


def _deletes(delete: DeleteRangeRequest, key: bytes) -> bool:
    if not delete.range_end:
        return key == delete.key
    end = open_end(delete.range_end)
    return delete.key <= key and (not end or key < end)


def _check_ranges(space: KeySpace, ops: list[RequestOp]) -> None:
    """FutureRevision, Compacted.

    Unlike outside of a transaction a negative revision is not the current one here but lies below
    the compacted one (which is -1 as long as nothing was compacted).
    """
    for op in ops:
        if op.request_range is None or op.request_range.revision == 0:
            continue
        revision = op.request_range.revision
        if revision > space.revision:
            raise FutureRevision(revision, space.revision)
        if revision < space.compact_revision:
            raise Compacted(revision, space.compact_revision)


# ---------------------------------------------------------------- executing


class _Run:
    """Executes one decided and checked transaction; ``sub`` counts its changes."""

    __slots__ = ("_put_answer", "main", "space", "sub")

    def __init__(self, space: KeySpace) -> None:
        self.space = space
        self.main = space.revision + 1
        self.sub = 0
        # The answer to a put without a previous pair, the same for all: 100 puts in a row count.
        self._put_answer = put_response(_HEADER_REVISION + uvarint(self.main), None)

    def revision(self) -> int:
        """The revision visible to the next operation."""
        return self.main if self.sub else self.main - 1

    def header(self) -> bytes:
        """An inner ResponseHeader."""
        return _HEADER_REVISION + uvarint(self.revision())

    def branch(self, branch: Branch) -> bytes:
        """Fields 2 and 3 of a TxnResponse: succeeded, responses."""
        parts = [_SUCCEEDED] if branch.succeeded else []
        for i, op in enumerate(branch.ops):
            if op.request_put is not None:
                answer = _field(_PUT, self.put(op.request_put))
            elif op.request_range is not None:
                answer = _field(_RANGE, self.range(op.request_range))
            elif op.request_delete_range is not None:
                answer = _field(_DELETE, self.delete(op.request_delete_range))
            elif i in branch.inner:
                answer = _field(_TXN, _field(_HEADER, b"") + self.branch(branch.inner[i]))
            else:
                answer = b""
            parts.append(_field(_RESPONSES, answer))
        return b"".join(parts)

    def put(self, request: PutRequest) -> bytes:
        """An encoded PutResponse."""
        key, value, lease = request.key, request.value, request.lease
        prev = None
        if request.prev_kv or request.ignore_value or request.ignore_lease:
            prev = self.space.current(key)
            if prev is not None and request.ignore_value:
                value = kv_value(prev)
            if prev is not None and request.ignore_lease:
                lease = decode_kv_meta(prev)[3]
        self.space.put(key, value, lease, self.main, self.sub)
        self.sub += 1
        if prev is None or not request.prev_kv:
            return self._put_answer
        return put_response(self.header(), prev)

    def range(self, request: RangeRequest) -> bytes:
        """An encoded RangeResponse."""
        self.space.counts.ranges += 1
        found = range_now(self.space, request, self.revision())
        return range_response(self.header(), found.kvs, found.more, found.count)

    def delete(self, request: DeleteRangeRequest) -> bytes:
        """An encoded DeleteRangeResponse."""
        space = self.space
        space.counts.deletes += 1
        keys = deleted_keys(space, request.key, request.range_end)
        prevs = [space.current(key) or b"" for key in keys] if request.prev_kv else []
        space.delete(keys, self.main, self.sub)
        self.sub += len(keys)
        parts = [_field(_HEADER, self.header())]
        if keys:
            parts.append(_DELETED + uvarint(len(keys)))
        parts += [_field(_PREV_KVS, kv) for kv in prevs]
        return b"".join(parts)


def deleted_keys(space: KeySpace, key: bytes, range_end: bytes) -> list[bytes]:
    """The live keys that a delete request means, ascending."""
    if range_end:
        return space.index.live_keys(key, open_end(range_end))
    return [key] if key in space.index.live else []


def _field(tag: bytes, body: bytes) -> bytes:
    """A length-delimited field."""
    return tag + uvarint(len(body)) + body
