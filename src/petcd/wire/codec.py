"""The general codec: message classes declared as tables, encoded and decoded by walking them.

A message is declared once, and that is all there is to it::

    class PutRequest(Message):
        key: bytes = field(1, BYTES)
        lease: int = field(3, INT64)

    PutRequest(key=b"k").encode()            # b"\\x0a\\x01k"
    PutRequest.decode(b"\\x0a\\x01k").lease  # 0

What a field holds and when it is written depends on its mode:

========  ==================  ===================================  ===========================
mode      default             written                              used for
========  ==================  ===================================  ===========================
IMPLICIT  0 b"" "" False      unless zero or empty                 proto3 scalars
          None (messages)     unless None                          sub-messages (presence kept)
OPTIONAL  None                unless None, zero included           oneof members, proto2 pointers
ALWAYS    0 b"" "" False      always                               proto2 of etcd (not nullable)
          None (messages)     always; None as the zero message
REPEATED  []                  each element with its own tag        lists
PACKED    []                  all in one run of bytes              proto3 lists of numbers
========  ==================  ===================================  ===========================

Invariants
* Fields are written in the order of their numbers: equal messages encode to equal bytes, and
  to the bytes that Go etcd's generated code writes.
* Decoding raises ``DecodeError`` and nothing else, whatever the bytes.
* What decodes here decodes in Go etcd too, so a body that passed may go into the replicated
  log as it came.  (The reverse does not hold: field numbers above 2**29-1, groups that close
  with another number, and strings that are not UTF-8 are refused here.)
* Decoding merges as Protocol Buffers demands: the last scalar wins, lists grow, a sub-message
  that comes twice is merged, the last member of a oneof wins, unknown fields are skipped.
* A known field with another wire type is an error (as in etcd), except that lists of numbers are
  read packed and unpacked.

Does not do: keep unknown fields, maps, extensions, groups (skipped), zigzag and fixed-width
numbers, JSON.  Declaring a class is cheap (no code is generated, tables are built at first
use), because a command-line tool imports these modules at every start.

Source: the Protocol Buffers encoding specification; etcd's .proto files and what its generated
code writes.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from petcd.wire.varint import MASK_64, SIGN_64, DecodeError, read_varint, uvarint

__all__ = [
    "ALWAYS",
    "BOOL",
    "BYTES",
    "ENUM",
    "IMPLICIT",
    "INT32",
    "INT64",
    "MESSAGE",
    "MESSAGE_DEPTH_MAX",
    "OPTIONAL",
    "PACKED",
    "RAW_STRING",
    "REPEATED",
    "STRING",
    "UINT32",
    "UINT64",
    "DecodeError",
    "EnumType",
    "Field",
    "Message",
    "field",
    "skip_field",
]

# Messages inside messages (and groups inside groups) before decoding gives up.  100 is the limit
# of most Protocol Buffers libraries: 49 transactions inside each other.  Go etcd has none of its
# own; CPython's stack would end at about 900.
MESSAGE_DEPTH_MAX = 100
FIELD_NUMBER_MAX = (1 << 29) - 1

# Kinds of values.
INT64, UINT64, INT32, UINT32, BOOL, ENUM, BYTES, STRING, RAW_STRING, MESSAGE = range(10)
# RAW_STRING: a proto2 string, which Go never checks: bytes that are not UTF-8 survive as
# surrogates (PEP 383), so that no entry of a foreign log is refused or changed.
# The kinds below BYTES are varints, BYTES and those above have a length.  Internally a run of
# packed numbers is a kind too: _RUN + the numbers' kind.
_RUN = 16

# Modes of fields.
IMPLICIT, OPTIONAL, ALWAYS, REPEATED, PACKED = range(5)

# Wire types.
_VARINT, _FIXED64, _LENGTH, _GROUP_START, _GROUP_END, _FIXED32 = range(6)

_ZERO: dict[int, Any] = {BOOL: False, BYTES: b"", STRING: "", RAW_STRING: "", MESSAGE: None}


class EnumType:
    """Base of the enum classes: plain int constants, so that a field holds a plain int."""

    @classmethod
    def names(cls) -> dict[int, str]:
        """Number -> name as in the .proto file, in the order of declaration."""
        return {n: name for name, n in vars(cls).items() if type(n) is int}


class Field:
    """One row of a message's table: what ``field()`` said plus the attribute's name."""

    __slots__ = ("enum", "kind", "mode", "name", "number", "oneof", "tag", "target", "wire_type")

    def __init__(
        self, number: int, kind: int | str | type[Message] | type[EnumType], mode: int, oneof: str
    ) -> None:
        self.name = ""  # the attribute; the .proto name plus "_" where that is a keyword
        self.number = number
        self.mode = mode
        self.oneof = oneof  # name of the oneof, "" for none
        self.target: str | type[Message] | None = None  # message class (a str: in the same module)
        self.enum: type[EnumType] | None = None
        if isinstance(kind, int):
            self.kind = kind
        elif isinstance(kind, type) and issubclass(kind, EnumType):
            self.kind = ENUM
            self.enum = kind
        else:
            self.kind = MESSAGE
            self.target = kind
        packed_or_length = self.kind >= BYTES or mode == PACKED
        self.wire_type = _LENGTH if packed_or_length else _VARINT
        self.tag = uvarint(number << 3 | self.wire_type)

    def proto_name(self) -> str:
        """The field's name in the .proto file."""
        return self.name.rstrip("_")

    def repeated(self) -> bool:
        """Whether the attribute is a list."""
        return self.mode >= REPEATED

    def zero(self) -> Any:
        """The value of an absent field that is no list."""
        return None if self.mode == OPTIONAL else _ZERO.get(self.kind, 0)


