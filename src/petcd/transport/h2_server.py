"""The server role of HTTP/2 with gRPC on top: bytes in, handlers called, bytes out.

```
  receive(data, now)
    HEADERS --- known block? ---> Call in `streams`             (one dict lookup)
    DATA, END_STREAM, whole message ---> handler(call, body)    (no object per frame)
    anything else ---> Http2Connection.frame                    (general, strict)
  call.reply(body) ---> HEADERS + DATA + trailers, one join     (when windows and socket allow)
```

Header blocks that leave the HPACK table unchanged are remembered by their bytes (`heads`); a block
that changes the table empties that memory. Such a block, as of a Go client whose `grpc-timeout`
differs in every call, is decoded in one pass and then looked up by its other fields (`shapes`), so
that it is understood and checked only once.

Answers use two entries of the peer's HPACK table (content-type, grpc-status 0), put there by the
first answer; a peer with a smaller table gets literals.

Invariants: every open call is in `streams` under its sid until the last frame of its answer has
been queued; a handler never runs for a call whose request was refused; `started` of a method is the
sum of its `handled` and of its open calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from petcd.transport import frames as f
from petcd.transport import grpc_status as status
from petcd.transport.call import Call
from petcd.transport.frames import Http2Error
from petcd.transport.grpc_status import parse_timeout, percent_encode
from petcd.transport.h2_connection import CONNECTION_CREDIT_AT, Http2Connection
from petcd.transport.h2_stream import AWAITS_UNARY, DONE, OPEN, Stream
from petcd.transport.hpack import Field, encode_block, encode_literal
from petcd.transport.limits import (
    CONNECTION_WINDOW,
    DEFAULT_WINDOW,
    HEAD_CACHE_BLOCK_BYTES_MAX,
    HEAD_CACHE_ENTRIES_MAX,
    HEADER_LIST_BYTES_MAX,
    HEADER_TABLE_BYTES,
    PING_IDLE_INTERVAL_S,
    PING_STRIKES_MAX,
    RAPID_RESET_AGE_S,
    RAPID_RESETS_BURST,
    RAPID_RESETS_PER_S,
    UNLIMITED_STREAMS,
)
from petcd.transport.options import TransportLimits
from petcd.transport.request_head import Refusal, RequestHead, understand
from petcd.transport.router import UNARY, Router

# An answer when the peer's table holds grpc-status 0 (index 62) and content-type (63).
_HEAD_START = b"\0\0\x02\x01\x04"
_HEAD_BLOCK = b"\x88\xbf"
_TAIL_START = b"\0\0\x01\x01\x05"
_TAIL_BLOCK = b"\xbe"
_SMALL = 1024
_DATA_START = [_HEAD_BLOCK + (n + 5).to_bytes(3, "big") + b"\0\0" for n in range(_SMALL)]
"""By body size: the header block of the answer, then the first five bytes of its DATA frame."""
_PREFIX = [b"\0" + n.to_bytes(4, "big") for n in range(_SMALL)]
"""By body size: the message prefix."""

_CONTENT_TYPE = (b"content-type", b"application/grpc")
_OK = (b"grpc-status", b"0")


class _AnswerBlocks:
    """Header blocks of answers, and what the peer's table holds of them."""

    __slots__ = ("head", "indexed", "literal", "resize", "tail")

    def __init__(self) -> None:
        self.head = b"\x88" + encode_literal(*_CONTENT_TYPE, first=0x40)
        self.tail = encode_literal(*_OK, first=0x40)
        self.indexed = False
        self.literal = False
        self.resize = b""

    def use_literals(self) -> None:
        """The peer's table is smaller than ours may be: stop using it."""
        self.head = b"\x88" + encode_literal(*_CONTENT_TYPE)
        self.tail = encode_literal(*_OK)
        self.indexed = False
        self.literal = True
        self.resize = b"\x20"

    def begin(self) -> bytes:
        """What must precede the next block: a table size update when one is due."""
        resize = self.resize
        self.resize = b""
        return resize

    def take_head(self) -> bytes:
        block = self.begin() + self.head
        if not self.literal and not self.indexed:
            self.head = b"\x88\xbe"
        return block

    def take_tail(self) -> bytes:
        block = self.begin() + self.tail
        if not self.literal:
            self.head = _HEAD_BLOCK
            self.tail = _TAIL_BLOCK
            self.indexed = True
        return block


