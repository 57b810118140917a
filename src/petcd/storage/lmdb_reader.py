"""The database of a member, running or stopped, as a tool sees it: to be read, never written.

LMDB registers the reader in its lock file, so that a member that runs leaves alone the pages which
are being read.
"""

from __future__ import annotations

from collections.abc import Iterator

import lmdb

from petcd.storage.backend import BUCKETS, Row
from petcd.storage.errors import BackendDamaged
from petcd.storage.lmdb_backend import LmdbView, open_environment


class LmdbReader:
    """The file `path` as of its last commit when it is opened.  Raises BackendDamaged."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._env = open_environment(path, read_only=True)
        try:
            self._txn = self._env.begin()
            self._databases = {
                name: self._env.open_db(name, self._txn, create=False) for name in BUCKETS
            }
        except lmdb.Error as error:
            self._env.close()
            raise BackendDamaged(path, str(error)) from error

    def get(self, bucket: bytes, key: bytes) -> bytes | None:
        """One value.  Raises BackendDamaged."""
        try:
            value: bytes | None = self._txn.get(key, None, self._databases[bucket])
        except lmdb.Error as error:
            raise BackendDamaged(self._path, str(error)) from error
        return value

    def buckets(self) -> Iterator[tuple[bytes, Iterator[list[Row]]]]:
        """All rows, by bucket, in chunks.  Raises BackendDamaged."""
        view = LmdbView(self._path, self._txn, self._databases, set())
        for name in BUCKETS:
            yield name, view.scan_chunks(name, b"", None)

    def close(self) -> None:
        """The reader is not registered any more."""
        self._txn.abort()
        self._env.close()
