"""The server role of HTTP/2 with gRPC on top: bytes in, handlers called, bytes out.

```
  receive(data, now)
    HEADERS --- known block? ---> Call in `streams`             (one dict lookup)
    DATA, END_STREAM, whole message ---> handler(call, body)    (no object per frame)
    anything else ---> Http2Connection.frame                    (general, strict)
  call.reply(body) ---> HEADERS + DATA + trailers, one join     (when windows and socket allow)
```

Invariants: every open call is in `streams` under its sid until the last frame of its answer is
queued; a handler never runs for a request that was refused; a method's `started` is the sum of its
`handled` and of its open calls; a call in `held` is complete and its handler has not run.

It does not understand requests (`head_memory`), queue output (`h2_output`) or judge (`conduct`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from petcd.transport import frames as f
from petcd.transport import grpc_status as status
from petcd.transport import patience
from petcd.transport.call import Call
from petcd.transport.conduct import Conduct
from petcd.transport.deadlines import Deadlines
from petcd.transport.frames import Http2Error
from petcd.transport.grpc_answers import (
    DATA_START,
    HEAD_START,
    MESSAGE_PREFIX,
    SMALL_BODY,
    TAIL_BLOCK,
    TAIL_START,
    AnswerBlocks,
)
from petcd.transport.h2_connection import Http2Connection
from petcd.transport.h2_exchange import Http2Exchange
from petcd.transport.h2_stream import AWAITS_UNARY, DONE, OPEN, Intake, Stream
from petcd.transport.head_memory import HeadMemory
from petcd.transport.hpack import Field, encode_block
from petcd.transport.http import HttpHandler, HttpRequest
from petcd.transport.limits import (
    ANNOUNCED_TABLE_BYTES,
    CONNECTION_CREDIT_AT,
    CONNECTION_WINDOW,
    DEFAULT_WINDOW,
    HEADER_LIST_BYTES_MAX,
    HEADER_TABLE_BYTES,
    PING_IDLE_INTERVAL_S,
    UNLIMITED_STREAMS,
    UNSENT_PIECES_MAX,
)
from petcd.transport.options import TransportLimits
from petcd.transport.patience import Patience
from petcd.transport.request_head import Refusal, RequestHead
from petcd.transport.router import UNARY, Router

_KEEPALIVE = b"\0keepali"
_DRAIN = b"\0\0drain\0"
"""Payloads of our PINGs, to tell their answers apart."""


def no_clock(at: float) -> None:
    """No shell keeps time."""


def no_time() -> float:
    """Everything is done at once."""
    return 0.0


def no_log(what: str, error: Exception) -> None:
    """Nobody wants to know."""


def no_date() -> bytes:
    """Without a clock every answer is of the beginning of time."""
    return b"Thu, 01 Jan 1970 00:00:00 GMT"


class Http2ServerEngine(Http2Connection):
    """One client's connection.

    `peer` is its address as text. The shell may set `on_deadline(at)`, which asks for `expire(now)`
    at that time or a little later; `on_failure(what, error)`, which learns of an exception in a
    handler (its call is answered INTERNAL); `http_date`, the value of a Date header; `clock`, what
    `receive` takes its time from, for methods that want to know how long their calls took.
    """

    __slots__ = (
        "answers",
        "clock",
        "conduct",
        "deadlines",
        "draining",
        "held",
        "http_date",
        "http_handler",
        "limits",
        "max_streams",
        "memory",
        "message_bytes_received",
        "message_bytes_sent",
        "on_deadline",
        "on_failure",
        "patience",
        "peer",
        "preface",
        "router",
    )

    def __init__(
        self,
        router: Router,
        limits: TransportLimits,
        peer: str = "",
        http_handler: HttpHandler | None = None,
    ) -> None:
        super().__init__()
        self.router = router
        self.limits = limits
        self.peer = peer
        self.http_handler = http_handler
        self.http_date: Callable[[], bytes] = no_date
        self.clock: Callable[[], float] = no_time
        self.on_deadline: Callable[[float], None] = no_clock
        self.on_failure: Callable[[str, Exception], None] = no_log
        self.max_streams = min(limits.max_concurrent_streams, limits.hard_concurrent_streams)
        self.preface = True
        self.draining = False
        self.answers = AnswerBlocks()
        self.memory = HeadMemory(self.decoder, router, http_handler is not None)
        self.held: dict[bytes, Call] = {}
        self.deadlines = Deadlines()
        self.conduct = Conduct()
        self.patience = Patience(limits)
        self.message_bytes_received = 0
        self.message_bytes_sent = 0
        settings = [
            (f.SETTINGS_HEADER_TABLE_SIZE, ANNOUNCED_TABLE_BYTES),
            (f.SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES_MAX),
        ]
        if limits.max_concurrent_streams < UNLIMITED_STREAMS:
            settings.append((f.SETTINGS_MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams))
        self.out.append(f.settings_frame(settings))
        self.out.append(f.window_update(f.CONNECTION, CONNECTION_WINDOW - DEFAULT_WINDOW))

    # -- input -----------------------------------------------------------------------------------

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
        """The client's preface: the magic line, then SETTINGS. Returns where those begin, or -1."""
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
        memory = self.memory
        heads = memory.heads
        unpack = f.MESSAGE_FRAME_HEADER.unpack_from
        word_max = f.WORD_MAX
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
                            and call.intake is None
                        ):
                            self.received += size + 5
                            self.dispatch(call, data[pos + 14 : stop])  # type: ignore[arg-type]
                            pos = stop
                            continue
                    elif (
                        kind == 1
                        and flags & 0x0D == 4
                        and self.last_sid < sid < b"\x80"
                        and sid[3] & 1
                    ):
                        block = data[pos + 14 if flags & 0x20 else pos + 9 : stop]
                        head = heads.get(block) if heads else None
                        self.last_sid = sid
                        if head is not None:
                            self.open(sid, head, head.timeout_s)
                        else:
                            head = memory.read_new(block)
                            self.open(sid, head, memory.timeout_s)
                        pos = stop
                        continue
            stop = self.frame(data, pos, end)
            if stop < 0 or self.closed:
                break
            pos = stop
        self.rest = data[pos:]

    def dispatch(self, call: Call, body: bytes) -> None:
        """A unary request is complete: run its handler, or hold it while too much is unsent."""
        call.state = OPEN
        call.half_closed = True
        if self.queued_bytes > self.limits.output_bytes_max:
            self._hold(call, body)
            return
        method = call.method
        method.msg_received += 1
        self.message_bytes_received += len(body)
        try:
            method.handler(call, body)
        except Exception as error:
            self._failed(call, error)

    def _hold(self, call: Call, body: bytes) -> None:
        call.message = body
        self.held[call.sid] = call
        if call.intake is None:
            call.intake = Intake(self.stream_window)
        self.recount(call, call.intake)

    def on_room(self) -> None:
        held = self.held
        while held and self.queued_bytes <= self.limits.output_bytes_max:
            call = held.pop(next(iter(held)))
            body, intake = call.take_message(), call.intake
            assert intake is not None
            self.recount(call, intake)
            self.dispatch(call, body)

    def on_overfull(self, stream: Stream) -> None:
        if isinstance(stream, Call):
            stream.finish(status.RESOURCE_EXHAUSTED, "too many request bytes on this connection")
        elif isinstance(stream, Http2Exchange):
            stream.refuse(503, b"too many request bytes on this connection\n")

    def guard(self, call: Call, callback: Callable[..., Any], *args: object) -> None:
        """Run a handler's callback; an exception ends the call, not the connection."""
        try:
            callback(*args)
        except Exception as error:
            self._failed(call, error)

    def _failed(self, call: Call, error: Exception) -> None:
        self.on_failure(call.method.path.decode(), error)
        call.finish(status.INTERNAL, "internal error")

    # -- requests --------------------------------------------------------------------------------

    def on_headers(self, sid: bytes, flags: int, block: bytes) -> None:
        ended = flags & f.FLAG_END_STREAM
        if not sid[3] & 1:
            raise Http2Error(f.PROTOCOL_ERROR, "even stream id")
        if sid <= self.last_sid:
            self._on_trailers(sid, ended, block)
            return
        self.last_sid = sid
        head = self.memory.read(block)
        self.open(sid, head, self.memory.timeout_s)
        stream = self.streams.get(sid)
        if ended and stream is not None:
            self._ended(stream)

    def _ended(self, stream: Stream) -> None:
        stream.half_closed = True
        if stream.state != DONE:
            stream.ended()

    def _on_trailers(self, sid: bytes, ended: int, block: bytes) -> None:
        self.memory.pass_over(block)
        stream = self.streams.get(sid)
        if stream is None:
            return  # answered before the client was through
        if stream.half_closed:
            self.reset(stream, f.STREAM_CLOSED)
        elif not ended:
            self.reset(stream, f.PROTOCOL_ERROR)
        else:
            self._ended(stream)

    def open(self, sid: bytes, head: RequestHead, timeout_s: float | None) -> None:
        """A new stream whose headers are in."""
        method = head.method
        if method is None or len(self.streams) >= self.max_streams or self.draining:
            self._open_other(sid, head)
            return
        deadline = None
        if timeout_s is not None:
            deadline = self.now + timeout_s
            if not self.deadlines.armed:
                self.deadlines.armed = True
                self.on_deadline(deadline)
        method.started += 1
        if method.kind == UNARY:
            self.streams[sid] = Call(self, sid, AWAITS_UNARY, self.now, head, method, deadline)
            return
        call = Call(self, sid, OPEN, self.now, head, method, deadline)
        self.streams[sid] = call
        self.guard(call, method.handler, call)

    def _open_other(self, sid: bytes, head: RequestHead) -> None:
        if len(self.streams) >= self.max_streams or self.draining:
            self.control(f.rst_stream(sid, f.REFUSED_STREAM))
        elif head.malformed:
            self.on_stream_error()
            self.control(f.rst_stream(sid, f.PROTOCOL_ERROR))
        elif head.refusal is not None:
            self._refuse(sid, head.refusal)
        else:
            self.streams[sid] = Http2Exchange(self, sid, head)

    def _refuse(self, sid: bytes, refusal: Refusal) -> None:
        block = self.answers.status_only(refusal.code, refusal.text, refusal.http_status)
        headers = f.headers_frames(sid, f.FLAG_END_STREAM, block, self.peer_frame_bytes)
        self.control(headers + f.rst_stream(sid, f.NO_ERROR))

    def serve_http(self, request: HttpRequest, exchange: Http2Exchange) -> None:
        """Hand a complete HTTP request to the handler."""
        assert self.http_handler is not None
        try:
            self.http_handler(request, exchange)
        except Exception as error:
            self.on_failure(f"{request.method} {request.target}", error)
            if exchange.started_answer:
                self.reset(exchange, f.INTERNAL_ERROR)
            else:
                exchange.send(500, [], b"")

    # -- the client's other frames ---------------------------------------------------------------

    def on_reset(self, sid: bytes, code: int) -> None:
        stream = self.streams.get(sid)
        if stream is not None:
            self.idle_frames -= 1  # ends something real, and is judged as a reset
            self.conduct.reset(stream.started, self.now)
            self.abort(stream, code)

    def on_goaway(self, last_sid: bytes, code: int, reason: bytes) -> None:
        """The client will open no more streams; those that are open run on until it closes."""

    def on_ping(self) -> None:
        allowed = self.limits.keepalive_min_time_s if self.streams else PING_IDLE_INTERVAL_S
        self.conduct.ping(self.answered, allowed, self.now)
        self.answered = False

    def on_stream_error(self) -> None:
        self.conduct.reset(self.now, self.now)

    def on_setting(self, number: int, value: int) -> None:
        if number == f.SETTINGS_HEADER_TABLE_SIZE and value < HEADER_TABLE_BYTES:
            self.answers.use_literals()

    # -- answers ---------------------------------------------------------------------------------

    def reply(self, call: Call, body: bytes) -> None:
        """Answer a unary call: one message, status OK."""
        size = len(body)
        if (
            size >= SMALL_BODY
            or size + 5 > self.fast_limit
            or size + 5 > self.send_window
            or call.state != OPEN
        ):
            if call.state != DONE:
                self.send_message(call, body)
                self.finish(call, status.OK, "")
            return
        sid = call.sid
        call.state = DONE
        del self.streams[sid]
        self.send_window -= size + 5
        self.message_bytes_sent += size
        self.idle_frames = 0
        self.answered = True
        self.out.append(
            b"".join(
                (
                    HEAD_START,
                    sid,
                    DATA_START[size],
                    sid,
                    MESSAGE_PREFIX[size],
                    body,
                    TAIL_START,
                    sid,
                    TAIL_BLOCK,
                )
            )
        )
        method = call.method
        method.msg_sent += 1
        method.handled[0] += 1
        if method.observe_s is not None:
            method.observe_s(self.clock() - call.started)
        if self.idle:
            self.wake()

    def begin(self, call: Call, metadata: list[Field]) -> None:
        """The response headers, when they have not been sent."""
        if not call.headers_sent:
            call.headers_sent = True
            self.send_block(call.sid, 0, self.answers.head() + encode_block(metadata))

    def send_message(self, call: Call, body: bytes) -> None:
        """One message of an answer, after the response headers."""
        if not call.headers_sent:
            call.headers_sent = True
            self.out.append(f.frame(f.HEADERS, f.FLAG_END_HEADERS, call.sid, self.answers.head()))
        call.method.msg_sent += 1
        size = len(body)
        self.message_bytes_sent += size
        prefix = MESSAGE_PREFIX[size] if size < SMALL_BODY else b"\0" + size.to_bytes(4, "big")
        self.send_data(self.sender_of(call), prefix + body)

    def send_messages(self, call: Call, bodies: list[bytes]) -> None:
        """Several messages of an answer, in as few frames as they fit in."""
        if not call.headers_sent:
            call.headers_sent = True
            self.out.append(f.frame(f.HEADERS, f.FLAG_END_HEADERS, call.sid, self.answers.head()))
        call.method.msg_sent += len(bodies)
        parts: list[bytes] = []
        gathered = 0
        sender = self.sender_of(call)
        for body in bodies:
            size = len(body)
            self.message_bytes_sent += size
            prefix = MESSAGE_PREFIX[size] if size < SMALL_BODY else b"\0" + size.to_bytes(4, "big")
            if gathered + size + 5 > self.peer_frame_bytes and parts:
                self.send_data(sender, b"".join(parts))
                parts.clear()
                gathered = 0
            parts += (prefix, body)
            gathered += size + 5
        self.send_data(sender, b"".join(parts))

    def send_parts(self, call: Call, parts: list[bytes]) -> None:
        """One message in parts, for an answer so large that joining it would hold up the others."""
        if not call.headers_sent:
            call.headers_sent = True
            self.out.append(f.frame(f.HEADERS, f.FLAG_END_HEADERS, call.sid, self.answers.head()))
        call.method.msg_sent += 1
        size = sum(map(len, parts))
        self.message_bytes_sent += size
        sender = self.sender_of(call)
        self.send_data(sender, b"\0" + size.to_bytes(4, "big"))
        for part in parts:
            self.send_data(sender, part)

    def finish(self, call: Call, code: int, message: str) -> None:
        """End a call with its status: trailers, or headers alone when nothing was sent."""
        self.count(call, code)
        call.state = DONE
        call.code = code
        call.text = message
        self.close_sender(self.sender_of(call))

    def count(self, call: Call, code: int) -> None:
        """A call has ended with this status."""
        method = call.method
        method.handled[code if 0 <= code <= 16 else status.UNKNOWN] += 1
        if method.observe_s is not None:
            method.observe_s(self.clock() - call.started)

    def status_frames(self, call: Call) -> bytes:
        """The frames that end a call; made when they leave, for they depend on the peer's table."""
        if not call.headers_sent:
            block = self.answers.status_only(call.code, call.text)
        elif call.code == status.OK:
            block = self.answers.good_trailers()
            if self.fast_limit < 0:
                self.set_fast_limit()
        else:
            block = self.answers.bad_trailers(call.code, call.text)
        if call.trailers is not None:
            block += encode_block(call.trailers)
        return f.headers_frames(call.sid, f.FLAG_END_STREAM, block, self.peer_frame_bytes)

    def close(self, stream: Stream) -> None:
        """The last frame of an answer is queued."""
        if not stream.half_closed:
            self.out.append(f.rst_stream(stream.sid, f.NO_ERROR))
        self.forget(stream)

    def set_fast_limit(self) -> None:
        super().set_fast_limit()
        if self.draining or not self.answers.indexed:
            self.fast_limit = -1

    # -- time and the end ------------------------------------------------------------------------

    def expire(self, now: float) -> float | None:
        """End the calls whose deadline has passed. Returns the next deadline, if there is one."""
        late, following = self.deadlines.expire(self.streams, now)
        for call in late:
            call.cancel()
            call.finish(status.DEADLINE_EXCEEDED, "context deadline exceeded")
        return following

    def tick(self, now: float) -> None:
        """Time limits: keepalive, and a preface or header block that never ends (`closed`)."""
        unfinished = b"preface" if self.preface else b"" if self.block is None else self.block_sid
        due = self.patience.ask(now, self.now, unfinished, self.preface)
        if due == patience.TOO_SLOW:
            self.fail(Http2Error(f.ENHANCE_YOUR_CALM, "request head took too long"))
        elif due == patience.GIVE_UP:
            self.connection_lost()
        elif due == patience.PING:
            self._ping(_KEEPALIVE)

    def _ping(self, data: bytes) -> None:
        self.out.append(f.frame(f.PING, 0, f.CONNECTION, data))
        if self.idle:
            self.wake()

    def drain(self) -> None:
        """Graceful stop: no new calls, `closed` once all open ones are through.

        In two steps, so that no call in flight is lost: GOAWAY that still allows every stream and a
        PING; when that comes back, GOAWAY with the last stream.
        """
        if not self.draining and not self.closed:
            self.out.append(f.goaway(b"\x7f\xff\xff\xff", f.NO_ERROR, b"graceful_stop"))
            self._ping(_DRAIN)

    @property
    def lingers(self) -> bool:
        """Closed because of what the client sent, which should still read why."""
        return self.error is not None

    @property
    def wants_input(self) -> bool:
        """The shell stops reading while this is false.

        Only while the socket is full: then the client has to read, and nothing that it could send
        would help. When it is the windows that are full, its credit has to come in.
        """
        return not self.write_paused or len(self.out) < UNSENT_PIECES_MAX

    def on_pong(self, data: bytes) -> None:
        if data == _DRAIN and not self.draining:
            self.draining = True
            self.set_fast_limit()
            self.out.append(f.goaway(self.last_sid, f.NO_ERROR, b"graceful_stop"))
            self._close_when_drained()

    def _close_when_drained(self) -> None:
        if self.draining and not self.streams:
            self.closed = True
            if self.idle:
                self.wake()

    def forget(self, stream: Stream) -> None:
        super().forget(stream)
        if self.held:
            self.held.pop(stream.sid, None)
        if self.draining:
            self._close_when_drained()
