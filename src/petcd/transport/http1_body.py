"""The body of an HTTP/1.1 request, by length or in chunks.

```
  feed(data, pos) -> position behind what was taken;   done, then `body` is whole
```

Strict: CRLF everywhere, plain hexadecimal sizes; chunk extensions and trailers are bounded, read
and dropped. Raises `HttpError`. Source: RFC 9112, sections 6 and 7.
"""

from __future__ import annotations

from petcd.transport.http1_head import HttpError
from petcd.transport.limits import CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX

_SIZE = 0
_DATA = 1
_DATA_END = 2
_TRAILER = 3
_HEX = frozenset(b"0123456789abcdefABCDEF")


class BodyReader:
    """One body; `left` is what the current chunk or the whole body still lacks."""

    __slots__ = (
        "_chunked",
        "_left",
        "_limit",
        "_line",
        "_state",
        "_trailer_bytes",
        "body",
        "done",
        "taken",
    )

    def __init__(self, length: int, limit: int) -> None:
        """`length` is the announced size, -1 for chunks; `limit` the largest body that is taken."""
        if length > limit:
            raise HttpError(413, "request body too large")
        self.body = bytearray()
        """What was taken; the caller may clear it when it passes the pieces on."""
        self.taken = 0
        """Bytes of the body so far."""
        self._limit = limit
        self._chunked = length < 0
        self._left = max(length, 0)
        self._state = _SIZE if self._chunked else _DATA
        self._line = b""
        self._trailer_bytes = 0
        self.done = length == 0

    def feed(self, data: bytes, pos: int) -> int:
        """Take what belongs to the body from `data[pos:]`; returns the position behind it."""
        end = len(data)
        while pos < end and not self.done:
            if self._state == _DATA:
                pos = self._take_data(data, pos)
                continue
            newline = data.find(b"\n", pos)
            stop = end if newline < 0 else newline + 1
            self._line += data[pos:stop]
            pos = stop
            if len(self._line) > CHUNK_LINE_BYTES_MAX:
                raise HttpError(400, "chunk line too long")
            if newline >= 0:
                line = self._line
                self._line = b""
                if line[-2:] != b"\r\n" or b"\r" in line[:-2]:
                    raise HttpError(400, "malformed chunk")
                self._take_line(line[:-2])
        return pos

    def _take_data(self, data: bytes, pos: int) -> int:
        piece = data[pos : pos + self._left]
        self.body += piece
        self.taken += len(piece)
        self._left -= len(piece)
        if not self._left:
            if self._chunked:
                self._state = _DATA_END
            else:
                self.done = True
        return pos + len(piece)

    def _take_line(self, line: bytes) -> None:
        if self._state == _SIZE:
            digits, _, extension = line.partition(b";")
            if not digits or len(digits) > 8 or not _HEX.issuperset(digits) or b"\0" in extension:
                raise HttpError(400, "malformed chunk size")
            self._left = int(digits, 16)
            if self.taken + self._left > self._limit:
                raise HttpError(413, "request body too large")
            self._state = _DATA if self._left else _TRAILER
        elif self._state == _DATA_END:
            if line:
                raise HttpError(400, "malformed chunk")
            self._state = _SIZE
        elif line:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > TRAILER_BYTES_MAX:
                raise HttpError(431, "trailers too large")
        else:
            self.done = True
