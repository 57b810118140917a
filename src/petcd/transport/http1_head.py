"""The head of an HTTP/1.1 request: strict, by one rule each, so that no two readers can differ.

Refused: bare CR or LF, control characters, folded lines, white space before a colon, a missing or
second Host, Content-Length together with Transfer-Encoding, differing or odd lengths, any transfer
coding but `chunked`, versions other than 1.0 and 1.1. These are the ways by which requests are
smuggled past a proxy.

Pure: bytes in, `RequestLine` and `HeaderSection` out, `HttpError` for anything else. The header
section rarely changes from one request of a client to the next, so callers may remember it by its
bytes. Source: RFC 9112.
"""

from __future__ import annotations

import re

from petcd.transport.http import Header
from petcd.transport.limits import HEADER_FIELDS_MAX

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]+) HTTP/(\d)\.(\d)")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e\x80-\xff\t]*)")
_ABSOLUTE = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
_LENGTH = re.compile(rb"\d{1,15}")


class HttpError(Exception):
    """The request is answered with `status` and the connection closed."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"{status} {why}")
        self.status = status
        self.why = why


class RequestLine:
    """`minor` is the version's second digit: 1 for HTTP/1.1."""

    __slots__ = ("method", "minor", "target")

    def __init__(self, method: str, target: str, minor: int) -> None:
        self.method = method
        self.target = target
        self.minor = minor


class HeaderSection:
    """Fields with lower-case names, and what the framing rules read out of them.

    `length` is the body's size, -1 when it is chunked. `close` and `keep_alive` are the connection
    options that the client named; `expects_continue` that it waits for `100 Continue`.
    """

    __slots__ = ("close", "expects_continue", "fields", "has_host", "keep_alive", "length")

    def __init__(self, fields: list[Header]) -> None:
        self.fields = fields
        self.length = 0
        self.close = False
        self.keep_alive = False
        self.expects_continue = False
        self.has_host = False


def parse_request_line(line: bytes) -> RequestLine:
    """The first line, without its CRLF. Raises HttpError."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise HttpError(400, "malformed request line")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in b"01":
        raise HttpError(505, "unsupported protocol version")
    if target[:1] != b"/":
        absolute = _ABSOLUTE.match(target)
        if absolute is not None:
            target = target[absolute.end() :] or b"/"
            if target[:1] != b"/":
                target = b"/" + target
        elif target != b"*" or method != b"OPTIONS":
            raise HttpError(400, "malformed request target")
    return RequestLine(method.decode("ascii"), target.decode("ascii"), minor[0] - 48)


def parse_header_section(section: bytes) -> HeaderSection:
    """The header lines, each with its CRLF, without the empty line. Raises HttpError."""
    fields: list[Header] = []
    lines = section.split(b"\r\n")
    if lines.pop():
        raise HttpError(400, "malformed header")
    if len(lines) > HEADER_FIELDS_MAX:
        raise HttpError(431, "too many header fields")
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise HttpError(400, "malformed header")
        fields.append((match[1].lower(), match[2].rstrip(b" \t")))
    return _read_framing(HeaderSection(fields))


def _read_framing(section: HeaderSection) -> HeaderSection:
    length = -1
    chunked = False
    for name, value in section.fields:
        if name == b"host":
            if section.has_host:
                raise HttpError(400, "too many Host headers")
            section.has_host = True
        elif name == b"content-length":
            if _LENGTH.fullmatch(value) is None or length not in (-1, int(value)):
                raise HttpError(400, "bad Content-Length")
            length = int(value)
        elif name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise HttpError(501, "unsupported transfer encoding")
            chunked = True
        elif name == b"connection":
            options = [option.strip().lower() for option in value.split(b",")]
            section.close = section.close or b"close" in options
            section.keep_alive = section.keep_alive or b"keep-alive" in options
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise HttpError(417, "unknown expectation")
            section.expects_continue = True
    if chunked and length >= 0:
        raise HttpError(400, "Content-Length with Transfer-Encoding")
    section.length = -1 if chunked else max(length, 0)
    return section


def check_version(line: RequestLine, section: HeaderSection) -> None:
    """The rules that need both parts. Raises HttpError."""
    if line.minor and not section.has_host:
        raise HttpError(400, "missing required Host header")
    if not line.minor and section.length < 0:
        raise HttpError(400, "chunked body in HTTP/1.0")
