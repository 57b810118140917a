"""Power cuts at every call that the log makes: what was synced survives, and nothing is refused.

The law: the log that is read back is a prefix of the records that were written, and the prefix
holds every record that was synced.
"""

from __future__ import annotations

import errno
from random import Random
from typing import Any

import pytest

from petcd.raft.types import ConfState, Entry, HardState
from petcd.storage.errors import StorageFailed, WalDamaged, WalNotFound, WalSnapshotNotFound
from petcd.storage.wal import Wal

DIRECTORY = "/data/wal"
OPTIONS: dict[str, Any] = {"background": False, "segment_bytes": 4096}
BATCHES = 30
STATES_PER_CUT = 5

Record = Entry | HardState


class Workload:
    """A log's life.  `records` is what was written, the first `synced` of it acknowledged."""

    def __init__(self, disk: Any, seed: int) -> None:
        self.disk = disk
        self.random = Random(seed)
        self.records: list[Record] = []
        self.synced = 0
        self.created = False
        self.start = (0, 0)

    def run(self, batches: int) -> None:
        wal = Wal.create(DIRECTORY, b"metadata", files=self.disk, **OPTIONS)
        self.created = True
        for number in range(batches):
            self.batch(wal, 1 + number // 8)
            while self.random.random() < 0.7 and wal.prepare():
                pass
            if number % 7 == 6:
                self.snapshot(wal)
        wal.close()
        self.synced = len(self.records)

    def batch(self, wal: Wal, term: int) -> None:
        random = self.random
        log, state = fold(self.records)
        last = len(log)
        if random.random() < 0.2:  # a new leader overwrites
            last = random.randint(state.commit, last)
        sizes = [random.choice([0, 1, 30, 200, 480, 1500]) for _ in range(random.randint(1, 5))]
        entries = [
            Entry(0, term, last + 1 + place, random.randbytes(size // 2) + bytes(size - size // 2))
            for place, size in enumerate(sizes)
        ]
        self.save(wal, entries, HardState(term, 1, random.randint(state.commit, last)))
        if random.random() < 0.8:  # else the next batch has to see to it
            wal.sync()
            self.synced = len(self.records)
        while random.random() < 0.4:
            commit = random.randint(fold(self.records)[1].commit, last)
            self.save(wal, [], HardState(term, 1, commit))

    def save(self, wal: Wal, entries: list[Entry], state: HardState) -> None:
        changed = state if self.random.random() < 0.8 else None
        self.records += entries
        if changed is not None:
            self.records.append(changed)
        wal.save(changed, entries)

    def snapshot(self, wal: Wal) -> None:
        wal.sync()
        self.synced = len(self.records)
        log, state = fold(self.records)
        if state.commit:
            start = (state.commit, log[state.commit - 1].term)
            wal.save_snapshot(*start, ConfState([1]))
            self.start = start
            wal.release_to(state.commit)
            wal.purge(2)

    def check(self, disk: Any) -> Wal | None:
        """Open the log on what is left and hold it to the law; None when there was none yet."""
        try:
            wal, replay = Wal.open(DIRECTORY, self.start, files=disk, **OPTIONS)
        except WalNotFound:
            assert not self.created
            return None
        assert replay.metadata == b"metadata"
        for kept in range(self.synced, len(self.records) + 1):
            log, state = fold(self.records[:kept])
            if log[self.start[0] :] == replay.entries and state == replay.hard_state:
                return wal
        raise AssertionError(
            f"{len(replay.entries)} entries from {self.start[0]}, {replay.hard_state}: no prefix "
            f"of {len(self.records)} records with the {self.synced} synced ones"
        )


def fold(records: list[Record]) -> tuple[list[Entry], HardState]:
    """The log and the hard state that `records` add up to."""
    log: list[Entry] = []
    state = HardState()
    for record in records:
        if isinstance(record, HardState):
            state = record
        else:
            del log[record.index - 1 :]
            log.append(record)
    return log, state


def cut_at(crash_disk: Any, power_cut: Any, seed: int, calls: int) -> Workload:
    """The workload of `seed` as it stands when the power fails at call number `calls`."""
    disk = crash_disk()
    disk.make_directory("/data")
    disk.stop_at = calls
    work = Workload(disk, seed)
    try:
        work.run(BATCHES)
    except power_cut:
        pass
    disk.stop_at = -1
    return work


def calls_of(crash_disk: Any, power_cut: Any, seed: int) -> int:
    return len(cut_at(crash_disk, power_cut, seed, -1).disk.calls)


def carry_on(wal: Wal, disk: Any, work: Workload) -> None:
    """Append behind the repaired end; lose the power before and after the sync."""
    last = wal.last_index
    entries = [Entry(0, 99, last + 1 + place, bytes([7]) * 40 * place) for place in range(9)]
    wal.save(HardState(99, 1, wal.last_index), entries[:8])
    for seed in range(2):
        Wal.open(DIRECTORY, work.start, files=disk.after_power_cut(Random(seed)), **OPTIONS)
    wal.save(None, entries[8:])
    wal.sync()
    left = disk.after_power_cut(Random(last))
    _, replay = Wal.open(DIRECTORY, work.start, files=left, **OPTIONS)
    assert replay.entries[-9:] == entries


@pytest.mark.parametrize("seed", range(3))
def test_every_power_cut_leaves_a_log_with_all_that_was_synced(
    crash_disk: Any, power_cut: Any, seed: int
) -> None:
    random = Random(seed)
    calls = calls_of(crash_disk, power_cut, seed)
    assert calls > 100
    for call in range(1, calls + 1):
        work = cut_at(crash_disk, power_cut, seed, call)
        for _ in range(STATES_PER_CUT):
            left = work.disk.after_power_cut(random)
            wal = work.check(left)
            if wal is not None:
                carry_on(wal, left, work)


def test_a_write_torn_at_any_byte_is_cut_off(crash_disk: Any, power_cut: Any) -> None:
    calls = cut_at(crash_disk, power_cut, 7, -1).disk.calls
    tried = 0
    for number, (kind, _) in enumerate(calls):
        work = cut_at(crash_disk, power_cut, 7, number + 1)
        if kind == "write" and work.created and any(work.disk.last_write[2]):
            for size in range(0, len(work.disk.last_write[2]), 61):
                left = work.disk.torn(size)
                wal = work.check(left)
                assert wal is not None
                carry_on(wal, left, work)
                tried += 1
    assert tried > 200


def test_a_power_cut_while_the_log_is_repaired_does_no_harm(
    crash_disk: Any, power_cut: Any
) -> None:
    random = Random(5)
    for call in range(1, calls_of(crash_disk, power_cut, 5), 3):
        work = cut_at(crash_disk, power_cut, 5, call)
        left = work.disk.after_power_cut(random)
        for second in range(4):
            left.stop_at = len(left.calls) + second
            try:
                work.check(left)
            except power_cut:
                left.stop_at = -1
                left = left.after_power_cut(random)
        left.stop_at = -1
        work.check(left)


def test_what_a_killed_process_left_unsynced_is_synced_before_it_counts(
    crash_disk: Any, power_cut: Any
) -> None:
    for call in range(1, calls_of(crash_disk, power_cut, 9) + 1):
        work = cut_at(crash_disk, power_cut, 9, call)  # a kill: the system lives on
        if Wal.exists(DIRECTORY, work.disk):
            _, seen = Wal.open(DIRECTORY, work.start, files=work.disk, **OPTIONS)
            for seed in range(4):
                left = work.disk.after_power_cut(Random(seed))
                _, found = Wal.open(DIRECTORY, work.start, files=left, **OPTIONS)
                assert found.entries == seen.entries
                assert found.hard_state == seen.hard_state


@pytest.mark.parametrize("lie", ["sync", "sync_dir"])
def test_the_check_finds_a_disk_that_does_not_sync(
    crash_disk: Any, power_cut: Any, lie: str
) -> None:
    def fails(seed: int) -> bool:
        disk = crash_disk()
        disk.lies = {lie}
        work = Workload(disk, seed)
        work.run(BATCHES)
        try:
            work.check(disk.after_power_cut(Random(seed)))
        except (AssertionError, WalDamaged, WalSnapshotNotFound):
            return True
        return False

    assert any(fails(seed) for seed in range(20))


@pytest.mark.parametrize("kind", ["write", "sync"])
def test_a_failed_call_is_reported_once_and_the_log_is_closed_for_good(
    crash_disk: Any, kind: str
) -> None:
    disk = crash_disk()
    wal = Wal.create(DIRECTORY, b"m", files=disk, **OPTIONS)
    disk.fails = {kind: errno.EIO}
    with pytest.raises(StorageFailed, match="Input/output error"):
        wal.save(None, [Entry(0, 1, 1, b"x")])
        wal.sync()
    disk.fails = {}
    for call in (wal.sync, lambda: wal.save(None, []), lambda: wal.save_snapshot(0, 0, None)):
        with pytest.raises(StorageFailed, match="Input/output error"):
            call()
    wal.close()


def test_what_a_failed_sync_left_in_the_cache_is_not_read_back(crash_disk: Any) -> None:
    disk = crash_disk()
    wal = Wal.create(DIRECTORY, b"m", files=disk, **OPTIONS)
    wal.save(HardState(1, 1, 0), [Entry(0, 1, 1, b"synced")])
    wal.sync()
    wal.save(None, [Entry(0, 1, 2, b"not synced")])
    disk.fails = {"sync": errno.EIO}
    with pytest.raises(StorageFailed):
        wal.sync()
    disk.fails = {}
    wal, replay = Wal.open(DIRECTORY, files=disk, **OPTIONS)
    assert [entry.index for entry in replay.entries] == [1]
    wal.save(None, [Entry(0, 1, 2, b"again")])
    wal.sync()
    _, replay = Wal.open(DIRECTORY, files=disk.after_power_cut(Random(1)), **OPTIONS)
    assert [entry.data for entry in replay.entries] == [b"synced", b"again"]


def test_a_full_disk_keeps_what_was_acknowledged(crash_disk: Any) -> None:
    disk = crash_disk()
    work = Workload(disk, 11)
    disk.space = 20_000
    with pytest.raises(StorageFailed) as failure:
        work.run(1000)
    assert failure.value.why == "No space left on device"
    assert work.synced > 20
    disk.space = None
    for seed in range(20):
        left = disk.after_power_cut(Random(seed))
        wal = work.check(left)
        assert wal is not None
        carry_on(wal, left, work)


@pytest.mark.parametrize("space", [1 << 18, 3 << 19])
def test_a_spare_that_would_leave_no_space_is_no_failure(crash_disk: Any, space: int) -> None:
    disk = crash_disk()
    options = {**OPTIONS, "segment_bytes": 1 << 20}
    wal = Wal.create(DIRECTORY, b"m", files=disk, **options)
    disk.space = space
    wal.save(None, [Entry(0, 1, 1, bytes(600_000))])
    wal.sync()
    while wal.prepare():
        pass
    assert wal.spare_failure == "No space left on device"
    assert not any(name.endswith(".tmp") for name in disk.names(DIRECTORY))
    wal.save(None, [Entry(0, 1, 2, b"goes on")])
    wal.sync()
