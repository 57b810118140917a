"""The server role of HTTP/1.1: bytes in, handler called, bytes out.

```
  receive -> head (http1_head) -> body (http1_body) -> handler(request, responder)
                                                        responder -> out -> take_output
                                     or in pieces -> sink of `open_sink`
```

One request at a time: what a client sends ahead waits, and beyond a bound `wants_input` is false
and the shell stops reading. Sans-IO like the HTTP/2 engine, and with the same face for the shell. A
malformed request gets its status and the connection is closed.

It does not upgrade protocols, compress, or serve CONNECT. Source: RFC 9110, RFC 9112.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from petcd.transport.http import BodySink, Header, HttpHandler, HttpRequest, SinkOpener
from petcd.transport.http1_body import BodyReader
from petcd.transport.http1_head import (
    HeaderSection,
    HttpError,
    RequestLine,
    check_version,
    parse_header_section,
    parse_request_line,
)
from petcd.transport.limits import (
    HEAD_CACHE_BLOCK_BYTES_MAX,
    HEADER_SECTIONS_MAX,
    HTTP_HEAD_BYTES_MAX,
    HTTP_PIPELINE_BYTES_MAX,
    SINK_BODY_BYTES_MAX,
)
from petcd.transport.options import TransportLimits

REASONS = {
    100: b"Continue",
    101: b"Switching Protocols",
    200: b"OK",
    201: b"Created",
    202: b"Accepted",
    204: b"No Content",
    301: b"Moved Permanently",
    302: b"Found",
    304: b"Not Modified",
    307: b"Temporary Redirect",
    308: b"Permanent Redirect",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    412: b"Precondition Failed",
    413: b"Request Entity Too Large",
    414: b"Request URI Too Long",
    415: b"Unsupported Media Type",
    417: b"Expectation Failed",
    421: b"Misdirected Request",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    499: b"",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}
"""Reason phrases, as Go's net/http writes them."""

_names: dict[bytes, bytes] = {}
"""Header names as they are written: `content-type` -> `Content-Type: `."""


def _written_name(name: bytes) -> bytes:
    written = b"-".join([part.capitalize() for part in name.split(b"-")]) + b": "
    if len(_names) < 256:
        _names[name] = written
    return written


def _status_line(status: int) -> bytes:
    return b"HTTP/1.1 %d %s\r\n" % (status, REASONS.get(status, b"status code %d" % status))


