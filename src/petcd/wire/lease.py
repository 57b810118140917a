"""The Lease service, and the checkpoints that travel only inside the replicated log.

Times to live are seconds.  What a member stores of a lease is ``internal.StoredLease``.

Source: etcd's rpc.proto.
"""

from __future__ import annotations

from petcd.wire.codec import BOOL, BYTES, INT64, REPEATED, STRING, Message, field
from petcd.wire.header import ResponseHeader


class LeaseGrantRequest(Message):
    """A new lease; ID 0: the server chooses."""

    TTL: int = field(1, INT64)
    ID: int = field(2, INT64)


class LeaseGrantResponse(Message):
    """The lease as granted."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    ID: int = field(2, INT64)
    TTL: int = field(3, INT64)
    error: str = field(4, STRING)


class LeaseRevokeRequest(Message):
    """End a lease and delete its keys."""

    ID: int = field(1, INT64)


class LeaseRevokeResponse(Message):
    """The lease is gone."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class LeaseCheckpoint(Message):
    """How long a lease has left, so that a new leader does not start it afresh."""

    ID: int = field(1, INT64)
    remaining_TTL: int = field(2, INT64)


class LeaseCheckpointRequest(Message):
    """Log entry with checkpoints of several leases."""

    checkpoints: list[LeaseCheckpoint] = field(1, LeaseCheckpoint, REPEATED)


class LeaseCheckpointResponse(Message):
    """Answer to a checkpoint; internal."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class LeaseKeepAliveRequest(Message):
    """Start the lease's time afresh."""

    ID: int = field(1, INT64)


class LeaseKeepAliveResponse(Message):
    """TTL 0: there is no such lease."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    ID: int = field(2, INT64)
    TTL: int = field(3, INT64)


class LeaseTimeToLiveRequest(Message):
    """What is left of a lease, and its keys when asked for."""

    ID: int = field(1, INT64)
    keys: bool = field(2, BOOL)


class LeaseTimeToLiveResponse(Message):
    """TTL -1: there is no such lease."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    ID: int = field(2, INT64)
    TTL: int = field(3, INT64)
    grantedTTL: int = field(4, INT64)
    keys: list[bytes] = field(5, BYTES, REPEATED)


class LeaseLeasesRequest(Message):
    """List the leases."""


class LeaseStatus(Message):
    """One lease of the list."""

    ID: int = field(1, INT64)


class LeaseLeasesResponse(Message):
    """All leases."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    leases: list[LeaseStatus] = field(2, LeaseStatus, REPEATED)
