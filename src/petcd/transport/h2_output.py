"""The sending half of an HTTP/2 connection: one buffer, flow control, and streams that take turns.

```
  send_data -> out                          when every window, the socket and the stream's queue
  allow
            -> Sender's queue -> pump -> out   else, one frame per stream in turn
  out -> take_output -> the shell's socket
```

Invariants: `queued_bytes` is the sum over all senders and not negative; a sender is in `ready`
exactly when its `ready` flag is set, and then it has something queued or is passed over; no DATA
exceeds the peer's windows; bytes of one stream leave in the order in which they were given.

It parses nothing. Source: RFC 9113, section 5.2 and 6.9.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from petcd.transport import frames as f
from petcd.transport.frames import Http2Error
from petcd.transport.h2_stream import Sender, Stream
from petcd.transport.limits import (
    DEFAULT_WINDOW,
    FRAME_BYTES_MAX,
    OUTPUT_CHUNK_BYTES,
    STREAM_OUTPUT_LOW_BYTES,
    UNSENT_CONTROL_BYTES_MAX,
)


def _nobody() -> None:
    """No shell listens for output."""


class Http2Output:
    """What is to be sent on one connection.

    `on_output` is called once when output appears outside `receive` (`idle` is true then), so that
    the shell can schedule one write for everything that happens in its turn.
    """

    __slots__ = (
        "answered",
        "fast_limit",
        "idle",
        "idle_frames",
        "on_output",
        "out",
        "peer_frame_bytes",
        "peer_window",
        "portion_bytes",
        "queued_bytes",
        "ready",
        "send_window",
        "turn_bytes",
        "unsent_control_bytes",
        "write_paused",
    )

    def __init__(self) -> None:
        self.out: list[bytes | memoryview] = []
        self.idle = True
        self.on_output: Callable[[], None] = _nobody
        self.send_window = DEFAULT_WINDOW
        self.peer_window = DEFAULT_WINDOW
        self.peer_frame_bytes = FRAME_BYTES_MAX
        self.fast_limit = -1
        self.write_paused = False
        self.portion_bytes = OUTPUT_CHUNK_BYTES
        self.ready: deque[Sender] = deque()
        self.queued_bytes = 0
        self.unsent_control_bytes = 0
        self.turn_bytes = 0
        """Stream DATA in `out`: what exceeds a portion is queued, and so counted, instead."""
        self.idle_frames = 0
        self.answered = False  # since the last PING of the peer
        """Control frames of the peer since the last progress: see `IDLE_FRAMES_MAX`."""

    def on_drained(self, stream: Stream) -> None:
        """A stream's queue has become short."""
        raise NotImplementedError

    def on_room(self) -> None:
        """`queued_bytes` fell."""

    def take_output(self) -> bytes:
        """What is to be written now; empty when nothing is.

        A server gets long answers in portions: call again after the socket took one.
        """
        if self.ready:
            self.idle = False
            self.pump()
        self.idle = True
        self.unsent_control_bytes = 0
        self.turn_bytes = 0
        out = self.out
        if not out:
            return b""
        data = b"".join(out) if len(out) > 1 else bytes(out[0])
        out.clear()
        return data

    def pause_writing(self) -> None:
        """The socket's buffer is full: DATA waits in the streams' queues, where it is counted."""
        self.write_paused = True
        self.set_fast_limit()

    def resume_writing(self) -> None:
        self.write_paused = False
        self.set_fast_limit()
        if self.ready and self.idle:
            self.wake()

    def wake(self) -> None:
        """Output appeared outside `receive`: tell the shell, once."""
        self.idle = False
        self.on_output()

    def control(self, data: bytes) -> None:
        """Queue an answer that the peer provoked; bounded while the socket does not take them."""
        self.out.append(data)
        if self.write_paused:
            self.unsent_control_bytes += len(data)
            if self.unsent_control_bytes > UNSENT_CONTROL_BYTES_MAX:
                raise Http2Error(f.ENHANCE_YOUR_CALM, "control answers are not read")

    def send_block(self, sid: bytes, flags: int, block: bytes) -> None:
        """HEADERS, with CONTINUATION when the block is longer than the peer's frames."""
        self.out.append(f.headers_frames(sid, flags, block, self.peer_frame_bytes))
        if self.idle:
            self.wake()

    def set_fast_limit(self) -> None:
        """Largest DATA payload that a fresh stream may send without looking further; -1 is
        never."""
        self.fast_limit = -1 if self.write_paused else min(self.peer_window, self.peer_frame_bytes)

    def sender_of(self, stream: Stream) -> Sender:
        sender = stream.sender
        if sender is None:
            sender = stream.sender = Sender(stream)
        return sender

    def send_data(self, sender: Sender, data: bytes) -> None:
        """Send bytes on a stream as far as flow control and the socket allow; the rest waits."""
        size = len(data)
        if (
            size <= self.send_window
            and not sender.chunks
            and not self.write_paused
            and self.turn_bytes <= OUTPUT_CHUNK_BYTES
            and size <= self.peer_frame_bytes
            and size <= self.peer_window + sender.window
        ):
            self.send_window -= size
            sender.window -= size
            self.turn_bytes += size
            self.out.append(b"".join((size.to_bytes(3, "big"), b"\0\0", sender.sid, data)))
            self.idle_frames = 0
            self.answered = True
        elif size:
            sender.chunks.append(memoryview(data))
            sender.queued_bytes += size
            self.queued_bytes += size
            self.make_ready(sender)
        if self.idle:
            self.wake()

    def close_sender(self, sender: Sender) -> None:
        """Let the stream's last frames follow its last queued byte."""
        if sender.chunks:
            sender.closing = True
        else:
            self.out.append(sender.stream.last_frames())
            sender.stream.sent()
        if self.idle:
            self.wake()

    def make_ready(self, sender: Sender) -> None:
        if not sender.ready and sender.chunks:
            sender.ready = True
            self.ready.append(sender)

    def pump(self) -> None:
        """Move queued DATA into `out`, one frame per stream in turn, until a window or the portion
        is used up."""
        room = self.portion_bytes
        ready = self.ready
        before = self.queued_bytes
        while ready and room > 0 and self.send_window > 0 and not self.write_paused:
            sender = ready.popleft()
            sender.ready = False
            allowed = min(self.send_window, self.peer_window + sender.window, self.peer_frame_bytes)
            if allowed <= 0 or not sender.chunks:
                continue
            room -= self._send_portion(sender, allowed)
            if sender.chunks:
                self.make_ready(sender)
            elif sender.closing:
                self.out.append(sender.stream.last_frames())
                sender.closing = False
                sender.stream.sent()
                continue
            if sender.queued_bytes <= STREAM_OUTPUT_LOW_BYTES:
                self._tell_drained(sender)
        if self.queued_bytes < before:
            self.on_room()

    def _tell_drained(self, sender: Sender) -> None:
        if sender.on_drain is not None and not sender.closing:
            sender.on_drain()
        self.on_drained(sender.stream)

    def _send_portion(self, sender: Sender, allowed: int) -> int:
        """One DATA frame of at most `allowed` bytes out of the queue; returns its payload's
        size."""
        chunks = sender.chunks
        pieces: list[bytes | memoryview] = []
        size = 0
        while chunks and size < allowed:
            chunk = chunks[0]
            take = allowed - size
            if len(chunk) <= take:
                pieces.append(chunk)
                size += len(chunk)
                chunks.popleft()
            else:
                pieces.append(chunk[:take])
                chunks[0] = chunk[take:]
                size += take
        self.out.append(size.to_bytes(3, "big") + b"\0\0" + sender.sid)
        self.out += pieces
        self.send_window -= size
        sender.window -= size
        sender.queued_bytes -= size
        self.queued_bytes -= size
        self.idle_frames = 0
        self.answered = True
        return size
