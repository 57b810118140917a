"""The log in ordinary life: create, save, cut, purge, open again."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from petcd.raft.types import ConfState, Entry, HardState
from petcd.storage.errors import (
    StorageFailed,
    WalDamaged,
    WalExists,
    WalNotFound,
    WalSnapshotNotFound,
)
from petcd.storage.wal import Wal
from petcd.storage.wal_reader import read_log, valid_snapshots
from petcd.storage.wal_space import FIRST_SEGMENT_BYTES

SMALL: dict[str, Any] = {"segment_bytes": 4096, "background": False}


def entry(index: int, term: int = 1, size: int = 100) -> Entry:
    return Entry(0, term, index, b"%d" % index * (size // len(str(index))))


def fill(wal: Wal, first: int, last: int, term: int = 1) -> None:
    """Entries in batches of one, each with its hard state."""
    for index in range(first, last + 1):
        wal.save(HardState(term, 1, index - 1), [entry(index, term)])
        wal.sync()


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "wal")


def test_a_new_log_holds_metadata_and_nothing_else(directory: str) -> None:
    wal = Wal.create(directory, b"who", background=False)
    wal.close()
    assert os.listdir(directory) == ["0" * 16 + "-" + "0" * 16 + ".wal"]
    assert Wal.exists(directory)
    assert not os.path.exists(directory + ".tmp")
    wal, replay = Wal.open(directory)
    wal.close()
    assert replay.metadata == b"who"
    assert replay.entries == []
    assert replay.hard_state.is_empty()
    assert [(s.index, s.term) for s in replay.snapshots] == [(0, 0)]


def test_files_are_private_and_the_first_segment_is_small(directory: str) -> None:
    Wal.create(directory, b"m", background=False).close()
    segment = os.path.join(directory, os.listdir(directory)[0])
    assert os.stat(directory).st_mode & 0o777 == 0o700
    assert os.stat(segment).st_mode & 0o777 == 0o600
    assert os.stat(segment).st_size == FIRST_SEGMENT_BYTES


def test_a_leftover_of_an_earlier_creation_is_replaced(directory: str) -> None:
    os.mkdir(directory + ".tmp")
    Path(directory + ".tmp", "half").write_bytes(b"x")
    Wal.create(directory, b"m", background=False).close()
    assert not os.path.exists(directory + ".tmp")


def test_a_log_is_not_made_over_another_nor_over_anything_else(directory: str) -> None:
    Wal.create(directory, b"m", background=False).close()
    with pytest.raises(WalExists):
        Wal.create(directory, b"m", background=False)
    other = directory + "2"
    os.mkdir(other)
    Path(other, "photo.jpg").write_bytes(b"dear")
    with pytest.raises(WalExists, match=r"photo\.jpg"):
        Wal.create(other, b"m", background=False)


def test_what_was_saved_is_read_back(directory: str) -> None:
    wal = Wal.create(directory, b"m", background=False)
    entries = [entry(1), Entry(1, 1, 2, b""), Entry(2, 3, 3, bytes(1 << 20))]
    wal.save(HardState(1, 2, 0), entries[:1])
    wal.save(None, entries[1:])
    wal.save(HardState(3, 9, 3), [])
    wal.close()
    wal, replay = Wal.open(directory, background=False)
    assert replay.entries == entries
    assert replay.hard_state == HardState(3, 9, 3)
    assert replay.torn_bytes == 0
    assert wal.last_index == 3
    wal.close()


def test_appending_goes_on_after_each_opening(directory: str) -> None:
    Wal.create(directory, b"m", **SMALL).close()
    for round_ in range(12):
        wal, replay = Wal.open(directory, **SMALL)
        assert [e.index for e in replay.entries] == list(range(1, round_ * 10 + 1))
        fill(wal, round_ * 10 + 1, round_ * 10 + 10)
        wal.close()
    assert len(os.listdir(directory)) > 3


def test_segments_are_named_by_sequence_and_first_index(directory: str) -> None:
    wal = Wal.create(directory, b"m", **SMALL)
    fill(wal, 1, 120)
    wal.close()
    names = wal.segment_names
    assert names == sorted(os.listdir(directory))
    assert [int(name[:16], 16) for name in names] == list(range(len(names)))
    for name in names[1:]:
        first = int(name[17:33], 16)
        older = os.path.join(directory, names[names.index(name) - 1])
        assert b"%d" % (first - 1) * 30 in Path(older).read_bytes()
        assert b"%d" % first * 30 in Path(directory, name).read_bytes()
    assert all(os.stat(os.path.join(directory, name)).st_size < 4400 for name in names)


def test_an_entry_replaces_those_from_its_index_on(directory: str) -> None:
    wal = Wal.create(directory, b"m", **SMALL)
    wal.save(HardState(1, 1, 1), [entry(n) for n in range(1, 6)])
    wal.save(HardState(2, 1, 1), [entry(n, 2) for n in (3, 4)])
    wal.close()
    _, replay = Wal.open(directory, background=False)
    assert [(e.index, e.term) for e in replay.entries] == [(1, 1), (2, 1), (3, 2), (4, 2)]


def test_a_tail_that_was_replaced_before_the_snapshot_does_not_follow_it(directory: str) -> None:
    """Etcd 3.5 takes it back: entries 4 and 5 of a leader that was replaced at 2."""
    wal = Wal.create(directory, b"m", **SMALL)
    wal.save(HardState(1, 1, 1), [entry(n) for n in range(1, 6)])
    wal.save(HardState(2, 1, 3), [entry(n, 2) for n in (2, 3)])
    wal.save_snapshot(3, 2, ConfState([1]))
    wal.close()
    wal, replay = Wal.open(directory, (3, 2), **SMALL)
    assert replay.entries == []
    wal.save(HardState(2, 1, 3), [entry(4, 2)])
    wal.close()
    _, replay = Wal.open(directory, (3, 2), background=False)
    assert [(e.index, e.term) for e in replay.entries] == [(4, 2)]


def test_the_hard_state_stands_at_the_head_of_every_later_segment(directory: str) -> None:
    wal = Wal.create(directory, b"m", **SMALL)
    wal.save(HardState(4, 7, 0), [entry(1)])
    for index in range(2, 200):
        wal.save(None, [entry(index)])
        wal.sync()
    wal.save_snapshot(199, 1, ConfState([7]))
    wal.release_to(199)
    wal.purge(1)
    wal.close()
    names = os.listdir(directory)
    assert len(names) == 1
    assert int(names[0][:16], 16) > 2
    _, replay = Wal.open(directory, (199, 1), background=False)
    assert replay.hard_state == HardState(4, 7, 0)
    assert replay.metadata == b"m"


def test_a_log_opens_at_a_snapshot_record_only(directory: str) -> None:
    wal = Wal.create(directory, b"m", **SMALL)
    fill(wal, 1, 90)
    wal.save_snapshot(60, 1, ConfState([1]))
    fill(wal, 91, 100)
    wal.close()
    for position in ((60, 2), (61, 1), (200, 1)):
        with pytest.raises(WalSnapshotNotFound) as error:
            Wal.open(directory, position, background=False)
        assert (error.value.index, error.value.term) == position
    _, replay = Wal.open(directory, (60, 1), background=False)
    assert [e.index for e in replay.entries] == list(range(61, 101))
    assert [(s.index, s.term) for s in read_log(directory).snapshots] == [(0, 0), (60, 1)]


def test_snapshots_beyond_the_commit_index_are_not_valid(directory: str) -> None:
    wal = Wal.create(directory, b"m", **SMALL)
    fill(wal, 1, 50)
    wal.save_snapshot(20, 1, ConfState([1]))
    wal.save_snapshot(80, 1, ConfState([1]))
    wal.close()
    assert [snapshot.index for snapshot in valid_snapshots(directory)] == [0, 20]


@pytest.mark.parametrize("there", [1, 2])
def test_a_snapshot_in_the_place_of_other_entries_ends_them(directory: str, there: int) -> None:
    """An entry of another term at its index: a leader's snapshot replaced all that was written."""
    wal = Wal.create(directory, b"m", **SMALL)
    wal.save(HardState(2, 1, 3), [entry(index, there) for index in range(1, 11)])
    wal.sync()
    wal.save_snapshot(6, 2, ConfState([1]))
    wal.save(HardState(2, 1, 6), [])
    wal.sync()
    wal.close()
    wal, replay = Wal.open(directory, (6, 2), **SMALL)
    assert [e.index for e in replay.entries] == ([] if there == 1 else [7, 8, 9, 10])
    wal.save(HardState(2, 1, 7), [entry(7, 2)])
    wal.sync()
    wal.close()
    replay = read_log(directory, (6, 2))
    assert [(e.index, e.term) for e in replay.entries] == [(7, 2)]


