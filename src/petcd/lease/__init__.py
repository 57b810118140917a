"""Leases: keys that live as long as somebody keeps saying so.

A replicated state machine like the store: which leases exist, their times to live and their
keys change only while a log entry is applied. When a lease ends is the business of the leader
alone and never replicated.
"""

from petcd.lease.errors import (
    LeaseError,
    LeaseExists,
    LeaseNotFound,
    LeaseRecordDamaged,
    NotPrimary,
    TtlTooLarge,
)
from petcd.lease.lessor import (
    TTL_S_MAX,
    LeaseBackend,
    Lessor,
    TimeToLive,
    ttl_s_min,
)

__all__ = [
    "TTL_S_MAX",
    "LeaseBackend",
    "LeaseError",
    "LeaseExists",
    "LeaseNotFound",
    "LeaseRecordDamaged",
    "Lessor",
    "NotPrimary",
    "TimeToLive",
    "TtlTooLarge",
    "ttl_s_min",
]
