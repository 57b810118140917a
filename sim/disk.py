"""The disk of one simulated member: it forgets, tears, fails and fills up as the seed wants.

What a file holds is kept as the process sees it, with a list of what was written since the last
sync and what stood there before. A crash takes all of it back and then lets any subset through:
whole, torn at a byte, or with some sectors and not others. Names (create, rename, remove) reach
the disk in order, so a crash keeps the first few of those since the last sync of the directory.

    write ------> unsynced ---sync---> on the disk
                     |
                   crash ---> any part of it

What was synced stays, but for `hurt`: a disk may spoil it (`sim.damage` chooses how).

The backend's commits go to a `MemoryStore`, which is as durable as LMDB's synced transactions: a
commit is there whole or not at all.

Source of the calls: `petcd.storage.files`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from random import Random
from typing import NamedTuple, NoReturn

from petcd.storage.backend import KEY
from petcd.storage.memory import MemoryStore

SECTOR_BYTES = 512


# (offset, what stood there, length of the file before, what was written); written None for a
# truncation.
Pending = list[tuple[int, bytes, int, bytes | None]]


class Harm(NamedTuple):
    """What stood at a place of a file, and what stands there since; both have the same length."""

    path: str
    offset: int
    before: bytes
    after: bytes


class RottenRow(NamedTuple):
    """What a row of the backend's keys held, and what it holds since."""

    row: bytes
    before: bytes
    after: bytes


