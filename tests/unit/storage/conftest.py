"""A disk that forgets: the ``Files`` seam of the log over memory, with power cuts.

Every call is recorded.  ``CrashDisk.at(n)`` is the disk after the first `n` calls, and its
``after_power_cut(random)`` is one of the states that a power cut may leave then:

* what was synced is there, byte for byte;
* of every sector (512 bytes) written since, any of its versions since the sync;
* a file's length is any that it had since its sync, or torn at any byte between;
* of the names changed since their directory was synced, any subset of the changes.

A sync that fails leaves the data in the cache, clean: it is read back and never written again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from random import Random

import pytest

SECTOR = 512


class Inode:
    """A file: its bytes, the synced bytes, and every version of each sector and length since."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.synced = b""
        self.sectors: dict[int, list[bytes]] = {}
        self.lengths: list[int] = []
        self.clean_only_in_cache = False

    def write(self, offset: int, data: bytes) -> None:
        if len(self.data) < offset:
            self.data.extend(bytes(offset - len(self.data)))
        self.data[offset : offset + len(data)] = data
        self._touch(offset, offset + len(data))

    def truncate(self, size: int) -> None:
        end = len(self.data)
        if size < end:
            del self.data[size:]
        else:
            self.data.extend(bytes(size - end))
        self._touch(size, end)

    def _touch(self, start: int, end: int) -> None:
        for sector in range(start // SECTOR, -(-end // SECTOR)):
            now = bytes(self.data[sector * SECTOR : (sector + 1) * SECTOR])
            self.sectors.setdefault(sector, []).append(now.ljust(SECTOR, b"\0"))
        self.lengths.append(len(self.data))

    def sync(self) -> None:
        if not self.clean_only_in_cache:
            self.synced = bytes(self.data)
            self.sectors.clear()
            self.lengths.clear()

    def fail_sync(self) -> None:
        self.clean_only_in_cache = True
        self.sectors.clear()
        self.lengths.clear()

    def forget(self) -> None:
        if self.clean_only_in_cache:
            self.data = bytearray(self.synced)
            self.clean_only_in_cache = False

    def after_power_cut(self, random: Random) -> Inode:
        """A new file with one of the contents that may have stayed."""
        lengths = [len(self.synced), *self.lengths]
        mode = 0 if self.clean_only_in_cache else random.randrange(4)
        left = Inode()
        if mode == 0:  # nothing of it arrived
            left.data = bytearray(self.synced)
        elif mode == 1:  # all of it
            left.data = self.data[:]
        else:
            length = random.choice(lengths)
            if mode == 2:
                length = random.randint(min(length, len(self.synced)), max(lengths))
            content = bytearray(self.synced.ljust(max(lengths), b"\0"))
            for sector, versions in self.sectors.items():
                place = sector * SECTOR
                before = bytes(content[place : place + SECTOR])
                if place < len(content):
                    content[place : place + SECTOR] = random.choice([before, *versions])
            left.data = content[:length]
        left.sync()
        return left


def torn_at(inode: Inode, start: int, data: bytes, size: int) -> Inode:
    """The file as if of its last write, `data` at `start`, only `size` bytes had arrived."""
    left = Inode()
    left.data = inode.data[:]
    left.data[start + size : start + len(data)] = bytes(len(data) - size)
    left.sync()
    return left


class CrashFile:
    """A file of the crash disk."""

    def __init__(self, disk: CrashDisk, inode: Inode, path: str) -> None:
        self._disk, self._inode, self.path = disk, inode, path

    def write(self, offset: int, data: bytes) -> None:
        self._disk.event("write", self.path)
        space = self._disk.space
        if space is not None:
            room = space + len(self._inode.data) - offset
            if len(data) > room:
                self._inode.write(offset, data[: max(room, 0)])
                self._disk.space = 0
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._disk.space = space - max(0, offset + len(data) - len(self._inode.data))
        self._inode.write(offset, data)
        self._disk.last_write = (self._inode, offset, bytes(data))

    def sync(self) -> None:
        try:
            if self._disk.event("sync", self.path):
                self._inode.sync()
        except OSError:
            self._inode.fail_sync()
            raise

    def reread(self, start: int, end: int) -> bytes:
        self._inode.forget()
        return bytes(self._inode.data[start:end])

    def truncate(self, size: int) -> None:
        self._disk.event("truncate", self.path)
        self._inode.truncate(size)

    def close(self) -> None:
        pass


Names = dict[str, Inode | None]  # None is a directory


class CrashDisk:
    """``Files`` in memory.

    `calls` counts; after `stop_at` calls every further one raises ``PowerCut``.  A kind of call
    in `lies` is counted and does nothing; a kind in `fails` raises that error number.  `space` is
    how many bytes files may still grow.
    """

    def __init__(self) -> None:
        self.names_now: Names = {}
        self.names_synced: Names = {}
        self.pending: dict[str, list[Callable[[Names], None]]] = {}
        self.calls: list[tuple[str, str]] = []
        self.stop_at = -1
        self.lies: set[str] = set()
        self.fails: dict[str, int] = {}
        self.space: int | None = None
        self.last_write: tuple[Inode, int, bytes] | None = None

    def event(self, kind: str, path: str) -> bool:
        if len(self.calls) == self.stop_at:
            raise PowerCut
        self.calls.append((kind, path))
        if kind in self.fails:
            raise OSError(self.fails[kind], os.strerror(self.fails[kind]), path)
        return kind not in self.lies

    def create(self, path: str) -> CrashFile:
        inode = Inode()
        self._change("create", path, lambda names: names.__setitem__(path, inode))
        return CrashFile(self, inode, path)

    def open(self, path: str) -> CrashFile:
        return CrashFile(self, self._inode(path), path)

    def read(self, path: str) -> bytes:
        return bytes(self._inode(path).data)

    def names(self, directory: str) -> list[str]:
        start = directory + "/"
        found = (path[len(start) :] for path in self.names_now if path.startswith(start))
        return sorted(name for name in found if "/" not in name)

    def make_directory(self, path: str) -> None:
        if path not in self.names_now:
            self._change("mkdir", path, lambda names: names.__setitem__(path, None))

    def free_bytes(self, directory: str) -> int:
        return 1 << 60 if self.space is None else self.space

    def rename(self, old: str, new: str) -> None:
        inode = self.names_now[old]

        def change(names: Names) -> None:
            names.pop(old, None)
            names[new] = inode
            for path in [path for path in names if path.startswith(old + "/")]:
                names[new + path[len(old) :]] = names.pop(path)

        self._change("rename", new, change)
        if inode is None:  # what waits inside a directory moves with it
            for change in self.pending.pop(old, []):
                self.pending.setdefault(new, []).append(_moved(change, old, new))

    def remove(self, path: str) -> None:
        if path in self.names_now:

            def change(names: Names) -> None:
                for name in [n for n in names if n == path or n.startswith(path + "/")]:
                    del names[name]

            self._change("remove", path, change)
            self.pending.pop(path, None)

    def sync_dir(self, path: str) -> None:
        if self.event("sync_dir", path):
            for change in self.pending.pop(path, []):
                change(self.names_synced)

    def _inode(self, path: str) -> Inode:
        inode = self.names_now.get(path)
        if inode is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return inode

    def _change(self, kind: str, path: str, change: Callable[[Names], None]) -> None:
        self.event(kind, path)
        change(self.names_now)
        self.pending.setdefault(os.path.dirname(path), []).append(change)

    def after_power_cut(self, random: Random) -> CrashDisk:
        """A new disk with one of the states that may have stayed."""
        names = dict(self.names_synced)
        for changes in self.pending.values():
            keep = random.choice([0.0, 0.5, 1.0])
            for change in changes:
                if random.random() < keep:
                    change(names)
        left = CrashDisk()
        kept = {
            path: None if inode is None else inode.after_power_cut(random)
            for path, inode in names.items()
            if os.path.dirname(path) in names or os.path.dirname(path) == "/data"
        }
        left.names_now, left.names_synced = kept, dict(kept)
        return left

    def torn(self, size: int) -> CrashDisk:
        """A new disk where of the last write only `size` bytes arrived, and all else did."""
        assert self.last_write is not None
        last, offset, data = self.last_write
        left = CrashDisk()
        for path, inode in self.names_now.items():
            if inode is None:
                left.names_now[path] = None
            elif inode is last:
                left.names_now[path] = torn_at(inode, offset, data, size)
            else:
                left.names_now[path] = torn_at(inode, 0, b"", 0)
        left.names_synced = dict(left.names_now)
        return left


def _moved(change: Callable[[Names], None], old: str, new: str) -> Callable[[Names], None]:
    """`change`, made inside directory `old`, for when the directory is called `new`."""

    def moved(names: Names) -> None:
        inside: Names = {}
        for path in [path for path in names if path.startswith(new + "/")]:
            inside[old + path[len(new) :]] = names.pop(path)
        change(inside)
        for path, inode in inside.items():
            names[new + path[len(old) :]] = inode

    return moved


class PowerCut(Exception):
    """The workload is over."""


@pytest.fixture
def crash_disk() -> type[CrashDisk]:
    """The class of disks that forget."""
    return CrashDisk


@pytest.fixture
def power_cut() -> type[PowerCut]:
    """Raised at ``stop_at``."""
    return PowerCut
