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
from typing import Any, ClassVar, Self, dataclass_transform

from petcd.wire import walking
from petcd.wire.varint import DecodeError, uvarint
from petcd.wire.walking import (
    ALWAYS,
    BOOL,
    BYTES,
    ENUM,
    IMPLICIT,
    INT32,
    INT64,
    LENGTH,
    MESSAGE,
    MESSAGE_DEPTH_MAX,
    OPTIONAL,
    PACKED,
    RAW_STRING,
    REPEATED,
    RUN,
    STRING,
    UINT32,
    UINT64,
    VARINT,
    Tables,
    skip_field,
)

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
        self.wire_type = LENGTH if packed_or_length else VARINT
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


class Message(metaclass=_MessageType):
    """Base of all messages: keyword constructor, ``encode``, ``decode``, ``==``, ``repr``.

    Mutable and not hashable.  ``FIELDS`` holds the table, in the order of declaration.
    """

    __slots__: ClassVar[tuple[str, ...]]
    FIELDS: ClassVar[tuple[Field, ...]]
    _plain: ClassVar[tuple[tuple[str, Any], ...]]
    _lists: ClassVar[tuple[str, ...]]
    _tables: ClassVar[Tables | None]

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
        return walking.encode(self, self._tables or self.tables())

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> Self:
        """Parse a whole message; DecodeError when ``data`` is not one."""
        if type(data) is not bytes:
            data = bytes(data)
        message: Self = walking.decode(cls, cls._tables or cls.tables(), data)
        return message

    @classmethod
    def tables(cls) -> Tables:
        """The class's tables, built on first use (a class that contains itself is fine)."""
        tables = cls._tables
        if tables is None:
            tables = cls._tables = _tables_of(cls)
        return tables

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


def _tables_of(cls: type[Message]) -> Tables:
    tables = Tables(list(cls._plain), list(cls._lists), {f.number for f in cls.FIELDS})
    for f in sorted(cls.FIELDS, key=lambda f: f.number):
        target: Any = f.target
        if isinstance(target, str):
            target = getattr(sys.modules[cls.__module__], target)
        zero = target().encode() if f.kind == MESSAGE and f.mode == ALWAYS else b""
        tables.rows.append((f.name, f.kind, f.mode, f.tag, zero))
        siblings = [g.name for g in cls.FIELDS if f.oneof and g.oneof == f.oneof and g is not f]
        tag = f.number << 3 | (LENGTH if f.kind >= BYTES else VARINT)
        tables.by_tag[tag] = (f.name, f.kind, f.mode, target, tuple(siblings))
        if f.mode >= REPEATED and f.kind < BYTES:
            tables.by_tag[f.number << 3 | LENGTH] = (f.name, RUN + f.kind, f.mode, None, ())
    return tables
