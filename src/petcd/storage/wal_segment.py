"""Segments of the log: their names, which of them to read, and walking the records of one.

A segment is called ``<sequence, 16 hex>-<first index, 16 hex>.wal``: sequences count up by one,
and every entry with an index at or above the first index, up to the next segment's, stands in it.
Other names in the directory are not segments (``*.tmp`` is one in preparation, ``*.broken`` a copy
that etcd's repair leaves).

A walk stops at the end of the file, at a frame of zero, or at the first record that is not whole;
it says where and why and judges nothing (that is ``wal_tail``'s part).

Source: etcd's naming and framing.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator
from typing import Final

from google_crc32c import extend

from petcd.storage.errors import WalNotFound
from petcd.storage.files import Files
from petcd.storage.wal_record import (
    CRC,
    FRAME_BYTES,
    RECORD_BYTES_MAX,
    SIZE_MASK,
)
from petcd.wire.hot import DecodeError, parse_wal_record

_NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.wal")
# A frame's top byte: padding.
_PADDING_OF: Final = {0: 0, **{0x80 | padding: padding for padding in range(1, 8)}}
_BLOCK_BYTES: Final = 1 << 20
_ZEROS: Final = bytes(_BLOCK_BYTES)
_frame_at: Final = struct.Struct("<Q").unpack_from


class Segment:
    """One segment's place in the row."""

    __slots__ = ("index", "name", "sequence")

    def __init__(self, sequence: int, index: int) -> None:
        self.sequence = sequence
        self.index = index
        self.name = f"{sequence:016x}-{index:016x}.wal"

    def __repr__(self) -> str:
        return f"Segment({self.name})"


def list_segments(files: Files, directory: str) -> list[Segment]:
    """All segments in the directory, oldest first."""
    found = [_NAME.fullmatch(name) for name in files.names(directory)]
    return sorted(
        (Segment(int(match[1], 16), int(match[2], 16)) for match in found if match),
        key=lambda segment: segment.sequence,
    )


def select_segments(segments: list[Segment], index: int, directory: str) -> list[Segment]:
    """The segments to read for everything behind log position `index`.

    Starts with the last one whose first index is not above `index`; from there on none may be
    missing (older gaps are leftovers of a purge and harmless).  Raises WalNotFound.
    """
    for place in range(len(segments) - 1, -1, -1):
        if segments[place].index <= index:
            break
    else:
        raise WalNotFound(directory, f"no segment holds index {index}")
    chosen = segments[place:]
    for before, after in itertools.pairwise(chosen):
        if after.sequence != before.sequence + 1:
            raise WalNotFound(directory, f"the segment between {before.name} and {after.name}")
    return chosen


def frame_at(data: bytes, offset: int) -> tuple[int, int]:
    """(record size, padding) that the frame at `offset` states; a padding of -1 for no frame."""
    (frame,) = _frame_at(data, offset)
    return frame & SIZE_MASK, _PADDING_OF.get(frame >> 56, -1)


def frame_is_sound(size: int, padding: int) -> bool:
    """False when no writer makes such a frame."""
    return 0 < size <= RECORD_BYTES_MAX and padding >= 0 and (size + padding) & 7 == 0


def content_end(data: bytes | bytearray) -> int:
    """The offset behind the last byte that is not zero.

    Most of a segment may be preallocated zeros, and comparing blocks is ten times as fast as
    looking at bytes.
    """
    end = len(data)
    while end and data[max(0, end - _BLOCK_BYTES) : end] == _ZEROS[: min(end, _BLOCK_BYTES)]:
        end = max(0, end - _BLOCK_BYTES)
    start = max(0, end - _BLOCK_BYTES)
    return start + len(data[start:end].rstrip(b"\0"))


class SegmentWalk:
    """Walks the records of one segment that was read whole into `data`.

    `crc` is the chain at the end of the segment before; None when that was not read, and then the
    segment's own crc record is believed.  After the walk: `end` is the offset behind the last good
    record, `crc` the chain there, and `fault` says why the walk stopped before the end of the data,
    or is empty when it met a frame of zero or the end.
    """

    __slots__ = ("crc", "data", "end", "fault")

    def __init__(self, data: bytes, crc: int | None) -> None:
        self.data = data
        self.crc = crc
        self.end = 0
        self.fault = ""

    def records(self) -> Iterator[tuple[int, int, bytes]]:
        """(offset, type, data) of each good record in turn, without the crc record at the start."""
        data, limit, pos = self.data, len(self.data), 0
        crc = -1
        while pos + FRAME_BYTES <= limit:
            size, padding = frame_at(data, pos)
            if not size and not padding:
                return  # preallocated space
            start = pos + FRAME_BYTES
            stop = start + size
            if not frame_is_sound(size, padding):
                self.fault = f"no record has a frame of size {size} and padding {padding}"
                return
            if stop + padding > limit:
                self.fault = f"the record's {size} bytes go beyond the end of the file"
                return
            try:
                kind, stated, body = parse_wal_record(data[start:stop])
            except DecodeError as error:
                self.fault = f"not a record: {error}"
                return
            if crc < 0:
                self.fault = self._chain_fault(kind, stated)
                if self.fault:
                    return
                crc = stated
            else:
                crc = extend(crc, body)
                if crc != stated:
                    self.fault = f"crc is {crc:08x}, the record states {stated:08x}"
                    return
            self.end, self.crc = stop + padding, crc
            if pos:
                yield pos, kind, body
            pos = self.end
        if any(data[pos:limit]):
            self.fault = "the file ends inside a frame"

    def _chain_fault(self, kind: int, stated: int) -> str:
        """What is wrong with the first record."""
        if kind != CRC:
            return "the segment does not start with a crc"
        if self.crc is not None and stated != self.crc:
            return f"crc record states {stated:08x}, the chain is {self.crc:08x}"
        return ""
