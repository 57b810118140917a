"""A starting member compares its history with the others': alike, different, or nothing to say."""

from types import SimpleNamespace
from typing import cast

import pytest

from petcd.mvcc.revision import row_key
from petcd.mvcc.store import Store
from petcd.server.opening import DataUnusable
from petcd.storage.backend import KEY
from petcd.storage.errors import BackendDamaged
from petcd.wire.codec import DecodeError
from sim.cluster import Slot
from sim.comparing import compare_with_others, counts, hash_of
from sim.disk import RottenRow
from sim.network import Port
from sim.options import Options
from sim.world import World


@pytest.fixture
def world() -> World:
    """Three members with the same history."""
    world = World(Options(seed=3, members=3, features="none"))
    world._start()
    world.schedule.run(3.0)
    for client in world.clients:
        client.stop()
    world.schedule.run(5.0)
    return world


def port_of(slot: Slot) -> Port:
    assert slot.run is not None and slot.run.port is not None
    return slot.run.port


def compared(slot: Slot) -> bool:
    assert slot.engine is not None
    return compare_with_others(slot.engine.member.store, port_of(slot))


def test_members_with_one_history_are_alike(world: World) -> None:
    assert [compared(slot) for slot in world.slots] == [True, True, True]


def test_a_member_with_another_history_does_not_start(world: World) -> None:
    slot = world.slots[0]
    rows = slot.disk.store.buckets[KEY]
    row, value = rows.items()[-1]
    rows[row] = value[:-1] + bytes((value[-1] ^ 1,))
    with pytest.raises(DataUnusable, match=f"{slot.id:x} found data inconsistency with peers"):
        compared(slot)


def test_a_member_with_a_row_that_cannot_be_read_does_not_start(world: World) -> None:
    def hash_kv(revision: int) -> None:
        raise DecodeError("KeyValue: wrong wire type 1 for field 2")

    store = SimpleNamespace(compacting=False, compact_revision=2, revision=9, hash_kv=hash_kv)
    with pytest.raises(BackendDamaged, match="a row that is none"):
        compare_with_others(cast(Store, store), port_of(world.slots[0]))


def test_who_reaches_nobody_is_told_nothing(world: World) -> None:
    slot = world.slots[0]
    others = [other.id for other in world.slots[1:]]
    world.wires.cut_links({(other, slot.id) for other in others}, world.schedule.now_s)
    assert not compared(slot)


def test_a_hash_is_given_of_what_is_there_only(world: World) -> None:
    engine = world.slots[0].engine
    assert engine is not None
    store = engine.member.store
    newest = hash_of(store, 0)
    assert store.revision > 20
    assert newest is not None and newest == hash_of(store, store.revision)
    assert hash_of(store, store.revision + 1) is None
    assert store.compact_revision <= 1 or hash_of(store, store.compact_revision - 1) is None


def test_rows_above_the_compacted_revision_are_in_every_hash() -> None:
    store = cast(Store, SimpleNamespace(compact_revision=7))
    rows = [RottenRow(row_key(main, 0), b"a", b"b") for main in (6, 7, 8)]
    assert [counts(row, store) for row in rows] == [False, False, True]
