"""The Lock service (v3lockpb): a mutex made of a key under a prefix and a lease.

Source: etcd's v3lock.proto.
"""

from __future__ import annotations

from petcd.wire.codec import BYTES, INT64, Message, field
from petcd.wire.header import ResponseHeader


class LockRequest(Message):
    """Wait for the lock ``name``; lease 0: the server makes one."""

    name: bytes = field(1, BYTES)
    lease: int = field(2, INT64)


class LockResponse(Message):
    """The key that stands for the lock while held."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    key: bytes = field(2, BYTES)


class UnlockRequest(Message):
    """Give the lock back."""

    key: bytes = field(1, BYTES)


class UnlockResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)
