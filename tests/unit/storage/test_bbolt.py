"""The bbolt writer and reader: whatever is written comes back, and damage is told."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from petcd.storage.bbolt_page import (
    ELEMENT_BYTES,
    FREELIST,
    LEAF,
    NO_FREELIST,
    PAGE,
    PAGE_BYTES,
    BoltDamaged,
    Meta,
    Row,
)
from petcd.storage.bbolt_reader import BoltFile
from petcd.storage.bbolt_writer import write_bolt

Content = dict[bytes, list[Row]]


def write(path: Path, content: Content, chunk_rows: int = 7) -> Path:
    with path.open("wb") as file:
        size = write_bolt(
            file,
            [
                (name, [rows[at : at + chunk_rows] for at in range(0, len(rows), chunk_rows)])
                for name, rows in sorted(content.items())
            ],
        )
    assert path.stat().st_size == size
    return path


def read(path: Path) -> Content:
    with BoltFile(str(path)) as file:
        file.check()
        return {
            name: [row for rows in file.scan_chunks(name) for row in rows] for name in file.names
        }


def rows(count: int, value_bytes: int = 30) -> list[Row]:
    return [(b"%08d" % number, b"v" * value_bytes) for number in range(count)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {b"empty": []},
        {b"a": rows(1), b"b": [], b"key": rows(500)},
        {b"key": rows(40_000, 0)},
        {b"large": [(b"%d" % size, b"x" * size) for size in (1, 4000, 4048, 4049, 9000)]},
        {b"key": [(b"k" * 4000 + b"%d" % number, b"") for number in range(9)]},
    ],
    ids=["no buckets", "an empty one", "small", "three levels", "overflow", "long keys"],
)
def test_what_is_written_is_read_back(path: Path, content: Content) -> None:
    assert read(write(path, content)) == content


def test_random_contents_come_back(path: Path) -> None:
    random = Random(7)
    for _ in range(30):
        content: Content = {}
        for name in random.sample([b"key", b"meta", b"lease", b"auth"], 3):
            limit = random.choice([3, 30, 300])
            keys = {random.randbytes(random.randint(1, limit)) for _ in range(limit)}
            content[name] = [(key, random.randbytes(random.randrange(limit))) for key in keys]
            content[name].sort()
        assert read(write(path, content, random.randint(1, 50))) == content


def test_rows_out_of_order_are_refused(path: Path) -> None:
    for keys in ([b"b", b"a"], [b"a", b"a"], [b""]):
        with pytest.raises(ValueError, match="follows"):
            write(path, {b"key": [(key, b"") for key in keys]})


def test_no_branch_has_a_single_child(path: Path) -> None:
    """Whatever number of leaves is left over for the last branch of a level."""
    for count in range(12_200, 12_900, 51):
        data = write(path, {b"key": rows(count, 60)}).read_bytes()
        heads = [PAGE.unpack_from(data, at) for at in range(0, len(data), PAGE_BYTES)]
        counts = [elements for _, flags, elements, _ in heads if flags == 1]
        assert min(counts) >= 2 and len(counts) > 1


def test_memory_does_not_grow_with_the_number_of_rows(path: Path) -> None:
    def chunks(count: int) -> Iterator[list[Row]]:
        for start in range(0, count, 100):
            yield [(b"%010d" % number, bytes(200)) for number in range(start, start + 100)]

    def peak(count: int) -> int:
        tracemalloc.start()
        with path.open("wb") as file:
            write_bolt(file, [(b"key", chunks(count))])
        _, bytes_max = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return bytes_max

    peak(100)
    assert peak(40_000) < peak(10_000) + 100_000


def patched(path: Path, offset: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)


def pages_with(path: Path, flags: int) -> list[int]:
    data = path.read_bytes()
    heads = [PAGE.unpack_from(data, at) for at in range(0, len(data), PAGE_BYTES)]
    return [at for at, head in enumerate(heads) if head[:2] == (at, flags)]


def element_at(page: int, row: int) -> int:
    return page * PAGE_BYTES + PAGE.size + row * ELEMENT_BYTES


def test_either_meta_page_will_do(path: Path) -> None:
    content = {b"key": rows(50)}
    for broken in (0, 1):
        patched(write(path, content), broken * PAGE_BYTES + PAGE.size, b"broken")
        assert read(path) == content
    patched(path, PAGE.size, b"broken")
    with pytest.raises(BoltDamaged, match="invalid database"):
        BoltFile(str(path))


def test_the_newer_meta_page_counts(path: Path) -> None:
    content = {b"key": rows(50)}
    older = Meta(PAGE_BYTES, 999, NO_FREELIST, 4, 0)
    patched(write(path, content), PAGE.size, older.encode())
    assert read(path) == content
    patched(path, PAGE.size, older._replace(transaction=9).encode())
    with pytest.raises(BoltDamaged, match="page 999: out of bounds"):
        read(path)


def first_leaf(path: Path) -> int:
    return pages_with(path, LEAF)[0]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda p: patched(p, element_at(first_leaf(p), 3) + 4, b"\xff\xff\xff\xff"), "a row from"),
        (lambda p: patched(p, element_at(first_leaf(p), 3) + 4, b"\1\0\0\0"), "a row from"),
        (lambda p: patched(p, element_at(first_leaf(p), 3), b"\1"), "a bucket within a bucket"),
        (lambda p: patched(p, first_leaf(p) * PAGE_BYTES + 10, b"\xff\xff"), "rows in 4096 bytes"),
        (lambda p: patched(p, first_leaf(p) * PAGE_BYTES + 12, b"\xff\xff"), "further pages"),
        (lambda p: patched(p, first_leaf(p) * PAGE_BYTES, b"\x09"), "number 9"),
        (lambda p: patched(p, first_leaf(p) * PAGE_BYTES + 8, b"\x04"), "flags 0x4"),
        (lambda p: patched(p, 2 * PAGE_BYTES + 8, b"\x02"), "on the freelist"),
        (lambda p: patched(p, 2 * PAGE_BYTES + 10, b"\1\0" + bytes(4) + b"\3"), "free and in use"),
        (lambda p: p.write_bytes(p.read_bytes()[:-1]), "cut off"),
        (lambda p: p.write_bytes(b""), "file too short"),
    ],
)
def test_damage_is_told_with_the_page(path: Path, damage: object, why: str) -> None:
    write(path, {b"key": rows(900)})
    assert callable(damage)
    damage(path)
    with pytest.raises(BoltDamaged, match=why):
        read(path)


def test_a_tree_that_bites_its_tail_ends(path: Path) -> None:
    write(path, {b"key": rows(900)})
    (branch,) = pages_with(path, 1)
    patched(path, element_at(branch, 1) + 8, struct.pack("<Q", branch))
    with pytest.raises(BoltDamaged, match="multiple references"):
        read(path)


def test_a_page_that_nobody_owns_is_told(path: Path) -> None:
    data = bytearray(write(path, {b"key": rows(10)}).read_bytes())
    root = pages_with(path, LEAF)[-1]
    pages = len(data) // PAGE_BYTES
    for number in (0, 1):
        meta = Meta(PAGE_BYTES, root, 2, pages + 1, number).encode()
        start = number * PAGE_BYTES + PAGE.size
        data[start : start + len(meta)] = meta
    path.write_bytes(data + bytes(PAGE_BYTES))
    with pytest.raises(BoltDamaged, match=f"page {pages}: unreachable unfreed"):
        read(path)
    patched(path, 2 * PAGE_BYTES, PAGE.pack(2, FREELIST, 1, 0) + pages.to_bytes(8, "little"))
    assert read(path) == {b"key": rows(10)}


def test_small_buckets_inside_their_value_are_read(path: Path) -> None:
    """bbolt keeps small buckets there; the bytes are built by hand."""
    inner = struct.pack("<4I", 0, ELEMENT_BYTES, 1, 2) + b"kvv"
    inline = bytes(16) + PAGE.pack(0, LEAF, 1, 0) + inner
    leaf = struct.pack("<4I", 1, ELEMENT_BYTES, 4, len(inline)) + b"meta" + inline
    pages = [
        PAGE.pack(0, 4, 0, 0) + Meta(PAGE_BYTES, 3, 2, 4, 0).encode(),
        PAGE.pack(1, 4, 0, 0) + Meta(PAGE_BYTES, 3, 2, 4, 1).encode(),
        PAGE.pack(2, FREELIST, 0, 0),
        PAGE.pack(3, LEAF, 1, 0) + leaf,
    ]
    path.write_bytes(b"".join(page.ljust(PAGE_BYTES, b"\0") for page in pages))
    assert read(path) == {b"meta": [(b"k", b"vv")]}
