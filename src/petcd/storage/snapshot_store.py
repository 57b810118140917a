"""Snapshots between members: made of one backend, put in the place of another.

::

    sender      view --save--> body ............ network ............ body
    receiver    body --stage--> staged backend (durable, beside the one in use) --install--> backend

Between `stage` and `install` the log gets its snapshot record; so a crash leaves

    no record yet                     the old state; what is staged is dropped at the next start
    record, and not yet installed     the new state; the next start installs (`settle`)
    installed                         the new state

All but ``install`` work in a thread and may take long (to let a large file go takes long, too);
``install`` takes milliseconds on the thread that owns the backend.  With files a body is the path
of a bbolt file; in memory it is the rows themselves.

It does not do: deciding whether a snapshot is wanted, writing the log, loading state machines.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile, mkstemp
from typing import Any, BinaryIO, Final, Protocol

from petcd.storage.backend import BUCKETS, Backend, View
from petcd.storage.bbolt_reader import BoltFile
from petcd.storage.errors import CopyFailed
from petcd.storage.files import sync_directory
from petcd.storage.lmdb_backend import LmdbBackend, write_database
from petcd.storage.lmdb_pages import check_pages
from petcd.storage.memory import MemoryBackend, MemoryStore
from petcd.storage.snapshot_file import LOCAL_KEYS, read_buckets, write_snapshot

STAGED: Final = "db.staged"
STAGED_LOCK: Final = STAGED + "-lock"  # LMDB's
# What a body that is to be sent is called; an arriving one is `<index>.snap.db`, as in etcd.
_OUTGOING_PREFIX: Final = "outgoing-"
_OUTGOING_SUFFIX: Final = ".tmp"
ARRIVED_SUFFIX: Final = ".snap.db"
_DIGEST_SLICE_BYTES: Final = 1 << 20


class Saved:
    """A body that was made: what the network is to send, and how much that is."""

    __slots__ = ("body", "size_bytes")

    def __init__(self, body: Any, size_bytes: int) -> None:
        self.body = body
        self.size_bytes = size_bytes


class Export:
    """A whole bbolt file that nobody else sees: its size, and the digest that belongs behind it."""

    __slots__ = ("_file", "digest", "size_bytes")

    def __init__(self, view: View, file: BinaryIO) -> None:
        self._file = file
        self.size_bytes = write_snapshot(view, file)
        file.seek(0)
        digest = hashlib.sha256()
        while data := file.read(_DIGEST_SLICE_BYTES):
            digest.update(data)
        self.digest = digest.digest()
        file.seek(0)

    def read(self, size: int) -> bytes:
        """The next bytes; fewer at the end.  Raises OSError."""
        return self._file.read(size)

    def close(self) -> None:
        """The file goes; any thread.  A second call does nothing."""
        self._file.close()


class SnapshotStore(Protocol):
    """See the module's text."""

    def export(self, view: View) -> Export:
        """Make a file for a client; any thread.  Raises CopyFailed."""

    def save(self, view: View) -> Saved:
        """Make a body of what the view shows; any thread.  Raises CopyFailed, BackendDamaged."""

    def stage(self, body: Any, edit: Callable[[Backend], None]) -> Backend:
        """Make a backend of a body, edited, durable; any thread.

        One at a time: what was staged before goes.  Raises BoltDamaged, StorageFailed and what
        `edit` raises.
        """

    def install(self, staged: Backend) -> Callable[[], None]:
        """Put what was staged in the place of the backend, whose pending writes are dropped.

        No commit may be under way.  Returns what is left to do, in any thread.  Raises
        StorageFailed.
        """

    def unstage(self, staged: Backend) -> None:
        """Drop what was staged; any thread."""

    def discard(self, body: Any) -> None:
        """A body is not needed any more; any thread.  One that is gone already is no error."""


