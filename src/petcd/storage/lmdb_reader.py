"""The database of a member, running or stopped, as a tool sees it: to be read, never written.

LMDB registers the reader in its lock file, so that a member that runs leaves alone the pages which
are being read.
"""

from __future__ import annotations

import os

import lmdb

from petcd.storage.errors import BackendDamaged, CopyFailed
from petcd.storage.files import sync_directory
from petcd.storage.lmdb_backend import copy_compact, open_environment


class LmdbReader:
    """Opens the file `path`.  Raises BackendDamaged."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._env = open_environment(path, read_only=True)

    def get(self, bucket: bytes, key: bytes) -> bytes | None:
        """One value as of the last commit.  Raises BackendDamaged."""
        try:
            database = self._env.open_db(bucket, create=False)
            with self._env.begin() as txn:
                value: bytes | None = txn.get(key, None, database)
        except lmdb.Error as error:
            raise BackendDamaged(self._path, str(error)) from error
        return value

    def copy(self, path: str) -> None:
        """Everything as of the last commit into a new file, synced.  Raises CopyFailed."""
        copy_compact(self._env, path)
        try:
            sync_directory(os.path.dirname(path))
        except OSError as error:
            raise CopyFailed(path, str(error)) from error

    def close(self) -> None:
        """The reader is not registered any more."""
        self._env.close()
