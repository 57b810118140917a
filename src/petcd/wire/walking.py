"""Writing and reading messages by walking their tables; `codec` declares the messages.

A table tells of each field its attribute, kind, mode and tag.  A message is any object with these
attributes; its class has ``_tables`` (None before it is first used) and ``tables()``, which makes
them.  See `codec` for what the modes mean and for what decoding accepts.

No tricks in here, so that mypyc can compile the file.

Source: the Protocol Buffers encoding specification.
"""

from __future__ import annotations

from typing import Any, Final

from petcd.wire.varint import MASK_64, SIGN_64, DecodeError, read_varint, uvarint

# Messages inside messages (and groups inside groups) before decoding gives up.  100 is the limit
# of most Protocol Buffers libraries: 49 transactions inside each other.  Go etcd has none of its
# own; CPython's stack would end at about 900.
MESSAGE_DEPTH_MAX: Final = 100
FIELD_NUMBER_MAX: Final = (1 << 29) - 1

# Kinds of values.
INT64: Final = 0
UINT64: Final = 1
INT32: Final = 2
UINT32: Final = 3
BOOL: Final = 4
ENUM: Final = 5
BYTES: Final = 6
STRING: Final = 7
RAW_STRING: Final = 8
MESSAGE: Final = 9
# RAW_STRING: a proto2 string, which Go never checks: bytes that are not UTF-8 survive as
# surrogates (PEP 383), so that no entry of a foreign log is refused or changed.
# The kinds below BYTES are varints, BYTES and those above have a length.  Internally a run of
# packed numbers is a kind too: RUN + the numbers' kind.
RUN: Final = 16

# Modes of fields.
IMPLICIT: Final = 0
OPTIONAL: Final = 1
ALWAYS: Final = 2
REPEATED: Final = 3
PACKED: Final = 4

# Wire types.
VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
GROUP_START: Final = 3
GROUP_END: Final = 4
FIXED32: Final = 5


class Tables:
    """What encoding and decoding a class needs."""

    __slots__ = ("by_tag", "lists", "numbers", "plain", "rows")

    def __init__(self, plain: list[tuple[str, Any]], lists: list[str], numbers: set[int]) -> None:
        self.plain = plain
        """Attribute and default of each field that is no list."""
        self.lists = lists
        """Attributes of the others."""
        self.numbers = numbers
        self.rows: list[tuple[str, int, int, bytes, bytes]] = []
        """For writing, in order: attribute, kind, mode, tag, the zero of an ALWAYS message."""
        self.by_tag: dict[int, tuple[str, int, int, Any, tuple[str, ...]]] = {}
        """For reading: tag -> attribute, kind, mode, message class, other members of the oneof."""


# ---------------------------------------------------------------- writing


def encode(message: Any, tables: Tables) -> bytes:
    """The message's bytes.  ValueError when a number does not fit its field."""
    out: list[bytes] = []
    for name, kind, mode, tag, zero in tables.rows:
        value = getattr(message, name)
        if mode == IMPLICIT:
            if value:
                _write(out, kind, tag, value)
        elif mode == OPTIONAL:
            if value is not None:
                _write(out, kind, tag, value)
        elif mode == REPEATED:
            for element in value:
                _write(out, kind, tag, element)
        elif mode == ALWAYS:
            if value is None:
                _write_length(out, tag, zero)
            else:
                _write(out, kind, tag, value)
        elif value:
            _write_length(out, tag, b"".join([_number(kind, n) for n in value]))
    return b"".join(out)


def _number(kind: int, value: int) -> bytes:
    """A number as a varint; negative ones as 64-bit two's complement."""
    low, high = _LIMITS[kind]
    if low <= value <= high:
        return uvarint(value & MASK_64)
    raise ValueError(f"{value} does not fit into its field ({low}..{high})")


_LIMITS = {
    INT64: (-SIGN_64, SIGN_64 - 1),
    UINT64: (0, MASK_64),
    INT32: (-(1 << 31), (1 << 31) - 1),
    ENUM: (-(1 << 31), (1 << 31) - 1),
    UINT32: (0, (1 << 32) - 1),
    BOOL: (0, 1),
}


def _write(out: list[bytes], kind: int, tag: bytes, value: Any) -> None:
    """Append one field or list element."""
    out.append(tag)
    if kind < BYTES:
        out.append(_number(kind, value))
        return
    if kind in (MESSAGE, STRING):
        value = value.encode()
    elif kind == RAW_STRING:
        value = value.encode("utf-8", "surrogateescape")
    out.append(uvarint(len(value)))
    out.append(value)


def _write_length(out: list[bytes], tag: bytes, body: bytes) -> None:
    out.append(tag)
    out.append(uvarint(len(body)))
    out.append(body)


# ---------------------------------------------------------------- reading


def blank(cls: Any, tables: Tables) -> Any:
    """``cls()``, faster."""
    message = cls.__new__(cls)
    for name, zero in tables.plain:
        setattr(message, name, zero)
    for name in tables.lists:
        setattr(message, name, [])
    return message


