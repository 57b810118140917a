"""Messages as JSON the way Go's encoder prints etcd's protobuf structs.

Field names as in the .proto file, in the order of the table; zero values left out; bytes in base64;
64-bit integers and enums as numbers; a oneof as an object under its Go name with one member.
A parser of ordinary protobuf JSON would not understand it, but users' scripts do.
"""

from __future__ import annotations

from binascii import b2a_base64

from petcd.client.log import json_string
from petcd.wire.codec import BOOL, BYTES, MESSAGE, REPEATED, STRING, Field, Message

_ONEOF_NAMES = {"response": "Response", "request": "Request"}


def message_json(message: Message) -> str:
    """One JSON object on one line."""
    members = []
    for row in message.FIELDS:
        value = getattr(message, row.name)
        if row.mode >= REPEATED:
            if value:
                items = ",".join([value_json(row, item) for item in value])
                members.append(f"{json_string(row.proto_name())}:[{items}]")
        elif row.oneof:
            if value is not None:
                inner = f"{{{json_string(row.proto_name())}:{value_json(row, value)}}}"
                members.append(f"{json_string(_ONEOF_NAMES[row.oneof])}:{inner}")
        elif value is not None and (value or row.kind == MESSAGE):
            members.append(f"{json_string(row.proto_name())}:{value_json(row, value)}")
    return "{" + ",".join(members) + "}"


def value_json(row: Field, value: object) -> str:
    """One value of a field."""
    if isinstance(value, Message):
        return message_json(value)
    if row.kind == BOOL:
        return "true" if value else "false"
    if row.kind == BYTES:
        assert isinstance(value, bytes)
        return bytes_json(value)
    if row.kind >= STRING:
        return json_string(str(value))
    return str(value)


def bytes_json(value: bytes) -> str:
    """Bytes as a JSON string of base64."""
    return '"' + b2a_base64(value, newline=False).decode("ascii") + '"'