def test_a_record_whose_sync_failed_is_no_valid_snapshot(crash_disk: Any) -> None:
    disk = crash_disk()
    disk.make_directory("/data")
    wal = Wal.create("/data/wal", b"m", files=disk, **SMALL)
    wal.save(HardState(1, 1, 3), [entry(index) for index in range(1, 4)])
    wal.sync()
    wal.save_snapshot(2, 1, ConfState([1]))
    disk.fails["sync"] = errno.EIO
    with pytest.raises(StorageFailed):
        wal.save_snapshot(3, 1, ConfState([1]))
    disk.fails.clear()
    assert [s.index for s in valid_snapshots("/data/wal", disk)] == [0, 2]


def test_a_snapshot_ahead_of_the_entries_moves_the_index(directory: str) -> None:
    wal = Wal.create(directory, b"m", **SMALL)
    wal.save(HardState(1, 1, 3), [entry(1), entry(2), entry(3)])
    wal.save_snapshot(1000, 4, ConfState([1]))
    wal.save(HardState(4, 1, 1001), [entry(1001, 4)])
    wal.close()
    wal, replay = Wal.open(directory, (1000, 4), background=False)
    assert [e.index for e in replay.entries] == [1001]
    assert wal.last_index == 1001


def test_only_released_segments_above_the_number_are_purged(directory: str) -> None:
    wal = Wal.create(directory, b"m", **SMALL)
    fill(wal, 1, 300)
    names = wal.segment_names
    firsts = [int(name[17:33], 16) for name in names]
    assert len(names) > 6
    assert wal.purge(1) == []
    wal.release_to(firsts[3])
    assert wal.purge(len(names) - 1) == names[:1]
    # The segment that holds the entry before the released index stays.
    assert wal.purge(1) == names[1:2]
    assert wal.segment_names == names[2:] == sorted(os.listdir(directory))
    wal.release_to(1 << 40)
    wal.purge(1)
    assert wal.segment_names == names[-1:]
    fill(wal, 301, 310)
    wal.close()


