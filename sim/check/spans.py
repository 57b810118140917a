"""Spans of revisions in which something is known not to have happened, by key."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict


class Spans:
    """By key, open intervals of revisions."""

    def __init__(self) -> None:
        self._ends: dict[bytes, dict[float, float]] = defaultdict(dict)
        self._merged: dict[bytes, list[tuple[float, float]]] = {}

    def add(self, key: bytes, after: float, before: float) -> None:
        """One more; only until the first question."""
        ends = self._ends[key]
        ends[after] = max(before, ends.get(after, 0))

    def cover(self, key: bytes, revision: int) -> bool:
        """Whether one of them holds a revision."""
        merged = self._merged.get(key)
        if merged is None:
            merged = self._merged[key] = _merged(self._ends.get(key, {}))
        place = bisect_left(merged, (revision,)) - 1
        return place >= 0 and revision < merged[place][1]


def _merged(ends: dict[float, float]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for after, before in sorted(ends.items()):
        if merged and after < merged[-1][1]:
            merged[-1] = merged[-1][0], max(before, merged[-1][1])
        else:
            merged.append((after, before))
    return merged
