"""Deadlines of one connection's calls.

Most calls with a deadline are answered long before it. So nothing is noted when a call begins;
`expire` walks the streams opened since its last run, newest first, and keeps those that are still
open in a heap. `armed` tells whether a run has been asked for.
"""

from __future__ import annotations

from heapq import heappop, heappush

from petcd.transport.call import Call
from petcd.transport.frames import CONNECTION
from petcd.transport.h2_stream import DONE, Stream


class Deadlines:
    """Every open call with a deadline is in the heap or was opened after `_seen`."""

    __slots__ = ("_heap", "_seen", "armed")

    def __init__(self) -> None:
        self._heap: list[tuple[float, bytes]] = []
        self._seen = CONNECTION
        self.armed = False

    def expire(self, streams: dict[bytes, Stream], now: float) -> tuple[list[Call], float | None]:
        """The open calls whose deadline has passed, and the next deadline (None: there is none)."""
        self.armed = False
        heap = self._heap
        seen = self._seen
        newest = seen
        for sid in reversed(streams):
            if sid <= seen:
                break
            newest = max(newest, sid)
            stream = streams[sid]
            if isinstance(stream, Call) and stream.deadline is not None:
                heappush(heap, (stream.deadline, sid))
        self._seen = newest
        late: list[Call] = []
        while heap and (heap[0][0] <= now or heap[0][1] not in streams):
            stream_or_none = streams.get(heappop(heap)[1])
            if isinstance(stream_or_none, Call) and stream_or_none.state != DONE:
                late.append(stream_or_none)
        return late, heap[0][0] if heap else None
