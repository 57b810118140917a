"""The bytes that are sent: paths, keys, and message bodies, ready made for loads of thousands.

A key has 24 bytes; a value has 256 bytes in single puts and 64 in the million keys.
"""

from petcd.wire.kv import (
    CompactionRequest,
    Compare,
    PutRequest,
    RangeRequest,
    RangeResponse,
    RequestOp,
    TxnRequest,
)
from petcd.wire.watch import WatchCreateRequest, WatchRequest

RANGE = "/etcdserverpb.KV/Range"
PUT = "/etcdserverpb.KV/Put"
TXN = "/etcdserverpb.KV/Txn"
COMPACT = "/etcdserverpb.KV/Compact"
WATCH = "/etcdserverpb.Watch/Watch"
LEASE_GRANT = "/etcdserverpb.Lease/LeaseGrant"
LEASE_REVOKE = "/etcdserverpb.Lease/LeaseRevoke"
DELETE_RANGE = "/etcdserverpb.KV/DeleteRange"
MEMBER_ADD = "/etcdserverpb.Cluster/MemberAdd"
MEMBER_REMOVE = "/etcdserverpb.Cluster/MemberRemove"
MOVE_LEADER = "/etcdserverpb.Maintenance/MoveLeader"
STATUS = "/etcdserverpb.Maintenance/Status"
HASH_KV = "/etcdserverpb.Maintenance/HashKV"
SNAPSHOT = "/etcdserverpb.Maintenance/Snapshot"

KEY_BYTES = 24
PUT_VALUE_BYTES = 256
MILLION_VALUE_BYTES = 64
MILLION_PREFIX = b"/bench/"
MILLION_STRIDE = 7919  # coprime to any power of ten: visits every key once, in scattered order
ONE_KEY = b"key-00000001" * 2


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def one_put(value: bytes = b"v" * PUT_VALUE_BYTES) -> bytes:
    return PutRequest(key=ONE_KEY, value=value).encode()


def one_range(serializable: bool = False) -> bytes:
    return RangeRequest(key=ONE_KEY, serializable=serializable).encode()


def million_key(number: int) -> bytes:
    return MILLION_PREFIX + b"%017d" % number


def prefix_end(prefix: bytes) -> bytes:
    return prefix[:-1] + bytes([prefix[-1] + 1])


def million_page(limit: int) -> bytes:
    """The first `limit` keys of the whole prefix (0: all of them), with their count."""
    end = prefix_end(MILLION_PREFIX)
    return RangeRequest(key=MILLION_PREFIX, range_end=end, limit=limit).encode()


class PutTxns:
    """Transactions of 100 puts that together write every one of `keys` keys once.

    The bytes around key and value are the same each time, so a body is one join.
    """

    PUTS_PER_TXN = 100

    def __init__(self, keys: int, fill: bytes) -> None:
        assert keys % self.PUTS_PER_TXN == 0 and keys % MILLION_STRIDE, keys
        self.keys = keys
        self.count = keys // self.PUTS_PER_TXN
        value = fill * MILLION_VALUE_BYTES
        op = RequestOp(request_put=PutRequest(key=b"k" * KEY_BYTES, value=value)).encode()
        head, tail = op.split(b"k" * KEY_BYTES)
        self.head = b"\x12" + varint(len(op)) + head  # field 2 of TxnRequest: success
        self.tail = tail

    def body(self, number: int) -> bytes:
        first = number * self.PUTS_PER_TXN
        head, tail, keys = self.head, self.tail, self.keys
        parts: list[bytes] = []
        for at in range(first, first + self.PUTS_PER_TXN):
            parts += (head, b"/bench/%017d" % (at * MILLION_STRIDE % keys), tail)
        return b"".join(parts)


def compare_and_put(key: bytes, value: bytes) -> bytes:
    """The usual guarded write: if the key has a version, put it, else read it."""
    return TxnRequest(
        compare=[Compare(result=1, target=0, key=key, version=0)],
        success=[RequestOp(request_put=PutRequest(key=key, value=value))],
        failure=[RequestOp(request_range=RangeRequest(key=key))],
    ).encode()


def compact(revision: int, physical: bool) -> bytes:
    return CompactionRequest(revision=revision, physical=physical).encode()


def watch_create(key: bytes) -> bytes:
    return WatchRequest(create_request=WatchCreateRequest(key=key)).encode()


def revision_of(range_reply: bytes) -> int:
    header = RangeResponse.decode(range_reply).header
    assert header is not None
    return header.revision
