"""The backend on LMDB: a copy-on-write B+ tree in one file, mapped into memory for reading.

How it is used, and why
* One environment, one file ``db``, one named database a bucket.  Commits are synced (``sync`` and
  ``metasync`` on): LMDB then survives power cuts, since pages in use are never overwritten and the
  new root goes in last.  No ``writemap``: a stray write could damage the file, and the file would
  have to be as large as the map.
* The map is address space, not file or memory: 1 TiB of it costs nothing on a 64-bit system, and
  the file grows only as pages are used.  Where address space is limited, a smaller map is tried.
* Readers are registered in LMDB's lock file (``lock`` on), because views live over many commits
  and their pages must not be reused.  Who may open the file at all is decided by the lock of the
  data directory; so a lock file that is there when we open is a leftover, and is removed.
* All reads go through one read transaction, renewed after each commit.
* Commits and long reads run in a worker thread.  py-lmdb lets the interpreter lock go for every
  single row and takes it back at once, faster than a waiting loop wakes up: that gets it after the
  switch interval (5 ms).  So a worker works in slices with a short sleep between, in which the loop
  runs.  10,000 rows a tenth of a second cost a busy loop 3-7 % of its turns.
* Readahead stays on: with cold caches a walk through a million rows takes 1.4 s with it and 5-8 s
  without.  (With warm caches it takes 0.4 s.)

A new file is made under another name, synced, and renamed; so a file that is there is whole.
Defragmentation copies the same way.  It does not do: checksums (LMDB has none; hashes of the store
are compared between members).

Source: LMDB's documentation; measurements stand with the constants.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

import lmdb

from petcd.storage.backend import BUCKETS, CHUNK_ROWS, Batch, Row
from petcd.storage.errors import BackendBusy, BackendDamaged, CopyFailed, StorageFailed
from petcd.storage.files import FILE_MODE, sync_directory
from petcd.storage.overlay import Overlay
from petcd.storage.pending import PendingWrites, flatten

# Tried in turn; the later ones are for processes whose address space is limited.
MAP_BYTES: Final = (1 << 40, 1 << 36, 1 << 33)
# Read transactions at a time: our own one and the views.
READERS_MAX: Final = 126
# Rows written between two sleeps of a commit.  A row takes 0.25-0.5 us, so the loop waits for at
# most half a millisecond, and 10,000 rows take 16 slices or more.
SLICE_ROWS_MIN: Final = 250
SLICE_ROWS_MAX: Final = 1000
_SLICES: Final = 16
_SLEEP_S: Final = 0.0001
# Chunks that ``write_database`` commits together.
_CHUNKS_A_TRANSACTION: Final = 64

_NEW: Final = ".new"
_DEFRAG: Final = ".defrag.tmp"
_LOCK: Final = "-lock"


class LmdbView:
    """A read transaction of its own on the last commit; see ``backend.View``."""

    __slots__ = ("_databases", "_owner", "_path", "_txn", "_views")

    def __init__(
        self, path: str, txn: Any, databases: dict[bytes, Any], views: set[LmdbView]
    ) -> None:
        self._path = path
        self._owner = threading.get_ident()
        self._txn = txn
        self._databases = databases
        self._views = views
        views.add(self)

    def scan(self, bucket: bytes, start: bytes, end: bytes | None) -> Iterator[Row]:
        """See ``backend.View``."""
        return flatten(self.scan_chunks(bucket, start, end))

    def scan_chunks(
        self, bucket: bytes, start: bytes, end: bytes | None, rows: int = CHUNK_ROWS
    ) -> Iterator[list[Row]]:
        """See ``backend.View``; in a worker thread it sleeps after each chunk, so the loop runs.

        Raises BackendDamaged.
        """
        sleep_s = 0.0 if threading.get_ident() == self._owner else _SLEEP_S
        try:
            cursor = self._txn.cursor(self._databases[bucket])
            if not cursor.set_range(start):
                return
            stored = cursor.iternext(True, True)
            while True:
                chunk = list(islice(stored, rows))
                if chunk and end is not None and chunk[-1][0] >= end:
                    yield [row for row in chunk if row[0] < end]
                    return
                if chunk:
                    yield chunk
                if len(chunk) < rows:
                    return
                time.sleep(sleep_s)
        except lmdb.Error as error:
            raise BackendDamaged(self._path, str(error)) from error

    def close(self) -> None:
        """End the transaction."""
        if self in self._views:
            self._views.discard(self)
            self._txn.abort()


class LmdbBackend(PendingWrites):
    """The backend over the file `path`, made when it is not there.

    Raises BackendDamaged when the file cannot be opened.
    """

    __slots__ = (
        "_databases",
        "_defragmenting",
        "_env",
        "_failed",
        "_file_bytes",
        "_live_bytes",
        "_path",
        "_read",
        "_retired",
        "_views",
    )

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._failed = ""
        self._defragmenting = False
        self._views: set[LmdbView] = set()
        self._retired: list[tuple[Any, set[LmdbView]]] = []  # replaced files with open views
        self._env: Any = None
        self._read: Any = None
        self._databases: dict[bytes, Any] = {}
        self._file_bytes = 0
        self._live_bytes = 0
        try:
            for leftover in (_NEW, _NEW + _LOCK, _DEFRAG, _LOCK):
                _remove(path + leftover)
            if not os.path.exists(path):
                write_database(path, ())
        except OSError as error:
            raise BackendDamaged(path, error.strerror or str(error)) from error
        self._open()

    @property
    def path(self) -> str:
        """The file."""
        return self._path

    def write_commit(self, batch: Batch) -> None:
        """See ``Backend.write_commit``; sleeps between slices, for use in a worker thread."""
        self._write(batch, _SLEEP_S)

    def commit(self) -> None:
        """See ``Backend.commit``; does not sleep."""
        batch = self.begin_commit()
        if batch is not None:
            self._write(batch, 0.0)
            self.end_commit(batch)

    def end_commit(self, batch: Batch) -> None:
        """See ``Backend.end_commit``; renews the read transaction."""
        super().end_commit(batch)
        self._read.abort()
        self._renew()

    def size(self) -> int:
        """See ``Backend.size``."""
        return self._file_bytes

    def size_in_use(self) -> int:
        """See ``Backend.size_in_use``."""
        return self._live_bytes + self.pending_bytes()

    def snapshot_view(self) -> LmdbView:
        """See ``Backend.snapshot_view``.  Close it soon: it keeps pages from being reused."""
        self._close_retired()
        return LmdbView(self._path, self._env.begin(), self._databases, self._views)

    def stored_get(self, bucket: bytes, key: bytes) -> bytes | None:
        """One value as of the last commit.  Raises BackendDamaged."""
        try:
            value: bytes | None = self._read.get(key, None, self._databases[bucket])
        except lmdb.BadValsizeError:
            return None  # such a key cannot have been put
        except lmdb.Error as error:
            raise BackendDamaged(self._path, str(error)) from error
        return value

    def stored_rows(self, bucket: bytes, start: bytes, end: bytes | None, limit: int) -> list[Row]:
        """Rows as of the last commit.  Raises BackendDamaged."""
        try:
            cursor = self._read.cursor(self._databases[bucket])
            if not cursor.set_range(start):
                return []
            rows: list[Row] = list(islice(cursor.iternext(True, True), limit))
        except lmdb.Error as error:
            raise BackendDamaged(self._path, str(error)) from error
        if end is not None and rows and rows[-1][0] >= end:
            return [row for row in rows if row[0] < end]
        return rows

    def begin_defragment(self) -> None:
        """See ``Backend.begin_defragment``."""
        if self._batch is not None or self._defragmenting:
            raise BackendBusy("a commit or a defragmentation is under way")
        self._held = self._defragmenting = True

    def write_defragment(self) -> None:
        """See ``Backend.write_defragment``."""
        target = self._path + _DEFRAG
        try:
            fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
            try:
                self._env.copyfd(fd, compact=True)
                os.fsync(fd)
            finally:
                os.close(fd)
        except (lmdb.Error, OSError) as error:
            raise CopyFailed(target, str(error)) from error

    def cancel_defragment(self) -> None:
        """See ``Backend.cancel_defragment``."""
        _remove(self._path + _DEFRAG)
        self._held = self._defragmenting = False

    def end_defragment(self) -> None:
        """See ``Backend.end_defragment``."""
        if self._views:
            raise BackendBusy(f"{len(self._views)} views are open")
        self._close_env()
        try:
            os.replace(self._path + _DEFRAG, self._path)
            sync_directory(os.path.dirname(self._path))
        except OSError as error:
            raise StorageFailed(self._path, error.strerror or str(error)) from error
        self._open()
        self._held = self._defragmenting = False

    def defragment(self) -> None:
        """The three steps in a row.  Raises BackendBusy, CopyFailed, StorageFailed."""
        self.begin_defragment()
        try:
            self.write_defragment()
        except CopyFailed:
            self.cancel_defragment()
            raise
        self.end_defragment()

    def release_memory(self) -> None:
        """Unmap and map the file again, so that pages read so far leave the resident memory.

        For after the first walk through everything.  Raises BackendBusy like defragmentation.
        """
        if self._views or self._batch is not None or self._defragmenting:
            raise BackendBusy("the database is in use")
        self._close_env()
        self._open()

    def replace(self, path: str) -> Callable[[], None]:
        """Go on with the file `path`, which takes the place of ours; what is pending is dropped.

        Views go on showing the old file.  Neither a commit nor a defragmentation may be under way.
        Returns what lets the old file go, for any thread, since it takes long when it is large.
        Raises StorageFailed, BackendDamaged.
        """
        assert self._batch is None and not self._defragmenting, "replaced while it is in use"
        self.drop_pending()
        self._read.abort()
        old: Any = self._env
        clean_up: Callable[[], None] = old.close
        if self._views:
            self._retired.append((old, self._views))
            self._views = set()
            clean_up = _nothing
        try:
            for leftover in (path, self._path):
                _remove(leftover + _LOCK)
            os.replace(path, self._path)
            sync_directory(os.path.dirname(self._path))
        except OSError as error:
            raise StorageFailed(self._path, error.strerror or str(error)) from error
        self._open()
        return clean_up

    def _close_retired(self) -> None:
        """Close the replaced files that nobody looks at any more."""
        for env, views in self._retired:
            if not views:
                env.close()
        self._retired = [retired for retired in self._retired if retired[1]]

    def close(self) -> None:
        """See ``Backend.close``."""
        if self._env is not None:
            self.drop_pending()
            for view in [*self._views, *(view for _, views in self._retired for view in views)]:
                view.close()
            self._close_retired()
            self._close_env()

    def _open(self) -> None:
        self._env = open_environment(self._path)
        try:
            _fill_up(self._path, self._env)
            with self._env.begin(write=True) as txn:
                self._databases = {name: self._env.open_db(name, txn=txn) for name in BUCKETS}
            # What a killed process left in the system's cache counts as durable from now on.
            self._env.sync(True)
            sync_directory(os.path.dirname(self._path))
            self._renew()
        except (lmdb.Error, OSError) as error:
            self._env.close()
            self._env = None
            raise BackendDamaged(self._path, str(error)) from error

    def _close_env(self) -> None:
        self._read.abort()
        self._env.close()
        self._env = None

    def _renew(self) -> None:
        """A read transaction on the last commit, and the sizes there."""
        self._read = self._env.begin()
        page_bytes = self._env.stat()["psize"]
        live = 2 + _pages(self._env.stat())
        for database in self._databases.values():
            live += _pages(self._read.stat(database))
        self._live_bytes = live * page_bytes
        self._file_bytes = (self._env.info()["last_pgno"] + 1) * page_bytes

    def _write(self, batch: Batch, sleep_s: float) -> None:
        if self._failed:
            raise StorageFailed(self._path, self._failed)
        rows = min(max(batch.operations // _SLICES, SLICE_ROWS_MIN), SLICE_ROWS_MAX)
        try:
            with self._env.begin(write=True) as txn:
                for bucket, overlay in batch.overlays.items():
                    _write_overlay(txn, self._databases[bucket], overlay, rows, sleep_s)
        except (lmdb.Error, OSError) as error:
            self._failed = str(error)
            raise StorageFailed(self._path, self._failed) from error
        batch.written = True


def _nothing() -> None:
    """Somebody still looks at it."""


def _write_overlay(txn: Any, database: Any, overlay: Overlay, rows: int, sleep_s: float) -> None:
    """Deletes, then puts, in slices of `rows`."""
    for part in _slices(sorted(overlay.deletes), rows):
        for key in part:
            txn.delete(key, b"", database)
        time.sleep(sleep_s)
    puts = overlay.puts
    keys = overlay.sorted_keys()
    if not keys:
        return
    cursor = txn.cursor(database)
    append = not cursor.last() or cursor.key() < keys[0]
    for part in _slices(keys, rows):
        pairs = [(key, puts[key]) for key in part]
        consumed, added = cursor.putmulti(pairs, append=append)
        assert consumed == added == len(pairs), f"{added} of {len(pairs)} rows written"
        time.sleep(sleep_s)


def _slices(keys: list[bytes], size: int) -> Iterable[list[bytes]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))


def _pages(stat: dict[str, int]) -> int:
    return stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]


def open_environment(path: str, sync: bool = True, read_only: bool = False) -> Any:
    """The environment on `path`, with the largest map that can be had; commits `sync` or not.

    Raises BackendDamaged.
    """
    for map_bytes in MAP_BYTES:
        try:
            return lmdb.open(
                path,
                map_size=map_bytes,
                subdir=False,
                max_dbs=len(BUCKETS),
                max_readers=READERS_MAX,
                mode=FILE_MODE,
                readahead=True,
                sync=sync,
                metasync=sync,
                writemap=False,
                lock=True,
                readonly=read_only,
            )
        except lmdb.MemoryError:
            continue
        except lmdb.Error as error:
            raise BackendDamaged(path, str(error)) from error
    raise BackendDamaged(path, "no address space for the map")


def _fill_up(path: str, env: Any) -> None:
    """Give the file the length that its pages need; raises OSError.

    A page at the end that was never written may be missing, rightly or because the file was cut.
    Reading behind the end of a mapped file kills the process; reading zeros is an error of LMDB's.
    """
    size = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    if os.stat(path).st_size < size:
        os.truncate(path, size)


def write_database(path: str, buckets: Iterable[tuple[bytes, Iterator[list[Row]]]]) -> None:
    """Make a new file, replacing one that is there, with these buckets' rows; complete and synced
    before it gets its name.

    The rows come in chunks, by key; buckets that are not given are empty.  For a worker thread too:
    it sleeps between chunks.  Raises StorageFailed, BackendDamaged when no file can be made there,
    and what `buckets` raises.
    """
    temporary = path + _NEW
    try:
        for leftover in (temporary, temporary + _LOCK):
            _remove(leftover)
        env = open_environment(temporary, sync=False)
        try:
            with env.begin(write=True) as txn:
                databases = {name: env.open_db(name, txn=txn) for name in BUCKETS}
            for name, chunks in buckets:
                _write_rows(env, databases[name], chunks)
            env.sync(True)
        finally:
            env.close()
            _remove(temporary + _LOCK)
        os.replace(temporary, path)
        sync_directory(os.path.dirname(path))
    except (lmdb.Error, OSError) as error:
        raise StorageFailed(path, str(error)) from error
    finally:
        _remove(temporary)  # it may have filled the disk


def _write_rows(env: Any, database: Any, chunks: Iterator[list[Row]]) -> None:
    """A transaction every so many chunks, since LMDB keeps an open one's pages in memory."""
    more = True
    while more:
        more = False
        with env.begin(write=True) as txn:
            cursor = txn.cursor(database)
            for rows in islice(chunks, _CHUNKS_A_TRANSACTION):
                consumed, added = cursor.putmulti(rows, append=True)
                assert consumed == added == len(rows), f"{added} of {len(rows)} rows written"
                time.sleep(_SLEEP_S)
                more = True


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