def field(
    number: int,
    kind: int | str | type[Message] | type[EnumType],
    mode: int = IMPLICIT,
    oneof: str = "",
) -> Any:
    """Declare a field of a message.

    ``kind`` is a kind constant, an enum class, a message class, or the name of a message class
    further down in the same module.  Members of a oneof are always OPTIONAL.
    """
    return Field(number, kind, OPTIONAL if oneof else mode, oneof)


class _Tables:
    """What encoding and decoding a class needs, built when it is first used."""

    __slots__ = ("by_tag", "numbers", "rows")

    def __init__(self, cls: type[Message]) -> None:
        # for writing, in order: (name, kind, mode, tag, the zero message of an ALWAYS field)
        self.rows: list[tuple[str, int, int, bytes, bytes]] = []
        # for reading: tag -> (name, kind, mode, message class, other members of the oneof)
        self.by_tag: dict[int, tuple[str, int, int, Any, tuple[str, ...]]] = {}
        self.numbers = {f.number for f in cls.FIELDS}
        for f in sorted(cls.FIELDS, key=lambda f: f.number):
            target: Any = f.target
            if isinstance(target, str):
                target = getattr(sys.modules[cls.__module__], target)
            zero = target().encode() if f.kind == MESSAGE and f.mode == ALWAYS else b""
            self.rows.append((f.name, f.kind, f.mode, f.tag, zero))
            siblings = [g.name for g in cls.FIELDS if f.oneof and g.oneof == f.oneof and g is not f]
            tag = f.number << 3 | (_LENGTH if f.kind >= BYTES else _VARINT)
            self.by_tag[tag] = (f.name, f.kind, f.mode, target, tuple(siblings))
            if f.mode >= REPEATED and f.kind < BYTES:
                run = _RUN + f.kind
                self.by_tag[f.number << 3 | _LENGTH] = (f.name, run, f.mode, None, ())


@dataclass_transform(kw_only_default=True)
class _MessageType(type):
    """Takes the ``Field`` values out of a class body and turns them into slots."""

    FIELDS: tuple[Field, ...]

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> _MessageType:
        fields = []
        for key, value in body.items():
            if type(value) is Field:
                value.name = key
                fields.append(value)
        for f in fields:
            del body[f.name]
        body["__slots__"] = tuple([f.name for f in fields])
        body["FIELDS"] = tuple(fields)
        body["_plain"] = tuple([(f.name, f.zero()) for f in fields if f.mode < REPEATED])
        body["_lists"] = tuple([f.name for f in fields if f.mode >= REPEATED])
        body["_tables"] = None
        return super().__new__(mcs, name, bases, body)


_M = TypeVar("_M", bound="Message")


