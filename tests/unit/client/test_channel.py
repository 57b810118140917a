"""Several endpoints used as one."""

import itertools

import pytest

from petcd.client import errors as e
from petcd.client import methods
from petcd.client.channel import RETRIES_MAX, Credentials
from petcd.wire.auth import AuthenticateRequest, AuthenticateResponse

GET, PUT = b"/t.T/Get", b"/t.T/Put"


class Scripted:
    """A handler that fails with the given (code, text) pairs, one a call, then echoes."""

    def __init__(self, *failures: tuple[int, str]) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.metadata: list[dict[bytes, bytes]] = []

    def __call__(self, call, body: bytes) -> None:
        self.calls += 1
        self.metadata.append(call.metadata())
        if self.failures:
            call.fail(*self.failures.pop(0))
        else:
            call.reply(body)


NO_LEADER = (14, "etcdserver: no leader")


def test_a_read_is_tried_again_on_the_next_endpoint(serve, open_channel) -> None:
    first, second = Scripted(NO_LEADER), Scripted()
    channel = open_channel(serve().unary(GET, first).start(), serve().unary(GET, second).start())
    assert channel.unary(GET, b"x", 10.0, repeatable=True) == b"x"
    assert (first.calls, second.calls) == (1, 1)
    assert channel.errors() == ["rpc error: code = Unavailable desc = etcdserver: no leader"]


def test_a_write_is_not_tried_again(serve, open_channel) -> None:
    put = Scripted(NO_LEADER)
    channel = open_channel(serve().unary(PUT, put).start())
    with pytest.raises(e.Unavailable, match="no leader"):
        channel.unary(PUT, b"x", 10.0)
    assert put.calls == 1


def test_what_the_request_itself_got_wrong_is_not_tried_again(serve, open_channel) -> None:
    get = Scripted((3, "etcdserver: key is not provided"))
    channel = open_channel(serve().unary(GET, get).start())
    with pytest.raises(e.InvalidArgument):
        channel.unary(GET, b"", 10.0, repeatable=True)
    assert get.calls == 1
    assert [message for _, message, _ in channel.lines] == ["retrying of unary invoker failed"]


def test_a_learner_is_left_for_a_voter(serve, open_channel) -> None:
    refusing = Scripted((9, e.NOT_SUPPORTED_FOR_LEARNER))
    voter = Scripted()
    channel = open_channel(serve().unary(PUT, refusing).start(), serve().unary(PUT, voter).start())
    assert channel.unary(PUT, b"x", 10.0) == b"x"


def test_trying_again_ends_some_time(serve, open_channel, monkeypatch) -> None:
    monkeypatch.setattr("petcd.client.channel.BACKOFF_S", 0.0)
    get = Scripted(*[NO_LEADER] * (RETRIES_MAX + 1))
    channel = open_channel(serve().unary(GET, get).start())
    with pytest.raises(e.Unavailable):
        channel.unary(GET, b"", None, repeatable=True)
    assert get.calls == RETRIES_MAX


def test_an_endpoint_that_is_dead_is_passed_over(serve, open_channel, dead_endpoint) -> None:
    channel = open_channel(dead_endpoint, serve().unary(PUT, Scripted()).start())
    assert channel.unary(PUT, b"x", 10.0) == b"x"
    assert channel.lines == []


def test_when_all_are_dead_the_deadline_tells_why(open_channel, dead_endpoint) -> None:
    channel = open_channel(dead_endpoint)
    with pytest.raises(e.DeadlineExceeded) as caught:
        channel.unary(PUT, b"", 0.01)
    assert str(caught.value) == "context deadline exceeded"
    assert channel.errors() == [
        "rpc error: code = DeadlineExceeded desc = latest balancer error: last connection error: "
        'connection error: desc = "transport: Error while dialing dial tcp 127.0.0.1:1: '
        'connect: connection refused"'
    ]


