"""Writes of one bucket that are not on the disk yet, and how they lie over what is.

An overlay holds the newest value of each key put and the set of keys deleted.  A key in both was
put after it was deleted; so deletes count first and puts last, wherever the two are used.
Keys that arrive in rising order (revisions) cost nothing to keep sorted; others are sorted when
somebody wants them in order.

``merge`` lays overlays over one chunk of stored rows.  The chunk and the overlays are cut at the
smallest key up to which all of them are known, so memory stays bounded by the chunk's size.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice
from typing import Final

Row = tuple[bytes, bytes]

# What one row takes in the file beside its value: a key of 17 bytes, node header and slot, and the
# part of the pages that stays empty.
ROW_BYTES: Final = 40


class Overlay:
    """Pending writes of one bucket.  `row_bytes` estimates what the puts take in the file."""

    __slots__ = ("_keys", "deletes", "last", "ordered", "puts", "row_bytes")

    def __init__(self) -> None:
        self.puts: dict[bytes, bytes] = {}
        self.deletes: dict[bytes, None] = {}
        self.last = b""  # no key put is above it
        self.ordered = True  # the dict's order is the keys' order
        self.row_bytes = 0
        self._keys: list[bytes] = []  # the first of the sorted keys

    def put_below(self, key: bytes) -> None:
        """Note that `key`, not above `last`, is about to be put."""
        if key not in self.puts:
            self.ordered = False
            self._keys.clear()

    def delete(self, key: bytes) -> None:
        """Remove a key here and in what lies below."""
        if self.puts.pop(key, None) is not None:
            self._keys.clear()
        self.deletes[key] = None

    def sorted_keys(self) -> list[bytes]:
        """The keys put, in order; valid until the next write."""
        keys, puts = self._keys, self.puts
        if len(keys) != len(puts):
            if self.ordered:
                keys.extend(islice(puts, len(keys), None))
            else:
                keys[:] = sorted(puts)
        return keys

    def rows(self, start: bytes, end: bytes | None, limit: int) -> list[Row]:
        """Up to `limit` puts with ``start <= key < end``, in order."""
        if not self.puts or start > self.last:
            return []
        keys, puts = self.sorted_keys(), self.puts
        first = bisect_left(keys, start)
        last = len(keys) if end is None else bisect_left(keys, end, first)
        return [(key, puts[key]) for key in keys[first : min(last, first + limit)]]


def merge(
    stored: list[Row], overlays: list[Overlay], start: bytes, end: bytes | None, limit: int
) -> tuple[list[Row], bytes | None]:
    """Lay `overlays`, oldest first, over `stored`, the first `limit` stored rows from `start` on.

    Returns the merged rows and where the next chunk starts; None when there is no next one.
    """
    sources = [stored] + [overlay.rows(start, end, limit) for overlay in overlays]
    full = [rows[-1][0] for rows in sources if len(rows) == limit]
    follows = min(full) + b"\0" if full else None
    if len(sources) == 1:
        return stored, follows
    merged = dict(stored)
    for overlay, rows in zip(overlays, sources[1:], strict=True):
        for key in overlay.deletes.keys() & merged.keys():
            del merged[key]
        merged.update(rows)
    return sorted(row for row in merged.items() if follows is None or row[0] < follows), follows