class Http2ServerEngine(Http2Connection):
    """One client's connection.

    `peer` is its address as text. `on_deadline(at)` asks the shell to call `expire(now)` at that
    time or a little later. `on_failure(call, error)` learns of an exception in a handler; the call
    is answered with UNKNOWN.
    """

    __slots__ = (
        "answers",
        "draining",
        "heads",
        "held",
        "idle_at_ping",
        "last_ping",
        "limits",
        "max_streams",
        "on_deadline",
        "on_failure",
        "peer",
        "ping_strikes",
        "preface",
        "reset_at",
        "reset_tokens",
        "router",
        "shapes",
        "swept_sid",
        "timed",
        "timer_set",
    )

    def __init__(self, router: Router, limits: TransportLimits, peer: str = "") -> None:
        super().__init__()
        self.router = router
        self.limits = limits
        self.peer = peer
        self.on_deadline: Callable[[float], None] = _no_clock
        self.on_failure: Callable[[Call, Exception], None] = _no_log
        self.max_streams = min(limits.max_concurrent_streams, limits.hard_concurrent_streams)
        self.preface = True
        self.draining = False
        self.answers = _AnswerBlocks()
        self.heads: dict[bytes, RequestHead] = {}
        self.shapes: dict[tuple[Field, ...], RequestHead] = {}
        self.held: deque[tuple[Call, bytes]] = deque()
        self.timed: list[tuple[float, bytes]] = []
        self.swept_sid = f.CONNECTION
        self.timer_set = False
        self.reset_tokens = float(RAPID_RESETS_BURST)
        self.reset_at = 0.0
        self.last_ping = -PING_IDLE_INTERVAL_S
        self.ping_strikes = 0
        self.idle_at_ping = 0
        self._greet()

    def _greet(self) -> None:
        settings = [(f.SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES_MAX)]
        if self.limits.max_concurrent_streams < UNLIMITED_STREAMS:
            settings.append((f.SETTINGS_MAX_CONCURRENT_STREAMS, self.limits.max_concurrent_streams))
        self.out.append(f.settings_frame(settings))
        self.out.append(f.window_update(f.CONNECTION, CONNECTION_WINDOW - DEFAULT_WINDOW))

    # -- input -------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Bytes from the socket at time `now`. Raises nothing; see `closed` and `error`."""
        if self.closed:
            return
        self.now = now
        self.idle = False
        if self.rest:
            data = self.rest + data
        try:
            pos = self._begin(data) if self.preface else 0
            if pos >= 0:
                self._frames(data, pos)
            else:
                self.rest = data
        except Http2Error as error:
            self.fail(error)
        if self.received >= CONNECTION_CREDIT_AT:
            self.return_credit()

    def _begin(self, data: bytes) -> int:
        """The client's preface: the magic line, then a SETTINGS frame. Returns where it begins, -1
        for not yet."""
        size = len(f.PREFACE)
        if data[:size] != f.PREFACE[: len(data)]:
            raise Http2Error(f.PROTOCOL_ERROR, "bad preface")
        if len(data) < size + 9:
            return -1
        if data[size + 3] != f.SETTINGS or data[size + 4] & f.FLAG_ACK:
            raise Http2Error(f.PROTOCOL_ERROR, "preface without SETTINGS")
        self.preface = False
        return size

    def _frames(self, data: bytes, pos: int) -> None:
        """All frames of `data` from `pos`; what is left of an incomplete one becomes `rest`."""
        end = len(data)
        limit = end - 14
        streams = self.streams
        unpack = f.MESSAGE_FRAME_HEADER.unpack_from
        word_max = f.WORD_MAX
        received = 0
        while end - pos >= 9:
            if pos <= limit and self.block is None:
                word, flags, sid, compressed, size = unpack(data, pos)
                stop = pos + 9 + (word >> 8)
                if stop <= end and word <= word_max:
                    kind = word & 0xFF
                    if kind == 0:
                        call = streams.get(sid)
                        if (
                            flags == 1
                            and call is not None
                            and call.state == AWAITS_UNARY
                            and not compressed
                            and size == stop - pos - 14
                        ):
                            received += size + 5
                            self.dispatch(call, data[pos + 14 : stop])  # type: ignore[arg-type]
                            pos = stop
                            continue
                    elif kind == 1 and flags & 0x0D == 4:
                        head = self.heads.get(
                            data[pos + 14 : stop] if flags & 0x20 else data[pos + 9 : stop]
                        )
                        if head is not None and self.last_sid < sid < b"\x80" and sid[3] & 1:
                            self.last_sid = sid
                            self.open(sid, head, head.timeout_s)
                            pos = stop
                            continue
            stop = self.frame(data, pos, end)
            if stop < 0 or self.closed:
                break
            pos = stop
        self.rest = data[pos:]
        self.received += received

    def dispatch(self, call: Call, body: bytes) -> None:
        """A unary request is complete: hand it to its handler, or hold it while too much waits to
        be sent."""
        call.state = OPEN
        call.half_closed = True
        if self.queued_bytes > self.limits.output_bytes_max:
            self.held.append((call, body))
            return
        method = call.method
        method.msg_received += 1
        try:
            method.handler(call, body)
        except Exception as error:
            self._failed(call, error)

    def on_room(self) -> None:
        while self.held and self.queued_bytes <= self.limits.output_bytes_max:
            call, body = self.held.popleft()
            if call.state != DONE:
                self.dispatch(call, body)

    def guard(self, call: Call, callback: Callable[..., Any], *args: object) -> None:
        """Run a handler's callback; an exception ends the call, not the connection."""
        try:
            callback(*args)
        except Exception as error:
            self._failed(call, error)

    def _failed(self, call: Call, error: Exception) -> None:
        self.on_failure(call, error)
        call.finish(status.UNKNOWN, "internal error")

    # -- requests ----------------------------------------------------------------------------------

    def on_headers(self, sid: bytes, flags: int, block: bytes) -> None:
        ended = flags & f.FLAG_END_STREAM
        if not sid[3] & 1:
            raise Http2Error(f.PROTOCOL_ERROR, "even stream id")
        if sid <= self.last_sid:
            self._on_trailers(sid, ended, block)
            return
        self.last_sid = sid
        head = self.heads.get(block)
        timeout_s = None if head is None else head.timeout_s
        if head is None:
            head, timeout_s = self._learn(block)
        self.open(sid, head, timeout_s)
        stream = self.streams.get(sid)
        if ended and stream is not None and stream.state != DONE:
            stream.half_closed = True
            stream.ended()

    def _on_trailers(self, sid: bytes, ended: int, block: bytes) -> None:
        self.heads.clear()
        self.decode(block)
        stream = self.streams.get(sid)
        if stream is None:
            return  # answered before the client was through
        if stream.half_closed:
            self.reset(stream, f.STREAM_CLOSED)
        elif not ended:
            self.reset(stream, f.PROTOCOL_ERROR)
        else:
            stream.half_closed = True
            stream.ended()

    def _learn(self, block: bytes) -> tuple[RequestHead, float | None]:
        """Decode a block that is not remembered; returns its head and its timeout."""
        changes = self.decoder.changes
        fields = self.decode(block)
        timeout: bytes | None = None
        for index, field in enumerate(fields):
            if field[0] == b"grpc-timeout":
                timeout = field[1]
                del fields[index]
                break
        shape = tuple(fields)
        head = self.shapes.get(shape)
        timeout_s: float | None = None
        if timeout is not None:
            try:
                timeout_s = parse_timeout(timeout)
            except ValueError:
                fields.append((b"grpc-timeout", timeout))
                return understand(fields, self.router, self.takes_http()), None
        if head is None:
            head = understand(fields, self.router, self.takes_http())
            if len(self.shapes) >= HEAD_CACHE_ENTRIES_MAX:
                self.shapes.clear()
            if len(block) <= HEAD_CACHE_BLOCK_BYTES_MAX:
                self.shapes[shape] = head
        if changes != self.decoder.changes:
            self.heads.clear()
        elif timeout is None and len(block) <= HEAD_CACHE_BLOCK_BYTES_MAX:
            if len(self.heads) >= HEAD_CACHE_ENTRIES_MAX:
                self.heads.clear()
            self.heads[block] = head
        return head, timeout_s

    def takes_http(self) -> bool:
        """Whether requests that are not gRPC have a handler."""
        return False

    def open(self, sid: bytes, head: RequestHead, timeout_s: float | None) -> None:
        """A new stream whose headers are in."""
        method = head.method
        if method is None or len(self.streams) >= self.max_streams or self.draining:
            self._open_other(sid, head)
            return
        deadline = None
        if timeout_s is not None:
            deadline = self.now + timeout_s
            if not self.timer_set:
                self.timer_set = True
                self.on_deadline(deadline)
        method.started += 1
        if method.kind == UNARY:
            self.streams[sid] = Call(self, sid, AWAITS_UNARY, self.now, head, method, deadline)
            return
        call = Call(self, sid, OPEN, self.now, head, method, deadline)
        self.streams[sid] = call
        self.idle_frames = 0
        self.guard(call, method.handler, call)

    def _open_other(self, sid: bytes, head: RequestHead) -> None:
        if len(self.streams) >= self.max_streams or self.draining:
            self.control(f.rst_stream(sid, f.REFUSED_STREAM))
        elif head.malformed:
            self.count_reset(0.0)
            self.control(f.rst_stream(sid, f.PROTOCOL_ERROR))
        elif head.refusal is not None:
            self._refuse(sid, head.refusal)

    def _refuse(self, sid: bytes, refusal: Refusal) -> None:
        fields = [(b":status", b"%d" % refusal.http_status)]
        block = self.answers.begin() + encode_block(fields)
        block += _status_block(refusal.code, refusal.text)
        self.control(f.frame(f.HEADERS, 5, sid, block) + f.rst_stream(sid, f.NO_ERROR))

    def on_reset(self, sid: bytes, code: int) -> None:
        stream = self.streams.get(sid)
        if stream is None:
            return
        self.count_reset(stream.started)
        self.abort(stream, code)

    def on_goaway(self, last_sid: bytes, code: int, reason: bytes) -> None:
        """The client will open no more streams; those that are open run on until it closes."""

    def on_ping(self) -> None:
        """Refuse a client that pings too often, by grpc-go's rule: early pings without an answer in
        between."""
        progress = self.idle_frames <= self.idle_at_ping
        self.idle_at_ping = self.idle_frames
        elapsed = self.now - self.last_ping
        self.last_ping = self.now
        allowed = self.limits.keepalive_min_time_s if self.streams else PING_IDLE_INTERVAL_S
        if progress:
            self.ping_strikes = 0
        elif elapsed < allowed:
            self.ping_strikes += 1
            if self.ping_strikes > PING_STRIKES_MAX:
                raise Http2Error(f.ENHANCE_YOUR_CALM, "too_many_pings")

    def count_reset(self, started: float) -> None:
        """Rapid reset: a token bucket over streams that end by reset while young."""
        if started and self.now - started > RAPID_RESET_AGE_S:
            return
        tokens = self.reset_tokens + (self.now - self.reset_at) * RAPID_RESETS_PER_S
        self.reset_tokens = min(tokens, float(RAPID_RESETS_BURST)) - 1.0
        self.reset_at = self.now
        if self.reset_tokens < 0:
            raise Http2Error(f.ENHANCE_YOUR_CALM, "too many resets")

    # -- answers -----------------------------------------------------------------------------------

    def reply(self, call: Call, body: bytes) -> None:
        """Answer a unary call: one message, status OK."""
        size = len(body)
        if (
            size >= _SMALL
            or size + 5 > self.fast_limit
            or size + 5 > self.send_window
            or call.sender is not None
            or call.state != OPEN
        ):
            self._reply_slowly(call, body)
            return
        sid = call.sid
        call.state = DONE
        del self.streams[sid]
        self.send_window -= size + 5
        self.idle_frames = 0
        self.out.append(
            b"".join(
                (
                    _HEAD_START,
                    sid,
                    _DATA_START[size],
                    sid,
                    _PREFIX[size],
                    body,
                    _TAIL_START,
                    sid,
                    _TAIL_BLOCK,
                )
            )
        )
        method = call.method
        method.msg_sent += 1
        method.handled[0] += 1
        if self.idle:
            self.wake()

    def _reply_slowly(self, call: Call, body: bytes) -> None:
        if call.state != DONE:
            self.send_message(call, body)
            self.finish(call, status.OK, "")

    def send_message(self, call: Call, body: bytes) -> None:
        """One message of an answer, after the response headers."""
        if not call.headers_sent:
            call.headers_sent = True
            self.out.append(
                f.frame(f.HEADERS, f.FLAG_END_HEADERS, call.sid, self.answers.take_head())
            )
        call.method.msg_sent += 1
        size = len(body)
        prefix = _PREFIX[size] if size < _SMALL else b"\0" + size.to_bytes(4, "big")
        self.send_data(self.sender_of(call), prefix + body)

    def finish(self, call: Call, code: int, message: str) -> None:
        """End a call with its status: trailers, or headers alone when nothing was sent."""
        call.method.handled[code if 0 <= code <= 16 else status.UNKNOWN] += 1
        call.state = DONE
        if not call.headers_sent:
            block = self.answers.begin() + b"\x88" + _status_block(code, message)
        elif code == status.OK:
            block = self.answers.take_tail()
            if self.fast_limit < 0:
                self.set_fast_limit()
        else:
            block = self.answers.begin() + encode_block(_status_fields(code, message))
        self.close_sender(self.sender_of(call), f.frame(f.HEADERS, 5, call.sid, block))

    def close(self, call: Stream) -> None:
        """The last frame of an answer is queued."""
        if not call.half_closed:
            self.out.append(f.rst_stream(call.sid, f.NO_ERROR))
        self.forget(call)

    def set_fast_limit(self) -> None:
        super().set_fast_limit()
        if not self.answers.indexed:
            self.fast_limit = -1

    def on_setting(self, number: int, value: int) -> None:
        if number == f.SETTINGS_HEADER_TABLE_SIZE and value < HEADER_TABLE_BYTES:
            self.answers.use_literals()

    # -- time --------------------------------------------------------------------------------------

    def expire(self, now: float) -> float | None:
        """End the calls whose deadline has passed. Returns the next deadline; None when there is
        none left."""
        self.now = now
        self.timer_set = False
        timed = self.timed
        streams = self.streams
        swept = self.swept_sid
        for sid in reversed(streams):
            if sid <= swept:
                break
            call = streams[sid]
            if isinstance(call, Call) and call.deadline is not None:
                heappush(timed, (call.deadline, sid))
        self.swept_sid = self.last_sid
        while timed and timed[0][0] <= now:
            stream = streams.get(heappop(timed)[1])
            if isinstance(stream, Call) and stream.state != DONE:
                stream.cancel()
                stream.finish(status.DEADLINE_EXCEEDED, "context deadline exceeded")
        while timed and timed[0][1] not in streams:
            heappop(timed)
        return timed[0][0] if timed else None


def _status_fields(code: int, message: str) -> list[Field]:
    fields = [(b"grpc-status", b"%d" % code)]
    if message:
        fields.append((b"grpc-message", percent_encode(message)))
    return fields


def _status_block(code: int, message: str) -> bytes:
    return encode_block([_CONTENT_TYPE, *_status_fields(code, message)])


def _no_clock(at: float) -> None:
    """No shell keeps time."""


def _no_log(call: Call, error: Exception) -> None:
    """Nobody wants to know."""
