"""The half of a backend that is the same wherever the rows end up: pending writes over stored rows.

A subclass gives the stored half: ``stored_get``, ``stored_rows``, ``write_commit`` and the sizes.
The active overlays take writes; while a commit is under way its batch lies between them and what is
stored.  See ``backend`` for the contract.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from petcd.storage.backend import BUCKETS, CHUNK_ROWS, Batch, Row
from petcd.storage.overlay import ROW_BYTES, Overlay, merge

# A scan starts with few rows, since most want few, and reads more each time.
_FIRST_ROWS: Final = 64


def flatten(chunks: Iterator[list[Row]]) -> Iterator[Row]:
    """Row by row through chunks."""
    for chunk in chunks:
        yield from chunk


class PendingWrites:
    """Writes, reads and the first and last step of a commit."""

    __slots__ = ("_active", "_batch", "_held", "pending")

    def __init__(self) -> None:
        self._active = {name: Overlay() for name in BUCKETS}
        self._batch: Batch | None = None  # under way between begin_commit and end_commit
        self._held = False  # commits have to wait
        self.pending = 0

    def get(self, bucket: bytes, key: bytes) -> bytes | None:
        """See ``Backend.get``."""
        overlay = self._active[bucket]
        value = overlay.puts.get(key)
        if value is not None:
            return value
        if overlay.deletes and key in overlay.deletes:
            return None
        batch = self._batch
        if batch is not None:
            below = batch.overlays.get(bucket)
            if below is not None:
                value = below.puts.get(key)
                if value is not None:
                    return value
                if key in below.deletes:
                    return None
        return self.stored_get(bucket, key)

    def put(self, bucket: bytes, key: bytes, value: bytes) -> None:
        """See ``Backend.put``.  (The overlay's part spelt out: this is the hot path.)"""
        overlay = self._active[bucket]
        if key > overlay.last:
            overlay.last = key
        else:
            overlay.put_below(key)
        overlay.puts[key] = value
        overlay.row_bytes += len(value) + ROW_BYTES
        self.pending += 1

    def delete(self, bucket: bytes, key: bytes) -> None:
        """See ``Backend.delete``."""
        self._active[bucket].delete(key)
        self.pending += 1

    def scan(self, bucket: bytes, start: bytes, end: bytes | None, limit: int = 0) -> Iterator[Row]:
        """See ``Backend.scan``."""
        first = min(limit, CHUNK_ROWS) if limit else _FIRST_ROWS
        rows = flatten(self._chunks(bucket, start, end, first, CHUNK_ROWS))
        return islice(rows, limit) if limit else rows

    def scan_chunks(
        self, bucket: bytes, start: bytes, end: bytes | None, rows: int = CHUNK_ROWS
    ) -> Iterator[list[Row]]:
        """See ``Backend.scan_chunks``."""
        return self._chunks(bucket, start, end, rows, rows)

    def begin_commit(self) -> Batch | None:
        """See ``Backend.begin_commit``; None also while another commit is under way."""
        if not self.pending or self._held or self._batch is not None:
            return None
        used = {
            name: overlay
            for name, overlay in self._active.items()
            if overlay.puts or overlay.deletes
        }
        for name, overlay in used.items():
            overlay.sorted_keys()  # both threads only read it from now on
            self._active[name] = Overlay()
        self._batch = Batch(used, self.pending)
        self.pending = 0
        return self._batch

    def end_commit(self, batch: Batch) -> None:
        """See ``Backend.end_commit``."""
        assert batch is self._batch and batch.written, "end_commit of a batch that is not written"
        self._batch = None

    def commit(self) -> None:
        """See ``Backend.commit``."""
        batch = self.begin_commit()
        if batch is not None:
            self.write_commit(batch)
            self.end_commit(batch)

    def pending_bytes(self) -> int:
        """Estimate of what the pending writes, those under way included, take in the file."""
        overlays = list(self._active.values())
        if self._batch is not None:
            overlays += self._batch.overlays.values()
        return sum(overlay.row_bytes for overlay in overlays)

    def drop_pending(self) -> None:
        """Forget what is not committed."""
        self._active = {name: Overlay() for name in BUCKETS}
        self._batch = None
        self.pending = 0

    def write_commit(self, batch: Batch) -> None:
        """See ``Backend.write_commit``."""
        raise NotImplementedError

    def stored_get(self, bucket: bytes, key: bytes) -> bytes | None:
        """The committed value."""
        raise NotImplementedError

    def stored_rows(self, bucket: bytes, start: bytes, end: bytes | None, limit: int) -> list[Row]:
        """The first `limit` committed rows with ``start <= key < end``."""
        raise NotImplementedError

    def _chunks(
        self, bucket: bytes, start: bytes, end: bytes | None, rows: int, rows_max: int
    ) -> Iterator[list[Row]]:
        """Chunks of up to `rows` rows, each larger than the one before, up to `rows_max`."""
        follows: bytes | None = start
        while follows is not None and (end is None or follows < end):
            overlays = []
            if self._batch is not None and bucket in self._batch.overlays:
                overlays.append(self._batch.overlays[bucket])
            active = self._active[bucket]
            if active.puts or active.deletes:
                overlays.append(active)
            stored = self.stored_rows(bucket, follows, end, rows)
            chunk, follows = merge(stored, overlays, follows, end, rows)
            if chunk:
                yield chunk
            rows = min(rows * 4, rows_max)
