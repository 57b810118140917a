"""gRPC calls without a wire: a client's connection to one run of one member.

    client --(delay)--> service handler in the member's process
    client <--(delay)-- reply, fail, send

The handlers are those of production; what they get in place of a transport's call is a
`ServerCall`. Bytes arrive in order on one connection, and when the member's process ends, the
client hears of it after a while, or of nothing at all until its patience ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

from petcd.transport.http import Header, HttpHandler, HttpRequest
from petcd.transport.router import UNARY, Router
from sim.loop import Process
from sim.network import on_grid

DELAY_S = 0.0002
JITTER_S = 0.0008
FORM = [(b"content-type", b"application/x-www-form-urlencoded")]

Message = Callable[[bytes], object]
Ended = Callable[[int, str], object]


class ServerCall:
    """What a handler sees of a call; stands in for `petcd.transport.call.Call`."""

    __slots__ = (
        "_connection",
        "_ended",
        "_held",
        "_held_bytes",
        "_message",
        "_over",
        "cancelled",
        "held_bytes_max",
        "magnified",
        "on_cancel",
        "on_drain",
        "on_half_close",
        "on_message",
    )

    def __init__(self, connection: Connection, message: Message, ended: Ended) -> None:
        self._connection = connection
        self._message = message
        self._ended = ended
        self._over = False
        self._held: list[tuple[Callable[..., object], tuple[Any, ...]]] | None = None
        self._held_bytes = 0
        self.held_bytes_max = 0
        self.magnified = 1
        self.cancelled = False
        self.on_message: Message | None = None
        self.on_cancel: Callable[[], object] | None = None
        self.on_half_close: Callable[[], object] | None = None
        self.on_drain: Callable[[], object] | None = None

    def metadata(self) -> dict[bytes, bytes]:
        """None was sent."""
        return {}

    def reply(self, body: bytes) -> None:
        """Answer a unary call."""
        self.send(body)
        self._over = True

    def reply_parts(self, parts: list[bytes]) -> None:
        """The same in parts."""
        self.reply(b"".join(parts))

    def fail(self, code: int, message: str) -> None:
        """Answer with an error."""
        self.finish(code, message)

    @property
    def queued_bytes(self) -> int:
        """What the client has not accepted; each byte counts for `magnified`."""
        return self._held_bytes * self.magnified

    def send(self, body: bytes) -> None:
        """One message to the client."""
        if not self._over and not self.cancelled:
            self._to_client(len(body), self._message, body)

    def send_many(self, bodies: list[bytes]) -> None:
        """Several."""
        for body in bodies:
            self.send(body)

    def finish(self, code: int = 0, message: str = "") -> None:
        """The end of the call."""
        if not self._over and not self.cancelled:
            self._over = True
            self._to_client(0, self._ended, code, message)

    def _to_client(self, size: int, callback: Callable[..., object], *args: Any) -> None:
        if self._held is None:
            self._connection.to_client(callback, *args)
            return
        self._held.append((callback, args))
        self._held_bytes += size
        self.held_bytes_max = max(self.held_bytes_max, self._held_bytes)

    def hold(self) -> None:
        """The client reads nothing more: what is sent waits here."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """The client has read all that waited."""
        held, self._held = self._held, None
        self._held_bytes = 0
        for callback, args in held or ():
            self._connection.to_client(callback, *args)
        if self.on_drain is not None and not self._over and not self.cancelled:
            self.on_drain()

    def cancel(self) -> None:
        """The client gave up."""
        if not self.cancelled:
            self.cancelled = True
            if self.on_cancel is not None:
                self.on_cancel()

    def take(self, body: bytes) -> None:
        """A message of the client's stream."""
        if self.on_message is not None and not self._over and not self.cancelled:
            self.on_message(body)


class HttpClient(NamedTuple):
    """Who waits for an HTTP answer: a whole one as `status index body`, or one in parts."""

    whole: Message
    began: Callable[[int], object]
    part: Message
    ended: Callable[[], object]


