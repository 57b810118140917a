"""The asyncio side on a pretended loop and pretended sockets: telling protocols, writing, time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from petcd.transport import frames as f
from petcd.transport.call import Call
from petcd.transport.h2_client import Http2ClientEngine
from petcd.transport.h2_server import Http2ServerEngine
from petcd.transport.http import HttpRequest, HttpResponder
from petcd.transport.http1 import Http1ServerEngine
from petcd.transport.listener import Listener
from petcd.transport.options import TransportLimits
from petcd.transport.router import UNARY, Method, Router


class Timer:
    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at = at
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """Time that moves when told, and callbacks that run when told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.soon: list[Callable[[], None]] = []
        self.timers: list[Timer] = []
        self.reports: list[dict[str, Any]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def call_at(self, at: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(at, callback)
        self.timers.append(timer)
        return timer

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        return self.call_at(self.now + delay, callback)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.reports.append(context)

    def run_soon(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            due = [t for t in self.timers if not t.cancelled and t.at <= until]
            if not due:
                break
            timer = min(due, key=lambda t: t.at)
            self.timers.remove(timer)
            self.now = max(self.now, timer.at)
            timer.callback()
            self.run_soon()
        self.now = until


class Socket:
    """The transport that a protocol writes to."""

    def __init__(self, protocol: Any, alpn: str | None = None) -> None:
        self.protocol = protocol
        self.alpn = alpn
        self.writes: list[bytes] = []
        self.closed = self.aborted = self.eof = False
        self.reading = True
        self.room = 1 << 30

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_extra_info(self, name: str) -> Any:
        if name == "ssl_object" and self.alpn is not None:
            return self
        return ("10.0.0.1", 5) if name == "peername" else None

    def selected_alpn_protocol(self) -> str | None:
        return self.alpn

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)
        self.room -= len(data)
        if self.room < 0:
            self.protocol.pause_writing()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True
        self.protocol.connection_lost(None)


class Shop:
    """A listener on a pretended loop; `Later` keeps calls, HTTP requests are kept, too."""

    def __init__(self, limits: TransportLimits | None = None) -> None:
        self.loop = Loop()
        self.calls: list[Call] = []
        self.http: list[tuple[HttpRequest, HttpResponder]] = []
        router = Router()
        router.add(Method(b"/t.T/Now", UNARY, lambda call, body: call.reply(body)))
        router.add(Method(b"/t.T/Later", UNARY, lambda call, body: self.calls.append(call)))
        router.add(Method(b"/t.T/Raises", UNARY, self._raise))
        self.listener = asyncio.run(self._make(router, limits))
        self.listener.loop = self.loop  # type: ignore[assignment]

    async def _make(self, router: Router, limits: TransportLimits | None) -> Listener:
        return Listener(router, lambda q, r: self.http.append((q, r)), limits)

    def _raise(self, call: Call, body: bytes) -> None:
        raise RuntimeError("broken")

    def connect(self, alpn: str | None = None) -> Any:
        protocol: Any = self.listener.protocol_factory()
        socket = Socket(protocol, alpn)
        protocol.connection_made(socket)
        return protocol

    def client(self) -> tuple[Any, Http2ClientEngine]:
        """A connection that has greeted, and the client's engine."""
        protocol = self.connect()
        client = Http2ClientEngine(b"h")
        self.exchange(protocol, client)
        return protocol, client

    def exchange(self, protocol: Any, client: Http2ClientEngine) -> None:
        data = client.take_output()
        while data or protocol.transport.writes:
            if data:
                protocol.data_received(data)
            for written in protocol.transport.writes:
                client.receive(written, self.loop.now)
            protocol.transport.writes.clear()
            data = client.take_output()

    def sweep(self, seconds: float) -> None:
        """A second at a time, as the listener's own timer does."""
        for _ in range(int(seconds)):
            self.loop.now += 1
            for connection in list(self.listener.connections):
                connection.sweep(self.loop.now)


@pytest.fixture
def shop() -> Iterator[Shop]:
    yield Shop()


@pytest.mark.parametrize("pieces", [1, 2, 3, 4, 100])
def test_http_2_is_told_by_its_first_bytes(shop: Shop, pieces: int) -> None:
    protocol = shop.connect()
    data = f.PREFACE + f.settings_frame([])
    for pos in range(0, len(data), pieces):
        protocol.data_received(data[pos : pos + pieces])
    assert isinstance(protocol.engine, Http2ServerEngine) and not protocol.engine.closed
    assert protocol.engine.peer == "10.0.0.1:5"


@pytest.mark.parametrize("pieces", [1, 2, 3, 100])
@pytest.mark.parametrize("method", [b"GET", b"PUT", b"POST", b"PATCH", b"PROPFIND"])
def test_everything_else_is_http_1(shop: Shop, method: bytes, pieces: int) -> None:
    protocol = shop.connect()
    data = method + b" / HTTP/1.1\r\nHost: h\r\n\r\n"
    for pos in range(0, len(data), pieces):
        protocol.data_received(data[pos : pos + pieces])
    assert isinstance(protocol.engine, Http1ServerEngine)
    assert shop.http[0][0].method == method.decode()


def test_alpn_decides_before_the_first_byte(shop: Shop) -> None:
    assert isinstance(shop.connect("h2").engine, Http2ServerEngine)
    protocol = shop.connect("http/1.1")
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert isinstance(protocol.engine, Http1ServerEngine)


def test_all_answers_of_one_turn_leave_in_one_write(shop: Shop) -> None:
    protocol, client = shop.client()
    for number in range(20):
        client.unary(b"/t.T/Now", b"%d" % number)
    protocol.data_received(client.take_output())
    assert len(protocol.transport.writes) == 1


def test_answers_from_elsewhere_leave_in_one_write_per_connection(shop: Shop) -> None:
    pairs = [shop.client() for _ in range(3)]
    for protocol, client in pairs:
        for _ in range(5):
            client.unary(b"/t.T/Later", b"x")
        shop.exchange(protocol, client)
    for call in shop.calls:
        call.reply(b"done")
    assert len(shop.loop.soon) == 1
    assert not any(protocol.transport.writes for protocol, _ in pairs)
    shop.loop.run_soon()
    assert [len(protocol.transport.writes) for protocol, _ in pairs] == [1, 1, 1]


def test_flush_may_be_called_at_once_instead(shop: Shop) -> None:
    protocol, client = shop.client()
    client.unary(b"/t.T/Later", b"x")
    shop.exchange(protocol, client)
    shop.calls[0].reply(b"done")
    shop.listener.flush()
    assert len(protocol.transport.writes) == 1
    shop.loop.run_soon()
    assert len(protocol.transport.writes) == 1


def test_long_answers_stop_at_a_full_socket_and_go_on_later(shop: Shop) -> None:
    protocol, client = shop.client()
    call = client.unary(b"/t.T/Later", b"x")
    shop.exchange(protocol, client)
    client.out.append(f.window_update(f.CONNECTION, 1 << 30))
    client.out.append(f.window_update(call.sid, 1 << 30))
    shop.exchange(protocol, client)
    protocol.transport.room = 300_000
    shop.calls[0].reply(b"x" * 5_000_000)
    shop.loop.run_soon()
    written = sum(map(len, protocol.transport.writes))
    assert 300_000 < written < 1_000_000 and shop.calls[0].queued_bytes > 4_000_000
    protocol.transport.room = 1 << 30
    protocol.resume_writing()
    shop.exchange(protocol, client)
    assert [len(m) for m in call.messages] == [5_000_000]


def test_nothing_is_written_to_a_full_socket(shop: Shop) -> None:
    protocol = shop.connect()
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    respond = shop.http[0][1]
    protocol.pause_writing()
    respond.start(200, [])
    respond.write(b"x" * 1000)
    shop.loop.run_soon()
    assert protocol.transport.writes == [] and respond.queued_bytes > 1000
    protocol.resume_writing()
    assert len(protocol.transport.writes) == 1


def test_a_connection_error_is_written_and_the_socket_closed_after_a_while(shop: Shop) -> None:
    protocol, _client = shop.client()
    protocol.data_received(b"\0\0\1\0\0\0\0\0\7x")
    socket = protocol.transport
    assert socket.writes[-1][3] == f.GOAWAY and socket.eof and not socket.closed
    protocol.data_received(b"the client goes on")
    shop.sweep(2)
    assert socket.closed and not socket.aborted
    shop.sweep(5)
    assert socket.aborted and not shop.listener.connections


def test_a_connection_that_says_nothing_is_dropped(shop: Shop) -> None:
    protocol = shop.connect()
    protocol.data_received(b"PR")
    shop.sweep(5)
    assert not protocol.transport.aborted
    shop.sweep(1)
    assert protocol.transport.aborted


def test_a_preface_that_stops_halfway_is_dropped(shop: Shop) -> None:
    protocol = shop.connect()
    protocol.data_received(f.PREFACE[:20])
    shop.sweep(7)
    assert protocol.transport.eof and protocol.transport.writes[-1][3] == f.GOAWAY


def test_a_header_block_that_stops_halfway_is_dropped(shop: Shop) -> None:
    protocol, _ = shop.client()
    protocol.data_received(f.frame(f.HEADERS, 0, b"\0\0\0\1", b"\x82"))
    shop.sweep(10)
    assert not protocol.transport.eof
    shop.sweep(2)
    assert protocol.transport.eof and protocol.transport.writes[-1][3] == f.GOAWAY


def test_connections_above_the_limit_are_dropped_at_once() -> None:
    shop = Shop(TransportLimits(max_connections=2))
    first, _, third = (shop.connect() for _ in range(3))
    assert third.transport.aborted and not first.transport.aborted
    assert len(shop.listener.connections) == 2
    first.connection_lost(None)
    assert not shop.connect().transport.aborted


def test_of_dropped_connections_it_is_told_once_a_second() -> None:
    shop = Shop(TransportLimits(max_connections=1))
    told: list[int] = []
    shop.listener.on_refused = told.append
    shop.connect()
    shop.listener.tell_of_refused()
    assert told == []
    shop.connect()
    shop.connect()
    shop.listener.tell_of_refused()
    shop.listener.tell_of_refused()
    assert told == [2]


def test_who_sends_requests_far_ahead_is_not_read(shop: Shop) -> None:
    protocol = shop.connect()
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 10_000)
    assert not protocol.transport.reading
    while shop.http:
        shop.http.pop()[1].send(204, [], b"")
        shop.listener.flush()
        if protocol.transport.reading:
            break
    assert protocol.transport.reading


def test_one_timer_serves_the_deadlines_of_all_connections(shop: Shop) -> None:
    pairs = [shop.client() for _ in range(3)]
    calls = []
    for number, (protocol, client) in enumerate(pairs):
        calls.append(client.unary(b"/t.T/Later", b"x", timeout_s=1.0 + number))
        shop.exchange(protocol, client)
    assert len([t for t in shop.loop.timers if not t.cancelled]) == 1
    shop.loop.advance(0.99)
    assert [c.status for c in calls] == [None] * 3
    for seconds, statuses in ((0.02, [4, None, None]), (1.0, [4, 4, None]), (1.0, [4, 4, 4])):
        shop.loop.advance(seconds)
        for protocol, client in pairs:
            shop.exchange(protocol, client)
        assert [c.status for c in calls] == statuses
    assert not [t for t in shop.loop.timers if not t.cancelled]


def test_a_deadline_shorter_than_the_one_waited_for_is_met(shop: Shop) -> None:
    protocol, client = shop.client()
    client.unary(b"/t.T/Later", b"x", timeout_s=60.0)
    shop.exchange(protocol, client)
    shop.loop.advance(1.0)
    call = client.unary(b"/t.T/Later", b"x", timeout_s=0.1)
    shop.exchange(protocol, client)
    shop.loop.advance(0.125)
    shop.exchange(protocol, client)
    assert call.status == 4


def test_a_connection_that_is_gone_leaves_the_deadlines(shop: Shop) -> None:
    protocol, client = shop.client()
    client.unary(b"/t.T/Later", b"x", timeout_s=1.0)
    shop.exchange(protocol, client)
    protocol.connection_lost(None)
    shop.loop.advance(5.0)
    assert shop.calls[0].cancelled and not shop.loop.reports


def test_exceptions_of_handlers_are_reported(shop: Shop) -> None:
    protocol, client = shop.client()
    call = client.unary(b"/t.T/Raises", b"x")
    shop.exchange(protocol, client)
    assert call.status == 13
    assert "/t.T/Raises" in shop.loop.reports[0]["message"]


def test_bytes_are_counted_beyond_the_end_of_a_connection(shop: Shop) -> None:
    for size in (10, 20):
        protocol, client = shop.client()
        client.unary(b"/t.T/Now", b"x" * size)
        shop.exchange(protocol, client)
        protocol.connection_lost(None)
        protocol.connection_lost(None)
    protocol, client = shop.client()
    client.unary(b"/t.T/Now", b"x" * 3)
    shop.exchange(protocol, client)
    assert shop.listener.message_bytes_received == 33
    assert shop.listener.message_bytes_sent == 33


def test_a_silent_client_is_pinged_and_dropped() -> None:
    shop = Shop(TransportLimits(keepalive_interval_s=60.0, keepalive_timeout_s=20.0))
    protocol, _ = shop.client()
    shop.sweep(62)
    shop.loop.run_soon()
    assert protocol.transport.writes[-1][3] == f.PING
    shop.sweep(22)
    assert protocol.transport.closed


def test_the_date_is_made_once_a_second(shop: Shop) -> None:
    first = shop.listener.date()
    assert first.endswith(b" GMT") and shop.listener.date() is first
