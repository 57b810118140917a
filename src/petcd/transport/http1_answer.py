"""The client role of HTTP/1.1, sans-IO: bytes of one answer in, its head and body out.

Made for answers that never end, so a body is given piece by piece as it comes, free of its framing.
Strict like the server role, whose header and body rules it shares. A `100 Continue` before the
answer is skipped.

It does not write requests, decode compression or follow redirects. `MalformedAnswer` is the only
error. Source: RFC 9112.
"""

from __future__ import annotations

import re

from petcd.transport.http import Header
from petcd.transport.http1_body import BodyReader
from petcd.transport.http1_head import HeaderSection, HttpError, parse_header_section
from petcd.transport.limits import HTTP_HEAD_BYTES_MAX

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: [\t\x20-\x7e\x80-\xff]*)?")
_ENDLESS = 1 << 62
"""Bytes of a body are counted by whoever reads it; a stream may be open for years."""


class ExchangeFailed(Exception):
    """A request got no answer, or not the whole of it; the text is for the log."""


class MalformedAnswer(ExchangeFailed):
    """What came is no HTTP answer."""


class ResponseHead:
    """Status and headers (names in lower case) of an answer; whether its connection stays open."""

    __slots__ = ("headers", "keep_alive", "status")

    def __init__(self, status: int, headers: list[Header], keep_alive: bool) -> None:
        self.status = status
        self.headers = headers
        self.keep_alive = keep_alive

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header (lower-case name), None when it is absent."""
        for field in self.headers:
            if field[0] == name:
                return field[1]
        return None


class ResponseReader:
    """One answer. `head` is None until it is complete; `done` when the body is too. `bodiless`:
    there is none whatever the head says, as HEAD asks for."""

    __slots__ = ("_bodiless", "_body", "_rest", "done", "head", "surplus")

    def __init__(self, bodiless: bool = False) -> None:
        self._bodiless = bodiless
        self.head: ResponseHead | None = None
        self.done = False
        self.surplus = False
        """Bytes came behind the end of the answer: the connection can't be used again."""
        self._rest = b""
        self._body: BodyReader | None = None  # None while the end of the connection ends the body

    def feed(self, data: bytes) -> bytes:
        """What of the body is in these bytes. Raises `MalformedAnswer`."""
        try:
            if self.head is None:
                data = self._take_head(self._rest + data)
                if self.head is None:
                    return b""
            return self._take_body(data)
        except HttpError as error:
            raise MalformedAnswer(f"http answer: {error.why}") from None

    def finish(self) -> None:
        """The connection has ended. Raises `MalformedAnswer` when the answer has not."""
        if self.done:
            return
        if self.head is None or self._body is not None:
            raise MalformedAnswer("the connection ended inside an answer")
        self.done = True

    def _take_head(self, data: bytes) -> bytes:
        """Look for the head; what is behind it."""
        end = data.find(b"\r\n\r\n")
        if end > HTTP_HEAD_BYTES_MAX or (end < 0 and len(data) > HTTP_HEAD_BYTES_MAX):
            raise HttpError(431, "head too large")
        if end < 0:
            self._rest = data
            return b""
        self._rest = b""
        first = data.find(b"\r\n")
        match = _STATUS_LINE.fullmatch(data[:first])
        if match is None:
            raise HttpError(400, "malformed status line")
        status = int(match[2])
        section = parse_header_section(data[first + 2 : end + 2])
        rest = data[end + 4 :]
        if status == 101 or status < 100:
            raise HttpError(400, f"status {status}")
        if status < 200:
            return self._take_head(rest)
        self._start_body(status, match[1] == b"1", section)
        return rest

    def _start_body(self, status: int, is_new: bool, section: HeaderSection) -> None:
        named = any(name == b"content-length" for name, _ in section.fields)
        bodiless = self._bodiless or status in (204, 304)
        until_end = not (bodiless or named or section.length < 0)
        if not until_end:
            self._body = BodyReader(0 if bodiless else section.length, _ENDLESS)
            self.done = self._body.done
        persistent = not section.close if is_new else section.keep_alive
        self.head = ResponseHead(status, section.fields, persistent and not until_end)

    def _take_body(self, data: bytes) -> bytes:
        if self.done:
            self.surplus = self.surplus or bool(data)
            return b""
        body = self._body
        if body is None:
            return data
        taken = body.feed(data, 0)
        self.done = body.done
        self.surplus = taken < len(data)
        piece = bytes(body.body)
        body.body.clear()
        return piece
