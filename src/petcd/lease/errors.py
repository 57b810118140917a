"""Why the lessor refuses. Each carries data; texts for clients are written elsewhere."""


class LeaseError(Exception):
    """Base of the refusals; the same on every member for the same log entry, but NotPrimary."""


class LeaseNotFound(LeaseError):
    """There is no lease with this id."""

    def __init__(self, lease_id: int) -> None:
        super().__init__(f"lease {lease_id:x} not found")
        self.lease_id = lease_id


class LeaseExists(LeaseError):
    """A lease with this id was granted before and still lives."""

    def __init__(self, lease_id: int) -> None:
        super().__init__(f"lease {lease_id:x} already exists")
        self.lease_id = lease_id


class TtlTooLarge(LeaseError):
    """A lease was to live for longer than TTL_S_MAX."""

    def __init__(self, ttl_s: int, ttl_s_max: int) -> None:
        super().__init__(f"lease time to live of {ttl_s} s, at most {ttl_s_max} s are allowed")
        self.ttl_s = ttl_s
        self.ttl_s_max = ttl_s_max


class NotPrimary(LeaseError):
    """Only the leader renews leases and knows what is left of them."""


class LeaseRecordDamaged(Exception):
    """A row of the lease bucket does not parse; the member must not start on such data."""

    def __init__(self, key: bytes, reason: str) -> None:
        super().__init__(f"lease record {key.hex()} is damaged: {reason}")
        self.key = key
        self.reason = reason
