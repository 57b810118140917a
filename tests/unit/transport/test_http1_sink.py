"""Bodies that are taken in pieces: passed on as they come, held back, refused before they end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from petcd.transport.http import BodySink, HttpRequest, HttpResponder
from petcd.transport.http1 import Http1ServerEngine
from petcd.transport.options import TransportLimits

LIMITS = TransportLimits(max_http_body_bytes=4, header_timeout_s=10.0)
LONG = b"POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789"
CHUNKED = (
    b"POST /big HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"
)
SHORT = b"POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
OK = b"HTTP/1.1 200 OK\r\nDate: DATE\r\nContent-Length: 0\r\n\r\n"


class Sink:
    """Keeps what it gets; `room` is how many pieces it takes before it is full."""

    def __init__(self, respond: HttpResponder) -> None:
        self.respond = respond
        self.pieces: list[bytes] = []
        self.ended = False
        self.room = 1000
        self.more_wanted: Callable[[], None] = lambda: None
        self.on_write: Callable[[], None] = lambda: None

    @property
    def full(self) -> bool:
        return len(self.pieces) >= self.room

    def write(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self.on_write()

    def end(self) -> None:
        self.ended = True
        self.respond.send(200, [], b"")


class Site:
    """An engine that gives what comes to /big to a sink."""

    def __init__(self) -> None:
        self.sinks: list[Sink] = []
        self.handled: list[bytes] = []
        self.lost: list[str] = []
        self.failures: list[str] = []
        self.wakes = 0
        self.prepare: Callable[[Sink], None] = lambda sink: None
        self.engine = Http1ServerEngine(self._handle, LIMITS, "peer:1", lambda: b"DATE")
        self.engine.open_sink = self._open
        self.engine.on_failure = lambda what, error: self.failures.append(what)
        self.engine.on_output = self._wake

    def _wake(self) -> None:
        self.wakes += 1

    def _handle(self, request: HttpRequest, respond: HttpResponder) -> None:
        self.handled.append(request.body)
        respond.send(200, [], b"")

    def _open(self, request: HttpRequest, respond: HttpResponder) -> BodySink | None:
        if request.target != "/big":
            return None
        respond.on_close = lambda: self.lost.append(request.target)
        sink = Sink(respond)
        self.sinks.append(sink)
        self.prepare(sink)
        return sink

    def say(self, data: bytes, size: int = 1 << 20, now: float = 0.0) -> bytes:
        for start in range(0, len(data), size):
            self.engine.receive(data[start : start + size], now)
        return self.take()

    def take(self) -> bytes:
        out = b""
        while data := self.engine.take_output():
            out += data
        return out


@pytest.mark.parametrize("request_", [LONG, CHUNKED])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_sink_gets_the_body_however_it_comes(request_: bytes, size: int) -> None:
    site = Site()
    assert site.say(request_ * 2, size) == OK * 2
    for sink in site.sinks:
        assert b"".join(sink.pieces) == b"0123456789" and sink.ended
    assert len(site.sinks) == 2 and not site.engine.closed


def test_other_requests_keep_the_usual_bound() -> None:
    site = Site()
    assert site.say(SHORT + LONG + SHORT) == OK * 3
    assert site.handled == [b"body", b"body"]
    assert b" 413 " in site.say(LONG.replace(b"/big", b"/huge"))


def test_a_full_sink_holds_the_client_back_until_it_wants_more() -> None:
    site = Site()
    site.prepare = lambda sink: setattr(sink, "room", 1)
    head, _, body = LONG.partition(b"\r\n\r\n")
    assert site.say(head + b"\r\n\r\n" + body[:4]) == b""
    (sink,) = site.sinks
    assert not site.engine.wants_input
    assert site.say(body[4:]) == b"" and sink.pieces == [b"0123"]
    site.engine.tick(1000.0)
    assert not site.engine.closed, "the client is not to blame"
    sink.room = 9
    sink.more_wanted()
    assert sink.pieces == [b"0123", b"456789"] and site.wakes and site.take() == OK
    assert site.engine.wants_input


def test_an_answer_before_the_body_closes_the_connection() -> None:
    site = Site()
    site.prepare = lambda sink: sink.respond.send(412, [], b"no")
    answer = site.say(LONG + SHORT)
    assert answer.startswith(b"HTTP/1.1 412 ") and b"Connection: close" in answer
    assert site.engine.closed and site.engine.lingers
    assert not site.sinks[0].pieces and not site.handled


def test_an_answer_in_the_middle_of_the_body_closes_the_connection() -> None:
    site = Site()

    def refuse(sink: Sink) -> None:
        sink.on_write = lambda: sink.respond.send(500, [], b"full")

    site.prepare = refuse
    answer = site.say(LONG[:-3])
    assert answer.startswith(b"HTTP/1.1 500 ") and answer.count(b"HTTP/1.1") == 1
    assert site.engine.closed and site.engine.lingers and not site.sinks[0].ended


def test_a_client_that_goes_away_is_told_to_the_sink_once() -> None:
    site = Site()
    site.say(LONG[:-3])
    site.engine.connection_lost()
    site.engine.connection_lost()
    assert site.lost == ["/big"] and not site.sinks[0].ended


def test_a_client_that_stops_sending_is_cut_off() -> None:
    site = Site()
    site.say(LONG[:-3], now=5.0)
    site.engine.tick(14.0)
    assert not site.engine.closed
    site.engine.tick(16.0)
    assert site.engine.closed and site.lost == ["/big"]
    assert b" 408 " in site.take()


def test_malformed_chunks_are_refused_and_told_to_the_sink() -> None:
    site = Site()
    assert b" 400 " in site.say(CHUNKED.replace(b"5\r\n5", b"x\r\n5"))
    assert site.lost == ["/big"] and site.engine.closed


def test_a_sink_that_fails_costs_its_connection_only() -> None:
    site = Site()
    site.prepare = lambda sink: setattr(sink, "on_write", lambda: 1 / 0)
    assert site.say(LONG) == b""
    assert site.failures and site.lost == ["/big"] and site.engine.closed


def test_an_opener_that_fails_costs_its_connection_only() -> None:
    site = Site()
    site.prepare = lambda sink: 1 / 0  # type: ignore[assignment, return-value]
    assert site.say(LONG) == b""
    assert site.failures and site.engine.closed
