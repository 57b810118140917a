"""Reading transactions that only put: what loads and migrations send, a hundred puts in one.

``parse_txn`` equals ``TxnRequest.decode``, whatever the bytes, and is several times faster when the
transaction is a list of puts without a condition, as every encoder writes it; all else goes
through the general codec.  See ``hot`` for the rules of such readers.
"""

from __future__ import annotations

from petcd.wire.hot import parse_put
from petcd.wire.kv import PutRequest, RequestOp, TxnRequest
from petcd.wire.varint import DecodeError, read_varint

_SUCCESS, _REQUEST_PUT = 0x12, 0x12


def parse_txn(body: bytes) -> TxnRequest:
    """Read a TxnRequest.  Raises DecodeError."""
    try:
        puts = _parse_puts(body)
    except (DecodeError, IndexError):
        puts = None  # the general codec knows what to say of it
    if puts is None:
        return TxnRequest.decode(body)
    return TxnRequest(success=puts)


def _parse_puts(body: bytes) -> list[RequestOp] | None:
    """The operations when all of them are puts; None for the general codec."""
    ops: list[RequestOp] = []
    pos, end = 0, len(body)
    while pos < end:
        if body[pos] != _SUCCESS:
            return None
        size, pos = read_varint(body, pos + 1)
        stop = pos + size
        if stop > end or size == 0 or body[pos] != _REQUEST_PUT:
            return None
        size, pos = read_varint(body, pos + 1)
        if pos + size != stop:
            return None
        ops.append(_put_operation(body[pos:stop]))
        pos = stop
    return ops


def _put_operation(body: bytes) -> RequestOp:
    put = PutRequest.__new__(PutRequest)
    (
        put.key, put.value, put.lease,
        put.prev_kv, put.ignore_value, put.ignore_lease,
    ) = parse_put(body)  # fmt: skip
    op = RequestOp.__new__(RequestOp)
    op.request_range = op.request_delete_range = op.request_txn = None
    op.request_put = put
    return op