class Inode:
    """The bytes of a file as the process sees it, and how to take back what was not synced.

    `on_disk` is set after a failed sync, when the cache holds what the disk does not, and only
    reads that drop the cache, or a crash, tell.
    """

    __slots__ = ("content", "on_disk", "unsynced")

    def __init__(self) -> None:
        self.content = bytearray()
        self.on_disk: bytearray | None = None
        self.unsynced: Pending = []

    def write(self, offset: int, data: bytes) -> None:
        content = self.content
        length = len(content)
        if offset > length:
            content += bytes(offset - length)
        self.unsynced.append((offset, bytes(content[offset : offset + len(data)]), length, data))
        content[offset : offset + len(data)] = data

    def truncate(self, size: int) -> None:
        length = len(self.content)
        if size < length:
            self.unsynced.append((size, bytes(self.content[size:]), length, None))
            del self.content[size:]
        elif size > length:
            self.write(length, bytes(size - length))

    def drop_cache(self) -> None:
        """See what the disk holds, if that is something else."""
        if self.on_disk is not None:
            self.content, self.on_disk = self.on_disk, None

    def fail_sync(self, random: Random) -> None:
        """A sync that wrote something, or nothing, and will never try again."""
        kept = bytearray(self.content)
        self.crash(random)
        self.content, self.on_disk = kept, self.content

    def crash(self, random: Random) -> None:
        """Keep what was synced, and of the rest what chance lets through.

        Either the first few writes and a part of the next one, or any sectors as they were after
        any of the writes: a sector is written from the cache, where it is whole.
        """
        self.drop_cache()
        pending, self.unsynced = self.unsynced, []
        for offset, before, length, _ in reversed(pending):
            self._restore(offset, before, length)
        cuts = any(data is None for _, _, _, data in pending)
        if cuts or random.random() < 0.5:
            self._keep_first(pending, random)
        else:
            self._keep_sectors(pending, random)

    def _restore(self, offset: int, before: bytes, length: int) -> None:
        content = self.content
        content[offset : offset + len(before)] = before
        if len(content) > length:
            del content[length:]
        elif len(content) < length:
            content += bytes(length - len(content))

    def _keep_first(self, pending: Pending, random: Random) -> None:
        """The first writes, and of the next one the first bytes."""
        kept = random.randrange(len(pending) + 1)
        for offset, _, _, data in pending[:kept]:
            if data is None:
                del self.content[offset:]
            else:
                self._put(offset, data)
        for offset, _, _, data in pending[kept : kept + 1]:
            if data is not None:
                self._put(offset, data[: random.randrange(len(data) + 1)])

    def _keep_sectors(self, pending: Pending, random: Random) -> None:
        """Each sector for itself, as it was after some of its writes."""
        sectors: dict[int, list[tuple[int, bytes]]] = {}
        for offset, _, _, data in pending:
            assert data is not None
            start = 0
            while start < len(data):
                place = offset + start
                end = min(len(data), start + SECTOR_BYTES - place % SECTOR_BYTES)
                piece = (place, data[start:end])
                sectors.setdefault(place // SECTOR_BYTES, []).append(piece)
                start = end
        for pieces in sectors.values():
            for place, part in pieces[: random.randrange(len(pieces) + 1)]:
                self._put(place, part)

    def _put(self, offset: int, data: bytes) -> None:
        content = self.content
        if not data:
            return
        if offset > len(content):
            content += bytes(offset - len(content))
        content[offset : offset + len(data)] = data


Names = dict[str, "Inode | None"]  # None stands for a directory


class Disk:
    """One member's disk; it outlives the member's processes.

    Faults, set by whoever injects them:
    `sync_s` gives the duration of a sync; `full` refuses what grows; `sync_fails` makes the next
    sync fail; `crash_in` counts calls down to the one in whose middle the process dies.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.store = MemoryStore()
        self.sync_s: Callable[[], float] = lambda: 0.0
        self.stall: Callable[[float], None] = lambda duration_s: None
        # Whether a worker is at the log, so that nobody else may write it.
        self.is_taken: Callable[[], bool] = lambda: False
        self.full = False
        self.sync_fails = False
        self.crash_in = 0
        self.kill: Callable[[], NoReturn] | None = None
        self.failed = ""  # what was injected that a process may die of
        # To what was synced, as long as it may be met.
        self.harms: list[Harm] = []
        self.rotten: RottenRow | None = None
        self.bytes_written = 0
        self.syncs = 0
        self._names: Names = {}
        self._unsynced_names: list[tuple[str, Names]] = []  # (directory, names before)

    # -- faults -------------------------------------------------------------------------------

    def crash(self) -> None:
        """The machine lost power: what was not synced survives in part."""
        self.crash_in = 0
        self._crash_names()
        for inode in {id(found): found for found in self._names.values() if found}.values():
            inode.crash(self.random)

    def settle(self) -> None:
        """The process was killed, the machine lives: all that was written gets to the disk."""
        self.crash_in = 0
        self._unsynced_names.clear()
        for inode in self._names.values():
            if inode is not None:
                inode.unsynced.clear()

    def hurt(self, harms: list[Harm]) -> None:
        """Spoil what was synced; nobody uses the disk at the moment."""
        for harm in harms:
            self._replace(harm, harm.before, harm.after)
        self.harms += harms

    def rot(self, rotten: RottenRow | None) -> None:
        """Spoil a row of the backend, if there is one."""
        if rotten is not None:
            self.store.buckets[KEY][rotten.row] = rotten.after
            self.rotten = rotten

    @property
    def is_harmed(self) -> bool:
        """Whether a start may find something that was synced otherwise."""
        return bool(self.harms) or self.rotten is not None

    def mend(self) -> None:
        """Nobody minded the harm that was done to files: take it back where it still is."""
        for harm in self.harms:
            if harm.path in self._names:
                self._replace(harm, harm.after, harm.before)
        self.harms.clear()

    def mend_row(self, rotten: RottenRow) -> None:
        """The same for a row of the backend."""
        rows = self.store.buckets[KEY]
        if rows.get(rotten.row) == rotten.after:
            rows[rotten.row] = rotten.before

    def _replace(self, harm: Harm, old: bytes, new: bytes) -> None:
        inode = self._inode(harm.path)
        inode.drop_cache()
        place = slice(harm.offset, harm.offset + len(old))
        if inode.content[place] == old:
            inode.content[place] = new

    def wipe(self) -> None:
        """A new, empty disk."""
        self._names.clear()
        self._unsynced_names.clear()
        self.store = MemoryStore()

    def _crash_names(self) -> None:
        if not self._unsynced_names:
            return
        kept = self.random.randrange(len(self._unsynced_names) + 1)
        if kept < len(self._unsynced_names):
            self._names = self._unsynced_names[kept][1]
        self._unsynced_names.clear()

    def _call(self) -> bool:
        """Count a call; True when the process dies in the middle of this one."""
        if self.crash_in:
            self.crash_in -= 1
            return self.crash_in == 0
        return False

    def _die(self) -> None:
        assert self.kill is not None
        self.kill()

    # -- files, as `petcd.storage.files.Files` ------------------------------------------------

    def create(self, path: str) -> SimFile:
        """A new empty file."""
        self._change_names(os.path.dirname(path))
        inode = self._names[path] = Inode()
        return SimFile(self, path, inode)

    def open(self, path: str) -> SimFile:
        """An existing file."""
        return SimFile(self, path, self._inode(path))

    def read(self, path: str) -> bytes:
        """All bytes."""
        return bytes(self._inode(path).content)

    def names(self, directory: str) -> list[str]:
        """Names in a directory, sorted."""
        start = directory.rstrip("/") + "/"
        cut = len(start)
        return sorted(
            path[cut:] for path in self._names if path.startswith(start) and "/" not in path[cut:]
        )

    def make_directory(self, path: str) -> None:
        """A directory."""
        if path not in self._names:
            self._change_names(os.path.dirname(path))
            self._names[path] = None

    def free_bytes(self, directory: str) -> int:
        """Space that is left."""
        return 0 if self.full else 1 << 60

    def rename(self, old: str, new: str) -> None:
        """A new name for a file or a directory with all that is in it."""
        if old not in self._names:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), old)
        self._change_names(os.path.dirname(new))
        for path in list(self._names):
            if path == old or path.startswith(old + "/"):
                self._names[new + path[len(old) :]] = self._names.pop(path)

    def remove(self, path: str) -> None:
        """A file, or a directory with all that is in it."""
        if path in self._names:
            self._change_names(os.path.dirname(path))
            for name in list(self._names):
                if name == path or name.startswith(path + "/"):
                    del self._names[name]

    def sync_dir(self, path: str) -> None:
        """The names reach the disk, with those of all other directories: one journal."""
        if self._call():
            self._die()
        self._unsynced_names.clear()

    def _inode(self, path: str) -> Inode:
        inode = self._names.get(path)
        if inode is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return inode

    def _change_names(self, directory: str) -> None:
        if self._call():
            self._die()
        self._unsynced_names.append((directory, dict(self._names)))

    # -- what an open file does ---------------------------------------------------------------

    def write(self, path: str, inode: Inode, offset: int, data: bytes) -> None:
        """See `File.write`."""
        assert not (path.endswith(".wal") and self.is_taken()), "two callers of the log at once"
        if self.full and offset + len(data) > len(inode.content):
            part = data[: max(0, len(inode.content) - offset)]
            inode.write(offset, part)
            self.failed = "full disk"
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        if self._call():
            inode.write(offset, data[: self.random.randrange(len(data) + 1)])
            self._die()
        inode.write(offset, data)
        self.bytes_written += len(data)

    def sync(self, path: str, inode: Inode) -> None:
        """See `File.sync`."""
        self.syncs += 1
        if self._call():
            if self.random.random() < 0.5:
                inode.unsynced.clear()
            self._die()
        if self.sync_fails:
            self.sync_fails = False
            self.failed = "failed sync"
            inode.fail_sync(self.random)
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        self.stall(self.sync_s())
        inode.unsynced.clear()


class SimFile:
    """An open file of a `Disk`."""

    __slots__ = ("_disk", "_inode", "path")

    def __init__(self, disk: Disk, path: str, inode: Inode) -> None:
        self.path = path
        self._disk = disk
        self._inode = inode

    def write(self, offset: int, data: bytes) -> None:
        """See `petcd.storage.files.File`."""
        self._disk.write(self.path, self._inode, offset, data)

    def sync(self) -> None:
        """See `petcd.storage.files.File`."""
        self._disk.sync(self.path, self._inode)

    def truncate(self, size: int) -> None:
        """See `petcd.storage.files.File`."""
        self._inode.truncate(size)

    def reread(self, start: int, end: int) -> bytes:
        """See `petcd.storage.files.File`."""
        self._inode.drop_cache()
        return bytes(self._inode.content[start:end])

    def close(self) -> None:
        """Nothing to give back."""
