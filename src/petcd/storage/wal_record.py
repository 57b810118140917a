"""Records of the log: their bytes, one at a time and many at once.

::

    frame      8 bytes, little endian: the low 56 bits are the record's size; when the size is
               no multiple of 8, the top byte is 0x80 | number of padding bytes (1..7)
    record     protobuf: 1 type (varint)  2 crc (varint)  3 data (bytes)
    padding    zero bytes up to the next multiple of 8

A frame of zero means that nothing more was written: the rest of the segment is preallocated.  As
every frame starts at a multiple of 8, a frame is never half in one sector and half in the next.
``crc`` is the CRC-32C over the data of all records so far, across segments: a chain, so that a
record is proved by its forerunner.  A crc record has no data and only states the chain's value.

=====  ========  ====================================================================
type   name      data
=====  ========  ====================================================================
1      METADATA  what ``Wal.create`` was given (etcd: node id and cluster id)
2      ENTRY     raftpb.Entry
3      STATE     raftpb.HardState
4      CRC       none; starts every segment
5      SNAPSHOT  walpb.Snapshot
=====  ========  ====================================================================

``encode_entries`` is the hot path: a put's way to the disk.  It must equal the general codec, and
a test holds it to that.  It does not do: files, order of records, judging damage.

Source: etcd's record.proto and raft.proto; framing as its log tools read it.
"""

from __future__ import annotations

import struct
from typing import Final

from google_crc32c import extend

from petcd.raft.types import ConfState, Entry, HardState
from petcd.wire import raftpb, walpb
from petcd.wire.varint import uvarint

METADATA: Final = 1
ENTRY: Final = 2
STATE: Final = 3
CRC: Final = 4
SNAPSHOT: Final = 5

FRAME_BYTES: Final = 8
SIZE_MASK: Final = (1 << 56) - 1

# A record of more bytes than this is damage, not data: entries are limited to a few megabytes by
# the API (1.5 MiB by default, etcd's hard limit is 1 GiB of protobuf).
RECORD_BYTES_MAX: Final = 1 << 30

pack_frame = struct.Struct("<Q").pack

# Ready-made varints: every number below 2**14, every 14-bit group that is not the last.
_VARINT: Final = [uvarint(i) for i in range(1 << 14)]
_MORE_14: Final = [bytes((i & 127 | 128, i >> 7 | 128)) for i in range(1 << 14)]
_MORE_7: Final = [bytes((i | 128,)) for i in range(128)]
# The last four bits of a CRC, and the tag of the data that follows.
_CRC_TOP: Final = [bytes((i, 0x1A)) for i in range(16)]
_CRC_FULL: Final = 1 << 28

_FRAME_FLAGS: Final = [0] + [(0x80 | 8 - i) << 56 for i in range(1, 8)]
_PADDING: Final = [b""] + [bytes(8 - i) for i in range(1, 8)]
_ENTRY_START: Final = bytes((0x08, ENTRY, 0x10))


def encode_record(kind: int, crc: int, data: bytes | None) -> bytes:
    """One whole record, frame and padding included.  `crc` is the chain after `data`."""
    body = b"\x08" + uvarint(kind) + b"\x10" + uvarint(crc)
    if data is not None:
        body += b"\x1a" + uvarint(len(data)) + data
    size = len(body)
    return pack_frame(size | _FRAME_FLAGS[size & 7]) + body + _PADDING[size & 7]


def encode_entries(entries: list[Entry], crc: int, out: list[bytes]) -> int:
    """Append the records of `entries` to `out`, in pieces to be joined; returns the new chain.

    Entries of one batch nearly always share type and term and count up, so what is equal is
    encoded once: the head, and the upper bits of the index.
    """
    kind = term = high = -1
    head = index_end = b""
    for entry in entries:
        data, index = entry.data, entry.index
        if entry.term != term or entry.type != kind:
            kind, term = entry.type, entry.term
            head = b"\x08" + uvarint(kind) + b"\x10" + uvarint(term) + b"\x18"
        if index >> 7 != high:
            high = index >> 7
            index_end = uvarint(high)
        start = head + (_MORE_7[index & 127] + index_end if high else _VARINT[index])
        if data:
            size = len(data)
            start += b'"' + (_VARINT[size] if size < 16384 else uvarint(size))
            if size < 4096:
                start += data
                data = b""
        crc = extend(crc, start)
        size = len(start)
        if data:
            crc = extend(crc, data)
            size += len(data)
        length = _VARINT[size] if size < 16384 else uvarint(size)
        if crc >= _CRC_FULL:
            size += 9 + len(length)
            out += (
                pack_frame(size | _FRAME_FLAGS[size & 7]),
                _ENTRY_START,
                _MORE_14[crc & 16383],
                _MORE_14[crc >> 14 & 16383],
                _CRC_TOP[crc >> 28],
                length,
                start,
                data,
                _PADDING[size & 7],
            )
        else:
            short = uvarint(crc)
            size += 4 + len(short) + len(length)
            out += (
                pack_frame(size | _FRAME_FLAGS[size & 7]),
                _ENTRY_START,
                short,
                b"\x1a",
                length,
                start,
                data,
                _PADDING[size & 7],
            )
    return crc


def encode_hard_state(state: HardState) -> bytes:
    """Data of a STATE record."""
    return (
        b"\x08" + uvarint(state.term) + b"\x10" + uvarint(state.vote)
        + b"\x18" + uvarint(state.commit)
    )  # fmt: skip


def encode_snapshot(index: int, term: int, conf_state: ConfState | None) -> bytes:
    """Data of a SNAPSHOT record."""
    conf = None
    if conf_state is not None:
        conf = raftpb.ConfState(
            voters=conf_state.voters,
            learners=conf_state.learners,
            voters_outgoing=conf_state.voters_outgoing,
            learners_next=conf_state.learners_next,
            auto_leave=conf_state.auto_leave,
        )
    return walpb.Snapshot(index=index, term=term, conf_state=conf).encode()


class SnapshotRecord:
    """What a SNAPSHOT record says; etcd before 3.5 wrote no configuration."""

    __slots__ = ("conf_state", "index", "term")

    def __init__(self, index: int, term: int, conf_state: ConfState | None = None) -> None:
        self.index = index
        self.term = term
        self.conf_state = conf_state

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SnapshotRecord):
            return NotImplemented
        return (self.index, self.term, self.conf_state) == (
            other.index,
            other.term,
            other.conf_state,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SnapshotRecord(index={self.index}, term={self.term}, {self.conf_state})"


def parse_hard_state(data: bytes) -> HardState:
    """The state of a STATE record; raises DecodeError."""
    state = raftpb.HardState.decode(data)
    return HardState(state.term, state.vote, state.commit)


def parse_snapshot(data: bytes) -> SnapshotRecord:
    """The position of a SNAPSHOT record; raises DecodeError."""
    snapshot = walpb.Snapshot.decode(data)
    conf = snapshot.conf_state
    if conf is None:
        return SnapshotRecord(snapshot.index, snapshot.term)
    return SnapshotRecord(
        snapshot.index,
        snapshot.term,
        ConfState(
            list(conf.voters),
            list(conf.learners),
            list(conf.voters_outgoing),
            list(conf.learners_next),
            conf.auto_leave,
        ),
    )
