"""The transport's engines on hostile bytes.

The law: any bytes at any time lead to events or to the documented end of the connection (`error`
for HTTP/2, a 4xx or 5xx and `closed` for HTTP/1.1), never to an exception, and nothing that an
engine keeps grows with what it is sent. Invariants of the sending half are checked after each step.

Bytes are frames built with everything that can be wrong about them, then cut or changed. A failure
names the seed, which repeats it.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hpack import Encoder

from petcd.transport import frames as f
from petcd.transport.call import Call
from petcd.transport.h2_client import ClientCall, Http2ClientEngine
from petcd.transport.h2_connection import Http2Connection
from petcd.transport.h2_server import Http2ServerEngine
from petcd.transport.http import HttpRequest, HttpResponder
from petcd.transport.http1 import Http1ServerEngine
from petcd.transport.limits import (
    FRAME_BYTES_MAX,
    HEADER_BLOCK_BYTES_MAX,
    HTTP_HEAD_BYTES_MAX,
    HTTP_PIPELINE_BYTES_MAX,
)
from petcd.transport.options import TransportLimits
from petcd.transport.router import BIDI, CLIENT_STREAM, SERVER_STREAM, UNARY, Method, Router

SEEDS = 60
STEPS = 150
LIMITS = TransportLimits(
    max_concurrent_streams=20,
    max_message_bytes=50_000,
    max_http_body_bytes=20_000,
    output_bytes_max=30_000,
)


class Frames:
    """Makes frames. `spite` is the chance of something that must end the connection: small, so that
    the engine gets somewhere before."""

    def __init__(self, rng: random.Random, paths: list[bytes]) -> None:
        self.rng = rng
        self.paths = paths
        self.encoder = Encoder()
        self.next_id = -1
        self.ids: list[int] = []
        self.spite = rng.choice([0.0, 0.0, 0.003, 0.03])

    def sid(self) -> bytes:
        rng = self.rng
        if not self.ids or rng.random() < self.spite:
            return rng.randrange(1 << 32).to_bytes(4, "big")
        return rng.choice(self.ids[-12:]).to_bytes(4, "big")

    def some(self) -> bytes:
        rng = self.rng
        if not self.ids:
            return self.headers()
        data = rng.choices([self.headers, self.data, self.control], [30, 40, 20])[0]()
        if rng.random() < self.spite:
            return self.noise() + data
        if data and rng.random() < self.spite:
            at = rng.randrange(len(data))
            return data[:at] + bytes((rng.randrange(256),)) + data[at + 1 :]
        if rng.random() < self.spite:
            return data[: rng.randrange(len(data) + 1)]
        return data

    def noise(self) -> bytes:
        return self.rng.randbytes(self.rng.randrange(40))

    def block(self) -> bytes:
        rng = self.rng
        fields = [
            (b":method", rng.choice([b"POST", b"POST", b"POST", b"GET"])),
            (b":scheme", b"http"),
            (b":path", rng.choice(self.paths)),
            (b"content-type", rng.choice([b"application/grpc"] * 5 + [b"text/plain", b""])),
            (b"te", b"trailers"),
        ]
        for _ in range(rng.choice([0, 0, 0, 1, 3, 60])):
            fields.append((rng.choice([b"token", b"x-bin", b"grpc-timeout", b"A"]), self.noise()))
        if rng.random() < 0.5:
            fields.append((b"grpc-timeout", b"%du" % rng.randrange(10**8)))
        if rng.random() < 0.05:
            rng.shuffle(fields)
        if rng.random() < 0.02:
            self.encoder.header_table_size = rng.choice([0, 100, 4096])
        return self.encoder.encode(fields, huffman=rng.random() < 0.7)

    def headers(self) -> bytes:
        rng = self.rng
        if rng.random() < 0.9:
            self.next_id += 2
            self.ids.append(self.next_id)
            sid = self.next_id.to_bytes(4, "big")
        else:
            sid = self.sid()
        block = self.block()
        flags = rng.choice([4, 4, 4, 4, 4, 5, 0x24, 0x0C])
        if flags == 0x24:
            block = bytes(5) + block
        if flags == 0x0C:
            block = b"\x02" + block + b"\0\0"
        if flags < 8 and rng.random() < 0.1:
            cut = rng.randrange(len(block) + 1)
            return f.frame(f.HEADERS, flags & ~4, sid, block[:cut]) + f.frame(
                f.CONTINUATION, 4, sid, block[cut:]
            )
        return f.frame(f.HEADERS, flags, sid, block)

    def data(self) -> bytes:
        rng = self.rng
        size = rng.choice([0, 1, 20, 300, 5000, 16_000, 60_000])
        body = bytes((rng.choice([0] * 30 + [1, 2]),)) + size.to_bytes(4, "big") + bytes(size)
        if rng.random() < 0.2:
            body = body[rng.randrange(len(body)) :]
        flags = rng.choice([0, 1, 1, 1, 8])
        if flags == 8:
            body = b"\x03" + body[:1000] + b"\0\0\0"
        sid = self.sid()
        pieces = [body[n : n + 16_384] for n in range(0, len(body), 16_384)] or [b""]
        last = len(pieces) - 1
        return b"".join(
            f.frame(f.DATA, flags if n == last else flags & 8, sid, piece)
            for n, piece in enumerate(pieces)
        )

    def control(self) -> bytes:
        rng = self.rng
        number = rng.randrange(8)
        kind = rng.choice([1, 3, 4, 4, 4, 6, 9])
        settings = [(kind, rng.choice([0, 1, 100, 16_384, 65_535, 1 << 20]))]
        if rng.random() < self.spite:
            settings = [(rng.randrange(8), rng.randrange(1 << 32))]
        return [
            f.rst_stream(self.sid(), rng.randrange(20)),
            f.window_update(self.sid(), rng.choice([1, 1000, 100_000, 100_000, 0x7FFFFFFF])),
            f.window_update(f.CONNECTION, rng.choice([1, 1000, 100_000])),
            f.settings_frame(settings * rng.choice([1, 1, 1, 5])),
            f.frame(f.SETTINGS, 1, f.CONNECTION, b""),
            f.frame(f.PING, rng.randrange(2), f.CONNECTION, bytes(8)),
            f.frame(rng.choice([f.PRIORITY, 0x99]), 0, self.sid(), bytes(5)),
            f.goaway(self.sid(), rng.randrange(14), b"why") if rng.random() < 0.02 else b"",
        ][number]

    def answer(self) -> bytes:
        """What a server would send."""
        rng = self.rng
        fields = [(b":status", rng.choice([b"200", b"200", b"404", b"100", b"x"]))]
        fields.append((b"content-type", rng.choice([b"application/grpc", b"text/html"])))
        if rng.random() < 0.3:
            fields = [(b"grpc-status", rng.choice([b"0", b"5", b"x"])), (b"grpc-message", b"%zz")]
        block = self.encoder.encode(fields)
        return f.frame(f.HEADERS, rng.choice([4, 4, 5]), self.sid(), block)


def check_sending_half(engine: Http2Connection) -> None:
    queued = kept = 0
    for stream in engine.streams.values():
        sender = stream.sender
        if sender is not None:
            assert sender.queued_bytes == sum(len(chunk) for chunk in sender.chunks)
            queued += sender.queued_bytes
        if stream.intake is not None:
            assert stream.intake.window >= 0
            assert stream.intake.kept == len(stream.intake.buffer) + stream.kept_bytes()
            kept += stream.intake.kept
    assert engine.queued_bytes == queued and engine.kept_bytes == kept
    assert all(sender.ready for sender in engine.ready)
    assert engine.reserve_used >= 0
    assert len(engine.rest) <= FRAME_BYTES_MAX + 9
    assert engine.block is None or len(engine.block) <= HEADER_BLOCK_BYTES_MAX
    assert not (engine.closed and engine.streams)


class Service:
    """Handlers that answer now, later or never, as chance has it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.open: list[Any] = []
        router = Router()
        for name, kind in (("U", UNARY), ("S", SERVER_STREAM), ("C", CLIENT_STREAM), ("B", BIDI)):
            handler = self.unary if kind == UNARY else self.stream
            router.add(Method(b"/t.T/" + name.encode(), kind, handler))
        self.router = router
        self.engine = Http2ServerEngine(router, LIMITS, "p", self.http)

    def unary(self, call: Call, body: bytes) -> None:
        if self.rng.random() < 0.6:
            call.reply(bytes(self.rng.choice([0, 10, 2000, 30_000])))
        else:
            self.open.append(call)

    def stream(self, call: Call) -> None:
        self.open.append(call)
        call.on_message = lambda body: call.send(body[:100])
        call.on_drain = lambda: call.send(b"more") if self.rng.random() < 0.2 else None
        if self.rng.random() < 0.3:
            call.on_half_close = call.finish
        if self.rng.random() < 0.1:
            call.on_cancel = lambda: call.finish(1, "again")

    def http(self, request: HttpRequest, respond: HttpResponder) -> None:
        if self.rng.random() < 0.5:
            respond.send(self.rng.choice([200, 204, 404]), [(b"a", b"b")], b"x" * 100)
        else:
            self.open.append(respond)

    def act(self) -> None:
        if not self.open:
            return
        call = self.rng.choice(self.open)
        if not isinstance(call, Call):
            call.send(200, [], bytes(self.rng.choice([0, 10, 50_000])))
            self.open.remove(call)
        elif call.method.kind == UNARY:
            call.reply(b"later") if self.rng.random() < 0.8 else call.fail(5, "later ☃")
            self.open.remove(call)
        elif self.rng.random() < 0.8:
            call.send(bytes(self.rng.choice([0, 10, 20_000])))
        else:
            call.finish(self.rng.choice([0, 0, 14]), "over")
            self.open.remove(call)

    def counts_add_up(self) -> None:
        open_calls = [s for s in self.engine.streams.values() if isinstance(s, Call)]
        unfinished = sum(call.state != 2 for call in open_calls)
        started = sum(method.started for method in self.router.methods())
        handled = sum(sum(method.handled.values()) for method in self.router.methods())
        assert started == handled + unfinished


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_server_engine_survives_any_frames(seed: int) -> None:
    rng = random.Random(seed)
    service = Service(rng)
    engine = service.engine
    frames = Frames(rng, [b"/t.T/U", b"/t.T/U", b"/t.T/B", b"/t.T/S", b"/t.T/C", b"/t.T/X", b"*"])
    now = 0.0
    engine.receive(f.PREFACE + f.settings_frame([]), now)
    for _ in range(STEPS):
        now += rng.choice([0.0, 0.001, 0.3])
        data = frames.some()
        for piece in _cut(rng, data):
            engine.receive(piece, now)
        check_sending_half(engine)
        chance = rng.random()
        if chance < 0.5:
            service.act()
        elif chance < 0.9:
            engine.take_output()
        elif chance < 0.92:
            engine.pause_writing() if rng.random() < 0.5 else engine.resume_writing()
        elif chance < 0.94:
            engine.expire(now)
        elif chance < 0.95:
            engine.tick(now)
        elif chance < 0.951:
            engine.drain()
        check_sending_half(engine)
        service.counts_add_up()
        if engine.closed:
            break
    engine.connection_lost()
    service.counts_add_up()
    assert engine.queued_bytes == 0 and engine.reserve_used == 0
    while service.open:
        service.act()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_client_engine_survives_any_frames(seed: int) -> None:
    rng = random.Random(seed)
    engine = Http2ClientEngine(b"h", max_message_bytes=50_000)
    calls: list[ClientCall] = []
    frames = Frames(rng, [b"/"])
    frames.headers = frames.answer  # type: ignore[method-assign]
    calls.append(engine.open(b"/t.T/B"))
    frames.ids.append(1)
    for step in range(STEPS):
        if rng.random() < 0.4:
            call = engine.open(b"/t.T/B", timeout_s=rng.random())
            calls.append(call)
            if call.sid:
                frames.ids.append(int.from_bytes(call.sid, "big"))
        if calls and rng.random() < 0.5:
            call = rng.choice(calls)
            call.send(bytes(rng.choice([0, 10, 40_000])), last=rng.random() < 0.3)
        if calls and rng.random() < 0.1:
            rng.choice(calls).cancel()
        if step and rng.random() < 0.5:
            engine.take_output()
        for piece in _cut(rng, frames.some()):
            engine.receive(piece, 0.0)
        check_sending_half(engine)
        if engine.closed:
            break
    engine.connection_lost()
    assert all(call.status is not None for call in calls)
    assert engine.queued_bytes == 0 and not engine.streams


