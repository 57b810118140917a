"""A plain HTTP request that came over HTTP/2, and its answer (`http.HttpResponder`).

The body is gathered whole, bounded by the listener's limit and by `KEPT_BYTES_MAX` together with
all other requests of the connection. Answers go through flow control like any other stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from petcd.transport import frames as f
from petcd.transport.h2_stream import DONE, OPEN, Stream
from petcd.transport.hpack import encode_block
from petcd.transport.http import Header, HttpRequest

if TYPE_CHECKING:
    from petcd.transport.h2_server import Http2ServerEngine
    from petcd.transport.request_head import RequestHead

_DROPPED = frozenset((b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"))


class Http2Exchange(Stream):
    """One request and its answer."""

    __slots__ = ("body", "closed", "engine", "head", "on_close", "started_answer", "without_body")

    def __init__(self, engine: Http2ServerEngine, sid: bytes, head: RequestHead) -> None:
        super().__init__(engine, sid, OPEN, engine.now)
        self.engine = engine
        self.head = head
        self.body = bytearray()
        self.closed = False
        self.started_answer = False
        self.without_body = head.first(b":method") == b"HEAD"
        self.on_close: Callable[[], Any] | None = None

    # -- the request -----------------------------------------------------------------------------

    def feed(self, payload: bytes) -> None:
        self.body += payload
        if len(self.body) > self.engine.limits.max_http_body_bytes:
            self.refuse(413, b"request body too large\n")

    def kept_bytes(self) -> int:
        return len(self.body)

    def drop_request(self) -> None:
        self.body.clear()

    def refuse(self, status: int, text: bytes) -> None:
        """Answer before the request is complete."""
        self.send(status, [(b"content-type", b"text/plain; charset=utf-8")], text)

    def ended(self) -> None:
        head = self.head
        headers = [field for field in head.fields if field[0][:1] != b":"]
        authority = head.first(b":authority")
        if authority is not None:
            headers = [(b"host", authority), *[h for h in headers if h[0] != b"host"]]
        method = (head.first(b":method") or b"").decode("ascii", "replace")
        target = (head.first(b":path") or b"").decode("ascii", "replace")
        body = bytes(self.body)
        self.body.clear()
        length = head.first(b"content-length")
        if length is not None and length != b"%d" % len(body):
            self.engine.reset(self, f.PROTOCOL_ERROR)
            return
        request = HttpRequest(method, target, headers, body, self.engine.peer)
        self.engine.serve_http(request, self)

    def aborted(self, code: int) -> None:
        self.cancelled = True
        self._close()

    def sent(self) -> None:
        self.engine.close(self)
        self._close()

    def _close(self) -> None:
        if not self.closed:
            self.closed = True
            if self.cancelled and self.on_close is not None:
                self.on_close()

    # -- the answer ------------------------------------------------------------------------------

    @property
    def on_drain(self) -> Callable[[], None] | None:
        """Called whenever `queued_bytes` has fallen to 16 KiB or less after something was
        queued."""
        return None if self.sender is None else self.sender.on_drain

    @on_drain.setter
    def on_drain(self, callback: Callable[[], None] | None) -> None:
        self.engine.sender_of(self).on_drain = callback

    def send(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """See `HttpResponder.send`."""
        if self.state == DONE:
            return
        bodiless = self.without_body or status in (204, 304) or not body
        length = [] if status in (204, 304) else [(b"content-length", b"%d" % len(body))]
        self._headers(status, [*headers, *length], bodiless)
        if not bodiless:
            self.engine.send_data(self.engine.sender_of(self), body)
            self.end()

    def start(self, status: int, headers: Sequence[Header]) -> None:
        """See `HttpResponder.start`."""
        if self.state != DONE:
            self._headers(status, headers, self.without_body)

    def _headers(self, status: int, headers: Sequence[Header], last: bool) -> None:
        assert not self.started_answer, "answered twice"
        self.started_answer = True
        fields = [(b":status", b"%d" % status)]
        fields += [field for field in headers if field[0] not in _DROPPED]
        fields.append((b"date", self.engine.http_date()))
        block = self.engine.answers.begin() + encode_block(fields)
        if not last:
            self.engine.send_block(self.sid, 0, block)
            return
        self.state = DONE
        self.engine.send_block(self.sid, f.FLAG_END_STREAM, block)
        self.sent()

    def write(self, data: bytes) -> None:
        """See `HttpResponder.write`."""
        if self.state != DONE and data:
            self.engine.send_data(self.engine.sender_of(self), data)

    def end(self) -> None:
        """See `HttpResponder.end`."""
        if self.state != DONE:
            self.state = DONE
            self.engine.close_sender(self.engine.sender_of(self))
