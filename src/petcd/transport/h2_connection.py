"""The receiving half of an HTTP/2 connection, as both roles share it: frames, settings, credit,
headers.

```
  receive (role) -> hot frames (role)
                 -> frame -> DATA      -> a stream's feed, ended
                          -> HEADERS   -> role: on_headers
                          -> the rest  -> settings, ping, windows; role: on_reset, on_goaway
```

Sans-IO: bytes come in through a role's `receive`, and leave as `h2_output` tells. A peer that
breaks the protocol gets GOAWAY: `receive` raises nothing, it sets `error` and `closed`, after which
the shell writes what is left and closes the socket.

Receive credit: a stream has `stream_window`, given back as its bytes are consumed. A message longer
than that gets the rest out of a reserve which the connection's streams share, first come first
served, so that memory is bounded and yet every message that got its credit can complete.

It has no clock (the shell passes `now`) and no socket. Source: RFC 9113.
"""

from __future__ import annotations

from collections import deque

from petcd.transport import frames as f
from petcd.transport.frames import Http2Error
from petcd.transport.h2_output import Http2Output
from petcd.transport.h2_stream import DONE, Intake, Stream
from petcd.transport.hpack import Field, HpackDecoder, HpackError
from petcd.transport.limits import (
    CONTINUATION_FRAMES_MAX,
    FRAME_BYTES_MAX,
    FRAME_BYTES_SEND_MAX,
    HEADER_BLOCK_BYTES_MAX,
    IDLE_FRAMES_MAX,
    KEPT_BYTES_MAX,
    RESERVE_BYTES,
    SETTINGS_ENTRIES_MAX,
    STREAM_OUTPUT_HIGH_BYTES,
    STREAM_WINDOW,
    WINDOW_MAX,
)


class Http2Connection(Http2Output):
    """State of one connection, whichever role."""

    __slots__ = (
        "block",
        "block_flags",
        "block_frames",
        "block_sid",
        "closed",
        "decoder",
        "error",
        "kept_bytes",
        "last_sid",
        "now",
        "received",
        "reserve_used",
        "reserve_waiting",
        "rest",
        "settings_acked",
        "stream_window",
        "streams",
    )

    def __init__(self) -> None:
        super().__init__()
        self.rest = b""
        self.now = 0.0
        self.closed = False
        self.error: Http2Error | None = None
        self.decoder = HpackDecoder()
        self.streams: dict[bytes, Stream] = {}
        self.last_sid = f.CONNECTION
        # the header block that CONTINUATION frames are still adding to
        self.block: bytearray | None = None
        self.block_sid = b""
        self.block_flags = 0
        self.block_frames = 0
        self.settings_acked = False
        # receiving
        self.stream_window = STREAM_WINDOW
        self.received = 0
        self.kept_bytes = 0
        self.reserve_used = 0
        self.reserve_waiting: deque[Stream] = deque()

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

    def on_stream_error(self) -> None:
        """The peer broke a rule of one stream, which is being reset; raise Http2Error to end it
        all."""

    def on_overfull(self, stream: Stream) -> None:
        """The connection keeps more than `KEPT_BYTES_MAX`, and this stream just added to it."""

    def on_drained(self, stream: Stream) -> None:
        self.replenish(stream)

    # -- the end -----------------------------------------------------------------------------------

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
            self.idle_frames += len(self.streams) >> 4  # the walk below is work, too
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
        if payload and stream.state != DONE:
            stream.feed(payload)
        if flags & f.FLAG_END_STREAM:
            stream.half_closed = True
            self.release(intake)
            if stream.state != DONE:
                stream.ended()
        elif stream.state != DONE:
            self.replenish(stream)
        if stream.state == DONE:  # the rest of the request is of no use
            intake.buffer.clear()
            stream.drop_request()
        self.recount(stream, intake)

    def recount(self, stream: Stream, intake: Intake) -> None:
        """Bring `kept_bytes` up to date for a stream, and turn it away when they are too many."""
        kept = len(intake.buffer) + stream.kept_bytes()
        self.kept_bytes += kept - intake.kept
        intake.kept = kept
        if kept and self.kept_bytes > KEPT_BYTES_MAX:
            self.on_overfull(stream)

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
        self.on_stream_error()
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
            sender.closing = False
        intake = stream.intake
        if intake is not None:
            self.kept_bytes -= intake.kept
            intake.kept = 0
            self.release(intake)


def decode_block(decoder: HpackDecoder, block: bytes) -> list[Field]:
    """The fields of a block. Raises Http2Error, for a bad block spoils the table for good."""
    try:
        return decoder.decode(block)
    except HpackError as error:
        code = f.ENHANCE_YOUR_CALM if error.too_large else f.COMPRESSION_ERROR
        raise Http2Error(code, str(error)) from None


def _unpad(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise Http2Error(f.PROTOCOL_ERROR, "padding longer than the frame")
    return payload[1 : len(payload) - payload[0]]
