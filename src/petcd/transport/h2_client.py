"""The client role of HTTP/2 with gRPC on top, for blocking and asyncio shells alike.

```
engine = Http2ClientEngine(b"localhost:2379")
call = engine.unary(b"/etcdserverpb.KV/Put", body, timeout_s=5.0)
while call.status is None:
    socket.sendall(engine.take_output())
    engine.receive(socket.recv(65536), now)
call.messages, call.status, call.details
```

A call's messages gather in `messages` or go to `on_message`; it ends exactly once: `status` is set
and `on_end` called. Calls beyond the server's concurrency limit wait inside the engine.
`unprocessed` tells that the server certainly did not act on a call, so that it may be tried again
elsewhere.

It has no clock (a shell cancels a call whose deadline passes) and no socket, retries nothing, and
does not choose endpoints. Importing it must stay cheap: command-line tools start with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from petcd.transport import frames as f
from petcd.transport import grpc_status as status
from petcd.transport.frames import Http2Error
from petcd.transport.grpc_status import (
    encode_binary,
    format_timeout,
    is_grpc,
    percent_decode,
    status_of_http,
    status_of_reset,
)
from petcd.transport.h2_connection import Http2Connection, decode_block
from petcd.transport.h2_stream import (
    DONE,
    OPEN,
    Intake,
    MessageStream,
    Sender,
    Stream,
    prefix_refusal,
)
from petcd.transport.hpack import Field, encode_block
from petcd.transport.limits import (
    CLIENT_STREAM_WINDOW,
    CONNECTION_CREDIT_AT,
    CONNECTION_WINDOW,
    DEFAULT_WINDOW,
    HEAD_CACHE_BLOCK_BYTES_MAX,
    HEAD_CACHE_ENTRIES_MAX,
    HEADER_LIST_BYTES_MAX,
    UNLIMITED_STREAMS,
    WINDOW_MAX,
)

RECEIVE_BYTES_MAX = (1 << 31) - 1
"""Default limit of a received message, as Go's etcd client."""


class ClientCall(MessageStream):
    """One call from the client's side. `status` is None until it has ended, then the gRPC code."""

    __slots__ = (
        "block",
        "details",
        "engine",
        "half_sent",
        "headers",
        "messages",
        "on_end",
        "on_headers",
        "on_message",
        "pending",
        "status",
        "trailers",
        "unprocessed",
    )

    def __init__(self, engine: Http2ClientEngine, block: bytes) -> None:
        super().__init__(engine, b"", OPEN, engine.now)
        self.engine = engine
        self.block = block
        self.messages: deque[bytes] = deque()
        self.headers: list[Field] | None = None
        self.trailers: list[Field] = []
        self.status: int | None = None
        self.details = ""
        self.unprocessed = False
        self.half_sent = False
        self.pending: list[tuple[bytes, bool]] = []
        """What was sent before the call got its stream: (framed message, whether it is the
        last)."""
        self.on_message: Callable[[bytes], Any] | None = None
        self.on_headers: Callable[[], Any] | None = None
        self.on_end: Callable[[], Any] | None = None

    def send(self, body: bytes, last: bool = False) -> None:
        """Send a message; `last` half-closes the call with it. After the end it does nothing."""
        self.engine.send(self, b"\0" + len(body).to_bytes(4, "big") + body, last)

    def half_close(self) -> None:
        """No more messages will be sent."""
        self.engine.send(self, b"", True)

    def cancel(self, code: int = status.CANCELLED, details: str = "context canceled") -> None:
        """End the call now with the given status; the server is told to stop."""
        self.engine.cancel(self, code, details)

    @property
    def on_drain(self) -> Callable[[], None] | None:
        """Called whenever `queued_bytes` has fallen to 16 KiB or less after something was
        queued."""
        return None if self.sender is None else self.sender.on_drain

    @on_drain.setter
    def on_drain(self, callback: Callable[[], None] | None) -> None:
        self.engine.sender_of(self).on_drain = callback

    # -- from the connection ---------------------------------------------------------------------

    def accepts(self, compressed: int, size: int) -> bool:
        refusal = prefix_refusal(compressed, size, self.engine.max_message_bytes, False)
        if refusal is not None:
            self.engine.cancel(self, refusal[0], refusal[1])
        return refusal is None

    def take(self, message: bytes) -> None:
        if self.headers is None:
            self.engine.cancel(self, status.INTERNAL, "received DATA before response headers")
        elif self.on_message is not None:
            self.on_message(message)
        else:
            self.messages.append(message)

    def ended(self) -> None:
        self.engine.cancel(
            self, status.INTERNAL, "server closed the stream without sending trailers"
        )

    def aborted(self, code: int) -> None:
        grpc_code, name = status_of_reset(code)
        self.end(grpc_code, f"stream terminated by RST_STREAM with error code: {name}")

    def end(self, code: int, details: str) -> None:
        """Set the outcome, once."""
        if self.status is None:
            self.status = code
            self.details = details
            if self.on_end is not None:
                self.on_end()

    def sent(self) -> None:
        """Our half is closed; the stream stays until the server's half is."""


