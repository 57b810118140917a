"""Bytes that change after they were synced: always found, never cut off in silence."""

from __future__ import annotations

import os
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
from google_crc32c import extend

from petcd.raft.types import ConfState, Entry, HardState
from petcd.storage.errors import WalDamaged
from petcd.storage.wal import Wal
from petcd.storage.wal_reader import Replay, read_log
from petcd.storage.wal_record import ENTRY, FRAME_BYTES, STATE, encode_entries, encode_record
from petcd.storage.wal_segment import content_end
from petcd.storage.wal_tail import damage_at

SECTOR = 512
VOTE = 0x8E9E05C52164694D


@pytest.fixture
def log(tmp_path: Path) -> str:
    """A log of several segments, every batch synced; the last segment has zeros behind."""
    directory = str(tmp_path / "wal")
    random = Random(1)
    options: dict[str, Any] = {"segment_bytes": 6000, "background": False}
    wal = Wal.create(directory, b"metadata", **options)
    index = 0
    for _ in range(40):
        entries = [Entry(0, 2, index + n, random.randbytes(80)) for n in (1, 2, 3)]
        wal.save(HardState(2, VOTE, index), entries)
        wal.sync()
        index += 3
        while wal.prepare():
            pass
    wal.close()
    return directory


def segments(log: str) -> list[Path]:
    return [Path(log, name) for name in sorted(os.listdir(log))]


def what(replay: Replay) -> tuple[object, ...]:
    return replay.metadata, replay.hard_state, replay.entries, replay.snapshots