class Http1Responder:
    """One answer; see `http.HttpResponder`."""

    __slots__ = ("_bodiless", "_chunked", "_engine", "_started", "closed", "on_close", "on_drain")

    def __init__(self, engine: Http1ServerEngine) -> None:
        self._engine = engine
        self._started = False
        self._chunked = False
        self._bodiless = False
        self.closed = False
        self.on_close: Callable[[], Any] | None = None
        self.on_drain: Callable[[], Any] | None = None

    @property
    def started(self) -> bool:
        """Whether a status has been given."""
        return self._started

    @property
    def queued_bytes(self) -> int:
        """Bytes that the socket has not taken."""
        return self._engine.queued_bytes

    def send(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        if self.closed:
            return
        self._head(status, headers, len(body))
        if not self._bodiless and body:
            self._engine.put(body)
        self._finish()

    def start(self, status: int, headers: Sequence[Header]) -> None:
        if not self.closed:
            self._head(status, headers, -1)

    def write(self, data: bytes) -> None:
        if self.closed or self._bodiless or not data:
            return
        if self._chunked:
            self._engine.put(b"%x\r\n" % len(data))
            self._engine.put(data)
            self._engine.put(b"\r\n")
        else:
            self._engine.put(data)

    def end(self) -> None:
        if not self.closed:
            if self._chunked and not self._bodiless:
                self._engine.put(b"0\r\n\r\n")
            self._finish()

    def _head(self, status: int, headers: Sequence[Header], length: int) -> None:
        assert not self._started, "answered twice"
        self._started = True
        engine = self._engine
        parts = [_status_line(status)]
        for name, value in headers:
            parts += (_names.get(name) or _written_name(name), value, b"\r\n")
        parts += (b"Date: ", engine.http_date(), b"\r\n")
        self._bodiless = engine.method == "HEAD" or status in (204, 304)
        if length >= 0:
            if status not in (204, 304):
                parts.append(b"Content-Length: %d\r\n" % length)
        elif engine.minor:
            self._chunked = True
            parts.append(b"Transfer-Encoding: chunked\r\n")
        else:
            engine.close_after = True
        if engine.close_after:
            parts.append(b"Connection: close\r\n")
        elif not engine.minor:
            parts.append(b"Connection: keep-alive\r\n")
        parts.append(b"\r\n")
        engine.put(b"".join(parts))

    def _finish(self) -> None:
        self.closed = True
        self._engine.answered()

    def abandon(self) -> None:
        """The client is gone."""
        if not self.closed:
            self.closed = True
            if self.on_close is not None:
                self.on_close()


class Http1ServerEngine:
    """One client's connection.

    `closed` asks the shell to write what is left and close; `wants_input` false to stop reading.
    `on_output` is called once when output appears outside `receive`.
    """

    __slots__ = (
        "_body",
        "_drain_due",
        "_handler",
        "_head_from",
        "_idle",
        "_line",
        "_out",
        "_out_bytes",
        "_paused_at",
        "_responder",
        "_rest",
        "_section",
        "_sections",
        "_since",
        "_sink",
        "_working",
        "close_after",
        "closed",
        "draining",
        "http_date",
        "limits",
        "lingers",
        "method",
        "minor",
        "now",
        "on_failure",
        "on_output",
        "open_sink",
        "peer",
        "wants_input",
        "write_paused",
    )

    def __init__(
        self,
        handler: HttpHandler,
        limits: TransportLimits,
        peer: str,
        http_date: Callable[[], bytes],
    ) -> None:
        self._handler = handler
        self.limits = limits
        self.peer = peer
        self.http_date = http_date
        self.on_output: Callable[[], None] = lambda: None
        self.on_failure: Callable[[str, Exception], None] = lambda what, error: None
        self.open_sink: SinkOpener | None = None
        self.now = 0.0
        self.closed = False
        self.lingers = False
        """Closed because of what the client sent: it may still be sending and has to be heard out,
        or a TCP reset would destroy the answer."""
        self.draining = False
        self.close_after = False
        self.wants_input = True
        self.write_paused = False
        self.method = ""
        self.minor = 1
        self._paused_at = 0.0
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._drain_due = False
        self._idle = True
        self._rest = b""
        self._head_from = 0
        self._line: RequestLine | None = None
        self._section: HeaderSection | None = None
        self._sections: dict[bytes, HeaderSection] = {}
        self._body: BodyReader | None = None
        self._sink: BodySink | None = None
        self._responder: Http1Responder | None = None
        self._since = 0.0
        self._working = False

    # -- input -----------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Bytes from the socket at time `now`. Raises nothing; see `closed`."""
        if self.closed:
            return
        if (not self._rest and self._body is None) or self._sink is not None:
            self._since = now
        self.now = now
        self._rest = self._rest + data if self._rest else data
        self._idle = False
        self._work()

    def _work(self) -> None:
        """Requests as long as there are whole ones and the one before is answered."""
        self._working = True
        try:
            while (self._responder is None or self._sink is not None) and not self.closed:
                if not self._step():
                    break
        except HttpError as error:
            self._refuse(error)
        self._working = False
        if self._sink is not None:
            self.wants_input = not self._sink.full
        else:
            self.wants_input = self._responder is None or len(self._rest) < HTTP_PIPELINE_BYTES_MAX

    def _step(self) -> bool:
        """One part of a request; False when more input is needed."""
        if self._body is None and not self._take_head():
            return False
        body, sink = self._body, self._sink
        assert body is not None
        if not body.done and (sink is None or not sink.full):
            taken = body.feed(self._rest, 0)
            self._rest = self._rest[taken:]
        if sink is not None:
            return self._pass_on(body, sink)
        if not body.done:
            return False
        self._serve(bytes(body.body))
        return True

    def _take_head(self) -> bool:
        rest = self._rest
        if rest[:2] == b"\r\n":  # RFC 9112, 2.2: some clients send an empty line too many
            rest = self._rest = rest[2:]
        end = rest.find(b"\r\n\r\n", max(self._head_from - 3, 0))
        if end < 0:
            self._head_from = len(rest)
            if len(rest) > HTTP_HEAD_BYTES_MAX:
                raise HttpError(431, "request head too large")
            return False
        if end > HTTP_HEAD_BYTES_MAX:
            raise HttpError(431, "request head too large")
        self._head_from = 0
        first = rest.find(b"\r\n")
        line = parse_request_line(rest[:first])
        raw = rest[first + 2 : end + 2]
        section = self._sections.get(raw)
        if section is None:
            section = parse_header_section(raw)
            if len(self._sections) >= HEADER_SECTIONS_MAX:
                self._sections.clear()
            if len(raw) <= HEAD_CACHE_BLOCK_BYTES_MAX:
                self._sections[raw] = section
        check_version(line, section)
        self._rest = rest[end + 4 :]
        self._line = line
        self._section = section
        if self.open_sink is not None and self._open(line, section):
            if self.closed:  # it has answered
                return False
            self._body = BodyReader(section.length, SINK_BODY_BYTES_MAX)
        else:
            self._body = BodyReader(section.length, self.limits.max_http_body_bytes)
        if section.expects_continue and line.minor and not self._body.done and not self._rest:
            self.put(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _open(self, line: RequestLine, section: HeaderSection) -> bool:
        """Whether a sink takes the body of this request."""
        assert self.open_sink is not None
        self.method = line.method
        self.minor = line.minor
        # An answer that is given now comes before the body is read.
        self.close_after = True
        responder = Http1Responder(self)
        request = HttpRequest(line.method, line.target, list(section.fields), b"", self.peer)
        self._responder = responder
        try:
            sink = self.open_sink(request, responder)
        except Exception as error:
            self.on_failure(f"{line.method} {line.target}", error)
            self._lose(responder)
            return True
        if sink is None:
            assert not responder.started, "answered without a sink"
            self._responder = None
            return False
        if self.closed:
            self.lingers = True
        else:
            sink.more_wanted = self._more_wanted
            self._sink = sink
        return True

    def _pass_on(self, body: BodyReader, sink: BodySink) -> bool:
        """A piece of the body for its sink; False when more input, or room, is needed."""
        responder = self._responder
        assert responder is not None
        try:
            if body.body:
                piece = bytes(body.body)
                body.body.clear()
                sink.write(piece)
            if not body.done or self._sink is None:
                return False
            self._sink = None
            self._body = None
            self.close_after = self._closes_after()
            sink.end()
        except Exception as error:
            self.on_failure(f"{self.method} body", error)
            self._lose(responder)
        return True

    def _more_wanted(self) -> None:
        self._since = self.now
        if not self._working and self._sink is not None:
            self._work()
            if self._idle:
                self._idle = False
                self.on_output()

    def _closes_after(self) -> bool:
        line, section = self._line, self._section
        assert line is not None and section is not None
        persistent = section.keep_alive if not line.minor else not section.close
        return self.draining or not persistent

    def _serve(self, body: bytes) -> None:
        line, section = self._line, self._section
        assert line is not None and section is not None
        self._body = None
        self.method = line.method
        self.minor = line.minor
        self.close_after = self._closes_after()
        responder = self._responder = Http1Responder(self)
        request = HttpRequest(line.method, line.target, list(section.fields), body, self.peer)
        try:
            self._handler(request, responder)
        except Exception as error:
            self.on_failure(f"{line.method} {line.target}", error)
            self.close_after = True
            if responder.started:
                self._lose(responder)
            else:
                responder.send(500, [], b"")

    def _lose(self, responder: Http1Responder) -> None:
        """An answer that began and can't be completed: cut the connection."""
        self.closed = True
        responder.abandon()

    def _refuse(self, error: HttpError) -> None:
        responder = self._responder
        if responder is not None:  # its body went to a sink
            if responder.started:
                self._lose(responder)
                return
            self._sink = None
            responder.abandon()
        status = b"%d %s" % (error.status, REASONS[error.status])
        text = status + b": " + error.why.encode() if error.status == 400 else status
        self.put(
            _status_line(error.status)
            + b"Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
            + b"Content-Length: %d\r\n\r\n" % len(text)
            + text
        )
        self._rest = b""
        self.closed = True
        self.lingers = True

    # -- output ----------------------------------------------------------------------------------

    @property
    def queued_bytes(self) -> int:
        """Bytes that the socket has not taken."""
        return self._out_bytes

    def put(self, data: bytes) -> None:
        """Queue bytes of the current answer."""
        self._out.append(data)
        self._out_bytes += len(data)
        if self._idle:
            self._idle = False
            self.on_output()

    def answered(self) -> None:
        """The current answer is complete: go on with the next request."""
        self._responder = None
        self._since = self.now
        if self._body is not None:  # its rest is not worth reading
            self._sink = None
            self._body = None
            self.lingers = True
        if self.close_after:
            self.closed = True
        elif not self._working:
            self._work()

    def take_output(self) -> bytes:
        """What is to be written now; empty when nothing is. Call again after the socket took it."""
        if self._drain_due and not self.write_paused:
            self._drain_due = False
            self._idle = False
            self._tell_drained()
        self._idle = True
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        self._drain_due = True
        return data

    def _tell_drained(self) -> None:
        responder = self._responder
        if responder is not None and responder.on_drain is not None:
            responder.on_drain()

    def pause_writing(self) -> None:
        """The socket is full: the shell takes no output until `resume_writing`."""
        self.write_paused = True
        self._paused_at = self.now

    def resume_writing(self) -> None:
        """The socket takes output again; the shell asks for it now."""
        self.write_paused = False

    # -- time and the end ------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Time limits: slow heads, slow bodies, idle and stuck connections (`closed`)."""
        limits = self.limits
        waited = now - self._since
        self.now = now
        if self.write_paused:
            if now - self._paused_at > limits.idle_timeout_s:
                self.connection_lost()
        elif self._sink is not None:
            if waited > limits.header_timeout_s and not self._sink.full:
                self._time_out()
        elif self._responder is not None:
            return
        elif self._body is not None:
            enough = self._body.taken >= limits.body_bytes_per_s_min * waited
            if waited > limits.header_timeout_s and not enough:
                self._time_out()
        elif self._rest:
            if waited > limits.header_timeout_s:
                self._time_out()
        elif waited > limits.idle_timeout_s:
            self.closed = True

    def _time_out(self) -> None:
        self._refuse(HttpError(408, "request took too long"))

    def drain(self) -> None:
        """Graceful stop: `closed` when the current answer is out, at once when there is none."""
        self.draining = True
        self.close_after = True
        if self._responder is None and self._body is None:
            self.closed = True
            if self._idle:
                self._idle = False
                self.on_output()

    def connection_lost(self) -> None:
        """The socket is gone."""
        self.closed = True
        self._out.clear()
        self._out_bytes = 0
        self._sink = None
        responder = self._responder
        self._responder = None
        if responder is not None:
            responder.abandon()