def test_a_missing_segment_is_named(directory: str) -> None:
    wal = Wal.create(directory, b"m", **SMALL)
    fill(wal, 1, 200)
    wal.close()
    names = wal.segment_names
    os.unlink(os.path.join(directory, names[2]))
    with pytest.raises(WalNotFound, match=names[1]):
        Wal.open(directory, background=False)
    os.unlink(os.path.join(directory, names[0]))
    with pytest.raises(WalNotFound, match="index 0"):
        Wal.open(directory, background=False)


def test_a_gap_below_the_start_does_not_matter(directory: str) -> None:
    wal = Wal.create(directory, b"m", **SMALL)
    fill(wal, 1, 200)
    wal.save_snapshot(199, 1, ConfState([1]))
    wal.close()
    os.unlink(os.path.join(directory, wal.segment_names[1]))
    wal, replay = Wal.open(directory, (199, 1), background=False)
    assert [e.index for e in replay.entries] == [200]
    wal.close()
    assert [snapshot.index for snapshot in valid_snapshots(directory)] == [199]


def test_no_log_at_all_is_an_error(directory: str) -> None:
    assert not Wal.exists(directory)
    for call in (Wal.open, read_log, valid_snapshots):
        with pytest.raises(WalNotFound):
            call(directory)


def test_segments_of_different_logs_do_not_mix(directory: str) -> None:
    for name, metadata in ((directory, b"one"), (directory + "2", b"two")):
        wal = Wal.create(name, metadata, **SMALL)
        fill(wal, 1, 100)
        wal.close()
    foreign = wal.segment_names[1]
    os.replace(os.path.join(directory + "2", foreign), os.path.join(directory, foreign))
    with pytest.raises(WalDamaged) as error:
        Wal.open(directory, background=False)
    assert error.value.file.endswith(foreign)
    assert error.value.offset == 0


