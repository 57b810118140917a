"""The backend in memory: the same contract, nothing on a disk, for the simulator and for tests.

What was committed lives in a ``MemoryStore`` apart from the backend, so a crash is: throw the
backend away and make a new one over the same store.
"""

from __future__ import annotations

from collections.abc import Iterator

from sortedcontainers import SortedDict

from petcd.storage.backend import BUCKETS, CHUNK_ROWS, Batch, Row
from petcd.storage.errors import BackendBusy
from petcd.storage.overlay import ROW_BYTES
from petcd.storage.pending import PendingWrites, flatten


class MemoryStore:
    """What a disk would hold: the committed rows of each bucket, and about how many bytes."""

    __slots__ = ("buckets", "commits", "row_bytes", "staged")

    def __init__(self) -> None:
        self.buckets: dict[bytes, SortedDict] = {name: SortedDict() for name in BUCKETS}
        self.commits = 0
        self.row_bytes = 0
        self.staged: MemoryStore | None = None  # a snapshot that is about to be installed

    def apply(self, batch: Batch) -> None:
        """Take over a batch, whole."""
        for bucket, overlay in batch.overlays.items():
            rows = self.buckets[bucket]
            for key in overlay.deletes:
                self._forget(rows.pop(key, None))
            for key, value in overlay.puts.items():
                self._forget(rows.get(key))
                rows[key] = value
                self.row_bytes += len(value) + ROW_BYTES
        self.commits += 1

    def _forget(self, value: bytes | None) -> None:
        if value is not None:
            self.row_bytes -= len(value) + ROW_BYTES

    def rows(self, bucket: bytes, start: bytes, end: bytes | None, limit: int) -> list[Row]:
        """The first `limit` rows from `start` on."""
        rows = self.buckets[bucket]
        found: list[Row] = []
        for key in rows.irange(start, end, (True, False)):
            found.append((key, rows[key]))
            if len(found) == limit:
                break
        return found


class MemoryView:
    """A copy of the committed rows."""

    __slots__ = ("_store",)

    def __init__(self, store: MemoryStore) -> None:
        self._store = MemoryStore()
        self._store.buckets = {name: rows.copy() for name, rows in store.buckets.items()}

    def scan(self, bucket: bytes, start: bytes, end: bytes | None) -> Iterator[Row]:
        """See ``backend.View``."""
        return flatten(self.scan_chunks(bucket, start, end))

    def scan_chunks(
        self, bucket: bytes, start: bytes, end: bytes | None, rows: int = CHUNK_ROWS
    ) -> Iterator[list[Row]]:
        """See ``backend.View``."""
        while True:
            chunk = self._store.rows(bucket, start, end, rows)
            if chunk:
                yield chunk
            if len(chunk) < rows:
                return
            start = chunk[-1][0] + b"\0"

    def close(self) -> None:
        """Nothing to let go of."""


class MemoryBackend(PendingWrites):
    """A backend over a ``MemoryStore`` (a new one when none is given)."""

    __slots__ = ("store",)

    def __init__(self, store: MemoryStore | None = None) -> None:
        super().__init__()
        self.store = MemoryStore() if store is None else store

    def write_commit(self, batch: Batch) -> None:
        """Move the batch into the store."""
        self.store.apply(batch)
        batch.written = True

    def size(self) -> int:
        """An estimate for the committed rows."""
        return self.store.row_bytes

    def size_in_use(self) -> int:
        """The same plus what is pending."""
        return self.size() + self.pending_bytes()

    def snapshot_view(self) -> MemoryView:
        """A copy of what is committed."""
        return MemoryView(self.store)

    def begin_defragment(self) -> None:
        """See ``Backend.begin_defragment``; memory has no holes."""
        if self._batch is not None or self._held:
            raise BackendBusy("a commit or a defragmentation is under way")
        self._held = True

    def write_defragment(self) -> None:
        """Nothing to copy."""

    def end_defragment(self) -> None:
        """Commits go on."""
        self._held = False

    def cancel_defragment(self) -> None:
        """Commits go on."""
        self._held = False

    def close(self) -> None:
        """Drop what is pending."""
        self.drop_pending()

    def stored_get(self, bucket: bytes, key: bytes) -> bytes | None:
        """One committed value."""
        value: bytes | None = self.store.buckets[bucket].get(key)
        return value

    def stored_rows(self, bucket: bytes, start: bytes, end: bytes | None, limit: int) -> list[Row]:
        """Committed rows."""
        return self.store.rows(bucket, start, end, limit)
