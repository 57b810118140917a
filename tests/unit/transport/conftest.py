"""Peers for the engines: python-hyper's h2 in either role, fed whole or byte by byte.

`serve` gives a `Service`: one server engine with a few methods, and an h2 client talking to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from petcd.transport.call import Call
from petcd.transport.h2_client import Http2ClientEngine
from petcd.transport.h2_server import Http2ServerEngine
from petcd.transport.http import HttpHandler
from petcd.transport.options import TransportLimits
from petcd.transport.router import BIDI, CLIENT_STREAM, SERVER_STREAM, UNARY, Method, Router

REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/test.Echo/Unary"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]


def message(body: bytes) -> bytes:
    """A gRPC message with its prefix."""
    return b"\0" + len(body).to_bytes(4, "big") + body


def messages(data: bytes) -> list[bytes]:
    """The bodies of whole messages."""
    found = []
    while data:
        size = int.from_bytes(data[1:5], "big")
        assert data[0] == 0 and len(data) >= 5 + size, data[:20]
        found.append(data[5 : 5 + size])
        data = data[5 + size :]
    return found


class Answer:
    """What the client saw of one stream."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.trailers: dict[str, str] = {}
        self.data = b""
        self.ended = False
        self.reset: int | None = None

    @property
    def status(self) -> tuple[str, str]:
        """gRPC's code and its (still escaped) message."""
        last = self.trailers or self.headers
        return last.get("grpc-status", ""), last.get("grpc-message", "")

    @property
    def messages(self) -> list[bytes]:
        return messages(self.data)


class Service:
    """One server engine and an h2 client at its other end.

    Methods of `test.Echo`: `Unary` answers its message, `Later` keeps the call in `calls` for the
    test to answer, `Bidi` answers each message, `Raises` fails. Streams are kept in `calls`, too.
    """

    def __init__(
        self,
        limits: TransportLimits | None = None,
        http: HttpHandler | None = None,
        bytewise: bool = False,
    ) -> None:
        self.calls: list[Call] = []
        self.bodies: list[bytes] = []
        self.cancelled: list[Call] = []
        self.failures: list[tuple[str, Exception]] = []
        self.now = 1000.0
        self.bytewise = bytewise
        self.auto_window = True
        router = Router()
        for name, kind, handler in (
            ("Unary", UNARY, lambda call, body: call.reply(body)),
            ("Later", UNARY, self._later),
            ("Raises", UNARY, self._raise),
            ("Bidi", BIDI, self._bidi),
            ("Server", SERVER_STREAM, self._stream),
            ("Client", CLIENT_STREAM, self._stream),
        ):
            router.add(Method(b"/test.Echo/" + name.encode(), kind, handler))
        self.router = router
        self.engine = Http2ServerEngine(router, limits or TransportLimits(), "peer:1", http)
        self.engine.on_failure = lambda what, error: self.failures.append((what, error))
        self.client = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        )
        self.answers: dict[int, Answer] = {}
        self.events: list[h2.events.Event] = []
        self.goaway: h2.events.ConnectionTerminated | None = None

    # -- handlers --------------------------------------------------------------------------------

    def _later(self, call: Call, body: bytes) -> None:
        self.calls.append(call)
        self.bodies.append(body)
        call.on_cancel = lambda: self.cancelled.append(call)

    def _raise(self, call: Call, body: bytes) -> None:
        raise RuntimeError("broken handler")

    def _bidi(self, call: Call) -> None:
        self._stream(call)
        call.on_message = call.send
        call.on_half_close = call.finish

    def _stream(self, call: Call) -> None:
        self.calls.append(call)
        call.on_message = self.bodies.append
        call.on_cancel = lambda: self.cancelled.append(call)

    # -- the wire --------------------------------------------------------------------------------

    def method(self, name: str) -> Method:
        method = self.router.find(b"/test.Echo/" + name.encode())
        assert method is not None
        return method

    def start(self) -> Service:
        self.client.initiate_connection()
        self.exchange()
        return self

    def feed(self, data: bytes) -> None:
        """Bytes from the client to the engine."""
        if self.bytewise:
            for pos in range(len(data)):
                self.engine.receive(data[pos : pos + 1], self.now)
        else:
            self.engine.receive(data, self.now)

    def exchange(self) -> None:
        """Everything both sides have to say, until both are silent."""
        for _ in range(10_000):
            to_server = self.client.data_to_send()
            if to_server:
                self.feed(to_server)
            to_client = self.engine.take_output()
            if to_client:
                self.hear(to_client)
            if not to_server and not to_client:
                return
        raise AssertionError("the two never fall silent")

    def hear(self, data: bytes) -> None:
        """Bytes from the engine to the client."""
        pieces = [data[i : i + 1] for i in range(len(data))] if self.bytewise else [data]
        for piece in pieces:
            for event in self.client.receive_data(piece):
                self._note(event)

    def _note(self, event: h2.events.Event) -> None:
        self.events.append(event)
        answer = self.answers.setdefault(getattr(event, "stream_id", None) or 0, Answer())
        if isinstance(event, h2.events.ResponseReceived):
            answer.headers = dict(event.headers)  # type: ignore[arg-type]
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = dict(event.headers)  # type: ignore[arg-type]
        elif isinstance(event, h2.events.DataReceived):
            answer.data += event.data
            if self.auto_window and event.flow_controlled_length:
                self.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = int(event.error_code)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event

    # -- calls -----------------------------------------------------------------------------------

    def open(self, name: str, extra: list[tuple[str, str]] | None = None, end: bool = False) -> int:
        """Send the headers of a call; returns its stream id."""
        sid = self.client.get_next_available_stream_id()
        headers = [(n, f"/test.Echo/{name}" if n == ":path" else v) for n, v in REQUEST]
        self.client.send_headers(sid, headers + (extra or []), end_stream=end)
        return sid

    def unary(self, name: str, body: bytes, extra: list[tuple[str, str]] | None = None) -> Answer:
        """A whole unary call; what came of it so far."""
        sid = self.open(name, extra)
        self.send(sid, message(body), end=True)
        return self.answers.setdefault(sid, Answer())

    def send(self, sid: int, data: bytes, end: bool = False) -> None:
        """DATA as the windows allow, exchanging in between."""
        while data:
            room = min(
                self.client.local_flow_control_window(sid),
                self.client.max_outbound_frame_size,
                len(data),
            )
            if room == 0:
                self.exchange()
                assert self.client.local_flow_control_window(sid), "no credit comes"
                continue
            self.client.send_data(sid, data[:room])
            data = data[room:]
        if end:
            self.client.end_stream(sid)
        self.exchange()

    def request(self, headers: list[tuple[str, str]], body: bytes = b"") -> Answer:
        """A request with these very header fields."""
        sid = self.client.get_next_available_stream_id()
        self.client.send_headers(sid, headers, end_stream=not body)
        if body:
            self.send(sid, body, end=True)
        self.exchange()
        return self.answers.setdefault(sid, Answer())


