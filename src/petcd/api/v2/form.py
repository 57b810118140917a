"""Queries and form bodies as Go's net/http reads them, and the errors it has.

    query ---------------------------.
                                      >--- Form: the first value of a name counts, body before query
    urlencoded body (PUT, POST) -----'
    any other body                     is not looked at, but its type must be one

A semicolon is an ordinary character: etcd 3.5.1 splits at it and so cuts values in silence.
"""

import re
from urllib.parse import unquote_to_bytes

from petcd.transport.http import HttpRequest

URLENCODED = b"application/x-www-form-urlencoded"
_HEX = frozenset(b"0123456789abcdefABCDEF")
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_token = re.compile(_TOKEN).match
_media_parameters = re.compile(
    rb'(?:\s*;\s*%b\s*=\s*(?:%b|"(?:[^"\\]|\\.)*"))*\s*;?\s*' % (_TOKEN, _TOKEN)
).fullmatch


class BadEscape(ValueError):
    """A percent sign without two hexadecimal digits behind it."""

    def __init__(self, text: bytes) -> None:
        shown = text.decode("utf-8", "replace").replace("\\", "\\\\").replace('"', '\\"')
        super().__init__(f'invalid URL escape "{shown}"')


class Form:
    """The fields of one request by name."""

    __slots__ = ("_fields", "error")

    def __init__(self) -> None:
        self._fields: dict[bytes, bytes] = {}
        self.error: str | None = None

    def get(self, name: bytes) -> bytes | None:
        """The first value, None without one."""
        return self._fields.get(name)

    def text(self, name: bytes) -> bytes:
        """The first value, empty without one."""
        return self._fields.get(name, b"")

    def add_pairs(self, encoded: bytes) -> None:
        """Add name=value pairs; the first error stays in `error`."""
        for pair in encoded.split(b"&"):
            if not pair:
                continue
            name, _, value = pair.partition(b"=")
            try:
                self._fields.setdefault(unescape(name), unescape(value))
            except BadEscape as error:
                self.error = self.error or str(error)


def unescape(text: bytes) -> bytes:
    """A query component decoded. Raises BadEscape."""
    if b"+" in text:
        text = text.replace(b"+", b" ")
    return unescape_path(text)


def unescape_path(text: bytes) -> bytes:
    """A path decoded, where a plus is a plus. Raises BadEscape."""
    at = text.find(b"%")
    if at < 0:
        return text
    while at >= 0:
        digits = text[at + 1 : at + 3]
        if len(digits) < 2 or not _HEX.issuperset(digits):
            raise BadEscape(text[at : at + 3])
        at = text.find(b"%", at + 3)
    return unquote_to_bytes(text)


def media_type_fault(kind: bytes) -> str:
    """What is wrong with a Content-Type, in Go's words; "" for nothing."""
    head, semicolon, parameters = kind.partition(b";")
    major, slash, minor = head.strip().partition(b"/")
    token = _token(major)
    if token is None:
        return "mime: no media type"
    if token.end() < len(major):
        return "mime: expected slash after first token"
    token = _token(minor)
    if slash and token is None:
        return "mime: expected token after slash"
    if token is not None and token.end() < len(minor):
        return "mime: unexpected content after media subtype"
    if _media_parameters(semicolon + parameters) is None:
        return "mime: invalid media parameter"
    return ""


def form_of(request: HttpRequest, query: bytes) -> Form:
    """The fields of query and urlencoded body."""
    form = Form()
    if request.method in ("PUT", "POST", "PATCH"):
        kind = request.header(b"content-type") or b""
        if kind and kind != URLENCODED:
            form.error = media_type_fault(kind) or None
        if request.body and kind.partition(b";")[0].strip().lower() == URLENCODED:
            form.add_pairs(request.body)
    form.add_pairs(query)
    return form
