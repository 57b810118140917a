"""Any bytes as a segment: they are read, or refused with the log's own errors."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from petcd.raft.types import ConfState, Entry, HardState
from petcd.storage.errors import WalError
from petcd.storage.wal import Wal
from petcd.storage.wal_reader import read_log, valid_snapshots
from petcd.storage.wal_record import encode_entries, encode_record
from petcd.storage.wal_segment import content_end
from petcd.storage.wal_tail import damage_at

FIRST = "0" * 16 + "-" + "0" * 16 + ".wal"


def sound_log() -> bytes:
    """A small log with every type of record."""
    with tempfile.TemporaryDirectory() as folder:
        directory = os.path.join(folder, "wal")
        wal = Wal.create(directory, b"metadata", segment_bytes=1 << 13, background=False)
        for index in range(1, 12):
            wal.save(HardState(1, 5, index - 1), [Entry(index % 3, 1, index, b"data" * index)])
            wal.sync()
        wal.save_snapshot(8, 1, ConfState([5], [6]))
        wal.close()
        return Path(directory, FIRST).read_bytes()[:2048]


SOUND = sound_log()

edits = st.lists(
    st.tuples(st.integers(0, len(SOUND)), st.integers(0, 24), st.binary(max_size=24)),
    max_size=6,
)


def edited(changes: list[tuple[int, int, bytes]]) -> bytes:
    data = SOUND
    for place, size, new in changes:
        data = data[:place] + new + data[place + size :]
    return data


records = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.builds(
            encode_record,
            st.integers(0, 6),
            st.integers(0, (1 << 32) - 1),
            st.one_of(st.none(), st.binary(max_size=60)),
        ),
    ),
    max_size=8,
).map(b"".join)

segments = st.one_of(st.binary(max_size=300), records, edits.map(edited))


def try_all(data: bytes) -> None:
    """Read, list, open for writing, append, read again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, FIRST)
        path.write_bytes(data)
        try:
            valid_snapshots(folder)
            read_log(folder, (8, 1))
        except WalError:
            pass
        try:
            wal, replay = Wal.open(folder, background=False)
        except WalError:
            assert path.read_bytes() == data
            return
        entries = [Entry(0, 1 << 20, wal.last_index + 1, b"more")]
        if replay.entries and wal.last_index != replay.entries[-1].index:
            entries[0].index = replay.entries[-1].index + 1
        wal.save(None, entries if replay.entries else [])
        wal.close()
        again = read_log(folder)
        assert again.entries == replay.entries + (entries if replay.entries else [])
        assert again.hard_state == replay.hard_state


@settings(max_examples=400, deadline=None)
@given(segments)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try_all(data)


@settings(max_examples=400, deadline=None)
@given(segments, st.integers(0, 60), st.sampled_from(["", "crc"]))
def test_any_tail_is_judged(data: bytes, end: int, fault: str) -> None:
    verdict = damage_at(data, end, content_end(data), fault)
    assert verdict == "" or fault in verdict


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.builds(
            Entry,
            st.integers(0, 2),
            st.integers(0, (1 << 64) - 1),
            st.integers(0, (1 << 64) - 1),
            st.binary(max_size=5000),
        ),
        max_size=5,
    ),
    st.integers(0, (1 << 32) - 1),
)
def test_batches_keep_the_eight_byte_frame(entries: list[Entry], crc: int) -> None:
    out: list[bytes] = []
    encode_entries(entries, crc, out)
    assert len(b"".join(out)) % 8 == 0
