"""Any bytes as a snapshot file: they are read, or refused with the reader's own error."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from petcd.storage.bbolt_page import PAGE_BYTES, BoltDamaged
from petcd.storage.bbolt_reader import BoltFile
from petcd.storage.bbolt_writer import write_bolt
from petcd.storage.snapshot_file import read_buckets, read_status


def sound_file() -> bytes:
    """A small database with branches, overflow and an empty bucket."""
    file = io.BytesIO()
    rows = [(b"%04d" % number, b"v" * (number % 60)) for number in range(400)]
    buckets = [(b"alarm", []), (b"key", [rows]), (b"meta", [[(b"large", bytes(9000))]])]
    write_bolt(file, buckets)
    return file.getvalue()


SOUND = sound_file()
PAGES = len(SOUND) // PAGE_BYTES

# Edits aim at the heads of pages, where the numbers are; the metas' checksums see to page 0 and 1.
places = st.builds(
    lambda page, at: page * PAGE_BYTES + at, st.integers(2, PAGES - 1), st.integers(0, 64)
)
numbers = st.one_of(
    st.integers(0, 255).map(lambda number: bytes((number,))),
    st.integers(0, PAGES + 1).map(lambda number: number.to_bytes(8, "little")),
    st.sampled_from([b"\xff\xff", b"\xff" * 4, b"\x01\0", b"\x02\0", b"\0" * 16]),
    st.binary(max_size=16),
)
edits = st.lists(st.tuples(places, numbers), max_size=4)


def edited(changes: list[tuple[int, bytes]]) -> bytes:
    data = bytearray(SOUND)
    for place, new in changes:
        data[place : place + len(new)] = new
    return bytes(data)


files = st.one_of(
    edits.map(edited),
    st.binary(max_size=300),
    st.integers(0, len(SOUND)).map(lambda size: SOUND[:size]),
    st.binary(max_size=200).map(lambda start: start + SOUND[len(start) :]),
)


@settings(max_examples=400, deadline=None)
@given(files)
def test_any_file_is_read_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "db")
        path.write_bytes(data)
        try:
            read_status(str(path))
        except BoltDamaged:
            pass
        try:
            with BoltFile(str(path)) as file:
                total = sum(
                    len(key) + len(value)
                    for _, chunks in read_buckets(file)
                    for rows in chunks
                    for key, value in rows
                )
        except BoltDamaged:
            return
        assert total <= len(data)