def _cut(rng: random.Random, data: bytes) -> list[bytes]:
    """Whole, in two, or byte by byte."""
    chance = rng.random()
    if chance < 0.7 or not data:
        return [data]
    if chance < 0.95 or len(data) > 500:
        at = rng.randrange(len(data))
        return [data[:at], data[at:]]
    return [data[n : n + 1] for n in range(len(data))]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_plain_noise_is_refused_by_every_engine(seed: int) -> None:
    rng = random.Random(seed)
    noise = rng.randbytes(rng.choice([1, 30, 1000, 100_000]))
    for prefix in (b"", f.PREFACE, f.PREFACE + f.settings_frame([])):
        server = Service(rng).engine
        server.receive(prefix + noise, 0.0)
        check_sending_half(server)
    client = Http2ClientEngine(b"h")
    client.receive(noise, 0.0)
    check_sending_half(client)
    for prefix in (b"", b"GET / HTTP/1.1\r\nHost: h\r\n", b"GET / HTTP/1.1\r\n"):
        plain = _http1(rng, [])
        plain.receive(prefix + noise, 0.0)
        plain.take_output()


_LINES = [
    b"GET / HTTP/1.1\r\n",
    b"POST /v3/kv/put HTTP/1.1\r\n",
    b"PUT /v2/keys/a?x=%20 HTTP/1.0\r\n",
    b"Host: h\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 99999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"A: " + b"b" * 3000 + b"\r\n",
    b"\r\n",
    b"\r\n",
    b"\r\n",
    b"hello",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"fffff\r\n",
    b"\n",
    b"\0",
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
]


