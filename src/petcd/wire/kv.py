"""The KV service: mvccpb's key-value pair and event, and the requests and responses of Range,
Put, DeleteRange, Txn and Compact.

A transaction nests: ``RequestOp`` holds a ``TxnRequest`` holds ``RequestOp`` ...; the codec bounds
the depth.  ``KeyValue`` is also what the store keeps on disk under each revision.  No validation
here: an empty key or an unknown enum number decodes.

Source: etcd's kv.proto and rpc.proto.
"""

from __future__ import annotations

from petcd.wire.codec import BOOL, BYTES, INT64, REPEATED, EnumType, Message, field
from petcd.wire.header import ResponseHeader


class EventType(EnumType):
    """Kind of a change."""

    PUT = 0
    DELETE = 1


class KeyValue(Message):
    """A key at one revision, as stored and as sent."""

    key: bytes = field(1, BYTES)
    create_revision: int = field(2, INT64)  # of the put that created the key
    mod_revision: int = field(3, INT64)  # of the last put
    version: int = field(4, INT64)  # 1 after creation, +1 for each put; 0 in a tombstone
    value: bytes = field(5, BYTES)
    lease: int = field(6, INT64)  # 0: none


class Event(Message):
    """A change as a watcher sees it."""

    type: int = field(1, EventType)
    kv: KeyValue | None = field(2, KeyValue)  # of a DELETE: key and mod_revision only
    prev_kv: KeyValue | None = field(3, KeyValue)


class SortOrder(EnumType):
    """Order of a range's answer."""

    NONE = 0
    ASCEND = 1
    DESCEND = 2


class SortTarget(EnumType):
    """What a range's answer is sorted by."""

    KEY = 0
    VERSION = 1
    CREATE = 2
    MOD = 3
    VALUE = 4


class RangeRequest(Message):
    """Keys in [key, range_end); without range_end one key; range_end ``\\0`` means no end."""

    key: bytes = field(1, BYTES)
    range_end: bytes = field(2, BYTES)
    limit: int = field(3, INT64)  # 0: none
    revision: int = field(4, INT64)  # <= 0: the current one
    sort_order: int = field(5, SortOrder)
    sort_target: int = field(6, SortTarget)
    serializable: bool = field(7, BOOL)  # answered by this member alone
    keys_only: bool = field(8, BOOL)
    count_only: bool = field(9, BOOL)
    min_mod_revision: int = field(10, INT64)
    max_mod_revision: int = field(11, INT64)
    min_create_revision: int = field(12, INT64)
    max_create_revision: int = field(13, INT64)


class RangeResponse(Message):
    """The pairs found; ``count`` counts all in the range, whatever the limit."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    kvs: list[KeyValue] = field(2, KeyValue, REPEATED)
    more: bool = field(3, BOOL)
    count: int = field(4, INT64)


class RangeStreamResponse(Message):
    """One piece of a streamed range [3.7]."""

    range_response: RangeResponse | None = field(1, RangeResponse)


class PutRequest(Message):
    """Set a key."""

    key: bytes = field(1, BYTES)
    value: bytes = field(2, BYTES)
    lease: int = field(3, INT64)
    prev_kv: bool = field(4, BOOL)
    ignore_value: bool = field(5, BOOL)
    ignore_lease: bool = field(6, BOOL)


class PutResponse(Message):
    """``prev_kv`` only when asked for and there was one."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    prev_kv: KeyValue | None = field(2, KeyValue)


class DeleteRangeRequest(Message):
    """Delete the keys in [key, range_end), see RangeRequest."""

    key: bytes = field(1, BYTES)
    range_end: bytes = field(2, BYTES)
    prev_kv: bool = field(3, BOOL)


class DeleteRangeResponse(Message):
    """How many keys went, and which when asked for."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    deleted: int = field(2, INT64)
    prev_kvs: list[KeyValue] = field(3, KeyValue, REPEATED)


class RequestOp(Message):
    """One operation of a transaction: exactly one member of the oneof ``request``."""

    request_range: RangeRequest | None = field(1, RangeRequest, oneof="request")
    request_put: PutRequest | None = field(2, PutRequest, oneof="request")
    request_delete_range: DeleteRangeRequest | None = field(3, DeleteRangeRequest, oneof="request")
    request_txn: TxnRequest | None = field(4, "TxnRequest", oneof="request")


class ResponseOp(Message):
    """The answer to one operation, in the member of the same kind."""

    response_range: RangeResponse | None = field(1, RangeResponse, oneof="response")
    response_put: PutResponse | None = field(2, PutResponse, oneof="response")
    response_delete_range: DeleteRangeResponse | None = field(
        3, DeleteRangeResponse, oneof="response"
    )
    response_txn: TxnResponse | None = field(4, "TxnResponse", oneof="response")


class CompareResult(EnumType):
    """The relation that must hold."""

    EQUAL = 0
    GREATER = 1
    LESS = 2
    NOT_EQUAL = 3


class CompareTarget(EnumType):
    """What of the key is compared."""

    VERSION = 0
    CREATE = 1
    MOD = 2
    VALUE = 3
    LEASE = 4


class Compare(Message):
    """One guard of a transaction: key's (or each of the range's) target, result, operand."""

    result: int = field(1, CompareResult)
    target: int = field(2, CompareTarget)
    key: bytes = field(3, BYTES)
    version: int | None = field(4, INT64, oneof="target_union")
    create_revision: int | None = field(5, INT64, oneof="target_union")
    mod_revision: int | None = field(6, INT64, oneof="target_union")
    value: bytes | None = field(7, BYTES, oneof="target_union")
    lease: int | None = field(8, INT64, oneof="target_union")
    range_end: bytes = field(64, BYTES)


class TxnRequest(Message):
    """If all of ``compare`` hold do ``success``, otherwise ``failure``."""

    compare: list[Compare] = field(1, Compare, REPEATED)
    success: list[RequestOp] = field(2, RequestOp, REPEATED)
    failure: list[RequestOp] = field(3, RequestOp, REPEATED)


class TxnResponse(Message):
    """Which branch ran and its answers, in order."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    succeeded: bool = field(2, BOOL)
    responses: list[ResponseOp] = field(3, ResponseOp, REPEATED)


class CompactionRequest(Message):
    """Forget history below ``revision``; ``physical`` waits until it is off the disk."""

    revision: int = field(1, INT64)
    physical: bool = field(2, BOOL)


class CompactionResponse(Message):
    """Compaction is done (or scheduled)."""

    header: ResponseHeader | None = field(1, ResponseHeader)