def decode(cls: Any, tables: Tables, data: bytes) -> Any:
    """Parse a whole message; DecodeError when ``data`` is not one."""
    message = blank(cls, tables)
    try:
        merge(message, tables, data, 0, len(data), MESSAGE_DEPTH_MAX)
    except IndexError:
        raise DecodeError(f"{cls.__name__}: truncated") from None
    except UnicodeDecodeError as error:
        raise DecodeError(f"{cls.__name__}: invalid UTF-8: {error.reason}") from None
    return message


def merge(message: Any, tables: Tables, data: bytes, pos: int, end: int, depth: int) -> None:
    """Read the fields in ``data[pos:end]`` into ``message``.

    A varint may run over ``end`` into the bytes that follow; the check behind the loop refuses it.
    """
    by_tag = tables.by_tag
    while pos < end:
        tag = data[pos]
        pos += 1
        if tag > 127:
            tag, pos = read_varint(data, pos - 1)
        entry = by_tag.get(tag)
        if entry is None:
            pos = _skip_unknown(message, tables, data, pos, end, tag)
            continue
        name, kind, mode, target, siblings = entry
        number = data[pos]
        pos += 1
        if number > 127:
            number, pos = read_varint(data, pos - 1)
        value: Any
        if kind < BYTES:
            if number < SIGN_64 and kind <= UINT64:
                value = number
            else:
                value = _from_varint(kind, number)
        else:
            start = pos
            pos += number
            if pos > end:
                break
            if kind == BYTES:
                value = data[start:pos]
            elif kind == MESSAGE:
                value = _read_message(message, name, mode, target, data, start, pos, depth)
            elif kind >= RUN:
                _read_run(getattr(message, name), kind - RUN, data, start, pos)
                continue
            else:
                value = _to_str(kind, data[start:pos])
        if mode >= REPEATED:
            getattr(message, name).append(value)
            continue
        setattr(message, name, value)
        for other in siblings:
            setattr(message, other, None)
    if pos > end:
        raise DecodeError(f"{type(message).__name__}: truncated")


def _from_varint(kind: int, number: int) -> Any:
    """What an unsigned 64-bit number means in a field of this kind (excess bits are dropped).

    Any: compiled, a function of ints would make ints of bools.
    """
    if kind == BOOL:
        return number != 0
    if kind == UINT64:
        return number
    if kind == INT64:
        return number if number < SIGN_64 else number - (1 << 64)
    number &= 0xFFFF_FFFF
    if kind == UINT32 or number < 1 << 31:
        return number
    return number - (1 << 32)


def _to_str(kind: int, data: bytes) -> str:
    return data.decode() if kind == STRING else data.decode("utf-8", "surrogateescape")


def _read_message(
    parent: Any, name: str, mode: int, target: Any, data: bytes, pos: int, stop: int, depth: int
) -> Any:
    """Read a sub-message, into the one that is there already if the field came before."""
    if depth <= 1:
        raise DecodeError(f"messages nested deeper than {MESSAGE_DEPTH_MAX}")
    tables: Tables | None = target._tables
    if tables is None:
        tables = target.tables()
    message = None
    if mode in (IMPLICIT, ALWAYS):
        message = getattr(parent, name)
    if message is None:
        message = blank(target, tables)
    merge(message, tables, data, pos, stop, depth - 1)
    return message


def _read_run(values: list[int], kind: int, data: bytes, pos: int, stop: int) -> None:
    while pos < stop:
        number, pos = read_varint(data, pos)
        values.append(_from_varint(kind, number))
    if pos > stop:
        raise DecodeError("truncated number in a packed list")


def _skip_unknown(message: Any, tables: Tables, data: bytes, pos: int, end: int, tag: int) -> int:
    number = tag >> 3
    if number in tables.numbers:
        name = type(message).__name__
        raise DecodeError(f"{name}: wrong wire type {tag & 7} for field {number}")
    return skip_field(data, pos, end, tag)


def skip_field(data: bytes, pos: int, end: int, tag: int) -> int:
    """The position behind the field whose tag was read just before ``pos``.

    Raises DecodeError (or IndexError at the end of ``data``) when it is malformed.
    """
    open_groups: list[int] = []
    while True:
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number <= FIELD_NUMBER_MAX:
            raise DecodeError(f"illegal field number {number}")
        if wire_type == VARINT:
            _, pos = read_varint(data, pos)
        elif wire_type == LENGTH:
            size, pos = read_varint(data, pos)
            pos += size
        elif wire_type == FIXED64:
            pos += 8
        elif wire_type == FIXED32:
            pos += 4
        elif wire_type == GROUP_START:
            open_groups.append(number)
            if len(open_groups) > MESSAGE_DEPTH_MAX:
                raise DecodeError(f"groups nested deeper than {MESSAGE_DEPTH_MAX}")
        elif wire_type == GROUP_END:
            if not open_groups or open_groups.pop() != number:
                raise DecodeError("end of a group that is not open")
        else:
            raise DecodeError(f"illegal wire type {wire_type}")
        if pos > end:
            raise DecodeError("truncated field")
        if not open_groups:
            return pos
        tag, pos = read_varint(data, pos)
