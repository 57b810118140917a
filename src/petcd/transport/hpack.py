"""HPACK: header blocks to header fields in one pass, and fields to blocks without state (RFC 7541).

Decoding: `HpackDecoder` keeps the peer's dynamic table as a list, newest entry last, so that an
index is one list lookup. `changes` grows with whatever alters the table: a block that leaves it
alone means the same fields whenever the same bytes come again before the next change, which lets a
connection remember whole blocks.

Encoding: every field goes out as a literal without indexing (with a static name where there is
one). Such blocks need no table, may be cached and repeated, and let the receiver cache them too.

Bounds: table size, number of fields and size of the decoded list; each refusal is an HpackError,
after which the connection is lost, since the table can't be trusted any more.
"""

from __future__ import annotations

from petcd.transport.hpack_static import STATIC_TABLE
from petcd.transport.huffman import HuffmanError, huffman_decode
from petcd.transport.limits import (
    HEADER_FIELDS_MAX,
    HEADER_LIST_BYTES_MAX,
    HEADER_TABLE_BYTES,
)

Field = tuple[bytes, bytes]

_FIRST_DYNAMIC = len(STATIC_TABLE)
_INTEGER_MAX = 1 << 28
"""No length or index of a valid block comes near; stops endless continuation bytes."""


RESIZE_CHANGES = 128
"""A table size update in `HpackDecoder.changes`, where an entry counts 1."""


class HpackError(ValueError):
    """The block is malformed or breaks a bound; the connection must end. `too_large` tells the two
    apart."""

    def __init__(self, why: str, too_large: bool = False) -> None:
        super().__init__(why)
        self.too_large = too_large


class HpackDecoder:
    """One direction of one connection. `size` <= `max_size` <= `HEADER_TABLE_BYTES`."""

    __slots__ = ("changes", "max_size", "size", "table")

    def __init__(self) -> None:
        self.table: list[Field] = []
        self.size = 0
        self.max_size = HEADER_TABLE_BYTES
        self.changes = 0

    def decode(self, block: bytes) -> list[Field]:
        """The fields of a complete header block in order. Raises HpackError."""
        fields: list[Field] = []
        table = self.table
        pos = 0
        end = len(block)
        try:
            while pos < end:
                byte = block[pos]
                pos += 1
                if 0xBE <= byte < 0xFF:
                    fields.append(table[0xBD - byte])  # index 62 is the last, -1
                elif 0x80 < byte < 0xBE:
                    fields.append(STATIC_TABLE[byte - 0x80])
                elif byte & 0xE0 == 0x20:
                    if fields:
                        raise HpackError("table size update after a field")
                    pos = self._resize(block, byte, pos)
                elif byte < 0x80:
                    pos = self._literal(block, byte, pos, fields)
                else:
                    pos = self._far_index(block, byte, pos, fields)
        except IndexError:
            raise HpackError("truncated block, or an index beyond the table") from None
        if len(fields) > HEADER_FIELDS_MAX:
            raise HpackError("too many header fields", too_large=True)
        if end + len(fields) * self.size > HEADER_LIST_BYTES_MAX // 2:
            _check_list_size(fields)
        return fields

    def _far_index(self, block: bytes, byte: int, pos: int, fields: list[Field]) -> int:
        """An index of more than one byte, or the forbidden index 0."""
        if byte == 0x80:
            raise HpackError("index 0")
        index, pos = _integer(block, pos, 0x7F)
        fields.append(self.table[_FIRST_DYNAMIC - 1 - index])
        return pos

    def _literal(self, block: bytes, byte: int, pos: int, fields: list[Field]) -> int:
        """A field with a literal value; 01xxxxxx also enters the table. Returns the position behind
        it."""
        mask = 0x3F if byte & 0x40 else 0x0F
        index = byte & mask
        if index == mask:
            index, pos = _integer(block, pos, mask)
        if index >= _FIRST_DYNAMIC:
            name = self.table[_FIRST_DYNAMIC - 1 - index][0]
        elif index:
            name = STATIC_TABLE[index][0]
        else:
            name, pos = _string(block, pos)
        size = block[pos]
        if size & 0x7F == 0x7F:
            value, pos = _string(block, pos)
        else:
            start = pos + 1
            pos = start + (size & 0x7F)
            if pos > len(block):
                raise HpackError("truncated string")
            value = block[start:pos]
            if size & 0x80:
                value = _huffman(value)
        field = (name, value)
        fields.append(field)
        if byte & 0x40:
            self.insert(field)
        return pos

    def insert(self, field: Field) -> None:
        """Enter a field as the newest entry, at index 62; older ones go when there is no room."""
        self.changes += 1
        self.table.append(field)
        self.size += len(field[0]) + len(field[1]) + 32
        if self.size > self.max_size:
            self.evict()

    def evict(self) -> None:
        """Let the oldest entries go until the table fits."""
        while self.size > self.max_size:
            name, value = self.table.pop(0)
            self.size -= len(name) + len(value) + 32

    def _resize(self, block: bytes, byte: int, pos: int) -> int:
        size = byte & 0x1F
        if size == 0x1F:
            size, pos = _integer(block, pos, 0x1F)
        if size > HEADER_TABLE_BYTES:
            raise HpackError("table size above the announced maximum")
        self.changes += RESIZE_CHANGES
        self.max_size = size
        self.evict()
        return pos


