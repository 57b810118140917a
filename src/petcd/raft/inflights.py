"""The window of appends that were sent to one node and not yet acknowledged.

Each append is remembered by the index of its last entry and the bytes of its payloads. The window
is full at `max_count` appends, or once the bytes reach `max_bytes`; the byte limit is soft, since
one append may be larger than all of it. Indexes only ever rise.
"""

from __future__ import annotations

from collections import deque

from petcd.raft.errors import broken
from petcd.raft.kinds import NO_LIMIT


class Inflights:
    """Bounded queue of (last index, bytes) of appends under way."""

    __slots__ = ("_queue", "count", "max_bytes", "max_count", "size_bytes")

    def __init__(self, max_count: int, max_bytes: int = NO_LIMIT) -> None:
        self.max_count = max_count
        self.max_bytes = max_bytes if max_bytes else NO_LIMIT
        self.count = 0
        self.size_bytes = 0
        self._queue: deque[tuple[int, int]] = deque()

    def add(self, index: int, size_bytes: int) -> None:
        """An append ending at `index` leaves. The window must not be full."""
        if self.is_full():
            broken("cannot add into a Full inflights")
        self._queue.append((index, size_bytes))
        self.count += 1
        self.size_bytes += size_bytes

    def free_to(self, index: int) -> None:
        """Everything up to and including `index` arrived."""
        queue = self._queue
        while queue and queue[0][0] <= index:
            self.size_bytes -= queue.popleft()[1]
            self.count -= 1

    def clear(self) -> None:
        """Forget all appends under way."""
        if self.count:
            self._queue.clear()
            self.count = 0
            self.size_bytes = 0

    def copy(self) -> Inflights:
        """An independent copy."""
        other = Inflights(self.max_count, self.max_bytes)
        other._queue = self._queue.copy()
        other.count = self.count
        other.size_bytes = self.size_bytes
        return other

    def is_full(self) -> bool:
        """True when no further append may be sent."""
        return self.count >= self.max_count or self.size_bytes >= self.max_bytes
