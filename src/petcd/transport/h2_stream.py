"""The two halves of an HTTP/2 stream as both roles need them.

`Sender` is the outgoing half: bytes that wait for flow control or for the socket, and what closes
the stream behind them. `Intake` is the incoming half: receive credit and gRPC messages put together
from DATA frames. Both are made only when a stream leaves the fast path (a message that fits one
DATA frame and every window needs neither).

`Stream` is what a connection knows of a stream, `MessageStream` one that carries gRPC messages.
They do not frame: the connection does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from petcd.transport import frames as f
from petcd.transport.grpc_status import INTERNAL, RESOURCE_EXHAUSTED

if TYPE_CHECKING:
    from petcd.transport.h2_connection import Http2Connection

AWAITS_UNARY = 0
"""A unary gRPC call of which nothing but the headers has come: the fast path's state."""
OPEN = 1
DONE = 2
"""Answered to the end, reset, or cancelled."""

PREFIX_BYTES = 5
"""gRPC message prefix: compressed flag and length."""


class Sender:
    """Outgoing bytes of one stream that could not leave at once.

    The stream's send window is the peer's initial window plus `window`. `queued_bytes` is the sum
    of `chunks`. With `closing` the frames that end the stream follow the last chunk.
    """

    __slots__ = (
        "chunks",
        "closing",
        "on_drain",
        "queued_bytes",
        "ready",
        "sid",
        "stream",
        "window",
    )

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.sid = stream.sid
        self.window = 0
        self.chunks: deque[memoryview] = deque()
        self.queued_bytes = 0
        self.closing = False
        self.ready = False
        self.on_drain: Callable[[], None] | None = None


class Intake:
    """Incoming bytes of one stream.

    `window` is the credit the peer still has, `reserved` what of it came from the connection's
    reserve for a long message. `buffer` holds an incomplete message with its prefix; `needed` is
    its whole size, 0 while unknown. `kept` is the stream's share of the connection's `kept_bytes`.
    """

    __slots__ = ("buffer", "kept", "needed", "reserved", "waiting", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.reserved = 0
        self.waiting = False
        self.buffer = bytearray()
        self.needed = 0
        self.kept = 0


class Stream:
    """One stream of a connection; `state` only moves up: AWAITS_UNARY < OPEN < DONE."""

    __slots__ = (
        "cancelled",
        "connection",
        "half_closed",
        "intake",
        "read_paused",
        "sender",
        "sid",
        "started",
        "state",
    )

    def __init__(self, connection: Http2Connection, sid: bytes, state: int, started: float) -> None:
        self.connection = connection
        self.sid = sid
        self.state = state
        self.started = started
        self.half_closed = False
        self.cancelled = False
        self.read_paused = False
        self.sender: Sender | None = None
        self.intake: Intake | None = None

    def feed(self, payload: bytes) -> None:
        """A DATA frame's bytes."""
        raise NotImplementedError

    def ended(self) -> None:
        """The peer sent END_STREAM."""
        raise NotImplementedError

    def kept_bytes(self) -> int:
        """Bytes of the request that nobody has taken, beside those in `intake`."""
        return 0

    def drop_request(self) -> None:
        """Let go of what `kept_bytes` counts."""

    def aborted(self, code: int) -> None:
        """The stream is gone: the peer reset it or the connection ended. Nothing can be sent any
        more."""
        raise NotImplementedError

    def last_frames(self) -> bytes:
        """What ends our half: an empty DATA frame, unless the kind of stream has something else."""
        return f.EMPTY_DATA_END_START + self.sid

    def sent(self) -> None:
        """The last byte, with END_STREAM, has left the queue."""
        raise NotImplementedError

    @property
    def queued_bytes(self) -> int:
        """Bytes given to us that neither flow control nor the socket has accepted yet."""
        return 0 if self.sender is None else self.sender.queued_bytes

    def pause_reading(self) -> None:
        """Give the peer no more credit on this stream: it may still send what it has credit for."""
        self.read_paused = True

    def resume_reading(self) -> None:
        self.read_paused = False
        self.connection.replenish(self)


class MessageStream(Stream):
    """A stream of length-prefixed gRPC messages."""

    __slots__ = ()

    def feed(self, payload: bytes) -> None:
        intake = self.intake
        assert intake is not None
        buffer = intake.buffer
        if not buffer and len(payload) >= PREFIX_BYTES:
            size = int.from_bytes(payload[1:PREFIX_BYTES], "big")
            if size == len(payload) - PREFIX_BYTES and self.accepts(payload[0], size):
                self._take(payload[0], payload[PREFIX_BYTES:])
                return
        buffer += payload
        while self.state != DONE:
            if not intake.needed:
                if len(buffer) < PREFIX_BYTES:
                    return
                size = int.from_bytes(buffer[1:PREFIX_BYTES], "big")
                if not self.accepts(buffer[0], size):
                    return
                intake.needed = PREFIX_BYTES + size
            if len(buffer) < intake.needed:
                return
            message = bytes(memoryview(buffer)[PREFIX_BYTES : intake.needed])
            compressed = buffer[0]
            del buffer[: intake.needed]
            intake.needed = 0
            self._take(compressed, message)

    def _take(self, compressed: int, message: bytes) -> None:
        if compressed:
            self.take_compressed(message)
        else:
            self.take(message)

    def accepts(self, compressed: int, size: int) -> bool:
        """Whether a message with this prefix may come; if not, the stream has been ended."""
        raise NotImplementedError

    def take(self, message: bytes) -> None:
        """A whole message."""
        raise NotImplementedError

    def take_compressed(self, message: bytes) -> None:
        """A whole message, compressed; only where `accepts` lets such ones in."""
        raise NotImplementedError


def prefix_refusal(
    compressed: int, size: int, limit: int, may_compress: bool
) -> tuple[int, str] | None:
    """Status code and grpc-go's text for a message prefix that can't be accepted, or None."""
    if compressed == 1 and not may_compress:
        return INTERNAL, "grpc: compressed flag set with identity or empty encoding"
    if compressed > 1:
        return INTERNAL, f"grpc: received unexpected payload format {compressed}"
    if size > limit:
        return RESOURCE_EXHAUSTED, f"grpc: received message larger than max ({size} vs. {limit})"
    return None
