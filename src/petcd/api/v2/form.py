"""Queries and form bodies as Go's net/http reads them, and the errors it has.

    query ---------------------------.
                                      >--- Form: the first value of a name counts, body before query
    urlencoded body (PUT, POST) -----'
    any other body                     is not looked at

A semicolon is an ordinary character: etcd 3.5.1 splits at it and so cuts values in silence.
"""

from urllib.parse import unquote_to_bytes

from petcd.transport.http import HttpRequest

URLENCODED = b"application/x-www-form-urlencoded"
_HEX = frozenset(b"0123456789abcdefABCDEF")


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


def form_of(request: HttpRequest, query: bytes) -> Form:
    """The fields of query and urlencoded body."""
    form = Form()
    if request.method in ("PUT", "POST", "PATCH") and request.body:
        kind = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
        if kind == URLENCODED:
            form.add_pairs(request.body)
    form.add_pairs(query)
    return form
