"""How requests are told of in log lines: etcd's notation, which people search for.

    header:<ID:7587869010 > put:<key:"a" value_size:3 >
    key:"a" range_end:"b" limit:10

What users store is not for the log: of values only the size is shown. Source: the log lines of
etcd 3.5 (protocol buffers' compact text form).
"""

from typing import Final

from petcd.wire.codec import BYTES, STRING, DecodeError, Field, Message
from petcd.wire.internal import InternalRaftRequest

# A transaction may hold thousands of keys; a line that nobody reads to its end is cut off here.
TEXT_MAX: Final = 1_000
_HIDDEN: Final = frozenset(("value", "Val"))
_SECRET: Final = frozenset(("password", "hashedPassword"))
_ESCAPES: Final = {10: "\\n", 13: "\\r", 9: "\\t", 34: '\\"', 92: "\\\\"}


def entry_text(data: bytes) -> str:
    """The request in a log entry; empty when it is none of the v3 API's or of this version's."""
    try:
        request = InternalRaftRequest.decode(data)
    except DecodeError:
        return ""
    header, request.header = request.header, None
    start = "" if header is None else f"header:<{_fields(header)}> "
    return _cut(start + _fields(request).rstrip())


def request_text(request: Message) -> str:
    """A client's request."""
    return _cut(_fields(request))


def key_text(key: bytes) -> str:
    """A range of one key."""
    return _cut(f"key:{_quoted(key)} ")


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_MAX else text[:TEXT_MAX] + "..."


def _fields(message: Message) -> str:
    parts: list[str] = []
    for field in sorted(message.FIELDS, key=lambda field: field.number):
        value = getattr(message, field.name)
        if field.repeated():
            parts += [_field(field, item) for item in value]
        elif value != field.zero():
            parts.append(_field(field, value))
    return "".join(parts)


def _field(field: Field, value: object) -> str:
    name = field.proto_name()
    if name in _SECRET:
        return ""
    if name in _HIDDEN and isinstance(value, bytes | str):
        return f"value_size:{len(value)} "
    if isinstance(value, Message):
        return f"{name}:<{_fields(value)}> "
    if field.kind in (BYTES, STRING) or isinstance(value, bytes | str):
        return f"{name}:{_quoted(value if isinstance(value, bytes) else str(value).encode())} "
    if isinstance(value, bool):
        return f"{name}:{'true' if value else 'false'} "
    names = {} if field.enum is None else field.enum.names()
    return f"{name}:{names.get(value, value) if isinstance(value, int) else value} "


def _quoted(data: bytes) -> str:
    """As protocol buffers' text form has it: octal where it is not printable ASCII."""
    shown = [
        _ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in data
    ]
    return f'"{"".join(shown)}"'
