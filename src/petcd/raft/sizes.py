"""How large entries are: on the wire (for message and apply limits) and in payload.

Sizes are computed only where a limit binds; under `NO_LIMIT` nothing is summed. A cheap upper
bound (payload plus the largest possible overhead) settles most of the rest.
"""

from __future__ import annotations

from typing import Final

from petcd.raft.kinds import NO_LIMIT
from petcd.raft.types import Entry

_OVERHEAD_BYTES_MAX: Final = 35
"""Two bytes of type, eleven each of term, index and data length."""


def _varint_size(number: int) -> int:
    return (number.bit_length() + 6) // 7 if number else 1


def entry_size(entry: Entry) -> int:
    """Bytes of the entry in its protobuf encoding (type 0 and empty data are not written)."""
    size = 2 + _varint_size(entry.term) + _varint_size(entry.index)
    if entry.type:
        size += 2
    length = len(entry.data)
    if length:
        size += 1 + _varint_size(length) + length
    return size


def entries_size(entries: list[Entry]) -> int:
    """Encoded bytes of all entries together."""
    return sum([entry_size(entry) for entry in entries])


def payloads_size(entries: list[Entry]) -> int:
    """Bytes of the payloads alone; an empty entry has none."""
    return sum([len(entry.data) for entry in entries])


def limit_size(entries: list[Entry], max_size: int) -> list[Entry]:
    """The longest prefix of at most `max_size` encoded bytes, but never less than one entry."""
    if max_size >= NO_LIMIT or len(entries) <= 1:
        return entries
    if payloads_size(entries) + _OVERHEAD_BYTES_MAX * len(entries) <= max_size:
        return entries
    size = 0
    for count, entry in enumerate(entries):
        size += entry_size(entry)
        if size > max_size and count:
            return entries[:count]
    return entries
