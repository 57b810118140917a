"""Real clients on real sockets of the loopback: grpcio, and curl in both HTTP versions.

One server runs in a thread for the whole module; every wait has an end.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import grpc
import pytest
import uvloop

from petcd.transport.call import Call
from petcd.transport.http import HttpRequest, HttpResponder
from petcd.transport.listener import Listener
from petcd.transport.options import TransportLimits
from petcd.transport.router import BIDI, CLIENT_STREAM, SERVER_STREAM, UNARY, Method, Router

WAIT_S = 20
PARTS = 50


class Site:
    """What the server is asked for and told: filled on its loop, read by the tests."""

    def __init__(self) -> None:
        self.cancelled: Future[Call] = Future()
        self.metadata: dict[bytes, bytes] = {}
        self.deadline: float | None = None

    def router(self) -> Router:
        router = Router()
        for name, kind, handler in (
            ("Echo", UNARY, self.echo),
            ("Fail", UNARY, self.fail),
            ("Never", UNARY, self.never),
            ("Count", SERVER_STREAM, self.count),
            ("Sum", CLIENT_STREAM, self.sum),
            ("Bidi", BIDI, self.bidi),
            ("Flood", SERVER_STREAM, self.flood),
        ):
            router.add(Method(b"/t.T/" + name.encode(), kind, handler))
        return router

    def echo(self, call: Call, body: bytes) -> None:
        self.metadata = call.metadata()
        self.deadline = call.deadline
        call.reply(body)

    def fail(self, call: Call, body: bytes) -> None:
        call.fail(body[0], body[1:].decode())

    def never(self, call: Call, body: bytes) -> None:
        call.on_cancel = lambda: self.cancelled.set_result(call)

    def count(self, call: Call) -> None:
        def go(body: bytes) -> None:
            for number in range(int(body)):
                call.send(b"%d" % number)
            call.finish()

        call.on_message = go

    def sum(self, call: Call) -> None:
        total = [0]

        def add(body: bytes) -> None:
            total[0] += int(body)

        def done() -> None:
            call.send(b"%d" % total[0])
            call.finish()

        call.on_message = add
        call.on_half_close = done

    def bidi(self, call: Call) -> None:
        call.on_message = lambda body: call.send(body.upper())
        call.on_half_close = lambda: call.finish(11, "etcdserver: mvcc: bidi is over")
        call.on_cancel = lambda: self.cancelled.set_result(call)

    def flood(self, call: Call) -> None:
        left = [40]

        def more() -> None:
            while left[0] and call.queued_bytes < 100_000:
                left[0] -= 1
                call.send(b"x" * 300_000)
            if not left[0]:
                left[0] = -1
                call.finish()

        call.on_drain = lambda: more() if left[0] > 0 else None
        call.on_message = lambda body: more()

    def http(self, request: HttpRequest, respond: HttpResponder) -> None:
        if request.target == "/stream":
            respond.start(200, [(b"content-type", b"text/plain")])
            for number in range(PARTS):
                respond.write(b"%d\n" % number)
            respond.end()
        elif request.target == "/big":
            respond.send(200, [], b"y" * 3_000_000)
        else:
            text = f"{request.method} {request.target} {len(request.body)}\n"
            respond.send(200, [(b"content-type", b"text/plain")], text.encode())


class Server:
    """A listener on a loop of its own, in a thread."""

    def __init__(self, site: Site, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.site = site
        self.started: Future[int] = Future()
        self.loop = new_loop()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        self.port = self.started.result(WAIT_S)
        self.target = f"127.0.0.1:{self.port}"

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._serve())
        self.loop.close()

    async def _serve(self) -> None:
        self.over = asyncio.Event()
        limits = TransportLimits(max_message_bytes=4 << 20)
        self.listener = Listener(self.site.router(), self.site.http, limits)
        _, port = await self.listener.start("127.0.0.1", 0)
        self.started.set_result(port)
        await self.over.wait()
        await self.listener.stop(WAIT_S)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    new_loop = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    server = Server(Site(), new_loop)
    yield server
    server.stop()


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(server.target, options) as channel:
        yield channel


def _fault(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error.code().value[0], error.details()


@pytest.mark.parametrize("size", [0, 10, 5_000, 100_000, 4 << 20])
def test_grpcio_gets_its_messages_back(channel: grpc.Channel, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    assert channel.unary_unary("/t.T/Echo")(body[:size], timeout=WAIT_S) == body[:size]


def test_grpcio_may_compress_what_it_sends(channel: grpc.Channel) -> None:
    body = b"again and " * 20_000
    echo = channel.unary_unary("/t.T/Echo")
    assert echo(body, timeout=WAIT_S, compression=grpc.Compression.Gzip) == body
    bidi = channel.stream_stream("/t.T/Bidi")
    heard = bidi(iter([b"a" * 5000]), timeout=WAIT_S, compression=grpc.Compression.Gzip)
    assert next(heard) == b"A" * 5000
    heard.cancel()


def test_grpcios_metadata_and_deadline_arrive(channel: grpc.Channel, server: Server) -> None:
    metadata = (("token", "abc"), ("hasleader", "true"), ("trace-bin", b"\0\xff"))
    channel.unary_unary("/t.T/Echo")(b"", timeout=WAIT_S, metadata=metadata)
    found = server.site.metadata
    assert found[b"token"] == b"abc" and found[b"hasleader"] == b"true"
    assert found[b"trace-bin"] == b"\0\xff" and found[b":authority"] == server.target.encode()
    assert server.site.deadline is not None


@pytest.mark.parametrize(
    "text", ["", "etcdserver: no leader", "Größe über 100 % \t\n ☃ \U0001f600", "x" * 3000]
)
def test_grpcio_reads_codes_and_texts_of_errors(channel: grpc.Channel, text: str) -> None:
    fail = channel.unary_unary("/t.T/Fail")
    for code in range(1, 17):
        body = bytes((code,)) + text.encode()
        assert _fault(lambda body=body: fail(body, timeout=WAIT_S)) == (code, text)


def test_grpcio_hears_of_unknown_methods(channel: grpc.Channel) -> None:
    assert _fault(lambda: channel.unary_unary("/t.T/Nope")(b"", timeout=WAIT_S)) == (
        12,
        "unknown method Nope for service t.T",
    )
    assert _fault(lambda: channel.unary_unary("/a.B/C")(b"", timeout=WAIT_S)) == (
        12,
        "unknown service a.B",
    )


def test_grpcio_hears_of_a_message_that_is_too_long(channel: grpc.Channel) -> None:
    size = (4 << 20) + 1
    assert _fault(lambda: channel.unary_unary("/t.T/Echo")(bytes(size), timeout=WAIT_S)) == (
        8,
        f"grpc: received message larger than max ({size} vs. {4 << 20})",
    )


def test_grpcio_streams_in_every_direction(channel: grpc.Channel) -> None:
    count = channel.unary_stream("/t.T/Count")(b"1000", timeout=WAIT_S)
    assert list(count) == [b"%d" % n for n in range(1000)]
    numbers = (b"%d" % n for n in range(1000))
    assert channel.stream_unary("/t.T/Sum")(numbers, timeout=WAIT_S) == b"499500"
    answers = channel.stream_stream("/t.T/Bidi")(iter([b"a", b"b", b""]), timeout=WAIT_S)
    found = []
    assert _fault(lambda: [found.append(m) for m in answers]) == (
        11,
        "etcdserver: mvcc: bidi is over",
    )
    assert found == [b"A", b"B", b""]


def test_a_flood_of_messages_is_paced_by_on_drain(channel: grpc.Channel) -> None:
    flood = channel.unary_stream("/t.T/Flood")(b"", timeout=WAIT_S)
    assert [len(message) for message in flood] == [300_000] * 40


def test_grpcios_deadline_ends_the_call_on_both_sides(
    channel: grpc.Channel, server: Server
) -> None:
    server.site.cancelled = Future()
    code, _ = _fault(lambda: channel.unary_unary("/t.T/Never")(b"", timeout=0.2))
    assert code == 4
    assert server.site.cancelled.result(WAIT_S).cancelled


def test_grpcios_cancellation_reaches_the_handler(channel: grpc.Channel, server: Server) -> None:
    server.site.cancelled = Future()
    release = threading.Event()

    def requests() -> Iterator[bytes]:
        yield b"hello"
        release.wait(WAIT_S)

    stream = channel.stream_stream("/t.T/Bidi")(requests(), timeout=WAIT_S)
    assert next(stream) == b"HELLO"
    stream.cancel()
    assert server.site.cancelled.result(WAIT_S).cancelled
    release.set()


def test_many_grpcio_calls_at_once(channel: grpc.Channel) -> None:
    echo = channel.unary_unary("/t.T/Echo")
    calls = [echo.future(b"%d" % n, timeout=WAIT_S) for n in range(500)]
    assert [call.result(WAIT_S) for call in calls] == [b"%d" % n for n in range(500)]


curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
VERSIONS = ["--http1.1", "--http1.0", "--http2-prior-knowledge"]


def _curl(server: Server, version: str, path: str, *options: str, data: bytes = b"") -> bytes:
    command = ["curl", "-s", "-S", "-m", str(WAIT_S), version, *options]
    done = subprocess.run(
        [*command, f"http://{server.target}{path}"],
        input=data,
        capture_output=True,
        timeout=2 * WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@curl
@pytest.mark.parametrize("version", VERSIONS)
def test_curl_gets_posts_and_streams(server: Server, version: str) -> None:
    assert _curl(server, version, "/health?a=b") == b"GET /health?a=b 0\n"
    posted = _curl(server, version, "/v3/kv/put", "--data-binary", "@-", data=b"x" * 2_000_000)
    assert posted == b"POST /v3/kv/put 2000000\n"
    assert _curl(server, version, "/stream") == b"".join(b"%d\n" % n for n in range(PARTS))
    assert _curl(server, version, "/big") == b"y" * 3_000_000


@curl
def test_curl_uploads_in_chunks(server: Server) -> None:
    chunked = ["-T", "-", "-H", "Expect:"]
    assert _curl(server, "--http1.1", "/a", *chunked, data=b"z" * 100_000) == b"PUT /a 100000\n"


@curl
def test_curl_uses_a_connection_again(server: Server) -> None:
    again = f"http://{server.target}/two"
    out = _curl(server, "--http1.1", "/one", again, "-w", "%{num_connects}\n")
    assert out == b"GET /two 0\n1\nGET /one 0\n0\n"


def test_a_client_that_breaks_the_rules_reads_why(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), WAIT_S) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost : h\r\n\r\n" + b"x" * 100_000)
        data = b""
        while piece := peer.recv(65_536):
            data += piece
    assert data.startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_graceful_stop_ends_what_is_idle_and_refuses_what_is_new() -> None:
    server = Server(Site(), asyncio.new_event_loop)
    with grpc.insecure_channel(server.target) as channel:
        assert channel.unary_unary("/t.T/Echo")(b"x", timeout=WAIT_S) == b"x"
        with socket.create_connection(("127.0.0.1", server.port), WAIT_S) as idle:
            idle.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert idle.recv(1000).startswith(b"HTTP/1.1 200 OK")
            server.stop()
            assert idle.recv(1000) == b""
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port), WAIT_S)
