"""The simulated disk: what is synced stays, everything else may be lost, and in every way."""

import errno
from random import Random

import pytest

from sim.disk import SECTOR_BYTES, Disk
from sim.loop import ProcessKilled

PATH = "/d/file"


def disk_with(data: bytes, seed: int = 1) -> Disk:
    """A disk whose only file holds `data`, synced."""
    disk = Disk(Random(seed))
    disk.make_directory("/d")
    file = disk.create(PATH)
    file.write(0, data)
    file.sync()
    disk.sync_dir("/d")
    return disk


def outcomes(write: bytes, before: bytes, seeds: int = 300) -> set[bytes]:
    """What a crash makes of one write that was not synced."""
    found = set()
    for seed in range(seeds):
        disk = disk_with(before, seed)
        disk.open(PATH).write(0, write)
        disk.crash()
        found.add(disk.read(PATH))
    return found


def test_what_was_synced_survives_a_crash() -> None:
    disk = disk_with(b"synced")
    disk.crash()
    assert disk.read(PATH) == b"synced"


def test_an_unsynced_write_survives_whole_in_part_or_not_at_all() -> None:
    old, new = bytes(3 * SECTOR_BYTES), b"x" * 3 * SECTOR_BYTES
    found = outcomes(new, old)
    assert {old, new} <= found
    sectors = {tuple(data[i] for i in range(0, len(data), SECTOR_BYTES)) for data in found}
    assert len(sectors) == 8, "any sectors without the others"
    assert any(data.count(b"x") % SECTOR_BYTES > 0 for data in found), "torn within a sector"


def test_two_writes_into_one_sector_never_mix_the_wrong_way_round() -> None:
    for seed in range(300):
        disk = disk_with(bytes(64), seed)
        file = disk.open(PATH)
        file.write(0, b"a" * 16)
        file.write(16, b"b" * 16)
        disk.crash()
        found = disk.read(PATH)
        assert found[16:17] != b"b" or found[:16] == b"a" * 16


def test_a_killed_process_loses_nothing_that_it_wrote() -> None:
    disk = disk_with(b"old")
    disk.open(PATH).write(0, b"new")
    disk.settle()
    disk.crash()
    assert disk.read(PATH) == b"new"


def test_names_are_kept_in_order_and_for_certain_once_the_directory_is_synced() -> None:
    found = set()
    for seed in range(50):
        disk = disk_with(b"", seed)
        disk.create("/d/one")
        disk.sync_dir("/d")
        disk.create("/d/two")
        disk.rename("/d/two", "/d/three")
        disk.crash()
        found.add(tuple(disk.names("/d")))
    assert found == {
        ("file", "one"),
        ("file", "one", "two"),
        ("file", "one", "three"),
    }


def test_a_directory_is_renamed_with_all_that_is_in_it() -> None:
    disk = disk_with(b"data")
    disk.rename("/d", "/e")
    assert disk.names("/d") == [] and disk.names("/e") == ["file"]
    assert disk.read("/e/file") == b"data"


def test_after_a_failed_sync_the_cache_holds_what_the_disk_does_not() -> None:
    lost = 0
    for seed in range(50):
        disk = disk_with(b"old", seed)
        file = disk.open(PATH)
        file.write(0, b"new")
        disk.sync_fails = True
        with pytest.raises(OSError) as failure:
            file.sync()
        assert failure.value.errno == errno.EIO and disk.failed
        disk.settle()
        assert disk.read(PATH) == b"new"
        assert disk.open(PATH).reread(0, 3) == disk.read(PATH), "the cache is dropped"
        lost += disk.read(PATH) != b"new"
    assert 5 < lost < 45


def test_a_full_disk_takes_what_does_not_grow() -> None:
    disk = disk_with(b"0123456789")
    disk.full = True
    file = disk.open(PATH)
    file.write(0, b"xx")
    with pytest.raises(OSError) as failure:
        file.write(8, b"yyyy")
    assert failure.value.errno == errno.ENOSPC
    disk.full = False
    file.write(8, b"yyyy")
    assert disk.read(PATH) == b"xx234567yyyy"


def test_a_process_dies_in_the_very_call_that_was_chosen() -> None:
    disk = disk_with(bytes(100))

    def kill() -> None:
        raise ProcessKilled

    disk.kill = kill  # type: ignore[assignment]
    disk.crash_in = 2
    file = disk.open(PATH)
    file.write(0, b"a" * 50)
    with pytest.raises(ProcessKilled):
        file.write(50, b"b" * 50)
    written = disk.read(PATH)
    assert written[:50] == b"a" * 50
    assert written[50:].rstrip(b"\0") == b"b" * written.count(b"b")


def test_a_worker_at_the_log_is_not_disturbed() -> None:
    disk = disk_with(b"")
    file = disk.create("/d/1.wal")
    disk.is_taken = lambda: True
    with pytest.raises(AssertionError, match="two callers"):
        file.write(0, b"x")
