"""The bytes of records: equal to the general codec, framed as etcd's tools expect."""

from __future__ import annotations

import struct
from random import Random

import pytest
from google_crc32c import extend

from petcd.raft.types import ConfState, Entry, HardState
from petcd.storage.wal_record import (
    ENTRY,
    SnapshotRecord,
    encode_entries,
    encode_hard_state,
    encode_record,
    encode_snapshot,
    parse_hard_state,
    parse_snapshot,
)
from petcd.wire import raftpb, walpb

U64 = (1 << 64) - 1


def frame(body: bytes) -> bytes:
    """The framing spelt out."""
    padding = -len(body) % 8
    length = len(body) | ((0x80 | padding) << 56 if padding else 0)
    return struct.pack("<Q", length) + body + bytes(padding)


def record_by_codec(kind: int, crc: int, data: bytes | None) -> bytes:
    return frame(walpb.Record(type=kind, crc=crc, data=data).encode())


def entries_by_codec(entries: list[Entry], crc: int) -> tuple[bytes, int]:
    out = b""
    for entry in entries:
        data = raftpb.Entry(
            Type=entry.type, Term=entry.term, Index=entry.index, Data=entry.data or None
        ).encode()
        crc = extend(crc, data)
        out += record_by_codec(ENTRY, crc, data)
    return out, crc


SIZES = [0, 1, 7, 100, 126, 127, 128, 300, 4083, 4095, 4096, 16382, 16384, 70_000]
INDEXES = [0, 1, 126, 127, 128, 16383, 16384, (1 << 21) - 2, 1 << 40, U64 - 9]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("index", INDEXES)
def test_a_batch_of_entries_equals_the_general_codec(size: int, index: int) -> None:
    random = Random(size * 31 + index)
    crc = random.choice([0, 5, (1 << 28) - 1, 1 << 28, (1 << 32) - 1])
    entries = [
        Entry(random.randrange(3), random.choice([0, 1, 200, U64]), index + n, random.randbytes(s))
        for n, s in enumerate([size, size, 0, size + 1])
    ]
    out: list[bytes] = []
    after = encode_entries(entries, crc, out)
    assert (b"".join(out), after) == entries_by_codec(entries, crc)


def test_short_crcs_are_written_short() -> None:
    shortest = 10
    crc = 0
    for index in range(1, 3000):  # about one chain value in 16 is below 2**28
        out: list[bytes] = []
        entries = [Entry(0, 1, index, b"")]
        expected = entries_by_codec(entries, crc)
        crc = encode_entries(entries, crc, out)
        assert (b"".join(out), crc) == expected
        shortest = min(shortest, len(walpb.Record(crc=crc).encode()))
    assert shortest < 8


@pytest.mark.parametrize("size", range(18))
def test_a_record_is_padded_to_eight_bytes(size: int) -> None:
    data = bytes(range(size))
    record = encode_record(1, 77, data)
    assert record == record_by_codec(1, 77, data)
    assert len(record) % 8 == 0


def test_a_record_without_data_has_no_data_field() -> None:
    assert encode_record(4, 0, None) == bytes.fromhex("04000000000000840804100000000000")


def test_hard_state_writes_zeros_too() -> None:
    assert encode_hard_state(HardState(0, 0, 0)) == bytes.fromhex("080010001800")
    state = HardState(300, U64, 7)
    assert encode_hard_state(state) == raftpb.HardState(term=300, vote=U64, commit=7).encode()
    assert parse_hard_state(encode_hard_state(state)) == state


def test_snapshots_come_back_as_they_were_written() -> None:
    assert encode_snapshot(0, 0, None) == bytes.fromhex("08001000")
    assert parse_snapshot(encode_snapshot(0, 0, None)) == SnapshotRecord(0, 0, None)
    conf = ConfState([1, U64], [3], [4, 5], [6], True)
    assert parse_snapshot(encode_snapshot(9, 2, conf)) == SnapshotRecord(9, 2, conf)


def test_snapshot_record_bytes_are_those_of_etcd() -> None:
    # Index 6, term 2, one voter, as etcd 3.5.1 wrote it.
    voter = 5165246353077228462
    assert encode_snapshot(6, 2, ConfState([voter])) == bytes.fromhex(
        "080610021a0c08aea7b3a49086a9d7472800"
    )
