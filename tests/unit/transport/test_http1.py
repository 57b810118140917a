"""The HTTP/1.1 engine: good requests whole and byte by byte, and everything that is refused."""

from __future__ import annotations

from collections.abc import Callable

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petcd.transport.http import HttpRequest, HttpResponder
from petcd.transport.http1 import Http1ServerEngine
from petcd.transport.limits import HTTP_HEAD_BYTES_MAX, HTTP_PIPELINE_BYTES_MAX
from petcd.transport.options import TransportLimits

LIMITS = TransportLimits(max_http_body_bytes=100_000)


class Site:
    """An engine whose handler keeps what it is given, and answers at once unless told to wait."""

    def __init__(self, limits: TransportLimits = LIMITS, wait: bool = False) -> None:
        self.requests: list[HttpRequest] = []
        self.responders: list[HttpResponder] = []
        self.failures: list[str] = []
        self.wait = wait
        self.now = 100.0
        self.engine = Http1ServerEngine(self._handle, limits, "peer:1", lambda: b"DATE")
        self.engine.on_failure = lambda what, error: self.failures.append(what)
        self.answer: Callable[[HttpRequest, HttpResponder], None] = _echo

    def _handle(self, request: HttpRequest, respond: HttpResponder) -> None:
        self.requests.append(request)
        self.responders.append(respond)
        if not self.wait:
            self.answer(request, respond)

    def say(self, data: bytes, bytewise: bool = False) -> bytes:
        for piece in [data[n : n + 1] for n in range(len(data))] if bytewise else [data]:
            self.engine.receive(piece, self.now)
        return self.take()

    def take(self) -> bytes:
        out = b""
        while data := self.engine.take_output():
            out += data
        return out


def _echo(request: HttpRequest, respond: HttpResponder) -> None:
    respond.send(200, [(b"content-type", b"text/plain")], request.body)


GET = b"GET /health?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v3/kv/put HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"PUT /v2/keys/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
)


@pytest.mark.parametrize("bytewise", [False, True])
def test_a_request_is_handed_over_whole_and_its_answer_framed(bytewise: bool) -> None:
    site = Site()
    out = site.say(POST, bytewise)
    request = site.requests[0]
    assert (request.method, request.target, request.body) == ("POST", "/v3/kv/put", b"hello")
    assert request.headers == [(b"host", b"h"), (b"content-length", b"5")]
    assert request.header(b"host") == b"h" and request.header(b"none") is None
    assert request.peer == "peer:1"
    assert out == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: DATE\r\nContent-Length: 5\r\n\r\n"
        b"hello"
    )
    assert not site.engine.closed


@pytest.mark.parametrize("bytewise", [False, True])
def test_a_chunked_body_is_put_together(bytewise: bool) -> None:
    site = Site()
    site.say(CHUNKED, bytewise)
    assert site.requests[0].body == b"hello world" and not site.engine.closed


@pytest.mark.parametrize("bytewise", [False, True])
def test_requests_sent_ahead_are_answered_in_order(bytewise: bool) -> None:
    site = Site()
    out = site.say(GET + POST + CHUNKED + b"\r\n" + GET, bytewise)
    assert [r.method for r in site.requests] == ["GET", "POST", "PUT", "GET"]
    assert out.count(b"HTTP/1.1 200 OK") == 4


def test_the_next_request_waits_for_the_answer_to_the_one_before() -> None:
    site = Site(wait=True)
    assert site.say(GET + POST) == b"" and len(site.requests) == 1
    site.responders[0].send(204, [], b"")
    assert len(site.requests) == 2
    assert site.take() == b"HTTP/1.1 204 No Content\r\nDate: DATE\r\n\r\n"
    site.responders[1].send(200, [], b"x")
    assert site.take().endswith(b"\r\n\r\nx")


def test_who_sends_too_far_ahead_is_not_read() -> None:
    site = Site(wait=True)
    site.say(GET)
    assert site.engine.wants_input
    site.say(b"x" * HTTP_PIPELINE_BYTES_MAX)
    assert not site.engine.wants_input


def test_an_answer_of_unknown_length_goes_in_chunks() -> None:
    site = Site(wait=True)
    site.say(GET)
    respond = site.responders[0]
    respond.start(200, [(b"x-etcd-index", b"7")])
    respond.write(b"one")
    respond.write(b"")
    respond.write(b"x" * 17)
    respond.end()
    assert site.take() == (
        b"HTTP/1.1 200 OK\r\nX-Etcd-Index: 7\r\nDate: DATE\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\none\r\n11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n"
    )
    assert site.say(GET) == b"" and len(site.requests) == 2


