"""Configuration changes as bytes: what a log entry of type CONF_CHANGE or CONF_CHANGE_V2 carries.

The algorithm itself must read these (a leader refuses a change while another is pending), so this
room has a codec of its own for the two messages, and for nothing else. The format is protobuf 2:

    ConfChange         1 id, 2 type, 3 node_id, 4 context
    ConfChangeSingle   1 type, 2 node_id
    ConfChangeV2       1 transition, 2 changes (repeated), 3 context

Written as etcd writes it: numbers always, even zero, but for an id of zero (which etcd itself never
gives); an empty context not at all; no bytes for the change that raft proposes to leave a joint
configuration. Unknown fields are skipped. Anything malformed is `ConfChangeDamaged`.
"""

from __future__ import annotations

from petcd.raft.errors import ConfChangeDamaged
from petcd.raft.kinds import ConfChangeTransition, ConfChangeType, EntryType
from petcd.raft.types import ConfChange, ConfChangeSingle, ConfChangeV2, Entry

_VARINT_BYTES_MAX = 10


def encode_conf_change(change: ConfChange | ConfChangeV2 | None) -> tuple[int, bytes]:
    """The entry type and data for a change; `None` is the empty one that leaves a joint config."""
    if change is None:
        return EntryType.CONF_CHANGE_V2, b""
    if isinstance(change, ConfChange):
        data = b"\x08" + _varint(change.id) if change.id else b""
        data += b"\x10" + _varint(change.type) + b"\x18" + _varint(change.node_id)
        return EntryType.CONF_CHANGE, data + _bytes_field(b"\x22", change.context)
    parts = [b"\x08" + _varint(change.transition)]
    for single in change.changes:
        body = b"\x08" + _varint(single.type) + b"\x10" + _varint(single.node_id)
        parts.append(b"\x12" + _varint(len(body)) + body)
    parts.append(_bytes_field(b"\x1a", change.context))
    return EntryType.CONF_CHANGE_V2, b"".join(parts)


def decode_conf_change(entry: Entry) -> ConfChange | ConfChangeV2 | None:
    """The change that an entry carries, or None for an ordinary entry."""
    if entry.type == EntryType.CONF_CHANGE:
        return decode_v1(entry.data)
    if entry.type == EntryType.CONF_CHANGE_V2:
        return decode_v2(entry.data)
    return None


def decode_v1(data: bytes) -> ConfChange:
    """A ConfChange from its bytes; raises `ConfChangeDamaged`."""
    change = ConfChange()
    for number, value in _fields(data):
        if number == 1:
            change.id = _as_int(value)
        elif number == 2:
            change.type = _as_type(value)
        elif number == 3:
            change.node_id = _as_int(value)
        elif number == 4:
            change.context = _as_bytes(value)
    return change


def decode_v2(data: bytes) -> ConfChangeV2:
    """A ConfChangeV2 from its bytes; raises `ConfChangeDamaged`."""
    change = ConfChangeV2()
    for number, value in _fields(data):
        if number == 1:
            change.transition = _as_int(value)
            if change.transition > ConfChangeTransition.JOINT_EXPLICIT:
                raise ConfChangeDamaged(f"unknown transition {change.transition}")
        elif number == 2:
            change.changes.append(_decode_single(_as_bytes(value)))
        elif number == 3:
            change.context = _as_bytes(value)
    return change


def _decode_single(data: bytes) -> ConfChangeSingle:
    single = ConfChangeSingle()
    for number, value in _fields(data):
        if number == 1:
            single.type = _as_type(value)
        elif number == 2:
            single.node_id = _as_int(value)
    return single


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes_field(tag: bytes, data: bytes) -> bytes:
    return tag + _varint(len(data)) + data if data else b""


def _as_int(value: int | bytes) -> int:
    if isinstance(value, int):
        return value
    raise ConfChangeDamaged("a number was written as bytes")


def _as_type(value: int | bytes) -> int:
    number = _as_int(value)
    if number > ConfChangeType.ADD_LEARNER_NODE:
        raise ConfChangeDamaged(f"unknown conf change type {number}")
    return number


def _as_bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ConfChangeDamaged("bytes were written as a number")
    return value


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for position in range(_VARINT_BYTES_MAX):
        if at >= len(data):
            raise ConfChangeDamaged("unexpected EOF")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return number & 0xFFFFFFFFFFFFFFFF, at
    raise ConfChangeDamaged("varint overflow")


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """(field number, value) of each varint and length-delimited field; the others are skipped."""
    fields: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ConfChangeDamaged("field number 0")
        if kind == 0:
            value, at = _read_varint(data, at)
            fields.append((number, value))
            continue
        if kind == 2:
            size, at = _read_varint(data, at)
        elif kind == 1 or kind == 5:
            size = 8 if kind == 1 else 4
        else:
            raise ConfChangeDamaged(f"wire type {kind}")
        if at + size > len(data):
            raise ConfChangeDamaged("unexpected EOF")
        if kind == 2:
            fields.append((number, data[at : at + size]))
        at += size
    return fields
