"""The v2 request that comes most, a plain set, encoded and read without a message object.

    ID | Method "PUT" | Path "/1/..." | Val | all other fields unset

Equal, byte for byte, to what ``v2request.Request`` writes; tests compare the two.
"""

from __future__ import annotations

from petcd.wire.v2request import Request
from petcd.wire.varint import read_varint, uvarint

PREFIX = b"/1"
_METHOD = b"\x12\x03PUT\x1a"
_VALUE = 0x22
# Everything behind Val when nothing else is set.
_REST = Request().encode().partition(b"\x22\x00")[2]


def plain_set(request_id: int, path: bytes, value: bytes) -> bytes:
    """An encoded Request that sets a file; `path` is the client's, without etcd's prefix."""
    return b"".join(
        (
            b"\x08",
            uvarint(request_id),
            _METHOD,
            uvarint(len(path) + 2),
            PREFIX,
            path,
            b"\x22",
            uvarint(len(value)),
            value,
            _REST,
        )
    )


def parse_plain_set(body: bytes) -> tuple[bytes, bytes] | None:
    """(path, value) of what ``plain_set`` wrote; None: ``Request.decode`` must look at it."""
    if not body.endswith(_REST) or body[:1] != b"\x08":
        return None
    try:
        _, pos = read_varint(body, 1)
        if body[pos : pos + 6] != _METHOD:
            return None
        size, pos = read_varint(body, pos + 6)
        path = body[pos : pos + size]
        pos += size
        if body[pos] != _VALUE or path[:3] != b"/1/":
            return None
        size, pos = read_varint(body, pos + 1)
    except IndexError:
        return None
    if pos + size + len(_REST) != len(body):
        return None
    return path[2:], body[pos : pos + size]
