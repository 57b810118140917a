"""Header blocks that differ only in their `grpc-timeout`, as Go's clients with deadlines send them.

Such a client enters each new timeout into the HPACK table, which moves every other entry: the same
request never has the same bytes again. But an entry's absolute number (how many were entered before
it) stays. So a block of this form

```
  indexed fields (a byte each) | 0x7e, size, value: name at index 62, enters the table | indexed
  fields
```

is reduced to its absolute numbers, modulo 128, by one `bytes.translate`, and that key finds the
head. The table never holds more than 128 entries (4096 bytes, at least 32 each), so of the numbers
that one key may stand for at most one is in the table; a key that refers to an older one is no hit.

A hit does what decoding would have done: the value enters the table, and indices that reach beyond
the table are no hit (the decoder then refuses them). Anything of another form is no hit either.
"""

from __future__ import annotations

from petcd.transport.grpc_status import parse_timeout
from petcd.transport.hpack import Field, HpackDecoder
from petcd.transport.huffman import huffman_decode
from petcd.transport.limits import HEAD_CACHE_ENTRIES_MAX, TIMEOUTS_REMEMBERED_MAX
from petcd.transport.request_head import RequestHead

_NAME = b"grpc-timeout"
_LITERAL = 0x7E
"""A literal that enters the table, with the name of the newest entry."""
_FIRST_DYNAMIC = 0xBE
_LAST_SHORT = 0xFE
_UNFIT = 0xFF
_EVICTED_MAX = 2
"""Entries that one timeout (at most 12 + 9 + 32 bytes) can push out: a field behind it must not be
one of them."""


def _shift(inserted: int) -> bytes:
    """Maps index bytes when `inserted` entries have been made: static ones to themselves, dynamic
    ones to their absolute number modulo 128, what is no one-byte index to 0xff."""
    table = bytearray([_UNFIT]) * 256
    for byte in range(0x81, _FIRST_DYNAMIC):
        table[byte] = byte
    for byte in range(_FIRST_DYNAMIC, _LAST_SHORT + 1):
        table[byte] = inserted - (byte - _FIRST_DYNAMIC) & 0x7F
    return bytes(table)


_SHIFTS = [_shift(n) for n in range(128)]


_timeouts: dict[bytes, tuple[Field, float, int]] = {}
"""String literal -> the field, its seconds, its size in the table. Clients with the same time limit
send much the same values."""


def _new_timeout(literal: bytes) -> tuple[Field, float, int] | None:
    value = literal[1:]
    try:
        if literal[0] & 0x80:
            value = huffman_decode(value)
        timeout = ((_NAME, value), parse_timeout(value), len(_NAME) + len(value) + 32)
    except ValueError:
        return None
    if len(_timeouts) >= TIMEOUTS_REMEMBERED_MAX:
        _timeouts.clear()
    _timeouts[literal] = timeout
    return timeout


class TimedHeads:
    """The memory of one connection. After a hit `timeout_s` is the block's timeout."""

    __slots__ = ("_at", "_decoder", "_known", "timeout_s")

    def __init__(self, decoder: HpackDecoder) -> None:
        self._decoder = decoder
        self._known: dict[bytes, tuple[RequestHead, int]] = {}
        """Key -> head and the oldest absolute number that the block refers to."""
        self._at = 0
        """Where the timeout stands in a block; 0 while no such block has come."""
        self.timeout_s = 0.0

    def find(self, block: bytes) -> RequestHead | None:
        """The head of a block, its timeout entered into the table; None: it has to be decoded."""
        at = self._at
        if not at or at + 2 > len(block) or block[at] != _LITERAL:
            return None
        stop = at + 2 + (block[at + 1] & 0x7F)
        decoder = self._decoder
        changes = decoder.changes
        if stop > len(block):
            return None
        rest = block[:at] if stop == len(block) else block[:at] + block[stop:]
        known = self._known.get(rest.translate(_SHIFTS[changes & 0x7F]))
        table = decoder.table
        if known is None or changes - known[1] >= len(table) or table[-1][0] != _NAME:
            return None
        literal = block[at + 1 : stop]
        timeout = _timeouts.get(literal) or _new_timeout(literal)
        if timeout is None:
            return None
        field, self.timeout_s, size = timeout
        table.append(field)
        decoder.changes = changes + 1
        size += decoder.size
        while size > decoder.max_size:
            name, value = table.pop(0)
            size -= len(name) + len(value) + 32
        decoder.size = size
        return known[0]

    def learn(self, block: bytes, at: int, fields: int, changes: int, head: RequestHead) -> None:
        """Remember a decoded block: its timeout was field `at` of `fields`, and `changes` entries
        had been made before it."""
        if at + 2 > len(block) or block[at] != _LITERAL or not at:
            return
        stop = at + 2 + (block[at + 1] & 0x7F)
        rest = block[:at] + block[stop:]
        key = rest.translate(_SHIFTS[changes & 0x7F])
        if len(rest) != fields - 1 or _UNFIT in key or self._decoder.changes != changes + 1:
            return
        if at != self._at or len(self._known) >= HEAD_CACHE_ENTRIES_MAX:
            self._known.clear()
            self._at = at
        oldest = changes + _FIRST_DYNAMIC - max(block[:at])
        if stop < len(block):
            oldest = min(oldest, changes + _FIRST_DYNAMIC - max(block[stop:]) - _EVICTED_MAX)
        self._known[key] = (head, oldest)