def test_a_call_after_the_connection_broke_goes_to_the_next_endpoint(serve, open_channel) -> None:
    first, second = serve().unary(PUT, Scripted()).start(), serve().unary(PUT, Scripted()).start()
    channel = open_channel(first, second)
    assert channel.unary(PUT, b"1", 10.0) == b"1"
    first.stop()
    channel.connection(None).turn(None)  # notices
    assert channel.unary(PUT, b"2", 10.0) == b"2"


def test_a_call_under_way_when_the_connection_breaks_may_have_happened(serve, open_channel) -> None:
    server = serve()
    server.unary(PUT, lambda call, body: None)
    server.unary(GET, lambda call, body: call.reply(body))
    server.start()
    channel = open_channel(server)
    stream = channel.stream(PUT)
    stream.send(b"x", last=True)
    channel.unary(GET, b"", 10.0)
    server.stop()
    with pytest.raises(e.Unavailable) as caught:
        stream.receive(10.0)
    assert not caught.value.unprocessed


def authenticating(*answers: bytes | tuple[int, str]):
    given = list(answers)
    seen: list[AuthenticateRequest] = []

    def handler(call, body: bytes) -> None:
        seen.append(AuthenticateRequest.decode(body))
        answer = given.pop(0)
        if isinstance(answer, tuple):
            call.fail(*answer)
        else:
            call.reply(AuthenticateResponse(token=answer.decode()).encode())

    return handler, seen


def test_a_token_is_fetched_once_and_sent_with_every_call(serve, open_channel) -> None:
    handler, seen = authenticating(b"T1")
    put = Scripted()
    server = serve().unary(methods.AUTHENTICATE, handler).unary(PUT, put).start()
    channel = open_channel(server, credentials=Credentials("root", "secret"))
    channel.log_in()
    channel.unary(PUT, b"", 10.0)
    channel.unary(PUT, b"", 10.0)
    assert [item[b"token"] for item in put.metadata] == [b"T1", b"T1"]
    assert [(one.name, one.password) for one in seen] == [("root", "secret")]


def test_a_stale_token_is_replaced_and_the_call_tried_again(serve, open_channel) -> None:
    handler, _ = authenticating(b"T1", b"T2")
    put = Scripted((16, e.INVALID_AUTH_TOKEN))
    server = serve().unary(methods.AUTHENTICATE, handler).unary(PUT, put).start()
    channel = open_channel(server, credentials=Credentials("root", "secret"))
    channel.log_in()
    assert channel.unary(PUT, b"x", 10.0) == b"x"
    assert [item[b"token"] for item in put.metadata] == [b"T1", b"T2"]


def test_while_authentication_is_off_no_token_is_needed(serve, open_channel) -> None:
    handler, _ = authenticating((9, e.AUTH_NOT_ENABLED))
    put = Scripted()
    server = serve().unary(methods.AUTHENTICATE, handler).unary(PUT, put).start()
    channel = open_channel(server, credentials=Credentials("root", "secret"))
    channel.log_in()
    assert channel.unary(PUT, b"x", 10.0) == b"x"
    assert b"token" not in put.metadata[0]


def test_a_wrong_password_is_told(serve, open_channel) -> None:
    handler, _ = authenticating(
        (3, "etcdserver: authentication failed, invalid user ID or password")
    )
    server = serve().unary(methods.AUTHENTICATE, handler).start()
    channel = open_channel(server, credentials=Credentials("root", "wrong"))
    with pytest.raises(e.InvalidArgument, match="invalid user ID or password"):
        channel.log_in()


def test_whoever_notices_the_deadline_first_it_is_told_the_same(serve, open_channel) -> None:
    """The server's clock may run out a moment before ours."""
    late = Scripted()
    channel = open_channel(serve().unary(GET, late).start())
    channel.unary(GET, b"", 10.0)
    late.failures.append((4, "context deadline exceeded"))
    times = itertools.chain([0.0, 0.0], itertools.repeat(11.0))
    channel.clock = lambda: next(times)
    with pytest.raises(e.DeadlineExceeded) as caught:
        channel.unary(GET, b"", 10.0)
    assert str(caught.value) == "context deadline exceeded"
