"""The backend: buckets of sorted keys, one durable transaction at a time.

What the state machines write is buffered and visible to reads at once; a commit takes the buffer
as one batch, writes it in one transaction, synced, and only then forgets it::

    put/delete --> overlay --begin_commit--> batch --write_commit--> disk
                      |                        |                       |
                      +---------------- get, scan ----------------------+     newest first

``begin_commit`` and ``end_commit`` belong to the thread that owns the backend, ``write_commit`` may
run in another one meanwhile.  All or nothing of a batch survives a crash, and batches survive in
order: so data and applied index that are written together stay together.

Buckets are etcd's and one of our own.  Keys of ``b"key"`` are revisions and only grow, which makes
them cheap to append; every bucket takes any key, though.

It does not do: transactions with reads and conflicts (there is one writer), knowledge of what the
buckets hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from petcd.storage.overlay import Overlay

KEY: Final = b"key"
BUCKETS: Final = (
    KEY,
    b"meta",
    b"lease",
    b"alarm",
    b"cluster",
    b"members",
    b"members_removed",
    b"auth",
    b"authUsers",
    b"authRoles",
    b"v2",  # ours: what the v2 API needs to know of a revision
)

# Longest key, and none is empty: LMDB's limits.  What users choose (names of users and roles) has
# to be held to it before it gets into the log.
KEY_BYTES_MAX: Final = 511

Row = tuple[bytes, bytes]

# Rows that a scan reads at a time; between two chunks other calls may come in.
CHUNK_ROWS: Final = 1000


class Batch:
    """The writes of one commit, by bucket; made by ``begin_commit`` and opaque to others."""

    __slots__ = ("operations", "overlays", "written")

    def __init__(self, overlays: dict[bytes, Overlay], operations: int) -> None:
        self.overlays = overlays
        self.operations = operations
        self.written = False


class View(Protocol):
    """A frozen picture of the last commit, for a worker thread."""

    def scan(self, bucket: bytes, start: bytes, end: bytes | None) -> Iterator[Row]:
        """The rows with ``start <= key < end`` in order; `end` None means to the last."""

    def scan_chunks(
        self, bucket: bytes, start: bytes, end: bytes | None, rows: int = CHUNK_ROWS
    ) -> Iterator[list[Row]]:
        """The same in lists of up to `rows` rows."""

    def close(self) -> None:
        """Let go of the picture; a second call does nothing."""


class Backend(Protocol):
    """See the module's text.  All calls but ``write_commit`` belong to one thread."""

    @property
    def pending(self) -> int:
        """Operations since the last ``begin_commit``."""

    def get(self, bucket: bytes, key: bytes) -> bytes | None:
        """The value, written or pending; None when there is none."""

    def put(self, bucket: bytes, key: bytes, value: bytes) -> None:
        """Set a value; ``0 < len(key) <= KEY_BYTES_MAX``."""

    def delete(self, bucket: bytes, key: bytes) -> None:
        """Remove a key; one that is not there is no error."""

    def scan(self, bucket: bytes, start: bytes, end: bytes | None, limit: int = 0) -> Iterator[Row]:
        """The rows with ``start <= key < end`` in order, pending ones included.

        `end` None means to the last, `limit` 0 means all.  The iterator may be kept over later
        calls: it reads ahead in chunks and sees later writes that lie beyond its chunk.
        """

    def scan_chunks(
        self, bucket: bytes, start: bytes, end: bytes | None, rows: int = CHUNK_ROWS
    ) -> Iterator[list[Row]]:
        """The same in lists of up to `rows` rows: the fast way through a million."""

    def begin_commit(self) -> Batch | None:
        """Take the pending writes; None when there are none, or when it may not be done now."""

    def write_commit(self, batch: Batch) -> None:
        """Write the batch in one transaction and sync it; any thread.  Raises StorageFailed."""

    def end_commit(self, batch: Batch) -> None:
        """From now on the batch is read from the disk."""

    def commit(self) -> None:
        """All three in a row.  Raises StorageFailed."""

    def size(self) -> int:
        """Bytes of the file as of the last commit."""

    def size_in_use(self) -> int:
        """Bytes of the pages in use as of the last commit, plus an estimate of what is pending."""

    def snapshot_view(self) -> View:
        """A view of the last commit, independent of everything that follows."""

    def begin_defragment(self) -> None:
        """Get ready to copy what is in use to a new file; commits are held back until the end.

        Raises BackendBusy while a commit or a defragmentation is under way.
        """

    def write_defragment(self) -> None:
        """Make the copy, synced; any thread.  Raises CopyFailed; then call `cancel_defragment`."""

    def end_defragment(self) -> None:
        """Put the copy in the file's place and go on with it.

        Raises BackendBusy while views are open (try again when they are closed), StorageFailed.
        """

    def cancel_defragment(self) -> None:
        """Give up a defragmentation that was begun; commits go on."""

    def close(self) -> None:
        """Close; what is pending is lost.  A second call does nothing."""
