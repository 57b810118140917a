"""Log and backend together: segments go only when the backend holds their entries on the disk."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from petcd.raft.types import ConfState, Entry, HardState
from petcd.storage.errors import WalError
from petcd.storage.memory import MemoryBackend, MemoryStore
from petcd.storage.wal import Wal

DIRECTORY = "/data/wal"
OPTIONS: dict[str, Any] = {"background": False, "segment_bytes": 2048}


class Member:
    """A single voter in a few lines: saves, syncs, applies, commits lazily, cuts its log.

    `early` releases segments when the snapshot is noted in the backend, before that is on the disk:
    the mistake that this test is about.
    """

    def __init__(self, disk: Any, store: MemoryStore, seed: int, early: bool = False) -> None:
        self.random = Random(seed)
        self.store = store
        self.backend = MemoryBackend(store)
        self.early = early
        self.wal = Wal.create(DIRECTORY, b"m", files=disk, **OPTIONS)
        self.index = 0
        self.acknowledged = 0
        self.release_at = 0

    def run(self, batches: int) -> None:
        for _ in range(batches):
            first = self.index + 1
            last = self.index + self.random.randint(1, 4)
            entries = [Entry(0, 1, n, b"%d" % n * 60) for n in range(first, last + 1)]
            self.wal.save(HardState(1, 1, self.index), entries)
            self.wal.sync()
            self.index = last
            for entry in entries:
                self.backend.put(b"key", entry.index.to_bytes(8, "big"), entry.data)
            self.backend.put(b"meta", b"applied", b"%d" % last)
            self.acknowledged = last
            if self.random.random() < 0.2:
                self.backend.commit()
                if self.release_at:
                    self.release()
            if self.random.random() < 0.2:
                self.cut()

    def cut(self) -> None:
        self.backend.commit()
        self.wal.save(HardState(1, 1, self.index), [])
        self.wal.save_snapshot(self.index, 1, ConfState([1]))
        self.backend.put(b"meta", b"start", b"%d" % self.index)
        self.release_at = self.index
        if self.early:
            self.release()

    def release(self) -> None:
        self.wal.release_to(self.release_at)
        self.wal.purge(1)
        self.release_at = 0


def restart(disk: Any, store: MemoryStore) -> int:
    """What a member has after a restart: the last index that is in the backend or the log."""
    backend = MemoryBackend(store)
    applied = int(backend.get(b"meta", b"applied") or 0)
    start = int(backend.get(b"meta", b"start") or 0)
    assert start <= applied
    assert len(list(backend.scan(b"key", b"", None))) == applied
    _, replay = Wal.open(DIRECTORY, (start, 1 if start else 0), files=disk, **OPTIONS)
    indexes = [entry.index for entry in replay.entries]
    assert indexes == list(range(start + 1, start + 1 + len(indexes)))
    return max(applied, indexes[-1] if indexes else 0)


def losses(crash_disk: Any, power_cut: Any, early: bool) -> list[str]:
    found = []
    for seed in range(3):
        for call in range(30, 230, 3):
            disk, store = crash_disk(), MemoryStore()
            disk.make_directory("/data")
            disk.stop_at = call
            member = Member(disk, store, seed, early)
            try:
                member.run(60)
            except power_cut:
                pass
            try:
                left = disk.after_power_cut(Random(call))
                if restart(left, store) < member.acknowledged:
                    found.append(f"seed {seed} call {call}: entries lost")
            except WalError as error:
                found.append(f"seed {seed} call {call}: {error}")
    return found


def test_log_and_backend_together_lose_nothing(crash_disk: Any, power_cut: Any) -> None:
    assert losses(crash_disk, power_cut, early=False) == []


def test_releasing_before_the_backend_is_synced_is_found(crash_disk: Any, power_cut: Any) -> None:
    assert losses(crash_disk, power_cut, early=True)


@pytest.mark.parametrize("crashes", [1, 5])
def test_a_backend_in_memory_forgets_exactly_what_was_not_committed(crashes: int) -> None:
    store = MemoryStore()
    for number in range(crashes):
        backend = MemoryBackend(store)
        backend.put(b"meta", b"kept", b"%d" % number)
        backend.commit()
        backend.put(b"meta", b"kept", b"lost")
    assert MemoryBackend(store).get(b"meta", b"kept") == b"%d" % (crashes - 1)
    assert store.commits == crashes
