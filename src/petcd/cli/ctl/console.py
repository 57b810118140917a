"""Where a command reads and writes: byte streams, since keys and values are bytes.

What goes to stdout is buffered, and flushed before anything goes to stderr, so that both appear in
the order in which they were written.
"""

from __future__ import annotations

from typing import BinaryIO

from petcd.client.log import replace_surrogates


class Console:
    """The three standard streams."""

    __slots__ = ("_err", "_out", "stdin")

    def __init__(self, stdin: BinaryIO, out: BinaryIO, err: BinaryIO) -> None:
        self.stdin = stdin
        self._out = out
        self._err = err

    def write(self, data: bytes) -> None:
        """Raw bytes to stdout."""
        self._out.write(data)

    def line(self, *parts: str | bytes | int) -> None:
        """A line to stdout, its parts with a blank between them."""
        self._out.write(b" ".join([encoded(part) for part in parts]) + b"\n")

    def error_line(self, text: str) -> None:
        """A line to stderr."""
        self._out.flush()
        self._err.write(encoded(text) + b"\n")
        self._err.flush()

    def flush(self) -> None:
        """Let stdout be seen."""
        self._out.flush()


def encoded(part: str | bytes | int) -> bytes:
    """Text as bytes; bytes that came from outside as they came."""
    if isinstance(part, bytes):
        return part
    text = str(part)
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return replace_surrogates(text).encode()
