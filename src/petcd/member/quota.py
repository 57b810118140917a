"""What a request costs against the backend quota.

etcd charges 256 bytes for a put beside its key and value, 64 for a lease, and for a transaction
the dearer of its branches. The quota itself is measured on bytes in use, not on the size of the
file: pages that compaction freed are room again without a defragmentation.
"""

from petcd.wire.kv import PutRequest, RequestOp, TxnRequest

PUT_OVERHEAD_BYTES = 256
LEASE_OVERHEAD_BYTES = 64
QUOTA_BYTES_DEFAULT = 2 * 1024 * 1024 * 1024
NO_LIMIT_BYTES = 1 << 62
# The alarm is cleared only with this share of the quota free, so that it does not flap.
CLEAR_SHARE = 0.9


def put_cost(request: PutRequest) -> int:
    """Bytes charged for one put."""
    return PUT_OVERHEAD_BYTES + len(request.key) + len(request.value)


def txn_cost(request: TxnRequest) -> int:
    """Bytes charged for a transaction: the dearer branch, nested ones included."""
    return max(_branch_cost(request.success), _branch_cost(request.failure))


def _branch_cost(operations: list[RequestOp]) -> int:
    return sum(_operation_cost(operation) for operation in operations)


def _operation_cost(operation: RequestOp) -> int:
    if operation.request_put is not None:
        return put_cost(operation.request_put)
    if operation.request_txn is not None:
        return txn_cost(operation.request_txn)
    return 0


class Quota:
    """The limit and what is left of it. `bytes_max` < 0: no limit; 0: the default of 2 GiB."""

    __slots__ = ("bytes_max",)

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = QUOTA_BYTES_DEFAULT if bytes_max == 0 else bytes_max

    def room_bytes(self, in_use_bytes: int) -> int:
        """What is left; a very large number without a limit."""
        return NO_LIMIT_BYTES if self.bytes_max < 0 else self.bytes_max - in_use_bytes

    def has_room_again(self, in_use_bytes: int) -> bool:
        """Whether a NOSPACE alarm may clear itself."""
        return self.bytes_max < 0 or in_use_bytes < self.bytes_max * CLEAR_SHARE
