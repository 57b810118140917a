"""Automatic compaction: which revision may go, asked once in a while with the time passed in.

    periodic   keep the history of the last `retention`; a bare number means hours
    revision   keep the last `retention` revisions

A sample of (time, revision) is taken every tenth of the retention (at most every six minutes); the
newest sample that is older than the retention tells the revision. Only the leader compacts.
Source: etcd's compactor; on by default here, so that history does not grow without bound.
"""

from collections import deque
from typing import Protocol

from petcd.server.flag_values import read_duration_s

REVISION_INTERVAL_S = 300.0
PERIODIC_INTERVAL_S_MAX = 3600.0
SAMPLES_IN_RETENTION = 10


class AutoCompaction(Protocol):
    """When to look, and what to compact to."""

    interval_s: float

    def revision_due(self, now_s: float, revision: int) -> int | None:
        """The revision to compact to, None for nothing; to be asked every `interval_s`."""
        ...


class RevisionCompaction:
    """Keeps the last `retention` revisions."""

    def __init__(self, retention: int) -> None:
        self.interval_s = REVISION_INTERVAL_S
        self._retention = retention
        self._last = 0

    def revision_due(self, now_s: float, revision: int) -> int | None:
        """See AutoCompaction."""
        due = revision - self._retention
        if due <= 0 or due == self._last:
            return None
        self._last = due
        return due


class PeriodicCompaction:
    """Keeps the history of the last `retention_s` seconds."""

    def __init__(self, retention_s: float) -> None:
        period_s = min(retention_s, PERIODIC_INTERVAL_S_MAX)
        self.interval_s = period_s / SAMPLES_IN_RETENTION
        self._period_s = period_s
        self._retention_s = retention_s
        self._samples: deque[tuple[float, int]] = deque()
        self._last_s: float | None = None
        self._last = 0

    def revision_due(self, now_s: float, revision: int) -> int | None:
        """See AutoCompaction."""
        self._samples.append((now_s, revision))
        due = 0
        while self._samples and now_s - self._samples[0][0] >= self._retention_s:
            due = self._samples.popleft()[1]
        if due:
            # Until the next look the newest sample that is old enough must stay known.
            self._samples.appendleft((now_s - self._retention_s, due))
        if due <= self._last:
            return None
        if self._last_s is not None and now_s - self._last_s < self._period_s:
            return None
        self._last_s, self._last = now_s, due
        return due


def auto_compaction(mode: str, retention: str) -> AutoCompaction | None:
    """The compaction that the flags ask for; None when it is off. Raises ValueError."""
    kept = _amount(mode, retention or "0")
    if kept < 0:
        raise ValueError(f'"{retention}" is negative')
    if not kept:
        return None
    return RevisionCompaction(int(kept)) if mode == "revision" else PeriodicCompaction(kept)


def _amount(mode: str, retention: str) -> float:
    """How many revisions, or seconds."""
    try:
        number = int(retention)
    except ValueError:
        if mode == "revision":
            raise ValueError(f'"{retention}" is not a number of revisions') from None
        return read_duration_s(retention)
    return number if mode == "revision" else number * 3600.0
