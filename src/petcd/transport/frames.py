"""HTTP/2 frame shapes and numbers (RFC 9113), and ready-made frames.

A stream id stands as its four wire bytes (`sid`) throughout the engines: it is cut out of the input
and put into the output as it is, works as a dictionary key, and compares like the number because it
is big-endian.
"""

from __future__ import annotations

from struct import Struct

from petcd.transport.limits import FRAME_BYTES_MAX

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA = 0
HEADERS = 1
PRIORITY = 2
RST_STREAM = 3
SETTINGS = 4
PUSH_PROMISE = 5
PING = 6
GOAWAY = 7
WINDOW_UPDATE = 8
CONTINUATION = 9

FLAG_ACK = 0x1
FLAG_END_STREAM = 0x1
FLAG_END_HEADERS = 0x4
FLAG_PADDED = 0x8
FLAG_PRIORITY = 0x20

NO_ERROR = 0
PROTOCOL_ERROR = 1
INTERNAL_ERROR = 2
FLOW_CONTROL_ERROR = 3
SETTINGS_TIMEOUT = 4
STREAM_CLOSED = 5
FRAME_SIZE_ERROR = 6
REFUSED_STREAM = 7
CANCEL = 8
COMPRESSION_ERROR = 9
CONNECT_ERROR = 10
ENHANCE_YOUR_CALM = 11
INADEQUATE_SECURITY = 12
HTTP_1_1_REQUIRED = 13

ERROR_NAMES = {
    NO_ERROR: "NO_ERROR",
    PROTOCOL_ERROR: "PROTOCOL_ERROR",
    INTERNAL_ERROR: "INTERNAL_ERROR",
    FLOW_CONTROL_ERROR: "FLOW_CONTROL_ERROR",
    SETTINGS_TIMEOUT: "SETTINGS_TIMEOUT",
    STREAM_CLOSED: "STREAM_CLOSED",
    FRAME_SIZE_ERROR: "FRAME_SIZE_ERROR",
    REFUSED_STREAM: "REFUSED_STREAM",
    CANCEL: "CANCEL",
    COMPRESSION_ERROR: "COMPRESSION_ERROR",
    CONNECT_ERROR: "CONNECT_ERROR",
    ENHANCE_YOUR_CALM: "ENHANCE_YOUR_CALM",
    INADEQUATE_SECURITY: "INADEQUATE_SECURITY",
    HTTP_1_1_REQUIRED: "HTTP_1_1_REQUIRED",
}

SETTINGS_HEADER_TABLE_SIZE = 1
SETTINGS_ENABLE_PUSH = 2
SETTINGS_MAX_CONCURRENT_STREAMS = 3
SETTINGS_INITIAL_WINDOW_SIZE = 4
SETTINGS_MAX_FRAME_SIZE = 5
SETTINGS_MAX_HEADER_LIST_SIZE = 6

CONNECTION = b"\0\0\0\0"
"""Stream id 0: the connection itself."""

FRAME_HEADER = Struct(">IB4s")
"""(length << 8 | type, flags, sid)."""
MESSAGE_FRAME_HEADER = Struct(">IB4sBI")
"""A frame header and, when it is DATA, the gRPC message prefix behind it."""
WORD_MAX = (FRAME_BYTES_MAX << 8) + 0xFF
"""First field of a frame header with the longest payload that we accept."""
SETTING = Struct(">HI")


class Http2Error(Exception):
    """The connection must end: `code` goes into GOAWAY, `reason` into its debug data."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} (HTTP/2 error {code})")
        self.code = code
        self.reason = reason


def frame(kind: int, flags: int, sid: bytes, payload: bytes) -> bytes:
    """One whole frame."""
    return b"".join((len(payload).to_bytes(3, "big"), bytes((kind, flags)), sid, payload))


def frame_start(kind: int, flags: int, size: int) -> bytes:
    """The five bytes of a frame header before the stream id."""
    return size.to_bytes(3, "big") + bytes((kind, flags))


def headers_frames(sid: bytes, flags: int, block: bytes, size_max: int) -> bytes:
    """A header block as HEADERS (with `flags`, without END_HEADERS) and CONTINUATION frames."""
    if len(block) <= size_max:
        return frame(HEADERS, flags | FLAG_END_HEADERS, sid, block)
    out = [frame(HEADERS, flags, sid, block[:size_max])]
    for pos in range(size_max, len(block), size_max):
        last = FLAG_END_HEADERS if pos + size_max >= len(block) else 0
        out.append(frame(CONTINUATION, last, sid, block[pos : pos + size_max]))
    return b"".join(out)


def settings_frame(settings: list[tuple[int, int]]) -> bytes:
    return frame(SETTINGS, 0, CONNECTION, b"".join([SETTING.pack(*pair) for pair in settings]))


def rst_stream(sid: bytes, code: int) -> bytes:
    return b"\0\0\x04\x03\0" + sid + code.to_bytes(4, "big")


def window_update(sid: bytes, credit: int) -> bytes:
    return b"\0\0\x04\x08\0" + sid + credit.to_bytes(4, "big")


def goaway(last_sid: bytes, code: int, reason: bytes) -> bytes:
    return frame(GOAWAY, 0, CONNECTION, last_sid + code.to_bytes(4, "big") + reason)


SETTINGS_ACK = frame(SETTINGS, FLAG_ACK, CONNECTION, b"")
EMPTY_DATA_END_START = frame_start(DATA, FLAG_END_STREAM, 0)