def test_any_flipped_bit_is_found_or_harmless(log: str) -> None:
    random = Random(2)
    whole = what(read_log(log))
    refused = exact = 0
    for path in segments(log):
        data = path.read_bytes()
        bits = content_end(data) * 8
        some = [random.randrange(bits) for _ in range(60)]
        for bit in [*range(200), *some, *range(bits - 200, bits)]:
            hurt = bytearray(data)
            hurt[bit // 8] ^= 1 << bit % 8
            if content_end(hurt) < bits // 8:
                continue  # the only bit of the last byte: as if that byte had not arrived
            path.write_bytes(hurt)
            try:
                assert what(read_log(log)) == whole  # padding, and bits beyond a crc's 32
            except WalDamaged as error:
                refused += 1
                exact += error.file == str(path) and error.offset <= bit // 8 <= error.offset + 200
        path.write_bytes(data)
    assert refused > 700
    assert exact > refused * 0.95


def test_a_lost_sector_in_front_of_synced_batches_is_damage(log: str) -> None:
    path = segments(log)[-1]
    data = path.read_bytes()
    end = content_end(data)
    assert end > 4 * SECTOR
    for sector in range(end // SECTOR - 3):
        path.write_bytes(data[: sector * SECTOR] + bytes(SECTOR) + data[(sector + 1) * SECTOR :])
        with pytest.raises(WalDamaged) as error:
            read_log(log)
        assert error.value.file == str(path)
        assert error.value.offset <= (sector + 1) * SECTOR
    path.write_bytes(data)


def test_a_segment_cut_short_is_damage_unless_it_is_the_last(log: str) -> None:
    middle, last = segments(log)[1], segments(log)[-1]
    data = middle.read_bytes()
    middle.write_bytes(data[:-41])
    with pytest.raises(WalDamaged, match=re.escape(middle.name)):
        read_log(log)
    middle.write_bytes(data)
    data = last.read_bytes()
    end = content_end(data)
    last.write_bytes(data[: end - 40])
    replay = read_log(log)
    assert replay.torn_bytes > 0


def test_zeros_in_the_middle_segments_are_damage(log: str) -> None:
    middle = segments(log)[1]
    data = middle.read_bytes()
    middle.write_bytes(data[: len(data) // 2 // 8 * 8] + bytes(len(data) // 2))
    with pytest.raises(WalDamaged):
        read_log(log)


def test_a_commit_index_beyond_the_entries_is_damage(tmp_path: Path) -> None:
    directory = str(tmp_path / "wal")
    wal = Wal.create(directory, b"m", background=False)
    wal.save(HardState(1, 1, 5), [Entry(0, 1, 1, b"x")])
    wal.close()
    with pytest.raises(WalDamaged, match="committed up to 5, but entries end at 1"):
        read_log(directory)


def test_a_hole_between_entries_is_damage(tmp_path: Path) -> None:
    directory = str(tmp_path / "wal")
    wal = Wal.create(directory, b"m", background=False)
    wal.save(None, [Entry(0, 1, 1, b"x"), Entry(0, 1, 3, b"y")])
    wal.close()
    with pytest.raises(WalDamaged, match="entry 3 follows entry 1"):
        read_log(directory)


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        (9, b"", "unknown type 9"),
        (1, b"other", "metadata differs"),
        (2, b"\xff", "unreadable"),
        (3, b"\x08\x01\x10\x01\x18\x00\x20\x01", "more fields"),
        (3, b"\x08\x00\x10\x01\x18\x00", "follows HardState"),
        (2, b"\x08\x00\x10\xff\xff\xff\xff\xff\xff\x01\x18\x01", "term"),
    ],
)
def test_records_that_make_no_sense_are_damage(
    tmp_path: Path, kind: int, data: bytes, why: str
) -> None:
    directory = str(tmp_path / "wal")
    wal = Wal.create(directory, b"m", background=False)
    wal.save(HardState(1, 1, 0), [])
    crc = extend(wal._crc, data)
    wal._write(encode_record(kind, crc, data), crc)
    wal.close()
    with pytest.raises(WalDamaged, match=why):
        read_log(directory)


@pytest.mark.parametrize(("vote", "term"), [(0, 5), (VOTE, 1)])
def test_a_hard_state_that_became_an_entry_before_the_start_is_damage(
    tmp_path: Path, vote: int, term: int
) -> None:
    directory = str(tmp_path / "wal")
    wal = Wal.create(directory, b"m", background=False)
    wal.save(HardState(1, 1, 0), [Entry(0, 1, 1, b"x"), Entry(0, 1, 2, b"y")])
    wal.save_snapshot(2, 1, ConfState([1]))
    place = wal._offset
    wal.save(HardState(term, vote, 2), [])
    wal.close()
    path = segments(directory)[-1]
    data = bytearray(path.read_bytes())
    assert data[place + FRAME_BYTES + 1] == STATE
    assert read_log(directory, (2, 1)).hard_state == HardState(term, vote, 2)
    data[place + FRAME_BYTES + 1] ^= STATE ^ ENTRY
    path.write_bytes(data)
    with pytest.raises(WalDamaged, match=r"an entry of type \d, term \d+"):
        read_log(directory, (2, 1))


@pytest.mark.parametrize("kinds", [(4, 5), (1, 4), (4,), ()])
def test_a_segment_without_its_head_is_damage(tmp_path: Path, kinds: tuple[int, ...]) -> None:
    data = b"".join(encode_record(kind, 0, None if kind == 4 else b"") for kind in kinds)
    (tmp_path / ("0" * 16 + "-" + "0" * 16 + ".wal")).write_bytes(data + bytes(100))
    with pytest.raises(WalDamaged):
        read_log(str(tmp_path))


def records(*kinds: int) -> tuple[bytes, list[int]]:
    """Records of those types, 600 bytes of data each, and their offsets."""
    data, crc, places = b"", 0, []
    for index, kind in enumerate(kinds):
        places.append(len(data))
        if kind == ENTRY:
            out: list[bytes] = []
            crc = encode_entries([Entry(0, 1, index + 1, b"e" * 600)], crc, out)
            data += b"".join(out)
        else:
            body = b"s" * 600
            crc = extend(crc, body)
            data += encode_record(kind, crc, body)
    return data + bytes(4096), places


def judge(data: bytes, end: int, fault: str = "crc") -> str:
    return damage_at(data, end, content_end(data), fault)


def without(data: bytes, start: int) -> bytes:
    """The data with one whole sector, the first that starts at or behind `start`, lost."""
    sector = -(-start // SECTOR) * SECTOR
    return data[:sector] + bytes(SECTOR) + data[sector + SECTOR :]


def test_a_lost_sector_is_torn_while_nothing_proves_the_contrary() -> None:
    for behind in ([], [ENTRY], [ENTRY, ENTRY, STATE], [STATE, STATE]):
        data, _ = records(ENTRY, *behind)
        assert judge(without(data, 8), 0) == ""


def test_a_batch_behind_a_synced_batch_proves_damage() -> None:
    data, places = records(ENTRY, ENTRY, ENTRY, STATE, ENTRY)
    assert judge(without(data, 8), 0) == f"crc; the log goes on at offset {places[4]}"


def test_hard_states_alone_prove_nothing() -> None:
    # They are saved without a sync when only the commit index moved.
    data, _ = records(STATE, STATE, STATE, STATE, STATE, STATE)
    assert judge(without(data, 8), 0) == ""


def test_zeros_instead_of_a_frame_are_judged_alike() -> None:
    data, places = records(ENTRY, ENTRY, ENTRY, STATE, ENTRY)
    lost = bytes(SECTOR) + data[SECTOR:]
    assert judge(lost, 0, "") == f"zeros instead of a record; the log goes on at offset {places[4]}"
    data, _ = records(ENTRY, ENTRY)
    assert judge(bytes(SECTOR) + data[SECTOR:], 0, "") == ""


def test_a_record_with_all_its_sectors_is_not_torn() -> None:
    data, _ = records(ENTRY)
    hurt = data[:300] + b"?" + data[301:]
    assert judge(hurt, 0) == "crc"


@pytest.mark.parametrize("bit", range(56))
def test_a_flipped_bit_in_the_size_is_not_taken_for_a_torn_record(bit: int) -> None:
    data, _ = records(ENTRY)
    hurt = bytearray(data)
    hurt[bit // 8] ^= 1 << bit % 8
    assert judge(bytes(hurt), 0) == "crc"


@pytest.mark.parametrize("border", [504, 496, 488])
def test_a_damaged_size_is_told_though_the_second_size_is_in_the_next_sector(border: int) -> None:
    data, _ = records(ENTRY)
    place = border - FRAME_BYTES
    for bit in range(3, 20):
        hurt = bytearray(place) + data
        hurt[place + bit // 8] ^= 1 << bit % 8
        assert judge(bytes(hurt), place) == "crc", bit


def test_every_prefix_of_a_record_is_torn() -> None:
    data, _ = records(ENTRY)
    size = content_end(data)
    for arrived in range(size):
        torn = data[:arrived] + bytes(len(data) - arrived)
        assert judge(torn, 0) == ""
        assert judge(data[:arrived], 0) == ""