class Responder:
    """What an HTTP handler answers to."""

    def __init__(self, connection: Connection, client: HttpClient) -> None:
        self.closed = False
        self.queued_bytes = 0
        self.on_close: Callable[[], Any] | None = None
        self.on_drain: Callable[[], Any] | None = None
        self._connection = connection
        self._client = client

    def send(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """A whole answer."""
        whole = b"%d %d %b" % (status, _index_of(headers), body)
        self._connection.to_client(self._client.whole, whole)

    def start(self, status: int, headers: Sequence[Header]) -> None:
        """The head of an answer in parts."""
        self._connection.to_client(self._client.began, _index_of(headers))

    def write(self, data: bytes) -> None:
        """A part."""
        self._connection.to_client(self._client.part, data)

    def end(self) -> None:
        """That was all."""
        self._connection.to_client(self._client.ended)

    def cancel(self) -> None:
        """The client has gone."""
        if not self.closed:
            self.closed = True
            if self.on_close is not None:
                self.on_close()


def _index_of(headers: Sequence[Header]) -> int:
    return next((int(value) for name, value in headers if name == b"x-etcd-index"), 0)


def _nobody(*of: object) -> None:
    """Nobody waits for parts."""


class Connection:
    """From a client to one run of a member; `number` is unique in the world."""

    def __init__(
        self,
        number: int,
        member: int,
        client: Process,
        server: Process,
        router: Router,
        http: HttpHandler,
        random: Random,
    ) -> None:
        self.number = number
        self.member = member
        self.broken = False
        self.on_broken: Callable[[], object] = lambda: None
        self._client = client
        self._server = server
        self._router = router
        self._http = http
        self._random = random.random
        self._calls: list[ServerCall | Responder] = []
        self._client_due_s = 0.0
        self._server_due_s = 0.0

    def call(self, path: bytes, body: bytes, message: Message, ended: Ended) -> ServerCall:
        """A unary call, or a stream with its first message."""
        call = ServerCall(self, message, ended)
        self._to_server(self._begin, call, path, body)
        return call

    def put(self, target: bytes, body: bytes, message: Message) -> None:
        """An HTTP request with a form."""
        self.http("PUT", target.decode(), body, message)

    def http(self, method: str, target: str, body: bytes, whole: Message) -> None:
        """An HTTP request that is answered at once."""
        request = HttpRequest(method, target, FORM, body, "client")
        client = HttpClient(whole, _nobody, _nobody, _nobody)
        self._to_server(self._http, request, Responder(self, client))

    def http_stream(self, target: str, client: HttpClient) -> None:
        """A GET whose answer may come in parts, for as long as both live."""
        request = HttpRequest("GET", target, [], b"", "client")
        responder = Responder(self, client)
        self._calls.append(responder)
        self._to_server(self._http, request, responder)

    def send(self, call: ServerCall, body: bytes) -> None:
        """A further message on a stream."""
        self._to_server(call.take, body)

    def hold(self, call: ServerCall) -> None:
        """The client stops reading a stream, until `release`."""
        self._to_server(call.hold)

    def release(self, call: ServerCall) -> None:
        """The client reads on."""
        self._to_server(call.release)

    def close(self) -> None:
        """The client has gone."""
        if not self.broken:
            self.broken = True
            self._to_server(self._cancel_all)

    def break_off(self, after_s: float) -> None:
        """The member has gone, and the client is told after a while."""
        self._client.call_later(after_s, self._broken)

    def to_client(self, callback: Callable[..., object], *args: Any) -> None:
        """Something arrives at the client, unless the connection has ended."""
        due_s = self._server.now_s() + DELAY_S + JITTER_S * self._random()
        due_s = self._client_due_s = max(on_grid(due_s), self._client_due_s)
        self._client.call_at_global(due_s, self._arrive, callback, args)

    def _arrive(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        if not self.broken:
            callback(*args)

    def _to_server(self, callback: Callable[..., object], *args: Any) -> None:
        due_s = self._client.now_s() + DELAY_S + JITTER_S * self._random()
        due_s = self._server_due_s = max(on_grid(due_s), self._server_due_s)
        self._server.call_at_global(due_s, callback, *args)

    def _begin(self, call: ServerCall, path: bytes, body: bytes) -> None:
        method = self._router.find(path)
        assert method is not None, path
        if method.kind == UNARY:
            method.handler(call, body)
        else:
            self._calls.append(call)
            method.handler(call)
            call.take(body)

    def _cancel_all(self) -> None:
        for call in self._calls:
            call.cancel()

    def _broken(self) -> None:
        if not self.broken:
            self.broken = True
            self.on_broken()
