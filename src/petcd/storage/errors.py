"""Errors of the storage room.  Each carries data; the text is one clear line for a user.

Two families: ``StorageFailed`` means that the disk refused a write or a sync, and the process must
end (what the page cache holds after a failed sync is unknown, so nobody retries).  ``StorageError``
are the others: something on the disk is damaged, missing, or not ours.
"""

from __future__ import annotations


class StorageError(Exception):
    """Base of every error that this room raises on purpose."""


class StorageFailed(StorageError):
    """A write or sync failed: `path` and the system's text.  Whoever sees it ends the process."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"storage failed: {path}: {why}")
        self.path = path
        self.why = why


class WalError(StorageError):
    """Base of what can be wrong with a log that is opened."""


class WalDamaged(WalError):
    """Bytes that were once written well no longer are: `file`, `offset` in bytes, `why`."""

    def __init__(self, file: str, offset: int, why: str) -> None:
        super().__init__(f"log damaged: {file} at offset {offset}: {why}")
        self.file = file
        self.offset = offset
        self.why = why


class WalNotFound(WalError):
    """No segment that holds the wished position: none at all, or one is missing in the row."""

    def __init__(self, directory: str, why: str) -> None:
        super().__init__(f"log not found: {directory}: {why}")
        self.directory = directory
        self.why = why


class WalSnapshotNotFound(WalError):
    """The log has no snapshot record of `index` and `term` to start from."""

    def __init__(self, directory: str, index: int, term: int) -> None:
        super().__init__(
            f"log {directory} has no record of a snapshot at index {index}, term {term}"
        )
        self.directory = directory
        self.index = index
        self.term = term


class WalExists(WalError):
    """A log, or something else, is already where a new one was to be made: the name `found`."""

    def __init__(self, directory: str, found: str) -> None:
        super().__init__(f"no place for a new log: {directory} holds {found}")
        self.directory = directory
        self.found = found


class BackendDamaged(StorageError):
    """The database file cannot be opened: `path` and why."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"database cannot be opened: {path}: {why}")
        self.path = path
        self.why = why


class CopyFailed(StorageError):
    """A copy of the database could not be written: `path` and why.  The database is as it was."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"database not copied: {path}: {why}")
        self.path = path
        self.why = why


class BackendBusy(StorageError):
    """The operation needs the database for itself, and something else still uses it."""


class DataDirError(StorageError):
    """Base of what can be wrong with a data directory.  Carries its `path`."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(text)
        self.path = path


class DataDirLocked(DataDirError):
    """Another process uses the directory: `pid`, 0 when unknown."""

    def __init__(self, path: str, pid: int) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(path, f"data directory {path} is in use by {who}")
        self.pid = pid


class DataDirForeign(DataDirError):
    """The directory holds something else: `found` is the name that gave it away."""

    def __init__(self, path: str, found: str, why: str) -> None:
        super().__init__(path, f"data directory {path} is not petcd's: {found}: {why}")
        self.found = found
        self.why = why


class DataDirUnusable(DataDirError):
    """The directory cannot be made, read or written: `why` is the system's text."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, f"data directory {path} cannot be used: {why}")
        self.why = why
