"""The end of the last segment after a crash: what was torn off, and what is damage.

The log is written in batches: one write, one sync, and only then the next batch.  What a power
cut leaves of the last, unsynced batch is any choice of its sectors; a sector that did not arrive
still holds zeros, since segments are preallocated with zeros and a cut tail is zeroed before
anything is written behind it.  So the log may end in one of three ways:

* zeros (or the end of the file) behind the last good record: a clean end;
* a record that lacks a sector (all zeros there), runs beyond the end of the file, or stops in the
  middle with nothing but zeros after it: the **torn tail**.  It was never acknowledged; it is cut;
* anything else is **damage** of bytes that had arrived: refused.

The first two rules alone would also cut synced records when a medium loses a whole sector.  So
whatever follows a torn place is searched for records that prove themselves by the CRC chain: an
entry, then the hard state that closes its batch, then one more record.  The last can only have
been written after the batch before it was synced, hence the torn place was synced too: damage.

It does not do: repairing (the caller truncates), segments before the last (any fault there is
damage, since a segment is synced before its successor gets its name).

Source: the first two rules are etcd's, in 512-byte sectors; the proof is ours.
"""

from __future__ import annotations

import re
from typing import Final

from google_crc32c import extend

from petcd.storage.wal_record import CRC, ENTRY, FRAME_BYTES, STATE
from petcd.storage.wal_segment import frame_at, frame_is_sound
from petcd.wire.hot import DecodeError, parse_wal_record

SECTOR_BYTES: Final = 512
# Type, crc and size of the data of a record, at most: 2 + 6 + 6 bytes.
_HEAD_BYTES: Final = 14

_RECORD_START: Final = re.compile(rb"\x08[\x01-\x05]\x10")


def damage_at(data: bytes, end: int, content: int, fault: str) -> str:
    """Judge the tail behind `end`, the end of the last good record; `fault` as the walk saw it.

    `content` is the offset behind the last byte that is not zero.  Returns "" when the tail may be
    cut at `end`, else why it must not be.
    """
    if content <= end:
        return ""
    if fault and not _is_torn(data, end, content):
        return fault
    proof = _synced_behind(data, end)
    if proof:
        why = fault or "zeros instead of a record"
        return f"{why}; the log goes on at offset {proof}"
    return ""


def _is_torn(data: bytes, offset: int, content: int) -> bool:
    """True when the record at `offset` looks half written.  `content` ends the last non-zero."""
    start = offset + FRAME_BYTES
    if content <= start:
        return True
    size, padding = frame_at(data, offset)
    if not frame_is_sound(size, padding):
        return False
    stop = start + size
    border = min(stop, start - start % SECTOR_BYTES + SECTOR_BYTES)
    if not any(data[start:border]):
        return True
    # The sector behind has arrived as well, unless it holds nothing but zeros.
    arrived = content if any(data[border : border + SECTOR_BYTES]) else border
    if not _may_start_record(data[start : min(arrived, content, start + _HEAD_BYTES)], size):
        return False
    return stop + padding > len(data) or content < stop or _has_zero_sector(data, start, stop)


def _has_zero_sector(data: bytes, start: int, stop: int) -> bool:
    """True when the part of the record in one of the sectors is nothing but zeros."""
    while start < stop:
        border = min(stop, start - start % SECTOR_BYTES + SECTOR_BYTES)
        if not any(data[start:border]):
            return True
        start = border
    return False


def _may_start_record(head: bytes, size: int) -> bool:
    """True when `head`, all of a record's start that arrived, fits a record of `size` bytes.

    A frame whose size was damaged is told from one whose record was cut off by the second size,
    that of the data, inside the record.
    """
    if head[:1] != b"\x08" or head[2:3] not in (b"\x10", b""):
        return False
    pos = _behind_varint(head, 3)
    if pos >= len(head):
        return True
    after = _behind_varint(head, pos + 1)
    if head[pos] != 0x1A or after > len(head):
        return head[pos] == 0x1A
    inner = 0
    for place in range(after - 1, pos, -1):
        inner = inner << 7 | head[place] & 127
    return after + inner == size


def _behind_varint(head: bytes, pos: int) -> int:
    """The position behind the varint at `pos`; beyond the end when `head` ends inside it."""
    while pos < len(head) and head[pos] >= 128:
        pos += 1
    return pos + 1


def _synced_behind(data: bytes, end: int) -> int:
    """The offset of a record that proves that the place `end` had been synced; 0 for none."""
    pos = end + 8
    while True:
        match = _RECORD_START.search(data, pos + FRAME_BYTES)
        if match is None:
            return 0
        pos = match.start() - FRAME_BYTES
        if pos % 8 == 0:
            proof, walked = _follow_chain(data, pos)
            if proof:
                return proof
            pos = max(pos, walked - 1)
        pos += 1


def _follow_chain(data: bytes, pos: int) -> tuple[int, int]:
    """Walk records from `pos`; the first is believed to be one when the next proves its crc.

    Returns (offset of a record behind an entry and then a state, or 0; offset behind the last
    record that was proved).
    """
    crc, before, walked = -1, 0, 0
    entry_seen = state_seen = False
    while pos + FRAME_BYTES <= len(data):
        size, padding = frame_at(data, pos)
        start = pos + FRAME_BYTES
        stop = start + size
        if not frame_is_sound(size, padding) or stop + padding > len(data):
            break
        try:
            kind, stated, body = parse_wal_record(data[start:stop])
        except DecodeError:
            break
        if crc >= 0:
            if kind == CRC or extend(crc, body) != stated:
                break
            if state_seen:
                return pos, pos
            entry_seen = entry_seen or ENTRY in (before, kind)
            state_seen = entry_seen and kind == STATE
            walked = stop + padding
        crc, before = stated, kind
        pos = stop + padding
    return 0, walked
