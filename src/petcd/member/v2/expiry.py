"""When v2 nodes expire: absolute times, by lease.

Each node with a time to live hangs on a lease of its own, so that v3 clients see one and a snapshot
carries it. The lease is the carrier only: it is granted longer than the node lives, and what ends
the node is a SYNC entry with the leader's time, as in etcd, so that all members drop the same nodes
in the same order and a change of leader gives nobody more time.

Invariant: replicated state, equal on all members; ties go by lease id.
"""

import heapq

# Above the revision, so that ids of v2's leases never repeat and stand apart ("v2" in ASCII).
LEASE_BASE = 0x7632 << 48
# How much longer the lease lives than the node.
LEASE_GRACE_S = 60
_NS_PER_S = 1_000_000_000
LEASE_TTL_S_MAX = 9_000_000_000
# etcd takes an expiration before the year 2000 for none.
EXPIRATION_NS_MIN = 946_684_800 * _NS_PER_S


def lease_ttl_s(expiration_ns: int, asked_ns: int) -> int:
    """How long the lease of a node is granted; `asked_ns` 0: the request did not say when."""
    if asked_ns <= 0:
        return LEASE_TTL_S_MAX
    left_s = -((asked_ns - expiration_ns) // _NS_PER_S)
    return min(max(left_s, 0) + LEASE_GRACE_S, LEASE_TTL_S_MAX)


class Expiries:
    """Lease id -> expiration in nanoseconds since 1970, with the earliest at hand."""

    __slots__ = ("_heap", "_of")

    def __init__(self) -> None:
        self._of: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []

    def __contains__(self, lease_id: int) -> bool:
        return lease_id in self._of

    def __len__(self) -> int:
        return len(self._of)

    def add(self, lease_id: int, expiration_ns: int) -> None:
        """Note a new lease."""
        self._of[lease_id] = expiration_ns
        heapq.heappush(self._heap, (expiration_ns, lease_id))

    def discard(self, lease_id: int) -> None:
        """Forget a lease."""
        self._of.pop(lease_id, None)
        if len(self._heap) > 2 * len(self._of) + 64:
            self._heap = [(time_ns, lease) for lease, time_ns in self._of.items()]
            heapq.heapify(self._heap)

    def clear(self) -> None:
        """Forget all."""
        self._of.clear()
        self._heap.clear()

    def next_ns(self) -> int | None:
        """The earliest expiration."""
        heap = self._heap
        while heap and heap[0][1] not in self._of:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, cutoff_ns: int) -> int | None:
        """Take out the lease that expired first, if one did by the cutoff."""
        next_ns = self.next_ns()
        if next_ns is None or next_ns > cutoff_ns:
            return None
        lease_id = heapq.heappop(self._heap)[1]
        del self._of[lease_id]
        return lease_id