class Pair:
    """Our client engine and a `Service`'s server engine, wired to each other."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.server = service.engine
        self.client = Http2ClientEngine(b"localhost")

    def exchange(self, pieces: int = 0) -> None:
        """Everything both sides have to say, in pieces of so many bytes (0: whole)."""
        for _ in range(10_000):
            up, down = self.client.take_output(), b""
            for piece in _cut(up, pieces):
                self.server.receive(piece, self.service.now)
            down = self.server.take_output()
            for piece in _cut(down, pieces):
                self.client.receive(piece, self.service.now)
            if not up and not down:
                return
        raise AssertionError("the two never fall silent")


def _cut(data: bytes, size: int) -> list[bytes]:
    if not size:
        return [data] if data else []
    return [data[pos : pos + size] for pos in range(0, len(data), size)]


@pytest.fixture
def pair() -> Pair:
    """Our own engine in both roles, greeted."""
    pair = Pair(Service())
    pair.exchange()
    return pair


@pytest.fixture
def new_pair() -> Callable[[Service], Pair]:
    """Our own engine in both roles, around a chosen `Service`; not greeted."""
    return Pair


@pytest.fixture(params=[False, True], ids=["whole", "bytewise"])
def serve(request: pytest.FixtureRequest) -> Callable[..., Service]:
    """Makes a started `Service`, fed whole and byte by byte in turn."""

    def make(**options: Any) -> Service:
        return Service(bytewise=request.param, **options).start()

    return make


@pytest.fixture
def service() -> Service:
    """A started `Service`, fed whole."""
    return Service().start()


@pytest.fixture
def new_service() -> Callable[..., Service]:
    """The class itself, for tests that choose limits or don't begin at once."""
    return Service


@pytest.fixture
def grpc_message() -> Callable[[bytes], bytes]:
    return message


@pytest.fixture
def grpc_request() -> list[tuple[str, str]]:
    """The header fields of a good unary request."""
    return list(REQUEST)
