"""Calls and streams over one connection, by blocking."""

import socket

import pytest

from petcd.client import errors as e
from petcd.client.connection import KEEPALIVE_MIN_S, Connection
from petcd.client.dialing import connect_any

ECHO, FAIL, SILENT, STREAM = b"/t.T/Echo", b"/t.T/Fail", b"/t.T/Silent", b"/t.T/Stream"


@pytest.fixture
def connect(serve):
    """A connection to a server with a few handlers; keyword arguments are Connection's."""
    server = serve()
    server.unary(ECHO, lambda call, body: call.reply(call.metadata().get(b"x", b"") + body))
    server.unary(FAIL, lambda call, body: call.fail(5, "etcdserver: key not found"))
    server.unary(SILENT, lambda call, body: None)
    server.stream(STREAM, _echo_stream)
    server.start()
    opened: list[Connection] = []

    def make(**settings) -> Connection:
        _, sock = connect_any([server.endpoint], None, lambda: 0.0)
        opened.append(Connection(sock, "test", **settings))
        return opened[-1]

    make.server = server
    yield make
    for connection in opened:
        connection.close()


def _echo_stream(call) -> None:
    def on_message(body: bytes) -> None:
        if body == b"fail":
            call.finish(9, "as you wish")
        else:
            call.send(body)

    call.on_message = on_message
    call.on_half_close = call.finish


def test_a_unary_call_brings_its_answer(connect) -> None:
    connection = connect()
    assert connection.unary(ECHO, b"one", 5.0) == b"one"
    assert connection.unary(ECHO, b"two", None, ((b"x", b"meta "),)) == b"meta two"
    assert connection.unary(ECHO, b"") == b""


def test_messages_longer_than_every_window_go_both_ways(connect) -> None:
    body = bytes(range(256)) * 4000  # a million bytes, below the server's limit
    assert connect().unary(ECHO, body, 20.0) == body


def test_a_failed_call_raises_its_code_and_text(connect) -> None:
    with pytest.raises(e.NotFound) as caught:
        connect().unary(FAIL, b"")
    assert caught.value.message == "etcdserver: key not found"


def test_an_unknown_method_is_unimplemented(connect) -> None:
    with pytest.raises(e.Unimplemented, match="unknown method Nope"):
        connect().unary(b"/t.T/Nope", b"")


def test_a_deadline_ends_the_wait_and_the_connection_goes_on(connect) -> None:
    connection = connect()
    with pytest.raises(e.DeadlineExceeded) as caught:
        connection.unary(SILENT, b"", 0.0)
    assert caught.value.local
    assert connection.unary(ECHO, b"still there", 5.0) == b"still there"


def test_a_stream_carries_messages_both_ways_until_its_end(connect) -> None:
    stream = connect().stream(STREAM)
    stream.send(b"a")
    stream.send(b"b")
    assert [stream.receive(5.0), stream.receive(5.0)] == [b"a", b"b"]
    stream.send(b"c", last=True)
    assert [stream.receive(5.0), stream.receive(5.0)] == [b"c", None]


def test_a_stream_that_fails_says_so_after_its_messages(connect) -> None:
    stream = connect().stream(STREAM)
    stream.send(b"a")
    stream.send(b"fail")
    assert stream.receive(5.0) == b"a"
    with pytest.raises(e.FailedPrecondition, match="as you wish"):
        stream.receive(5.0)


def test_waiting_too_long_for_a_message_leaves_the_stream_open(connect) -> None:
    stream = connect().stream(STREAM)
    with pytest.raises(e.DeadlineExceeded):
        stream.receive(0.0)
    assert stream.take() is None
    stream.send(b"a")
    assert stream.receive(5.0) == b"a"


def test_calls_go_on_while_a_stream_is_open(connect) -> None:
    connection = connect()
    stream = connection.stream(STREAM)
    stream.send(b"a")
    assert connection.unary(ECHO, b"x", 5.0) == b"x"
    assert stream.receive(5.0) == b"a"


def test_a_broken_connection_ends_its_calls_unavailable(connect) -> None:
    connection = connect()
    stream = connection.stream(STREAM)
    stream.send(b"a")
    assert stream.receive(5.0) == b"a"
    connect.server.stop()
    with pytest.raises(e.Unavailable, match="error reading from server"):
        stream.receive(5.0)
    assert connection.closed
    with pytest.raises(e.Unavailable):
        connection.unary(ECHO, b"", 5.0)


def test_another_descriptor_can_be_waited_for_beside(connect) -> None:
    connection = connect()
    connection.unary(ECHO, b"", 5.0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        while not connection.turn(None, ours.fileno()):
            pass
        assert ours.recv(1) == b"x"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_silent_connection_is_pinged_and_then_given_up() -> None:
    clock = Clock()
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        connection = Connection(ours, "test", keepalive_s=1, keepalive_timeout_s=6, clock=clock)
        stream = connection.stream(STREAM)
        connection.turn(clock.now)
        assert theirs.recv(65536)
        clock.now += KEEPALIVE_MIN_S + 1
        connection.turn(clock.now)
        assert theirs.recv(65536)[:5] == b"\0\0\x08\x06\0"  # a PING
        clock.now += 7
        connection.turn(clock.now)
        with pytest.raises(e.Unavailable, match="keepalive ping failed"):
            stream.receive(0.0)
        connection.close()