class Message(metaclass=_MessageType):
    """Base of all messages: keyword constructor, ``encode``, ``decode``, ``==``, ``repr``.

    Mutable and not hashable.  ``FIELDS`` holds the table, in the order of declaration.
    """

    __slots__: ClassVar[tuple[str, ...]]
    FIELDS: ClassVar[tuple[Field, ...]]
    _plain: ClassVar[tuple[tuple[str, Any], ...]]
    _lists: ClassVar[tuple[str, ...]]
    _tables: ClassVar[_Tables | None]

    def __init__(self, **values: Any) -> None:
        """Set the given fields, all others to their defaults; TypeError on an unknown name."""
        for name, zero in self._plain:
            setattr(self, name, zero)
        for name in self._lists:
            setattr(self, name, [])
        for name, value in values.items():
            if name not in self.__slots__:
                raise TypeError(f"{type(self).__name__} has no field {name!r}")
            setattr(self, name, value)

    def encode(self) -> bytes:
        """The message's bytes.  ValueError when a number does not fit its field."""
        out: list[bytes] = []
        tables = self._tables or _tables_of(type(self))
        for name, kind, mode, tag, zero in tables.rows:
            value = getattr(self, name)
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

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> Self:
        """Parse a whole message; DecodeError when ``data`` is not one."""
        if type(data) is not bytes:
            data = bytes(data)
        message = _blank(cls)
        try:
            _merge(message, data, 0, len(data), MESSAGE_DEPTH_MAX)
        except IndexError:
            raise DecodeError(f"{cls.__name__}: truncated") from None
        except UnicodeDecodeError as error:
            raise DecodeError(f"{cls.__name__}: invalid UTF-8: {error.reason}") from None
        return message

    def which(self, oneof: str) -> str:
        """Name of the member of ``oneof`` that is set, "" when none is."""
        for f in self.FIELDS:
            if f.oneof == oneof and getattr(self, f.name) is not None:
                return f.name
        return ""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, f.name) == getattr(other, f.name) for f in self.FIELDS)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Constructor call with the fields that differ from their defaults."""
        shown = []
        for f in self.FIELDS:
            value = getattr(self, f.name)
            if value != ([] if f.mode >= REPEATED else f.zero()):
                shown.append(f"{f.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def _blank(cls: type[_M]) -> _M:
    """``cls()``, faster."""
    message = cls.__new__(cls)
    for name, zero in cls._plain:
        setattr(message, name, zero)
    for name in cls._lists:
        setattr(message, name, [])
    return message


def _tables_of(cls: type[Message]) -> _Tables:
    """The class's tables, built on first use (a class that contains itself is fine)."""
    tables = cls._tables
    if tables is None:
        tables = cls._tables = _Tables(cls)
    return tables


# ---------------------------------------------------------------- writing


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


def _merge(message: Message, data: bytes, pos: int, end: int, depth: int) -> None:
    """Read the fields in ``data[pos:end]`` into ``message``.

    A varint may run over ``end`` into the bytes that follow; the check behind the loop refuses it.
    """
    tables = message._tables or _tables_of(type(message))
    by_tag = tables.by_tag
    while pos < end:
        tag = data[pos]
        pos += 1
        if tag > 127:
            tag, pos = read_varint(data, pos - 1)
        entry = by_tag.get(tag)
        if entry is None:
            pos = _skip_unknown(message, data, pos, end, tag)
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
            elif kind >= _RUN:
                _read_run(getattr(message, name), kind - _RUN, data, start, pos)
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


def _from_varint(kind: int, number: int) -> int:
    """What an unsigned 64-bit number means in a field of this kind (excess bits are dropped)."""
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
    parent: Message, name: str, mode: int, target: Any, data: bytes, pos: int, stop: int, depth: int
) -> Message:
    """Read a sub-message, into the one that is there already if the field came before."""
    if depth <= 1:
        raise DecodeError(f"messages nested deeper than {MESSAGE_DEPTH_MAX}")
    message: Message | None = getattr(parent, name) if mode in (IMPLICIT, ALWAYS) else None
    if message is None:
        message = _blank(target)
    _merge(message, data, pos, stop, depth - 1)
    return message


def _read_run(values: list[int], kind: int, data: bytes, pos: int, stop: int) -> None:
    while pos < stop:
        number, pos = read_varint(data, pos)
        values.append(_from_varint(kind, number))
    if pos > stop:
        raise DecodeError("truncated number in a packed list")


def _skip_unknown(message: Message, data: bytes, pos: int, end: int, tag: int) -> int:
    number = tag >> 3
    if number in message._tables.numbers:  # type: ignore[union-attr]
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
        if wire_type == _VARINT:
            _, pos = read_varint(data, pos)
        elif wire_type == _LENGTH:
            size, pos = read_varint(data, pos)
            pos += size
        elif wire_type == _FIXED64:
            pos += 8
        elif wire_type == _FIXED32:
            pos += 4
        elif wire_type == _GROUP_START:
            open_groups.append(number)
            if len(open_groups) > MESSAGE_DEPTH_MAX:
                raise DecodeError(f"groups nested deeper than {MESSAGE_DEPTH_MAX}")
        elif wire_type == _GROUP_END:
            if not open_groups or open_groups.pop() != number:
                raise DecodeError("end of a group that is not open")
        else:
            raise DecodeError(f"illegal wire type {wire_type}")
        if pos > end:
            raise DecodeError("truncated field")
        if not open_groups:
            return pos
        tag, pos = read_varint(data, pos)