class Http2ClientEngine(Http2Connection):
    """One connection to a server.

    `authority` is the server's `host:port`, `scheme` b"http" or b"https". `goaway` is (code,
    reason) once the server said that it goes away: no new call can be opened then.
    """

    __slots__ = (
        "authority",
        "goaway",
        "heads",
        "max_message_bytes",
        "max_streams",
        "next_id",
        "pongs",
        "prefixes",
        "scheme",
        "user_agent",
        "waiting",
    )

    def __init__(
        self,
        authority: bytes,
        scheme: bytes = b"http",
        user_agent: bytes = b"petcd",
        max_message_bytes: int = RECEIVE_BYTES_MAX,
    ) -> None:
        super().__init__()
        self.authority = authority
        self.scheme = scheme
        self.user_agent = user_agent
        self.max_message_bytes = max_message_bytes
        self.stream_window = CLIENT_STREAM_WINDOW
        self.goaway: tuple[int, str] | None = None
        self.heads: dict[bytes, list[Field]] = {}
        self.prefixes: dict[bytes, bytes] = {}
        self.max_streams = UNLIMITED_STREAMS
        self.next_id = 1
        self.pongs = 0
        self.waiting: deque[ClientCall] = deque()
        self.portion_bytes = WINDOW_MAX
        self.out.append(f.PREFACE)
        self.out.append(
            f.settings_frame(
                [
                    (f.SETTINGS_ENABLE_PUSH, 0),
                    (f.SETTINGS_INITIAL_WINDOW_SIZE, CLIENT_STREAM_WINDOW),
                    (f.SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES_MAX),
                ]
            )
        )
        self.out.append(f.window_update(f.CONNECTION, CONNECTION_WINDOW - DEFAULT_WINDOW))

    # -- calls -----------------------------------------------------------------------------------

    def unary(
        self,
        path: bytes,
        body: bytes,
        metadata: Sequence[Field] = (),
        timeout_s: float | None = None,
    ) -> ClientCall:
        """A call with exactly one request message (unary or server-streaming)."""
        call = self.open(path, metadata, timeout_s)
        call.send(body, last=True)
        return call

    def open(
        self, path: bytes, metadata: Sequence[Field] = (), timeout_s: float | None = None
    ) -> ClientCall:
        """A call whose messages follow through `send`. Metadata names are lower case; values under
        a `-bin` name are bytes as they are. On a connection that is closed or going away the call
        ends at once, UNAVAILABLE."""
        call = ClientCall(self, self._request_block(path, metadata, timeout_s))
        if self.closed or self.goaway is not None:
            self._never_sent(call)
        elif len(self.streams) >= self.max_streams or self.waiting:
            self.waiting.append(call)
        else:
            self._start(call)
        return call

    def _request_block(
        self, path: bytes, metadata: Sequence[Field], timeout_s: float | None
    ) -> bytes:
        prefix = self.prefixes.get(path)
        if prefix is None:
            prefix = self.prefixes[path] = encode_block(
                [
                    (b":method", b"POST"),
                    (b":scheme", self.scheme),
                    (b":path", path),
                    (b":authority", self.authority),
                    (b"content-type", b"application/grpc"),
                    (b"user-agent", self.user_agent),
                    (b"te", b"trailers"),
                ]
            )
        if timeout_s is None and not metadata:
            return prefix
        fields = [] if timeout_s is None else [(b"grpc-timeout", format_timeout(timeout_s))]
        for name, value in metadata:
            fields.append((name, encode_binary(value) if name[-4:] == b"-bin" else value))
        return prefix + encode_block(fields)

    def _start(self, call: ClientCall) -> None:
        if self.next_id > 0x7FFFFFFF:
            self.goaway = (f.NO_ERROR, "stream ids used up")
            self._never_sent(call)
            return
        sid = self.next_id.to_bytes(4, "big")
        self.next_id += 2
        self.last_sid = call.sid = sid
        self.streams[sid] = call
        sender = call.sender
        if sender is not None:
            sender.sid = sid
        self.send_block(sid, 0, call.block)
        pending, call.pending = call.pending, []
        for data, last in pending:
            self.send(call, data, last)

    def send(self, call: ClientCall, data: bytes, last: bool) -> None:
        """Framed bytes of a call; see `ClientCall.send`."""
        if call.state == DONE or call.half_sent:
            return
        if not call.sid:
            call.pending.append((data, last))
            return
        call.half_sent = last
        size = len(data)
        sender = self.sender_of(call)
        if last and not sender.chunks and size <= self._room(sender):
            self.send_window -= size
            sender.window -= size
            start = f.frame_start(f.DATA, f.FLAG_END_STREAM, size)
            self.out.append(b"".join((start, call.sid, data)))
            if self.idle:
                self.wake()
            return
        self.send_data(sender, data)
        if last:
            self.close_sender(sender)

    def _room(self, sender: Sender) -> int:
        """How many bytes one DATA frame may carry on a stream right now."""
        if self.write_paused:
            return 0
        return min(self.send_window, self.peer_window + sender.window, self.peer_frame_bytes)

    def cancel(self, call: ClientCall, code: int, details: str) -> None:
        """End a call from our side; see `ClientCall.cancel`."""
        if call.state == DONE:
            return
        if call.sid:
            self.control(f.rst_stream(call.sid, f.CANCEL))
            if self.idle:
                self.wake()
        elif call in self.waiting:
            self.waiting.remove(call)
        call.cancelled = True
        self.forget(call)
        call.end(code, details)

    def ping(self, data: bytes = bytes(8)) -> None:
        """Send a PING of 8 bytes; its answer raises `pongs`."""
        self.out.append(f.frame(f.PING, 0, f.CONNECTION, data))
        if self.idle:
            self.wake()

    def finish(self) -> None:
        """Say goodbye: GOAWAY without error. The shell then writes what is left and closes."""
        if not self.closed:
            self.out.append(f.goaway(f.CONNECTION, f.NO_ERROR, b""))
            self._end_all("the client connection is closing")

    # -- input -----------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Bytes from the socket at time `now`. Raises nothing; see `closed`, `error`, `goaway`."""
        if self.closed:
            return
        self.now = now
        self.idle = False
        if self.rest:
            data = self.rest + data
        try:
            self._frames(data)
        except Http2Error as error:
            self.fail(error)
        if self.received >= CONNECTION_CREDIT_AT:
            self.return_credit()

    def _frames(self, data: bytes) -> None:
        pos = 0
        end = len(data)
        while end - pos >= 9:
            stop = self._message_frame(data, pos, end) if end - pos >= 14 else -1
            if stop < 0:
                stop = self.frame(data, pos, end)
            if stop < 0 or self.closed:
                break
            pos = stop
        self.rest = data[pos:]

    def _message_frame(self, data: bytes, pos: int, end: int) -> int:
        """The hot case: a DATA frame that is one whole message of a stream with enough credit left.
        Returns the position behind it, or -1 for anything else."""
        word, flags, sid, compressed, size = f.MESSAGE_FRAME_HEADER.unpack_from(data, pos)
        stop: int = pos + 9 + (word >> 8)
        if word & 0xFF or flags or compressed or stop != pos + 14 + size or stop > end:
            return -1
        call = self.streams.get(sid)
        if not isinstance(call, ClientCall) or self.block is not None or word > f.WORD_MAX:
            return -1
        intake = call.intake
        if (
            intake is None
            or intake.buffer
            or call.half_closed
            or size > self.max_message_bytes
            or intake.window < CLIENT_STREAM_WINDOW // 2 + size + 5
        ):
            return -1
        intake.window -= size + 5
        self.received += size + 5
        call.take(data[pos + 14 : stop])
        return stop

    def on_headers(self, sid: bytes, flags: int, block: bytes) -> None:
        fields = self.heads.get(block)
        if fields is None:
            fields = self._learn(block)
        stream = self.streams.get(sid)
        if stream is None:
            if sid > self.last_sid or not sid[3] & 1:
                raise Http2Error(f.PROTOCOL_ERROR, "HEADERS on an idle stream")
            return
        assert isinstance(stream, ClientCall)
        if stream.half_closed:
            self.reset(stream, f.STREAM_CLOSED)
        elif flags & f.FLAG_END_STREAM:
            self._on_trailers(stream, fields)
        elif stream.headers is not None:
            self.cancel(
                stream, status.INTERNAL, "a HEADERS frame cannot appear in the middle of a stream"
            )
        else:
            self._on_response(stream, fields)

    def _learn(self, block: bytes) -> list[Field]:
        changes = self.decoder.changes
        fields = decode_block(self.decoder, block)
        if changes != self.decoder.changes or len(self.heads) >= HEAD_CACHE_ENTRIES_MAX:
            self.heads.clear()
        if changes == self.decoder.changes and len(block) <= HEAD_CACHE_BLOCK_BYTES_MAX:
            self.heads[block] = fields
        return fields

    def _on_response(self, call: ClientCall, fields: list[Field]) -> None:
        if first(fields, b":status")[:1] == b"1":
            return  # an interim answer; the real one follows
        refusal = _http_refusal(fields)
        if refusal is not None:
            self.cancel(call, refusal[0], refusal[1])
            return
        call.headers = fields
        if call.intake is None:
            call.intake = Intake(self.stream_window)
        if call.on_headers is not None:
            call.on_headers()

    def _on_trailers(self, call: ClientCall, fields: list[Field]) -> None:
        call.half_closed = True
        refusal = None
        if call.headers is None:
            call.headers = fields
            if not first(fields, b"grpc-status"):
                refusal = _http_refusal(fields)
        call.trailers = fields
        if call.intake is not None and call.intake.buffer:
            refusal = (status.INTERNAL, "unexpected EOF")
        code, details = _outcome(fields) if refusal is None else refusal
        if not call.half_sent or call.queued_bytes:
            self.out.append(f.rst_stream(call.sid, f.NO_ERROR))
        self.forget(call)
        call.end(code, details)

    def on_reset(self, sid: bytes, code: int) -> None:
        stream = self.streams.get(sid)
        if isinstance(stream, ClientCall):
            stream.unprocessed = code == f.REFUSED_STREAM
            self.abort(stream, code)

    def on_goaway(self, last_sid: bytes, code: int, reason: bytes) -> None:
        self.goaway = (code, reason.decode("utf-8", "replace"))
        for sid, stream in list(self.streams.items()):
            if sid > last_sid and isinstance(stream, ClientCall):
                self.forget(stream)
                self._never_sent(stream)
        self._start_waiting()

    def on_setting(self, number: int, value: int) -> None:
        if number == f.SETTINGS_MAX_CONCURRENT_STREAMS:
            self.max_streams = value
            self._start_waiting()

    def on_pong(self, data: bytes) -> None:
        self.pongs += 1

    # -- ends ------------------------------------------------------------------------------------

    def forget(self, stream: Stream) -> None:
        super().forget(stream)
        if self.waiting:
            self._start_waiting()

    def _start_waiting(self) -> None:
        waiting = self.waiting
        gone = self.closed or self.goaway is not None
        while waiting and (gone or len(self.streams) < self.max_streams):
            call = waiting.popleft()
            if gone:
                self._never_sent(call)
            else:
                self._start(call)

    def _never_sent(self, call: ClientCall) -> None:
        call.state = DONE
        call.unprocessed = True
        call.end(status.UNAVAILABLE, self._why_gone())

    def _why_gone(self) -> str:
        if self.goaway is not None:
            code, reason = self.goaway
            return f"the server is going away: {reason or f.ERROR_NAMES.get(code, str(code))}"
        return "the connection is closed" if self.error is None else str(self.error)

    def connection_lost(self, reason: str = "error reading from server: EOF") -> None:
        """The socket is gone: every open call ends UNAVAILABLE with the reason."""
        self._end_all(reason)
        self.out.clear()

    def abort_streams(self, code: int) -> None:
        self._end_all("connection error" if self.error is None else str(self.error))

    def _end_all(self, reason: str) -> None:
        self.closed = True
        for stream in list(self.streams.values()):
            self.forget(stream)
            if isinstance(stream, ClientCall):
                stream.end(status.UNAVAILABLE, reason)
        self._start_waiting()
        self.ready.clear()

    def last_peer_sid(self) -> bytes:
        return f.CONNECTION


def first(fields: Sequence[Field], name: bytes) -> bytes:
    """The first value of a field, empty when it is absent."""
    for field in fields:
        if field[0] == name:
            return field[1]
    return b""


def _http_refusal(fields: list[Field]) -> tuple[int, str] | None:
    """What it means when an answer is not gRPC at all: a proxy or a wrong port. None when it is."""
    http_status = first(fields, b":status")
    if not http_status.isdigit() or len(http_status) > 3:
        return status.INTERNAL, "malformed header: missing HTTP status"
    content_type = first(fields, b"content-type")
    if http_status != b"200":
        number = int(http_status)
        text = f"unexpected HTTP status code received from server: {number}"
        return status_of_http(number), text
    if not is_grpc(content_type):
        shown = content_type.decode("utf-8", "replace")
        return status.UNKNOWN, f'transport: received unexpected content-type "{shown}"'
    return None


def _outcome(fields: list[Field]) -> tuple[int, str]:
    """Status code and text of trailers."""
    code = first(fields, b"grpc-status")
    if not code.isdigit() or len(code) > 9:
        return status.UNKNOWN, "malformed grpc-status" if code else ""
    return int(code), percent_decode(first(fields, b"grpc-message"))
