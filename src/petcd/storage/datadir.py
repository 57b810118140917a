"""The data directory: its layout, its lock, and the refusal of everything that is not ours.

::

    default.etcd/                       0700
      member/                           made first; its presence says that the directory is in use
        lock                            flock-ed while a process uses the directory; holds its pid
        snap/db                         the backend (LMDB)
        wal/                            the log, unless it was moved elsewhere

The lock is the kernel's (flock), so it ends with the process however that ends; the file stays.
A directory without ``member`` is taken over only when it is empty, apart from what file systems
and operators put there: names with a leading dot, ``lost+found``, etcd's ``fixtures`` and
``proxy``.  A directory of etcd itself is told by its database's format and refused.

It does not do: opening the log or the backend, migrating.

Source: etcd's layout.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import Final

from petcd.storage.errors import DataDirForeign, DataDirLocked, DataDirUnusable
from petcd.storage.files import DIRECTORY_MODE, FILE_MODE, sync_directory

_HARMLESS: Final = frozenset(("lost+found", "fixtures", "proxy"))
# The four bytes at offset 16 of a bbolt file's first page.
_BOLT_MAGIC: Final = 0xED0CDAED.to_bytes(4, "little")
_BOLT_MAGIC_AT: Final = 16


class DataDir:
    """An open, locked data directory.  `wal_dir` "" keeps the log inside it.

    Raises DataDirLocked, DataDirForeign, DataDirUnusable.
    """

    __slots__ = ("_lock_fd", "path", "wal_path")

    def __init__(self, path: str, wal_dir: str = "") -> None:
        self.path = path
        self.wal_path = wal_dir or os.path.join(path, "member", "wal")
        self._lock_fd = -1
        try:
            make_directory(path)
            if not os.path.isdir(os.path.join(path, "member")):
                _check_unused(path)
            make_directory(os.path.join(path, "member"))
            self._lock()
            make_directory(os.path.join(path, "member", "snap"))
            make_directory(os.path.dirname(self.wal_path) or ".")
            self._sync_names()
            _check_database(path, self.db_path)
        except OSError as error:
            self.close()
            raise DataDirUnusable(path, _text(error)) from error
        except DataDirForeign:
            self.close()
            raise

    @property
    def db_path(self) -> str:
        """The backend's file."""
        return os.path.join(self.path, "member", "snap", "db")

    @property
    def snap_path(self) -> str:
        """The directory of snapshots and of the backend's file."""
        return os.path.join(self.path, "member", "snap")

    def close(self) -> None:
        """Let the lock go; a second call does nothing."""
        if self._lock_fd >= 0:
            fd, self._lock_fd = self._lock_fd, -1
            os.close(fd)

    def _sync_names(self) -> None:
        """Sync the names once more: a process killed while it made them may not have."""
        for directory in (self.path, os.path.join(self.path, "member"), self.snap_path):
            sync_directory(directory)
        with suppress(PermissionError):  # it need not be ours
            sync_directory(os.path.dirname(self.path.rstrip("/")))

    def _lock(self) -> None:
        path = os.path.join(self.path, "member", "lock")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 20, 0).strip()
            os.close(fd)
            raise DataDirLocked(self.path, int(holder) if holder.isdigit() else 0) from None
        except OSError:
            os.close(fd)
            raise
        self._lock_fd = fd
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)


def make_directory(path: str) -> None:
    """Make a directory, 0700, and those above it, and sync their names."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path.rstrip("/")) or "."
    make_directory(parent)
    try:
        os.mkdir(path, DIRECTORY_MODE)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    sync_directory(parent)


def _check_unused(path: str) -> None:
    for name in sorted(os.listdir(path)):
        if name not in _HARMLESS and not name.startswith("."):
            raise DataDirForeign(path, name, "give an empty directory or one made by petcd")


def _check_database(path: str, db_path: str) -> None:
    try:
        with open(db_path, "rb") as file:
            head = file.read(_BOLT_MAGIC_AT + len(_BOLT_MAGIC))
    except FileNotFoundError:
        return
    if head[_BOLT_MAGIC_AT:] == _BOLT_MAGIC:
        raise DataDirForeign(path, "member/snap/db", "the database of an etcd server")


def _text(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return where + (error.strerror or str(error))
