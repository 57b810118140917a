"""Messages that come compressed: gzip, which etcd takes too. Answers go out as they are.

Pure. What a message becomes is bounded while it is inflated, so that a few bytes cannot fill the
memory.
"""

from __future__ import annotations

import zlib

from petcd.transport.grpc_status import INTERNAL, RESOURCE_EXHAUSTED

GZIP = b"gzip"
_WITH_GZIP_HEADER = 16 + zlib.MAX_WBITS


class CannotInflate(Exception):
    """Status code and grpc-go's text for a message that is damaged or too large."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def inflate(data: bytes, bytes_max: int) -> bytes:
    """The message in `data`; CannotInflate when it has more than `bytes_max` bytes or is none."""
    stream = zlib.decompressobj(_WITH_GZIP_HEADER)
    try:
        message = stream.decompress(data, bytes_max + 1)
    except zlib.error as error:
        raise _damaged(str(error)) from None
    if len(message) > bytes_max:
        text = "grpc: received message after decompression larger than max "
        raise CannotInflate(RESOURCE_EXHAUSTED, f"{text}({len(message)} vs. {bytes_max})")
    if not stream.eof:
        raise _damaged("unexpected EOF")
    if stream.unused_data:
        raise _damaged("bytes after the end")
    return message


def _damaged(reason: str) -> CannotInflate:
    text = f"grpc: failed to decompress the received message: {reason}"
    return CannotInflate(INTERNAL, text)
