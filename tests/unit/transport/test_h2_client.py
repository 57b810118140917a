"""The client engine with h2 as the server, and against frames that no good server sends."""

from __future__ import annotations

from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import pytest
from h2.settings import SettingCodes, Settings

from petcd.transport import frames as f
from petcd.transport.h2_client import ClientCall, Http2ClientEngine
from petcd.transport.hpack import encode_block
from petcd.transport.limits import CLIENT_STREAM_WINDOW

PATH = b"/test.Echo/Unary"
GOOD = [(":status", "200"), ("content-type", "application/grpc")]
OK = [("grpc-status", "0")]


class Server:
    """An h2 server that notes what came and answers as the test says."""

    def __init__(self, settings: dict[SettingCodes, int] | None = None, bytewise: bool = False):
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        if settings:
            self.h2.local_settings = Settings(client=False, initial_values=settings)
        self.client = Http2ClientEngine(b"localhost:2379", user_agent=b"petcd/test")
        self.bytewise = bytewise
        self.requests: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: list[int] = []
        self.resets: dict[int, int] = {}
        self.auto_window = True
        self.h2.initiate_connection()
        self.exchange()

    def exchange(self) -> None:
        for _ in range(10_000):
            up = self.client.take_output()
            if up:
                self.hear(up)
            down = self.h2.data_to_send()
            for piece in self._pieces(down):
                self.client.receive(piece, 1.0)
            if not up and not down:
                return
        raise AssertionError("the two never fall silent")

    def _pieces(self, data: bytes) -> list[bytes]:
        if self.bytewise:
            return [data[n : n + 1] for n in range(len(data))]
        return [data] if data else []

    def hear(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.requests[event.stream_id] = dict(event.headers)  # type: ignore[arg-type]
                self.bodies[event.stream_id] = b""
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] += event.data
                if self.auto_window and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.append(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.resets[event.stream_id] = int(event.error_code)

    def answer(
        self,
        sid: int,
        body: bytes = b"",
        head: list[tuple[str, str]] = GOOD,
        tail: list[tuple[str, str]] = OK,
    ) -> None:
        self.h2.send_headers(sid, head)
        if body:
            self.h2.send_data(sid, body)
        self.h2.send_headers(sid, tail, end_stream=True)
        self.exchange()

    def frames(self, data: bytes) -> None:
        """Raw bytes to the client."""
        self.client.receive(data, 1.0)


@pytest.fixture(params=[False, True], ids=["whole", "bytewise"])
def server(request: pytest.FixtureRequest) -> Server:
    return Server(bytewise=request.param)


def _outcome(call: ClientCall) -> tuple[int | None, str, list[bytes]]:
    return call.status, call.details, list(call.messages)


def test_a_unary_call_sends_what_grpc_asks_for(server: Server) -> None:
    call = server.client.unary(
        PATH, b"hello", [(b"token", b"t1"), (b"trace-bin", b"\0\1\2")], timeout_s=5.0
    )
    server.exchange()
    assert server.requests[1] == {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/test.Echo/Unary",
        ":authority": "localhost:2379",
        "content-type": "application/grpc",
        "user-agent": "petcd/test",
        "te": "trailers",
        "grpc-timeout": "5000000u",
        "token": "t1",
        "trace-bin": "AAEC",
    }
    assert server.bodies[1] == b"\0\0\0\0\5hello" and server.ended == [1]
    server.answer(1, b"\0\0\0\0\2hi")
    assert _outcome(call) == (0, "", [b"hi"]) and call.trailers == [(b"grpc-status", b"0")]
    assert not server.client.streams


def test_callbacks_tell_of_headers_messages_and_the_end_in_order(server: Server) -> None:
    told: list[object] = []
    call = server.client.open(b"/test.Echo/Bidi")
    call.on_headers = lambda: told.append("headers")
    call.on_message = told.append
    call.on_end = lambda: told.append(call.status)
    server.exchange()
    server.answer(1, b"\0\0\0\0\1a\0\0\0\0\0\0\0\0\0\2bc")
    assert told == ["headers", b"a", b"", b"bc", 0]


def test_an_error_without_headers_of_its_own_is_understood(server: Server) -> None:
    call = server.client.unary(PATH, b"")
    server.exchange()
    server.h2.send_headers(
        1, [*GOOD, ("grpc-status", "12"), ("grpc-message", "unknown%20service")], end_stream=True
    )
    server.exchange()
    assert _outcome(call) == (12, "unknown service", [])


def test_messages_in_pieces_are_put_together(server: Server) -> None:
    call = server.client.open(b"/test.Echo/Bidi")
    server.exchange()
    server.h2.send_headers(1, GOOD)
    data = b"\0\0\0\0\3abc\0\0\0\x27\x10" + b"x" * 10_000 + b"\0\0\0\0\1z"
    for pos in range(0, len(data), 777):
        server.h2.send_data(1, data[pos : pos + 777])
        server.exchange()
    assert list(call.messages) == [b"abc", b"x" * 10_000, b"z"] and call.status is None


@pytest.mark.parametrize("window", [0, 1, 100, 65_535])
def test_requests_respect_the_servers_windows(window: int) -> None:
    server = Server({SettingCodes.INITIAL_WINDOW_SIZE: window})
    server.auto_window = window > 0
    call = server.client.unary(PATH, b"x" * 1000)
    server.exchange()
    if not window:
        assert server.bodies[1] == b"" and call.queued_bytes == 1005
        server.h2.increment_flow_control_window(2000, 1)
        server.exchange()
    assert server.bodies[1] == b"\0\0\0\3\xe8" + b"x" * 1000 and server.ended == [1]
    assert call.queued_bytes == 0


def test_a_long_answer_gets_credit_as_it_comes(server: Server) -> None:
    call = server.client.unary(PATH, b"")
    server.exchange()
    server.h2.send_headers(1, GOOD)
    size = 3_000_000
    data = b"\0" + size.to_bytes(4, "big") + b"y" * size
    while data:
        room = min(server.h2.local_flow_control_window(1), 16_384, len(data))
        assert room, "no credit"
        server.h2.send_data(1, data[:room])
        data = data[room:]
        if server.bytewise:
            server.bytewise = len(data) < 100_000  # the rest whole, for time's sake
        server.exchange()
    server.h2.send_headers(1, OK, end_stream=True)
    server.exchange()
    assert _outcome(call) == (0, "", [b"y" * size])


def test_calls_beyond_the_servers_limit_wait_their_turn() -> None:
    server = Server({SettingCodes.MAX_CONCURRENT_STREAMS: 2})
    calls = [server.client.unary(PATH, b"%d" % n) for n in range(5)]
    server.exchange()
    assert sorted(server.requests) == [1, 3]
    calls[3].cancel()
    for sid in (1, 3, 5, 7):
        server.answer(sid, b"\0\0\0\0\0")
    assert [server.bodies[sid][5:] for sid in (1, 3, 5, 7)] == [b"0", b"1", b"2", b"4"]
    assert [call.status for call in calls] == [0, 0, 0, 1, 0]


def test_cancel_resets_the_stream_and_ends_the_call(server: Server) -> None:
    call = server.client.open(b"/test.Echo/Bidi")
    server.exchange()
    call.cancel(4, "context deadline exceeded")
    server.exchange()
    assert server.resets == {1: 8}
    assert (call.status, call.details) == (4, "context deadline exceeded")
    call.send(b"nothing")
    call.cancel()
    server.exchange()
    assert server.bodies[1] == b""


@pytest.mark.parametrize(
    ("code", "status", "unprocessed"),
    [(8, 1, False), (7, 14, True), (11, 8, False), (2, 13, False)],
)
def test_a_reset_by_the_server_ends_the_call(
    server: Server, code: int, status: int, unprocessed: bool
) -> None:
    call = server.client.unary(PATH, b"")
    server.exchange()
    server.h2.reset_stream(1, code)
    server.exchange()
    assert call.status == status and call.unprocessed is unprocessed
    assert call.details.startswith("stream terminated by RST_STREAM with error code: ")


def test_a_server_that_ends_first_is_told_that_nothing_more_comes(server: Server) -> None:
    call = server.client.open(b"/test.Echo/Bidi")
    server.exchange()
    server.answer(1, b"\0\0\0\0\1a")
    assert _outcome(call) == (0, "", [b"a"]) and server.resets == {1: 0}


def test_goaway_spares_what_the_server_took_and_frees_the_rest() -> None:
    server = Server()
    calls = [server.client.unary(PATH, b"%d" % n) for n in range(3)]
    server.exchange()
    server.frames(f.goaway(b"\0\0\0\3", 0, b"graceful_stop"))
    assert [call.status for call in calls] == [None, None, 14]
    assert calls[2].unprocessed and server.client.goaway == (0, "graceful_stop")
    late = server.client.open(PATH)
    assert late.status == 14 and late.unprocessed
    server.answer(1, b"\0\0\0\0\1a")
    assert _outcome(calls[0]) == (0, "", [b"a"])


def test_a_lost_connection_ends_every_call_unavailable() -> None:
    server = Server({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    sent, waiting = server.client.open(PATH), server.client.open(PATH)
    server.exchange()
    server.client.connection_lost("connection reset by peer")
    assert (sent.status, sent.details) == (14, "connection reset by peer")
    assert not sent.unprocessed and waiting.status == 14 and waiting.unprocessed
    assert server.client.open(PATH).status == 14


@pytest.mark.parametrize(
    ("head", "status", "text"),
    [
        (
            [(":status", "404"), ("content-type", "text/plain")],
            12,
            "unexpected HTTP status code received from server: 404",
        ),
        (
            [(":status", "503"), ("content-type", "application/grpc")],
            14,
            "unexpected HTTP status code received from server: 503",
        ),
        (
            [(":status", "200"), ("content-type", "text/html")],
            2,
            'transport: received unexpected content-type "text/html"',
        ),
    ],
)
def test_an_answer_that_is_not_grpc_is_told_as_such(
    server: Server, head: list[tuple[str, str]], status: int, text: str
) -> None:
    call = server.client.unary(PATH, b"")
    server.exchange()
    server.h2.send_headers(1, head)
    server.h2.send_data(1, b"<html>", end_stream=True)
    server.exchange()
    assert (call.status, call.details) == (status, text)


def test_interim_answers_are_passed_over(server: Server) -> None:
    call = server.client.unary(PATH, b"")
    server.exchange()
    server.h2.send_headers(1, [(":status", "103"), ("link", "x")])
    server.answer(1, b"\0\0\0\0\1a")
    assert _outcome(call) == (0, "", [b"a"])


def _block(*fields: tuple[bytes, bytes]) -> bytes:
    return encode_block(list(fields))


HEAD = _block((b":status", b"200"), (b"content-type", b"application/grpc"))
ONE = b"\0\0\0\1"

CALL_ERRORS: dict[str, tuple[bytes, int, str]] = {
    "DATA before headers": (
        f.frame(f.DATA, 0, ONE, b"\0\0\0\0\0"),
        13,
        "received DATA before response headers",
    ),
    "the end without trailers": (
        f.frame(f.HEADERS, 4, ONE, HEAD) + f.frame(f.DATA, 1, ONE, b""),
        13,
        "server closed the stream without sending trailers",
    ),
    "trailers inside a message": (
        f.frame(f.HEADERS, 4, ONE, HEAD)
        + f.frame(f.DATA, 0, ONE, b"\0\0\0\0\5ab")
        + f.frame(f.HEADERS, 5, ONE, _block((b"grpc-status", b"0"))),
        13,
        "unexpected EOF",
    ),
    "headers twice": (
        f.frame(f.HEADERS, 4, ONE, HEAD) * 2,
        13,
        "a HEADERS frame cannot appear in the middle of a stream",
    ),
    "a compressed message": (
        f.frame(f.HEADERS, 4, ONE, HEAD) + f.frame(f.DATA, 0, ONE, b"\1\0\0\0\1x"),
        13,
        "grpc: compressed flag set with identity or empty encoding",
    ),
    "a status that is no number": (
        f.frame(f.HEADERS, 5, ONE, HEAD + _block((b"grpc-status", b"-1"))),
        2,
        "malformed grpc-status",
    ),
    "no status at all": (f.frame(f.HEADERS, 5, ONE, _block((b"a", b"b"))), 13, "malformed header"),
}


@pytest.mark.parametrize("what", CALL_ERRORS)
def test_what_breaks_grpc_ends_the_call_and_spares_the_connection(what: str) -> None:
    data, status, text = CALL_ERRORS[what]
    server = Server()
    call = server.client.unary(PATH, b"")
    server.client.take_output()
    server.frames(data)
    assert call.status == status and call.details.startswith(text), call.details
    assert not server.client.closed and not server.client.streams


CONNECTION_ERRORS = {
    "HEADERS on an idle stream": f.frame(f.HEADERS, 4, b"\0\0\0\5", HEAD),
    "HEADERS on a pushed stream": f.frame(f.HEADERS, 4, b"\0\0\0\2", HEAD),
    "PUSH_PROMISE": f.frame(f.PUSH_PROMISE, 4, ONE, b"\0\0\0\2" + HEAD),
    "a frame above 16 KiB": f.frame(f.DATA, 0, ONE, bytes(16_385)),
    "a broken header block": f.frame(f.HEADERS, 4, ONE, b"\xbe"),
    "DATA on an idle stream": f.frame(f.DATA, 0, b"\0\0\0\5", b"x"),
}


@pytest.mark.parametrize("what", CONNECTION_ERRORS)
def test_what_breaks_http_2_ends_the_connection(what: str) -> None:
    server = Server()
    call = server.client.unary(PATH, b"")
    server.client.take_output()
    server.frames(CONNECTION_ERRORS[what])
    assert server.client.closed and server.client.error is not None
    assert call.status == 14 and call.details == str(server.client.error)
    assert server.client.take_output()[3] == f.GOAWAY


def test_a_message_above_the_clients_limit_ends_the_call() -> None:
    server = Server()
    server.client.max_message_bytes = 10
    call = server.client.unary(PATH, b"")
    server.exchange()
    server.h2.send_headers(1, GOOD)
    server.h2.send_data(1, b"\0\0\0\0\x0b" + b"x" * 11)
    server.exchange()
    assert (call.status, call.details) == (
        8,
        "grpc: received message larger than max (11 vs. 10)",
    )


def test_pings_are_answered_and_ours_are_counted(server: Server) -> None:
    server.h2.ping(b"12345678")
    server.client.ping(b"abcdefgh")
    server.exchange()
    assert server.client.pongs == 1 and not server.client.closed


def test_reading_can_be_paused_so_that_the_server_runs_out_of_credit(server: Server) -> None:
    server.bytewise = False
    call = server.client.unary(PATH, b"")
    server.exchange()
    call.pause_reading()
    server.h2.send_headers(1, GOOD)
    body = b"\0\0\0\x0f\xfb" + b"x" * 4091
    sent = 0
    while server.h2.local_flow_control_window(1) >= len(body):
        server.h2.send_data(1, body)
        sent += len(body)
        server.exchange()
    assert sent <= CLIENT_STREAM_WINDOW
    call.resume_reading()
    server.exchange()
    assert server.h2.local_flow_control_window(1) == CLIENT_STREAM_WINDOW


def test_saying_goodbye_ends_open_calls(server: Server) -> None:
    call = server.client.open(PATH)
    server.exchange()
    server.client.finish()
    assert call.status == 14 and server.client.closed
    assert server.client.take_output()[3] == f.GOAWAY


def test_a_long_request_head_is_split_into_continuation_frames() -> None:
    server = Server()
    server.h2.decoder.max_header_list_size = 1 << 20
    server.client.unary(PATH, b"", [(b"token", b"x" * 40_000)])
    server.exchange()
    assert server.requests[1]["token"] == "x" * 40_000


@pytest.mark.parametrize("make", [Server])
def test_output_outside_receive_wakes_the_shell_once(make: Callable[[], Server]) -> None:
    server = make()
    woken: list[int] = []
    server.client.on_output = lambda: woken.append(1)
    server.client.unary(PATH, b"a")
    server.client.unary(PATH, b"b")
    assert woken == [1]
    server.exchange()
    server.client.ping()
    assert woken == [1, 1]
