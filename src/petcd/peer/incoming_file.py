"""A file that is either there whole, synced and under its name, or not at all.

    tmp<random>.snap.db in the directory -> fsync -> rename to its name -> fsync of the directory

It never takes the disk's last bytes: the log needs those, too, and the member ends without them.

What a crash leaves behind has the suffix by which the next start finds and removes it. Every
method may block and is called on a thread; a `discard` may come while a `write` is under way.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import BinaryIO

PREFIX, SUFFIX = "tmp", ".snap.db"
COPIES_ON_DISK = 2
"""The file, and the database that is made of it beside the one in use."""


class IncomingFile:
    """One file in the making."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._path = ""
        self._ended = False
        self._size = 0
        self.sync_s = 0.0
        """How long the sync of the file took."""

    def expect(self, size_bytes: int) -> None:
        """The file will have this size. Raises OSError when it would fill the disk."""
        self._check_room(COPIES_ON_DISK * size_bytes)

    def write(self, data: bytes) -> None:
        """Append; the file begins with the first call. Raises OSError, also when the disk would
        have no room for the copies."""
        with self._lock:
            self._open().write(data)
            self._size += len(data)
        self._check_room((COPIES_ON_DISK - 1) * self._size)

    def _check_room(self, size_bytes: int) -> None:
        free = shutil.disk_usage(self._directory).free
        if free < size_bytes:
            what = os.strerror(errno.ENOSPC)
            raise OSError(errno.ENOSPC, f"{what}: {size_bytes} bytes needed, {free} free")

    def commit(self, name: str) -> Path:
        """Make it durable under this name; one that is there already stays. Raises OSError."""
        path = self._directory / name
        with self._lock:
            file = self._open()
            file.flush()
            started_s = time.perf_counter()
            os.fsync(file.fileno())
            self.sync_s = time.perf_counter() - started_s
            file.close()
            if not path.exists():
                os.rename(self._path, path)
                _sync_directory(self._directory)
        return path

    def discard(self) -> None:
        """Remove what was not committed; raises nothing."""
        with self._lock:
            self._ended = True
            if self._file is not None:
                self._file.close()
                Path(self._path).unlink(missing_ok=True)

    def _open(self) -> BinaryIO:
        if self._ended:
            raise OSError("discarded")
        if self._file is None:
            descriptor, self._path = tempfile.mkstemp(SUFFIX, PREFIX, self._directory)
            self._file = os.fdopen(descriptor, "wb")
        return self._file


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