class SnapshotFiles:
    """Snapshots in the directory of the database, for `backend`."""

    __slots__ = ("_backend", "_directory")

    def __init__(self, directory: str, backend: LmdbBackend) -> None:
        self._directory = directory
        self._backend = backend

    def export(self, view: View) -> Export:
        """A file without a name."""
        try:
            file = TemporaryFile(dir=self._directory)  # noqa: SIM115 (the Export closes it)
            try:
                return Export(view, file)
            except BaseException:
                file.close()
                raise
        except OSError as error:
            raise CopyFailed(self._directory, error.strerror or str(error)) from error

    def save(self, view: View) -> Saved:
        """Write a bbolt file; it is not synced, for a crash makes it worthless."""
        path = self._directory
        try:
            fd, path = mkstemp(_OUTGOING_SUFFIX, _OUTGOING_PREFIX, self._directory)
            try:
                with open(fd, "wb") as file:
                    return Saved(Path(path), write_snapshot(view, file))
            except BaseException:
                _remove(path)
                raise
        except OSError as error:
            raise CopyFailed(path, error.strerror or str(error)) from error

    def stage(self, body: Any, edit: Callable[[Backend], None]) -> Backend:
        """Read the bbolt file into an LMDB file of its own."""
        path = os.path.join(self._directory, STAGED)
        with BoltFile(str(body)) as file:
            file.check()
            write_database(path, read_buckets(file))
        staged = LmdbBackend(path)
        try:
            edit(staged)
            staged.commit()
        except BaseException:
            self.unstage(staged)  # the disk may be full
            raise
        return staged

    def install(self, staged: Backend) -> Callable[[], None]:
        """Rename the file."""
        staged.close()
        return self._backend.replace(os.path.join(self._directory, STAGED))

    def unstage(self, staged: Backend) -> None:
        """Remove the file."""
        staged.close()
        for name in (STAGED, STAGED_LOCK):
            _remove(os.path.join(self._directory, name))

    def discard(self, body: Any) -> None:
        """Remove the file."""
        _remove(body)


class MemorySnapshots:
    """The same for a backend in memory: a body is the rows."""

    __slots__ = ("_backend",)

    def __init__(self, backend: MemoryBackend) -> None:
        self._backend = backend

    def export(self, view: View) -> Export:
        """A file in memory."""
        return Export(view, BytesIO())

    def save(self, view: View) -> Saved:
        """Copy the rows."""
        rows = {name: list(view.scan(name, b"", None)) for name in BUCKETS}
        size = sum(len(key) + len(value) for part in rows.values() for key, value in part)
        return Saved(rows, size)

    def stage(self, body: Any, edit: Callable[[Backend], None]) -> Backend:
        """Fill a store that lies beside the one in use."""
        staged = MemoryBackend()
        for bucket, rows in body.items():
            for key, value in rows:
                if key not in LOCAL_KEYS:
                    staged.put(bucket, key, value)
        edit(staged)
        staged.commit()
        self._backend.store.staged = staged.store
        return staged

    def install(self, staged: Backend) -> Callable[[], None]:
        """Take over the rows."""
        self._backend.drop_pending()
        take_staged(self._backend.store)
        return lambda: None

    def unstage(self, staged: Backend) -> None:
        """Forget the rows."""
        self._backend.store.staged = None

    def discard(self, body: Any) -> None:
        """The rows go with the last who knows them."""


def snapshots_of(backend: Backend) -> SnapshotStore:
    """The snapshots that go with a backend."""
    if isinstance(backend, MemoryBackend):
        return MemorySnapshots(backend)
    assert isinstance(backend, LmdbBackend), backend
    return SnapshotFiles(os.path.dirname(backend.path), backend)


def take_staged(store: MemoryStore) -> None:
    """What is staged is the store's content from now on."""
    staged = store.staged
    assert staged is not None, "nothing is staged"
    store.buckets, store.row_bytes = staged.buckets, staged.row_bytes
    store.staged = None


def settle_memory(
    store: MemoryStore, applied: Callable[[Backend], int], is_recorded: Callable[[int], bool]
) -> None:
    """The counterpart of `settle` for a store in memory."""
    if store.staged is not None:
        index = applied(MemoryBackend(store.staged))
        if index > applied(MemoryBackend(store)) and is_recorded(index):
            take_staged(store)
        store.staged = None


def settle(
    directory: str,
    database: str,
    applied: Callable[[Backend], int],
    is_recorded: Callable[[int], bool],
) -> bool:
    """Finish or undo what a crash interrupted, before the database is opened; whether a staged one
    was put in its place.

    `applied` tells the index at which a backend stands, `is_recorded` whether the log says that
    there is a snapshot at that index.  Raises BackendDamaged, OSError.
    """
    path = os.path.join(directory, STAGED)
    installed = False
    if os.path.exists(path):
        index = _applied(path, applied)
        if index > _applied(database, applied) and is_recorded(index):
            os.replace(path, database)
            sync_directory(directory)
            installed = True
    for name in os.listdir(directory):
        if name.startswith((STAGED, _OUTGOING_PREFIX)) or name.endswith(ARRIVED_SUFFIX):
            _remove(os.path.join(directory, name))
    return installed


def _applied(path: str, applied: Callable[[Backend], int]) -> int:
    check_pages(path)
    backend = LmdbBackend(path)
    try:
        return applied(backend)
    finally:
        backend.close()


def _remove(path: str | Path) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
