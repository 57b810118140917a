"""The seam between the log and the disk: a small Protocol, and the real disk behind it.

Tests put a disk behind the same Protocol that forgets what was not synced.  Errors are plain
``OSError``; the callers know what they mean.

What each call promises, for those who implement it:
* ``File.write`` has put all bytes into the system's cache, not onto the disk; ``File.sync`` has put
  everything written to this file before the call, and the file's length, onto the disk.
* A name (create, rename, remove) is on the disk after ``sync_dir`` of its directory.

It does not do: locking (see ``datadir``), reading in pieces (segments are read whole).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from typing import Final, Protocol

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700
PAGE_BYTES: Final = 1 << 16  # at least the system's


class File(Protocol):
    """An open file of the log.  Offsets and sizes in bytes."""

    def write(self, offset: int, data: bytes) -> None:
        """Put all of `data` at `offset`, beyond the end too."""

    def sync(self) -> None:
        """Return when all that was written is on the disk."""

    def truncate(self, size: int) -> None:
        """Cut the file to `size` (not synced)."""

    def reread(self, start: int, end: int) -> bytes:
        """What the disk, not the system's cache, holds from `start` to `end`; for after ``sync``.

        What an earlier sync failed to write may still be in the cache, where it looks as good as
        the rest.  Systems that cannot tell give what they have.
        """

    def close(self) -> None:
        """Give the file back; a second call does nothing."""


class Files(Protocol):
    """The calls on names."""

    def create(self, path: str) -> File:
        """A new empty file open for writing; one of that name is replaced."""

    def open(self, path: str) -> File:
        """An existing file open for writing."""

    def read(self, path: str) -> bytes:
        """All bytes of a file."""

    def names(self, directory: str) -> list[str]:
        """The names in a directory, sorted; empty when there is no such directory."""

    def make_directory(self, path: str) -> None:
        """Make a directory (0700); one that exists is left as it is."""

    def free_bytes(self, directory: str) -> int:
        """Space that is left on the disk of a directory."""

    def rename(self, old: str, new: str) -> None:
        """Give a file or directory a new name; a file of that name is replaced in one step."""

    def remove(self, path: str) -> None:
        """Remove a file, or a directory with all that is in it; nothing there is no error."""

    def sync_dir(self, path: str) -> None:
        """Return when the names in the directory are on the disk."""


class OsFile:
    """A file of the real disk."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd

    def write(self, offset: int, data: bytes) -> None:
        """Write all; a short write (a full disk, a signal) is continued until it fails or ends."""
        written = os.pwrite(self._fd, data, offset)
        while written < len(data):
            rest = memoryview(data)[written:]
            written += os.pwrite(self._fd, rest, offset + written)

    def sync(self) -> None:
        """fdatasync: the data and the length, not the times."""
        _datasync(self._fd)

    def truncate(self, size: int) -> None:
        """Cut to `size` bytes."""
        os.ftruncate(self._fd, size)

    def reread(self, start: int, end: int) -> bytes:
        """Drop the cached pages first (only whole ones are dropped), on Linux."""
        if sys.platform == "linux":
            first = start - start % PAGE_BYTES
            os.posix_fadvise(self._fd, first, end + PAGE_BYTES - first, os.POSIX_FADV_DONTNEED)
        return os.pread(self._fd, end - start, start)

    def close(self) -> None:
        """Close once."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


class OsFiles:
    """The real disk."""

    __slots__ = ()

    def create(self, path: str) -> OsFile:
        """Create or empty a file, mode 0600."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        return OsFile(path, os.open(path, flags, FILE_MODE))

    def open(self, path: str) -> OsFile:
        """Open for reading and writing."""
        return OsFile(path, os.open(path, os.O_RDWR | os.O_CLOEXEC))

    def read(self, path: str) -> bytes:
        """The whole file."""
        with open(path, "rb") as file:
            return file.read()

    def names(self, directory: str) -> list[str]:
        """Sorted names; none when the directory is missing."""
        try:
            return sorted(os.listdir(directory))
        except FileNotFoundError:
            return []

    def make_directory(self, path: str) -> None:
        """One level, 0700."""
        try:
            os.mkdir(path, DIRECTORY_MODE)
        except FileExistsError:
            if not os.path.isdir(path):
                raise

    def free_bytes(self, directory: str) -> int:
        """See Files."""
        disk = os.statvfs(directory)
        return disk.f_bavail * disk.f_frsize

    def rename(self, old: str, new: str) -> None:
        """rename(2)."""
        os.rename(old, new)

    def remove(self, path: str) -> None:
        """A file or a whole directory."""
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
            return
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass

    def sync_dir(self, path: str) -> None:
        """fsync of the directory."""
        sync_directory(path)


class UnsyncedFile(OsFile):
    """A file whose sync does nothing: for tests of others, where a power cut does not matter."""

    __slots__ = ()

    def sync(self) -> None:
        """Leave it to the system."""


class UnsyncedFiles(OsFiles):
    """The real disk for `--unsafe-no-fsync`: a killed process loses nothing, a power cut may."""

    __slots__ = ()

    def create(self, path: str) -> OsFile:
        """See OsFiles."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        return UnsyncedFile(path, os.open(path, flags, FILE_MODE))

    def open(self, path: str) -> OsFile:
        """See OsFiles."""
        return UnsyncedFile(path, os.open(path, os.O_RDWR | os.O_CLOEXEC))

    def sync_dir(self, path: str) -> None:
        """Leave it to the system."""


def sync_directory(path: str) -> None:
    """fsync a directory, so that the names in it are on the disk; raises OSError."""
    fd = os.open(path or ".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _full_sync(fd: int) -> None:
    """macOS: fsync there leaves the data in the drive's cache, only this call does not."""
    fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # type: ignore[attr-defined,unused-ignore]


_datasync = _full_sync if sys.platform == "darwin" else os.fdatasync
