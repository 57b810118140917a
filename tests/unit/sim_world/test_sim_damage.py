"""Harm to what a disk had synced: no reader may miss it, and a member that meets it is replaced."""

from collections.abc import Callable
from random import Random

import pytest

from petcd.raft.types import Entry, HardState
from petcd.storage.backend import KEY
from petcd.storage.errors import StorageError, WalDamaged
from petcd.storage.wal import Wal
from petcd.storage.wal_reader import Replay, read_log
from sim.campaign import run_seed
from sim.cluster import Slot
from sim.damage import (
    ENTRY,
    STATE,
    is_proved,
    misplaced_write,
    records_of,
    rotten_bits,
    rotten_row,
)
from sim.disk import Disk, Harm
from sim.faults import FAULTS, LATER_KINDS, Nemesis
from sim.options import Options
from sim.world import World

DIRECTORY = "/wal"
VOTE = 0x8E9E05C52164694D
Choose = Callable[[Disk, str, Random], list[Harm]]


def disk_with_a_log(seed: int) -> Disk:
    """Some segments of entries, each batch synced; not every batch ends in a hard state."""
    random = Random(seed)
    disk = Disk(random)
    wal = Wal.create(DIRECTORY, b"member", files=disk, segment_bytes=4096, background=False)
    index = 0
    for _ in range(random.randint(1, 60)):
        entries = [
            Entry(0, 2, index + n, b"value-%d" % n * random.randint(1, 20)) for n in (1, 2, 3)
        ]
        index += 3
        state = HardState(2, VOTE, index) if random.random() < 0.8 else None
        wal.save(state, entries)
        wal.sync()
        while wal.prepare():
            pass
    return disk


def what(replay: Replay) -> tuple[object, ...]:
    return replay.metadata, replay.hard_state, replay.entries, replay.snapshots


@pytest.mark.parametrize("choose", [rotten_bits, misplaced_write])
def test_whatever_harm_is_drawn_is_found_or_does_not_matter(choose: Choose) -> None:
    found = harmless = 0
    for seed in range(300):
        disk = disk_with_a_log(seed)
        whole = what(read_log(DIRECTORY, files=disk))
        harms = choose(disk, DIRECTORY, Random(seed))
        disk.hurt(harms)
        try:
            assert what(read_log(DIRECTORY, files=disk)) == whole, (seed, harms)
            harmless += bool(harms)
        except StorageError as error:
            assert isinstance(error, WalDamaged), (seed, error)
            assert "\n" not in str(error) and str(error).startswith(f"log damaged: {DIRECTORY}/")
            found += 1
        disk.mend()
        assert what(read_log(DIRECTORY, files=disk)) == whole
    assert found > 150
    assert harmless < 60


def test_records_are_walked_as_they_were_written() -> None:
    disk = disk_with_a_log(3)
    name = disk.names(DIRECTORY)[0]
    records = records_of(disk.read(f"{DIRECTORY}/{name}"))
    assert [record.kind for record in records[:6]] == [4, 1, 5, ENTRY, ENTRY, ENTRY]
    assert all(record.start % 8 == 0 for record in records)


def test_only_an_entry_its_state_and_one_more_record_prove_a_place() -> None:
    disk = disk_with_a_log(3)
    name = disk.names(DIRECTORY)[0]
    records = records_of(disk.read(f"{DIRECTORY}/{name}"))
    kinds = [record.kind for record in records]
    state = kinds.index(STATE)
    assert is_proved(records[: state + 2], records[state - 1].start)
    assert not is_proved(records[: state + 1], records[state - 1].start)
    assert not is_proved(records[: state + 2], records[state].start)


def test_harm_that_was_written_over_is_not_mended() -> None:
    disk = disk_with_a_log(1)
    path = f"{DIRECTORY}/{disk.names(DIRECTORY)[-1]}"
    before = disk.read(path)
    disk.hurt([Harm(path, 0, before[:8], b"12345678")])
    assert disk.read(path)[:8] == b"12345678"
    disk.open(path).write(0, b"news")
    disk.mend()
    assert disk.read(path)[:8] == b"news5678"
    assert not disk.harms


def test_a_rotten_row_is_mended_when_it_is_still_there() -> None:
    disk = Disk(Random(1))
    disk.rot(rotten_row(disk.store, Random(1)))
    assert not disk.is_harmed
    rows = disk.store.buckets[KEY]
    for is_there in (True, False):
        rows[b"row"] = b"value"
        rotten = rotten_row(disk.store, Random(1))
        assert rotten is not None
        disk.rot(rotten)
        assert disk.is_harmed
        assert rows[b"row"] == rotten.after != b"value"
        if not is_there:
            rows[b"row"] = b"other"
        disk.mend_row(rotten)
        assert rows[b"row"] == (b"value" if is_there else b"other")


def slot_of(world: World) -> Slot:
    return world.slots[0]


def test_only_a_member_with_a_damaged_disk_may_say_that_its_log_is_damaged() -> None:
    slot = slot_of(World(Options(members=3)))
    slot.died_of(WalDamaged("/wal/x", 0, "crc"))
    assert slot.deaths and not slot.is_lost
    slot = slot_of(World(Options(members=3)))
    slot.disk.harms = [Harm("/wal/x", 0, b"a", b"b")]
    slot.died_of(AssertionError("something else"))
    assert slot.deaths and not slot.is_lost


@pytest.mark.parametrize("kind", ["bit-rot", "misplaced-write", "rotten-row"])
def test_a_member_with_a_damaged_disk_is_replaced(kind: str) -> None:
    world = World(
        Options(seed=1, members=3, features="none", duration_s=20.0, kinds=kind, interval_s=1.0)
    )
    world.run()
    assert max(slot.number for slot in world.slots) > 3
    assert len(world.slots) == 3


def test_one_member_alone_is_not_damaged() -> None:
    options = Options(
        seed=1, members=1, features="none", duration_s=10.0, kinds="bit-rot", interval_s=1.0
    )
    outcome = run_seed(options)
    assert (outcome.failure, outcome.faults) == ("", {})


def test_later_kinds_are_drawn_apart_from_the_others() -> None:
    drawn: dict[str, int] = {}
    for seed in range(1, 61):
        world = World(Options(seed=seed))
        kinds = Nemesis(world, Random(f"faults {seed}")).kinds
        assert len(set(kinds) - set(LATER_KINDS)) >= 3
        for kind in kinds:
            drawn[kind] = drawn.get(kind, 0) + 1
    assert all(5 <= drawn[kind] <= 30 for kind in LATER_KINDS)
    assert set(drawn) == set(FAULTS)