def test_head_gets_the_head_of_the_answer_only() -> None:
    site = Site()
    site.answer = lambda request, respond: respond.send(200, [], b"12345")
    out = site.say(GET.replace(b"GET", b"HEAD"))
    assert out.endswith(b"Content-Length: 5\r\n\r\n")


@pytest.mark.parametrize(
    ("version", "connection", "persistent"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: foo, Close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: keep-alive\r\n", True),
    ],
)
def test_the_connection_lives_on_as_the_client_asks(
    version: bytes, connection: bytes, persistent: bool
) -> None:
    site = Site()
    out = site.say(b"GET / HTTP/" + version + b"\r\nHost: h\r\n" + connection + b"\r\n")
    assert site.engine.closed is not persistent
    assert (b"Connection: close\r\n" in out) is not persistent
    assert (b"Connection: keep-alive\r\n" in out) is (version == b"1.0" and persistent)


def test_a_stream_to_an_old_client_ends_with_the_connection() -> None:
    site = Site(wait=True)
    site.say(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    site.responders[0].start(200, [])
    site.responders[0].write(b"data")
    site.responders[0].end()
    out = site.take()
    assert out.endswith(b"Connection: close\r\n\r\ndata") and site.engine.closed


def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    site = Site()
    head = POST[:-5].replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    assert site.say(head) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert site.say(b"hello").startswith(b"HTTP/1.1 200 OK")


def test_a_body_that_is_too_long_is_refused_instead_of_continued() -> None:
    site = Site()
    out = site.say(
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100001\r\nExpect: 100-continue\r\n\r\n"
    )
    assert out.startswith(b"HTTP/1.1 413 ") and site.engine.closed and site.engine.lingers


def _with(line: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: h\r\n" + line + b"\r\n\r\n"


REFUSED = {
    "no version": (b"GET /\r\n\r\n", 400),
    "version 0.9": (b"GET / HTTP/0.9\r\n\r\n", 505),
    "version 2.0": (b"GET / HTTP/2.0\r\n\r\n", 505),
    "version 1.2": (b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "a tab in the target": (b"GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "a control character in the target": (b"GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "a relative target": (b"GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "CONNECT": (b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "an odd method": (b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (_with(b"Host: g"), 400),
    "a space before the colon": (_with(b"A : b"), 400),
    "no colon": (_with(b"abc"), 400),
    "an empty name": (_with(b": b"), 400),
    "a folded line": (_with(b"A: b\r\n c"), 400),
    "a line that begins with white space": (b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400),
    "a bare LF": (_with(b"A: b\nC: d"), 400),
    "a bare CR": (_with(b"A: b\rC: d"), 400),
    "a NUL": (_with(b"A: \0"), 400),
    "Content-Length that is no number": (_with(b"Content-Length: 5x"), 400),
    "Content-Length with a sign": (_with(b"Content-Length: +5"), 400),
    "Content-Length below 0": (_with(b"Content-Length: -1"), 400),
    "Content-Length as a list": (_with(b"Content-Length: 5, 5"), 400),
    "two different lengths": (_with(b"Content-Length: 5\r\nContent-Length: 6"), 400),
    "an endless length": (_with(b"Content-Length: " + b"9" * 30), 400),
    "length and chunks": (_with(b"Content-Length: 5\r\nTransfer-Encoding: chunked"), 400),
    "another coding": (_with(b"Transfer-Encoding: gzip"), 501),
    "two codings": (_with(b"Transfer-Encoding: gzip, chunked"), 501),
    "chunked twice": (_with(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 501),
    "chunks in HTTP/1.0": (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "an unknown expectation": (_with(b"Expect: miracles"), 417),
    "a body above the limit": (_with(b"Content-Length: 100001"), 413),
    "very many headers": (_with(b"A: b\r\n" * 100 + b"A: b"), 431),
    "a head without end": (b"GET / HTTP/1.1\r\nA: " + b"x" * HTTP_HEAD_BYTES_MAX, 431),
    "a head too long": (_with(b"A: " + b"x" * HTTP_HEAD_BYTES_MAX), 431),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_head_is_refused_and_the_connection_closed(what: str) -> None:
    data, status = REFUSED[what]
    site = Site()
    out = site.say(data)
    assert out.startswith(b"HTTP/1.1 %d " % status), out[:80]
    assert b"\r\nConnection: close\r\n" in out
    assert site.engine.closed and not site.requests
    assert site.say(GET) == b""


BAD_CHUNKS = {
    "no size": (b"\r\n", 400),
    "a size that is no number": (b"x\r\n", 400),
    "a size with a sign": (b"+5\r\nhello\r\n", 400),
    "a size with 0x": (b"0x5\r\nhello\r\n", 400),
    "an endless size": (b"123456789\r\n", 400),
    "a space behind the size": (b"5 \r\nhello\r\n", 400),
    "a bare LF behind the size": (b"5\nhello\r\n", 400),
    "too much data": (b"5\r\nhello!\r\n", 400),
    "a bare LF behind the data": (b"5\r\nhello\n", 400),
    "a body above the limit": (b"186a1\r\n", 413),
    "chunks above the limit": ((b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 4, 413),
    "an extension without end": (b"5;" + b"x" * 5000, 400),
    "a bare CR in an extension": (b"5;a\rb\r\nhello\r\n", 400),
    "trailers without end": (b"0\r\n" + (b"A: " + b"x" * 1000 + b"\r\n") * 20, 431),
}


@pytest.mark.parametrize("what", BAD_CHUNKS)
@pytest.mark.parametrize("bytewise", [False, True])
def test_a_bad_chunk_is_refused_and_the_connection_closed(what: str, bytewise: bool) -> None:
    chunks, status = BAD_CHUNKS[what]
    site = Site()
    out = site.say(_with(b"Transfer-Encoding: chunked") + chunks, bytewise and len(chunks) < 9000)
    assert out.startswith(b"HTTP/1.1 %d " % status), out[:80]
    assert site.engine.closed and not site.requests


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://host:2379/a/b?c", "/a/b?c"),
        (b"HTTPS://host", "/"),
        (b"http://host?x=1", "/?x=1"),
        (b"/%2e%2e/%00", "/%2e%2e/%00"),
        (b"//a", "//a"),
    ],
)
def test_targets_are_handed_over_undecoded_and_without_authority(target: bytes, path: str) -> None:
    site = Site()
    site.say(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    assert site.requests[0].target == path


def test_options_may_ask_about_everything() -> None:
    site = Site()
    site.say(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
    assert site.requests[0].target == "*"


def test_equal_header_sections_are_read_once_and_handed_over_apart() -> None:
    site = Site()
    site.say(GET + GET)
    first, second = site.requests
    first.headers.append((b"spoiled", b""))
    assert second.headers == [(b"host", b"localhost")]
    site.say(GET)
    assert site.requests[2].headers == [(b"host", b"localhost")]


def test_a_handler_that_raises_gives_500_and_the_connection_is_closed() -> None:
    def broken(request: HttpRequest, respond: HttpResponder) -> None:
        raise RuntimeError("broken")

    site = Site()
    site.answer = broken
    assert site.say(GET).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert site.failures == ["GET /health?x=1"] and site.engine.closed


def test_a_handler_that_raises_inside_its_answer_cuts_the_connection() -> None:
    def broken(request: HttpRequest, respond: HttpResponder) -> None:
        respond.start(200, [])
        respond.write(b"half")
        raise RuntimeError("broken")

    site = Site()
    site.answer = broken
    assert not site.say(GET).endswith(b"0\r\n\r\n")
    assert site.engine.closed and site.responders[0].closed


def test_a_client_that_goes_away_is_told_once_and_answers_are_dropped() -> None:
    site = Site(wait=True)
    site.say(GET)
    respond = site.responders[0]
    gone: list[int] = []
    respond.on_close = lambda: gone.append(1)
    respond.start(200, [])
    site.take()
    site.engine.connection_lost()
    site.engine.connection_lost()
    respond.write(b"x")
    respond.end()
    assert gone == [1] and respond.closed and site.take() == b""


def test_an_answer_outside_receive_wakes_the_shell_once() -> None:
    site = Site(wait=True)
    woken: list[int] = []
    site.engine.on_output = lambda: woken.append(1)
    site.say(GET)
    site.responders[0].start(200, [])
    site.responders[0].write(b"x")
    assert woken == [1]
    site.take()
    site.responders[0].end()
    assert woken == [1, 1]


def test_a_writer_is_told_when_the_socket_took_its_bytes() -> None:
    site = Site(wait=True)
    site.say(GET)
    respond = site.responders[0]
    respond.start(200, [])
    left = [b"x" * 1000] * 5
    respond.on_drain = lambda: respond.write(left.pop()) if left else respond.end()
    respond.write(b"first")
    assert respond.queued_bytes > 5
    out = site.take()
    assert out.count(b"3e8\r\n") == 5 and out.endswith(b"0\r\n\r\n")


def test_a_full_socket_keeps_the_writer_waiting() -> None:
    site = Site(wait=True)
    site.say(GET)
    respond = site.responders[0]
    drained: list[int] = []
    respond.on_drain = lambda: drained.append(1)
    respond.start(200, [])
    site.engine.take_output()
    site.engine.pause_writing()
    assert site.engine.take_output() == b"" and drained == []
    site.engine.resume_writing()
    site.engine.take_output()
    assert drained == [1]


def _tick(site: Site, seconds: float) -> None:
    site.now += seconds
    site.engine.tick(site.now)


def test_a_slow_head_is_cut_off() -> None:
    site = Site()
    site.say(GET[:10])
    for _ in range(10):
        _tick(site, 1.0)
        site.say(b"x")
    assert not site.engine.closed
    _tick(site, 1.0)
    assert site.take().startswith(b"HTTP/1.1 408 ") and site.engine.closed


def test_a_slow_body_is_cut_off_and_a_steady_one_is_not() -> None:
    slow, steady = Site(), Site()
    head = _with(b"Content-Length: 50000")
    for site in (slow, steady):
        site.say(head)
    for _ in range(60):
        slow.say(b"x" * 10)
        steady.say(b"x" * 500)
        for site in (slow, steady):
            _tick(site, 1.0)
    assert slow.engine.closed and not steady.engine.closed


def test_an_idle_connection_is_closed_in_silence() -> None:
    site = Site()
    site.say(GET)
    _tick(site, 299.0)
    assert not site.engine.closed
    _tick(site, 2.0)
    assert site.engine.closed and site.take() == b""


def test_a_request_that_is_being_answered_has_no_time_limit() -> None:
    site = Site(wait=True)
    site.say(GET)
    _tick(site, 100_000.0)
    assert not site.engine.closed


def test_a_client_that_never_reads_is_given_up() -> None:
    site = Site(wait=True)
    site.say(GET)
    site.engine.pause_writing()
    _tick(site, 299.0)
    assert not site.engine.closed
    _tick(site, 2.0)
    assert site.engine.closed and site.responders[0].closed


def test_a_graceful_stop_finishes_the_answer_and_closes() -> None:
    site = Site(wait=True)
    site.say(GET + GET)
    site.engine.drain()
    assert not site.engine.closed
    site.responders[0].send(200, [], b"x")
    assert b"Connection: close" in site.take()
    assert site.engine.closed and len(site.requests) == 1


def test_a_graceful_stop_closes_an_idle_connection_at_once() -> None:
    site = Site()
    site.say(GET)
    site.engine.drain()
    assert site.engine.closed


_TOKEN = st.text("abcdefXYZ-!#09", min_size=1, max_size=12)
_VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30)


class _Oracle:
    """What httptools makes of a request."""

    def __init__(self, data: bytes) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        self.method = parser.get_method().decode()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH"]),
    st.text("abc/?&=%20-._~", max_size=20),
    st.lists(st.tuples(_TOKEN.map("x-".__add__), _VALUE), max_size=6),
    st.lists(st.binary(min_size=1, max_size=50), max_size=4),
    st.booleans(),
    st.integers(1, 50),
)
def test_good_requests_are_read_as_httptools_reads_them(
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    pieces: list[bytes],
    chunked: bool,
    cut: int,
) -> None:
    lines = [f"{method} /{path} HTTP/1.1", "Host: h", *(f"{n}: {v}" for n, v in headers)]
    body = b"".join(pieces)
    lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
    data = "\r\n".join([*lines, "", ""]).encode()
    if chunked:
        data += b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
    else:
        data += body
    oracle = _Oracle(data)
    site = Site()
    for pos in range(0, len(data), cut):
        site.engine.receive(data[pos : pos + cut], site.now)
    request = site.requests[0]
    assert (request.method, request.target) == (oracle.method, oracle.url.decode())
    assert request.headers == oracle.headers
    assert request.body == oracle.body == body