def _http1(rng: random.Random, waiting: list[HttpResponder]) -> Http1ServerEngine:
    def handler(request: HttpRequest, respond: HttpResponder) -> None:
        if rng.random() < 0.7:
            respond.send(200, [], request.body)
        else:
            respond.start(200, [])
            waiting.append(respond)

    return Http1ServerEngine(handler, LIMITS, "p", lambda: b"DATE")


@pytest.mark.parametrize("seed", range(SEEDS * 3))
def test_the_http_1_engine_survives_any_lines(seed: int) -> None:
    rng = random.Random(seed)
    waiting: list[HttpResponder] = []
    engine = _http1(rng, waiting)
    now = 0.0
    for _ in range(STEPS):
        now += rng.choice([0.0, 0.1, 2.0])
        data = rng.choice(_LINES)
        if rng.random() < 0.05:
            data = rng.randbytes(3)
        for piece in _cut(rng, data):
            engine.receive(piece, now)
        if waiting and rng.random() < 0.5:
            respond = waiting.pop()
            respond.write(b"x" * 100)
            respond.end()
        if rng.random() < 0.1:
            engine.tick(now)
        if rng.random() < 0.8:
            engine.take_output()
        assert len(engine._rest) <= HTTP_PIPELINE_BYTES_MAX + HTTP_HEAD_BYTES_MAX + 5000
        if engine.closed:
            break
    engine.connection_lost()
    assert engine.take_output() == b"" and all(respond.closed for respond in waiting)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_same_bytes_in_any_pieces_mean_the_same(seed: int) -> None:
    def run(pieces: list[bytes]) -> tuple[list[bytes], str, dict[int, int]]:
        seen: list[bytes] = []
        router = Router()
        method = Method(b"/t.T/U", UNARY, lambda call, body: (seen.append(body), call.reply(body)))
        router.add(method)
        router.add(Method(b"/t.T/B", BIDI, lambda call: setattr(call, "on_message", seen.append)))
        engine = Http2ServerEngine(router, LIMITS)
        for piece in pieces:
            engine.receive(piece, 0.0)
        return seen, str(engine.error), method.handled

    rng = random.Random(seed)
    frames = Frames(rng, [b"/t.T/U", b"/t.T/U", b"/t.T/B", b"/t.T/X"])
    data = f.PREFACE + f.settings_frame([]) + b"".join(frames.some() for _ in range(40))
    pieces = [data]
    while len(pieces) < 60:
        at = rng.randrange(len(pieces))
        cut = rng.randrange(len(pieces[at]) + 1)
        pieces[at : at + 1] = [pieces[at][:cut], pieces[at][cut:]]
    assert run([data]) == run(pieces)
