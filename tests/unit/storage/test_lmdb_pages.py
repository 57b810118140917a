"""One wrong bit in the structure of a database file is found before LMDB believes it."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from petcd.storage.errors import BackendDamaged
from petcd.storage.lmdb_backend import LmdbBackend
from petcd.storage.lmdb_pages import check_pages

PAGE_BYTES = 4096
BRANCH, LEAF, OVERFLOW, META = 1, 2, 4, 8
FLIPS = 400


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some levels of pages, values that have pages of their own, and free pages."""
    path = tmp_path_factory.mktemp("database") / "db"
    backend = LmdbBackend(str(path))
    chance = random.Random(1)
    for number in range(1500):
        size = 9000 if number % 500 == 0 else chance.randrange(100)
        backend.put(b"key", b"%06d" % number, chance.randbytes(size))
        if number % 500 == 499:
            backend.commit()
    for number in range(0, 1500, 3):
        backend.delete(b"key", b"%06d" % number)
    backend.put(b"meta", b"consistent_index", bytes(8))
    backend.commit()
    backend.close()
    return path


def live_pages(data: bytes) -> Iterator[tuple[int, int]]:
    """(kind, offset) of the pages in use: what is left when the free ones are taken away."""
    meta = max((0, PAGE_BYTES), key=lambda at: struct.unpack_from("<Q", data, at + 144)[0])
    todo = [struct.unpack_from("<Q", data, meta + at)[0] for at in (80, 128)]
    yield META, meta
    while todo:
        offset = todo.pop() * PAGE_BYTES
        kind, lower = struct.unpack_from("<HH", data, offset + 10)
        yield kind, offset
        for (place,) in struct.iter_unpack("<H", data[offset + 16 : offset + lower]):
            row = offset + place
            low, high, flags, key_bytes = struct.unpack_from("<HHHH", data, row)
            value = row + 8 + key_bytes
            if kind == BRANCH:
                todo.append(low | high << 16 | flags << 32)
            elif flags == 1:
                yield OVERFLOW, struct.unpack_from("<Q", data, value)[0] * PAGE_BYTES
            elif flags == 2 and data[value + 6]:  # a tree with pages
                todo.append(struct.unpack_from("<Q", data, value + 40)[0])


def structure(data: bytes) -> list[int]:
    """The offsets of bytes that say where and how large things are."""
    found: list[int] = []
    for kind, offset in live_pages(data):
        if kind == META:
            found += [*range(8), 10, 11, *range(16, 24), *range(40, 44)]
            found += [offset + at for at in (44, *range(46, 88), *range(92, 144))]
            continue
        found += [*range(offset, offset + 8), *range(offset + 10, offset + 16)]
        if kind in (BRANCH, LEAF):
            (lower,) = struct.unpack_from("<H", data, offset + 12)
            found += range(offset + 16, offset + lower)
            for (place,) in struct.iter_unpack("<H", data[offset + 16 : offset + lower]):
                large = struct.unpack_from("<H", data, offset + place + 4)[0] == 1 and kind == LEAF
                # Within its pages a large value may have any size.
                found += range(offset + place + (4 if large else 0), offset + place + 8)
    return found


def test_a_sound_file_passes(database: Path) -> None:
    kinds = {kind for kind, _ in live_pages(database.read_bytes())}
    assert kinds == {BRANCH, LEAF, OVERFLOW, META}
    check_pages(str(database))


def test_a_flipped_bit_in_the_structure_is_found(database: Path, tmp_path: Path) -> None:
    data = bytearray(database.read_bytes())
    places = structure(data)
    damaged, chance = tmp_path / "db", random.Random(7)
    for _ in range(FLIPS):
        place, bit = chance.choice(places), 1 << chance.randrange(1, 8)
        data[place] ^= bit
        damaged.write_bytes(data)
        with pytest.raises(BackendDamaged, match="damaged: "):
            check_pages(str(damaged))
            pytest.fail(f"page {place // PAGE_BYTES}, byte {place % PAGE_BYTES}, bit {bit}")
        data[place] ^= bit


def test_a_flipped_bit_in_the_lists_of_free_pages_is_found(database: Path, tmp_path: Path) -> None:
    data = bytearray(database.read_bytes())
    meta = max((0, PAGE_BYTES), key=lambda at: struct.unpack_from("<Q", data, at + 144)[0])
    leaf = struct.unpack_from("<Q", data, meta + 80)[0] * PAGE_BYTES
    (place,) = struct.unpack_from("<H", data, leaf + 16)
    first = leaf + place + 16  # behind the row's head and its key
    assert struct.unpack_from("<Q", data, first)[0] > 3
    first += 8  # behind the length
    damaged = tmp_path / "db"
    for at in range(first, first + 32):
        for bit in (0, 3, 7):
            data[at] ^= 1 << bit
            damaged.write_bytes(data)
            with pytest.raises(BackendDamaged):
                check_pages(str(damaged))
            data[at] ^= 1 << bit


def test_a_page_that_nobody_has_is_no_damage(database: Path, tmp_path: Path) -> None:
    data = bytearray(database.read_bytes())
    meta = max((0, PAGE_BYTES), key=lambda at: struct.unpack_from("<Q", data, at + 144)[0])
    (last,) = struct.unpack_from("<Q", data, meta + 136)
    struct.pack_into("<Q", data, meta + 136, last + 1)
    leaking = tmp_path / "db"
    leaking.write_bytes(data + bytes(PAGE_BYTES))
    check_pages(str(leaking))


@pytest.mark.parametrize("size", [0, 100, PAGE_BYTES, 3 * PAGE_BYTES])
def test_a_file_that_was_cut_is_told(database: Path, tmp_path: Path, size: int) -> None:
    damaged = tmp_path / "db"
    damaged.write_bytes(database.read_bytes()[:size])
    with pytest.raises(BackendDamaged):
        check_pages(str(damaged))


def test_what_a_defragmentation_leaves_is_sound(database: Path, tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(database.read_bytes())
    backend = LmdbBackend(str(path))
    backend.defragment()
    backend.close()
    check_pages(str(path))