def _check_list_size(fields: list[Field]) -> None:
    total = 0
    for name, value in fields:
        total += len(name) + len(value) + 32
    if total > HEADER_LIST_BYTES_MAX:
        raise HpackError("header list too large", too_large=True)


def _integer(block: bytes, pos: int, prefix: int) -> tuple[int, int]:
    """The rest of an integer whose prefix bits were all ones (RFC 7541, 5.1), and the position
    behind it."""
    value = prefix
    shift = 0
    while True:
        byte = block[pos]
        pos += 1
        value += (byte & 0x7F) << shift
        if value > _INTEGER_MAX or shift > 28:
            raise HpackError("integer too large")
        if byte < 0x80:
            return value, pos
        shift += 7


def _string(block: bytes, pos: int) -> tuple[bytes, int]:
    """A string literal (RFC 7541, 5.2) and the position behind it."""
    byte = block[pos]
    pos += 1
    size = byte & 0x7F
    if size == 0x7F:
        size, pos = _integer(block, pos, 0x7F)
    end = pos + size
    if end > len(block):
        raise HpackError("truncated string")
    value = block[pos:end]
    return (_huffman(value) if byte & 0x80 else value), end


def _huffman(value: bytes) -> bytes:
    try:
        return huffman_decode(value)
    except HuffmanError as error:
        raise HpackError(f"Huffman string: {error}") from None


# -- encoding --------------------------------------------------------------------------------------

_NAME_INDEX: dict[bytes, int] = {}
for _index in range(len(STATIC_TABLE) - 1, 0, -1):
    _NAME_INDEX[STATIC_TABLE[_index][0]] = _index
_FIELD_INDEX: dict[Field, int] = {
    field: number for number, field in enumerate(STATIC_TABLE) if number
}


def encode_integer(value: int, prefix: int, first: int) -> bytes:
    """An integer with `prefix` (a mask such as 0x7F) low bits in a byte whose high bits are
    `first`."""
    if value < prefix:
        return bytes((first | value,))
    out = bytearray((first | prefix,))
    value -= prefix
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_string(value: bytes) -> bytes:
    """A plain (not Huffman) string literal."""
    return encode_integer(len(value), 0x7F, 0) + value


def encode_literal(name: bytes, value: bytes, first: int = 0) -> bytes:
    """A literal field; `first` is 0 (without indexing), 0x10 (never indexed) or 0x40 (enters the
    table)."""
    mask = 0x3F if first == 0x40 else 0x0F
    index = _NAME_INDEX.get(name)
    if index is None:
        return bytes((first,)) + encode_string(name) + encode_string(value)
    return encode_integer(index, mask, first) + encode_string(value)


def encode_field(name: bytes, value: bytes) -> bytes:
    """A field without touching any table: static index when name and value are there, else a
    literal."""
    index = _FIELD_INDEX.get((name, value))
    if index is not None:
        return bytes((0x80 | index,))
    return encode_literal(name, value)


def encode_block(fields: list[Field]) -> bytes:
    """A whole header block without touching any table."""
    return b"".join([encode_field(name, value) for name, value in fields])