def test_reading_changes_nothing(directory: str) -> None:
    wal = Wal.create(directory, b"m", **SMALL)
    fill(wal, 1, 100)
    before = {name: Path(directory, name).read_bytes() for name in os.listdir(directory)}
    assert len(read_log(directory).entries) == 100
    assert before == {name: Path(directory, name).read_bytes() for name in os.listdir(directory)}
    wal.close()


def test_a_closed_log_takes_nothing(directory: str) -> None:
    wal = Wal.create(directory, b"m", background=False)
    wal.close()
    with pytest.raises(StorageFailed, match="closed"):
        wal.save(None, [entry(1)])


def test_a_read_only_directory_is_a_clear_failure(crash_disk: Any) -> None:
    disk = crash_disk()
    disk.fails = {"mkdir": 30}
    with pytest.raises(StorageFailed) as failure:
        Wal.create("/data/wal", b"m", files=disk, background=False)
    assert str(failure.value) == "storage failed: /data/wal.tmp: Read-only file system"


def test_the_log_moves_to_the_spare_when_its_space_is_used_up(directory: str) -> None:
    options: dict[str, Any] = {"segment_bytes": 12 << 20, "background": False}
    wal = Wal.create(directory, b"m", **options)
    index = 0
    while len(wal.segment_names) == 1:
        index += 1
        wal.save(None, [entry(index, size=30_000)])
        wal.sync()
        wal.prepare()
    used = os.stat(os.path.join(directory, wal.segment_names[0])).st_size
    assert FIRST_SEGMENT_BYTES <= used < FIRST_SEGMENT_BYTES + (1 << 20)
    assert os.stat(os.path.join(directory, wal.segment_names[1])).st_size == 12 << 20
    assert sorted(os.listdir(directory)) == wal.segment_names
    wal.close()
    assert len(read_log(directory).entries) == index


def test_a_log_without_a_spare_grows_its_file_up_to_the_segment_size(directory: str) -> None:
    wal = Wal.create(directory, b"m", segment_bytes=3 << 20, background=False)
    for index in range(1, 120):
        wal.save(None, [entry(index, size=30_000)])
        wal.sync()
    sizes = [os.stat(os.path.join(directory, name)).st_size for name in wal.segment_names]
    assert len(sizes) == 2
    assert 3 << 20 <= sizes[0] < (3 << 20) + 40_000
    wal.close()


def test_the_background_thread_makes_the_spare_and_ends_with_the_log(directory: str) -> None:
    wal = Wal.create(directory, b"m", segment_bytes=2 << 20)
    index = 0
    while len(wal.segment_names) < 3:
        index += 1
        wal.save(None, [entry(index, size=50_000)])
        wal.sync()
    wal.close()
    assert sorted(os.listdir(directory)) == wal.segment_names
    assert len(read_log(directory).entries) == index


def test_opening_removes_what_a_crash_left_of_a_spare(directory: str) -> None:
    Wal.create(directory, b"m", background=False).close()
    for name in ("0.tmp", "1.tmp"):
        Path(directory, name).write_bytes(b"half a spare")
    wal, _ = Wal.open(directory, background=False)
    wal.close()
    assert os.listdir(directory) == wal.segment_names


FULL = """
import resource
from petcd.raft.types import Entry
from petcd.storage.errors import StorageFailed
from petcd.storage.wal import Wal
wal = Wal.create({directory!r}, b"m", background=False)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_300_000, 1_300_000))
index = 0
try:
    while True:
        wal.save(None, [Entry(0, 1, index + 1, bytes([65]) * 7777)])
        wal.sync()
        index += 1
except StorageFailed as error:
    print(index, error.why, sep=",")
"""


def test_a_file_that_cannot_grow_keeps_what_was_acknowledged(directory: str) -> None:
    code = FULL.format(directory=directory)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    acknowledged, why = done.stdout.strip().split(",")
    assert why == "File too large"
    wal, replay = Wal.open(directory, background=False)
    assert len(replay.entries) == int(acknowledged) > 100
    assert replay.torn_bytes > 0
    fill(wal, wal.last_index + 1, wal.last_index + 10)
    wal.close()
    assert read_log(directory).torn_bytes == 0
