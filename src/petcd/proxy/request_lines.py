"""A client's request as it goes to a member: pure.

What concerns only the client's own connection is taken off, the client's address is added to
`X-Forwarded-For`. A request that came over HTTP/2 may carry what HTTP/1.1 would read differently (a
space in the target, a line end in a name); it is refused, for it could smuggle a second request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from petcd.transport.http import Header, HttpRequest

HOP_BY_HOP = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te"),
        *(b"trailer", b"trailers", b"transfer-encoding", b"upgrade"),
    )
)
_WRITTEN_BY_US = frozenset((b"content-length", b"x-forwarded-for", b"expect", b"host"))
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"[\x21-\x7e]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


class Unspeakable(ValueError):
    """A request that cannot be written in HTTP/1.1."""


def request_bytes(request: HttpRequest, authority: str) -> bytes:
    """Head and body for a member at `authority`. Raises Unspeakable."""
    headers = end_to_end(request.headers)
    host = request.header(b"host") or authority.encode()
    fields = [(b"host", host)]
    fields += [field for field in headers if field[0] not in _WRITTEN_BY_US]
    forwarded = _forwarded_for(request)
    if forwarded:
        fields.append((b"x-forwarded-for", forwarded))
    if request.body or request.method in ("POST", "PUT"):
        fields.append((b"content-length", b"%d" % len(request.body)))
    for name, value in fields:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Unspeakable("malformed header")
    method = request.method.encode("ascii", "replace")
    if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(request.target):
        raise Unspeakable("malformed request line")
    lines = [method + b" " + request.target.encode() + b" HTTP/1.1\r\n"]
    lines += [name + b": " + value + b"\r\n" for name, value in fields]
    return b"".join([*lines, b"\r\n", request.body])


def end_to_end(headers: Sequence[Header]) -> list[Header]:
    """Headers without those that belong to one connection, also those that it names itself."""
    named = {
        name.strip().lower()
        for field, value in headers
        if field == b"connection"
        for name in value.split(b",")
    }
    dropped = HOP_BY_HOP | named
    return [field for field in headers if field[0] not in dropped]


def _forwarded_for(request: HttpRequest) -> bytes:
    ip = request.peer.rpartition(":")[0].strip("[]").encode()
    before = [value for name, value in request.headers if name == b"x-forwarded-for"]
    return b", ".join([*before, ip]) if ip else b", ".join(before)
