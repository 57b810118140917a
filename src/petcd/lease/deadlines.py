"""Which lease is due next: a heap with one valid entry for each id.

Moving or removing a deadline does not search the heap: the old entry stays and is recognised as
stale when it surfaces, because its time differs from the one noted for the id.

    _due   id -> time             the truth
    _heap  (time, id), ...        holds every pair of _due, and stale ones

Invariants: the heap has at most twice as many entries as there are deadlines (plus a
constant), whatever is set and discarded; ids with equal times come in the order of ids.
It does not know what a deadline means and reads no clock.
"""

import heapq

# Stale entries that are tolerated before the heap is rebuilt, beside one for each deadline.
STALE_ENTRIES_MIN = 64


class Deadlines:
    """Set and discard in O(log n), amortised; the earliest in O(1)."""

    __slots__ = ("_due", "_heap")

    def __init__(self) -> None:
        self._due: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, lease_id: int) -> bool:
        return lease_id in self._due

    def set(self, lease_id: int, time_s: float) -> None:
        """Give the id this deadline, in place of the one it may have."""
        self._due[lease_id] = time_s
        heapq.heappush(self._heap, (time_s, lease_id))
        self._bound()

    def discard(self, lease_id: int) -> None:
        """Forget the id's deadline, if it has one."""
        if self._due.pop(lease_id, None) is not None:
            self._bound()

    def clear(self) -> None:
        """Forget all deadlines."""
        self._due.clear()
        self._heap.clear()

    def next_s(self) -> float | None:
        """Time of the earliest deadline."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def first_due(self, now_s: float) -> int | None:
        """The id with the earliest deadline, if that is not after `now_s`."""
        self._drop_stale()
        if not self._heap or self._heap[0][0] > now_s:
            return None
        return self._heap[0][1]

    def move_first(self, lease_id: int, time_s: float) -> None:
        """Give the id that `first_due` has just returned a new deadline."""
        assert self._heap[0][1] == lease_id, lease_id
        self._due[lease_id] = time_s
        heapq.heapreplace(self._heap, (time_s, lease_id))

    def _drop_stale(self) -> None:
        heap, due = self._heap, self._due
        while heap and due.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)

    def _bound(self) -> None:
        if len(self._heap) > 2 * len(self._due) + STALE_ENTRIES_MIN:
            self._heap = [(time_s, lease_id) for lease_id, time_s in self._due.items()]
            heapq.heapify(self._heap)
