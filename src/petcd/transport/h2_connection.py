"""What both roles of an HTTP/2 connection share: frames, settings, flow control, header blocks,
output.

Sans-IO. Bytes come in through a role's `receive`; what is to be sent gathers in `out` and leaves
through `take_output`. `on_output` is called once when output appears outside `receive`, so that the
shell can schedule one write for everything that happens in its turn.

```
  receive -> hot frames (role) | frame() -> settings, ping, window, ... | role: on_headers, on_reset
  send_data -> out, or a Sender's queue -> pump (windows, socket) -> out -> take_output
```

Invariants: `0 <= queued_bytes` is the sum over all senders; a sender is in `ready` exactly when its
`ready` flag is set; no DATA exceeds the peer's windows. A peer that breaks the protocol gets
GOAWAY: `receive` raises nothing, it sets `error` and `closed`, after which the shell writes what is
left and closes the socket.

It has no clock (the shell passes `now`) and no socket. Source: RFC 9113.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from petcd.transport import frames as f
from petcd.transport.frames import Http2Error
from petcd.transport.h2_stream import DONE, Intake, Sender, Stream
from petcd.transport.hpack import Field, HpackDecoder, HpackError
from petcd.transport.limits import (
    CONNECTION_WINDOW,
    CONTINUATION_FRAMES_MAX,
    DEFAULT_WINDOW,
    FRAME_BYTES_MAX,
    FRAME_BYTES_SEND_MAX,
    HEADER_BLOCK_BYTES_MAX,
    IDLE_FRAMES_MAX,
    OUTPUT_CHUNK_BYTES,
    RESERVE_BYTES,
    SETTINGS_ENTRIES_MAX,
    STREAM_OUTPUT_HIGH_BYTES,
    STREAM_OUTPUT_LOW_BYTES,
    STREAM_WINDOW,
    UNSENT_CONTROL_BYTES_MAX,
    WINDOW_MAX,
)


def _nobody() -> None:
    """No shell listens for output."""


class Http2Connection:
    """State of one connection, whichever role."""

    __slots__ = (
        "block",
        "block_flags",
        "block_frames",
        "block_sid",
        "closed",
        "decoder",
        "error",
        "fast_limit",
        "goaway_sent",
        "idle",
        "idle_frames",
        "last_sid",
        "now",
        "on_output",
        "out",
        "peer_frame_bytes",
        "peer_window",
        "portion_bytes",
        "queued_bytes",
        "ready",
        "received",
        "reserve_used",
        "reserve_waiting",
        "rest",
        "send_window",
        "settings_acked",
        "stream_window",
        "streams",
        "unsent_control_bytes",
        "write_paused",
    )

    def __init__(self) -> None:
        self.out: list[bytes | memoryview] = []
        self.rest = b""
        self.idle = True
        self.on_output: Callable[[], None] = _nobody
        self.now = 0.0
        self.closed = False
        self.error: Http2Error | None = None
        self.goaway_sent = False
        self.decoder = HpackDecoder()
        self.streams: dict[bytes, Stream] = {}
        self.last_sid = f.CONNECTION
        # the header block that CONTINUATION frames are still adding to
        self.block: bytearray | None = None
        self.block_sid = b""
        self.block_flags = 0
        self.block_frames = 0
        # sending
        self.send_window = DEFAULT_WINDOW
        self.peer_window = DEFAULT_WINDOW
        self.peer_frame_bytes = FRAME_BYTES_MAX
        self.fast_limit = -1
        self.write_paused = False
        self.portion_bytes = OUTPUT_CHUNK_BYTES
        self.ready: deque[Sender] = deque()
        self.queued_bytes = 0
        self.unsent_control_bytes = 0
        self.settings_acked = False
        # receiving
        self.stream_window = STREAM_WINDOW
        self.received = 0
        self.reserve_used = 0
        self.reserve_waiting: deque[Stream] = deque()
        self.idle_frames = 0

    # -- what a role adds --------------------------------------------------------------------------

    def on_headers(self, sid: bytes, flags: int, block: bytes) -> None:
        raise NotImplementedError

    def on_reset(self, sid: bytes, code: int) -> None:
        raise NotImplementedError

    def on_goaway(self, last_sid: bytes, code: int, reason: bytes) -> None:
        raise NotImplementedError

    def on_ping(self) -> None:
        """A PING that is no acknowledgement came; raise Http2Error to refuse it."""

    def on_pong(self, data: bytes) -> None:
        """Our PING was acknowledged."""

    def on_setting(self, number: int, value: int) -> None:
        """A setting that the shared part has no use for."""

    def last_peer_sid(self) -> bytes:
        """The newest stream of the peer that we may have acted on, for GOAWAY."""
        return self.last_sid

    def on_room(self) -> None:
        """`queued_bytes` fell."""

    # -- the shell's side --------------------------------------------------------------------------

    def take_output(self) -> bytes:
        """What is to be written now; empty when nothing is.

        A server gets long answers in portions: call again after the socket took one.
        """
        if self.ready:
            self.pump()
        self.idle = True
        self.unsent_control_bytes = 0
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

    def connection_lost(self) -> None:
        """The socket is gone: every stream is aborted."""
        self.closed = True
        self.abort_streams(f.CANCEL)
        self.out.clear()
        self.ready.clear()

    def abort_streams(self, code: int) -> None:
        for stream in list(self.streams.values()):
            self.abort(stream, code)

    def fail(self, error: Http2Error) -> None:
        """End the connection: GOAWAY, every stream aborted."""
        self.error = error
        self.closed = True
        self.rest = b""
        self.block = None
        self.out.append(f.goaway(self.last_peer_sid(), error.code, error.reason.encode()))
        self.abort_streams(f.CANCEL)
        if self.idle:
            self.wake()

    # -- frames ------------------------------------------------------------------------------------

    def frame(self, data: bytes, pos: int, end: int) -> int:
        """Handle the frame at `pos`. Returns the position behind it, or -1 when it is not all there
        yet."""
        word: int
        flags: int
        sid: bytes
        word, flags, sid = f.FRAME_HEADER.unpack_from(data, pos)
        size = word >> 8
        kind = word & 0xFF
        if size > FRAME_BYTES_MAX:
            raise Http2Error(f.FRAME_SIZE_ERROR, "frame too large")
        stop = pos + 9 + size
        if stop > end:
            return -1
        if sid[0] & 0x80:
            sid = bytes((sid[0] & 0x7F,)) + sid[1:]
        if self.block is not None and (kind != f.CONTINUATION or sid != self.block_sid):
            raise Http2Error(f.PROTOCOL_ERROR, "header block interrupted")
        payload = data[pos + 9 : stop]
        if kind == f.DATA:
            self._on_data(sid, flags, payload)
        elif kind == f.HEADERS:
            self._on_headers_frame(sid, flags, payload)
        elif kind == f.CONTINUATION:
            self._on_continuation(sid, flags, payload)
        else:
            self._on_control(kind, sid, flags, payload)
        return stop

    def _on_control(self, kind: int, sid: bytes, flags: int, payload: bytes) -> None:
        self.idle_frames += 1
        if self.idle_frames > IDLE_FRAMES_MAX:
            raise Http2Error(f.ENHANCE_YOUR_CALM, "too many control frames")
        if kind == f.WINDOW_UPDATE:
            self._on_window_update(sid, payload)
        elif kind == f.PING:
            self._on_ping(sid, flags, payload)
        elif kind == f.SETTINGS:
            self._on_settings(sid, flags, payload)
        elif kind == f.RST_STREAM:
            self._on_rst_stream(sid, payload)
        elif kind == f.GOAWAY:
            if sid != f.CONNECTION:
                raise Http2Error(f.PROTOCOL_ERROR, "GOAWAY on a stream")
            if len(payload) < 8:
                raise Http2Error(f.FRAME_SIZE_ERROR, "GOAWAY too short")
            self.on_goaway(payload[:4], int.from_bytes(payload[4:8], "big"), payload[8:])
        elif kind == f.PRIORITY:
            if sid == f.CONNECTION:
                raise Http2Error(f.PROTOCOL_ERROR, "PRIORITY on the connection")
            if len(payload) != 5:
                raise Http2Error(f.FRAME_SIZE_ERROR, "PRIORITY of the wrong size")
        elif kind == f.PUSH_PROMISE:
            raise Http2Error(f.PROTOCOL_ERROR, "PUSH_PROMISE is not allowed")

    def _on_rst_stream(self, sid: bytes, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(f.FRAME_SIZE_ERROR, "RST_STREAM of the wrong size")
        if sid == f.CONNECTION or sid > self.last_sid:
            raise Http2Error(f.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
        self.on_reset(sid, int.from_bytes(payload, "big"))

    def _on_ping(self, sid: bytes, flags: int, payload: bytes) -> None:
        if sid != f.CONNECTION:
            raise Http2Error(f.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise Http2Error(f.FRAME_SIZE_ERROR, "PING of the wrong size")
        if flags & f.FLAG_ACK:
            self.on_pong(payload)
            return
        self.control(f.frame(f.PING, f.FLAG_ACK, f.CONNECTION, payload))
        self.on_ping()

    def control(self, data: bytes) -> None:
        """Queue an answer that the peer provoked; bounded while the socket does not take them."""
        self.out.append(data)
        if self.write_paused:
            self.unsent_control_bytes += len(data)
            if self.unsent_control_bytes > UNSENT_CONTROL_BYTES_MAX:
                raise Http2Error(f.ENHANCE_YOUR_CALM, "control answers are not read")

    def _on_settings(self, sid: bytes, flags: int, payload: bytes) -> None:
        if sid != f.CONNECTION:
            raise Http2Error(f.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & f.FLAG_ACK:
            if payload:
                raise Http2Error(f.FRAME_SIZE_ERROR, "SETTINGS acknowledgement with a payload")
            self.settings_acked = True
            return
        if len(payload) % 6:
            raise Http2Error(f.FRAME_SIZE_ERROR, "SETTINGS of the wrong size")
        if len(payload) > 6 * SETTINGS_ENTRIES_MAX:
            raise Http2Error(f.ENHANCE_YOUR_CALM, "too many settings")
        for number, value in f.SETTING.iter_unpack(payload):
            self._on_one_setting(number, value)
        self.set_fast_limit()
        self.control(f.SETTINGS_ACK)

    def _on_one_setting(self, number: int, value: int) -> None:
        if number == f.SETTINGS_INITIAL_WINDOW_SIZE:
            if value > WINDOW_MAX:
                raise Http2Error(f.FLOW_CONTROL_ERROR, "initial window too large")
            grown = value > self.peer_window
            self.peer_window = value
            for stream in self.streams.values():
                sender = stream.sender
                if sender is None:
                    continue
                if value + sender.window > WINDOW_MAX:
                    raise Http2Error(f.FLOW_CONTROL_ERROR, "window too large")
                if grown:
                    self.make_ready(sender)
        elif number == f.SETTINGS_MAX_FRAME_SIZE:
            if not FRAME_BYTES_MAX <= value < 1 << 24:
                raise Http2Error(f.PROTOCOL_ERROR, "bad maximum frame size")
            self.peer_frame_bytes = min(value, FRAME_BYTES_SEND_MAX)
        elif number == f.SETTINGS_ENABLE_PUSH:
            if value > 1:
                raise Http2Error(f.PROTOCOL_ERROR, "bad ENABLE_PUSH")
        else:
            self.on_setting(number, value)

    # -- header blocks -----------------------------------------------------------------------------

    def _on_headers_frame(self, sid: bytes, flags: int, payload: bytes) -> None:
        if sid == f.CONNECTION:
            raise Http2Error(f.PROTOCOL_ERROR, "HEADERS on the connection")
        if flags & f.FLAG_PADDED:
            payload = _unpad(payload)
        if flags & f.FLAG_PRIORITY:
            if len(payload) < 5:
                raise Http2Error(f.FRAME_SIZE_ERROR, "HEADERS too short")
            payload = payload[5:]
        if flags & f.FLAG_END_HEADERS:
            self.on_headers(sid, flags, payload)
            return
        self.block = bytearray(payload)
        self.block_sid = sid
        self.block_flags = flags
        self.block_frames = 0

    def _on_continuation(self, sid: bytes, flags: int, payload: bytes) -> None:
        block = self.block
        if block is None:
            raise Http2Error(f.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        self.block_frames += 1
        block += payload
        if self.block_frames > CONTINUATION_FRAMES_MAX or len(block) > HEADER_BLOCK_BYTES_MAX:
            raise Http2Error(f.ENHANCE_YOUR_CALM, "header block too large")
        if flags & f.FLAG_END_HEADERS:
            self.block = None
            self.on_headers(sid, self.block_flags, bytes(block))

    def decode(self, block: bytes) -> list[Field]:
        """The fields of a block. Raises Http2Error, for a bad block spoils the table for good."""
        try:
            return self.decoder.decode(block)
        except HpackError as error:
            code = f.ENHANCE_YOUR_CALM if error.too_large else f.COMPRESSION_ERROR
            raise Http2Error(code, str(error)) from None

    # -- receiving data ----------------------------------------------------------------------------

    def _on_data(self, sid: bytes, flags: int, payload: bytes) -> None:
        size = len(payload)
        self.received += size
        if flags & f.FLAG_PADDED:
            payload = _unpad(payload)
        if not payload and not flags & f.FLAG_END_STREAM:
            self.idle_frames += 1
            if self.idle_frames > IDLE_FRAMES_MAX:
                raise Http2Error(f.ENHANCE_YOUR_CALM, "too many empty DATA frames")
        stream = self.streams.get(sid)
        if stream is None:
            if sid > self.last_sid or sid == f.CONNECTION:
                raise Http2Error(f.PROTOCOL_ERROR, "DATA on an idle stream")
            return
        if stream.half_closed:
            self.reset(stream, f.STREAM_CLOSED)
            return
        intake = stream.intake
        if intake is None:
            intake = stream.intake = Intake(self.stream_window)
        intake.window -= size
        if intake.window < 0:
            self.reset(stream, f.FLOW_CONTROL_ERROR)
            return
        if payload:
            stream.feed(payload)
        if flags & f.FLAG_END_STREAM:
            stream.half_closed = True
            self.release(intake)
            if stream.state != DONE:
                stream.ended()
        elif stream.state != DONE:
            self.replenish(stream)

    def replenish(self, stream: Stream) -> None:
        """Give the peer credit for what was consumed, and for the rest of a long message as the
        reserve allows."""
        intake = stream.intake
        if intake is None or stream.half_closed or stream.read_paused or stream.state == DONE:
            return
        missing = intake.needed - len(intake.buffer)
        if intake.reserved and missing <= 0:
            self.release(intake)
        if stream.queued_bytes > STREAM_OUTPUT_HIGH_BYTES:
            return  # asked again when the queue has drained
        if missing > intake.window:
            if missing <= self.stream_window:
                self._credit(stream, intake, self.stream_window - intake.window)
            elif not intake.waiting:
                intake.waiting = True
                self.reserve_waiting.append(stream)
                self._grant_reserve()
        elif intake.window < self.stream_window // 2:
            self._credit(stream, intake, self.stream_window - intake.window)

    def _credit(self, stream: Stream, intake: Intake, credit: int) -> None:
        intake.window += credit
        self.out.append(f.window_update(stream.sid, credit))
        if self.idle:
            self.wake()

    def _grant_reserve(self) -> None:
        waiting = self.reserve_waiting
        while waiting:
            stream = waiting[0]
            intake = stream.intake
            if intake is None or not intake.waiting or stream.state == DONE:
                waiting.popleft()
                continue
            credit = intake.needed - len(intake.buffer) - intake.window
            credit = min(credit, WINDOW_MAX - intake.window)
            if self.reserve_used and self.reserve_used + credit > RESERVE_BYTES:
                return
            waiting.popleft()
            intake.waiting = False
            intake.reserved += credit
            self.reserve_used += credit
            self._credit(stream, intake, credit)

    def release(self, intake: Intake) -> None:
        """Give back what a message had from the reserve."""
        intake.waiting = False
        if intake.reserved:
            self.reserve_used -= intake.reserved
            intake.reserved = 0
        if self.reserve_waiting:
            self._grant_reserve()

    def return_credit(self) -> None:
        """Connection-level credit for what came in; called at the end of a turn when half of it is
        used."""
        self.out.append(f.window_update(f.CONNECTION, self.received))
        self.received = 0

    # -- sending data ------------------------------------------------------------------------------

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
            and size <= self.peer_frame_bytes
            and size <= self.peer_window + sender.window
        ):
            self.send_window -= size
            sender.window -= size
            self.out.append(b"".join((size.to_bytes(3, "big"), b"\0\0", sender.sid, data)))
            self.idle_frames = 0
        elif size:
            sender.chunks.append(memoryview(data))
            sender.queued_bytes += size
            self.queued_bytes += size
            self.make_ready(sender)
        if self.idle:
            self.wake()

    def close_sender(self, sender: Sender, closing: bytes) -> None:
        """Let `closing` (frames that end the stream) follow the last queued byte."""
        if sender.chunks:
            sender.closing = closing
        else:
            self.out.append(closing)
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
            elif sender.closing is not None:
                self.out.append(sender.closing)
                sender.closing = None
                sender.stream.sent()
                continue
            if sender.queued_bytes <= STREAM_OUTPUT_LOW_BYTES:
                self._drained(sender)
        if self.queued_bytes < before:
            self.on_room()

    def _drained(self, sender: Sender) -> None:
        if sender.on_drain is not None and sender.closing is None:
            sender.on_drain()
        self.replenish(sender.stream)

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
        return size

    def _on_window_update(self, sid: bytes, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(f.FRAME_SIZE_ERROR, "WINDOW_UPDATE of the wrong size")
        credit = int.from_bytes(payload, "big") & WINDOW_MAX
        if sid == f.CONNECTION:
            if not credit:
                raise Http2Error(f.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            self.send_window += credit
            if self.send_window > WINDOW_MAX:
                raise Http2Error(f.FLOW_CONTROL_ERROR, "window too large")
            return
        stream = self.streams.get(sid)
        if stream is None:
            if sid > self.last_sid:
                raise Http2Error(f.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
            return
        sender = self.sender_of(stream)
        sender.window += credit
        if not credit:
            self.reset(stream, f.PROTOCOL_ERROR)
        elif self.peer_window + sender.window > WINDOW_MAX:
            self.reset(stream, f.FLOW_CONTROL_ERROR)
        else:
            self.make_ready(sender)

    # -- ends of streams ---------------------------------------------------------------------------

    def reset(self, stream: Stream, code: int) -> None:
        """Answer a stream error: RST_STREAM, and the stream is aborted."""
        self.control(f.rst_stream(stream.sid, code))
        if self.idle:
            self.wake()
        self.abort(stream, code)

    def abort(self, stream: Stream, code: int) -> None:
        """Nothing more can be sent on a stream: drop it and, if it was still open, tell its
        owner."""
        was_open = stream.state != DONE
        self.forget(stream)
        if was_open:
            stream.aborted(code)

    def forget(self, stream: Stream) -> None:
        """Drop a stream with everything that waits on it."""
        stream.state = DONE
        self.streams.pop(stream.sid, None)
        sender = stream.sender
        if sender is not None:
            self.queued_bytes -= sender.queued_bytes
            sender.queued_bytes = 0
            sender.chunks.clear()
            sender.closing = None
        if stream.intake is not None:
            self.release(stream.intake)


def _unpad(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise Http2Error(f.PROTOCOL_ERROR, "padding longer than the frame")
    return payload[1 : len(payload) - payload[0]]


CONNECTION_CREDIT_AT = CONNECTION_WINDOW // 2
"""Connection-level credit goes back when this much came in."""
