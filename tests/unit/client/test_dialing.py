"""Connecting to the first endpoint that answers."""

import socket
from collections.abc import Iterator

import pytest

from petcd.client.dialing import DialError, DialTimeout, connect_any
from petcd.client.endpoint import parse_endpoint


class Clock:
    """Time that passes only when it is looked at, `step` seconds a look."""

    def __init__(self, step: float = 0.0) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def connect(*texts: str, until: float | None = None, step: float = 0.0):
    return connect_any([parse_endpoint(text) for text in texts], until, Clock(step))


def test_the_first_that_listens_is_taken(listening: str) -> None:
    endpoint, sock = connect(listening, "127.0.0.1:1")
    with sock:
        assert endpoint.text == listening
        assert sock.getpeername()[1] == int(listening.rpartition(":")[2])


def test_one_that_refuses_is_passed_over(listening: str) -> None:
    endpoint, sock = connect("127.0.0.1:1", "bad", listening)
    sock.close()
    assert endpoint.text == listening


def test_a_name_is_looked_up(listening: str) -> None:
    _, sock = connect("localhost:" + listening.rpartition(":")[2])
    sock.close()


def test_a_unix_socket_is_connected(tmp_path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        endpoint, sock = connect(f"unix:{path}")
        sock.close()
    assert endpoint.network == "unix"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("127.0.0.1:1", "dial tcp 127.0.0.1:1: connect: connection refused"),
        ("127.0.0.1", "dial tcp: address 127.0.0.1: missing port in address"),
        ("", "dial tcp: missing address"),
        ("foo://a:b:1", "dial tcp: address foo://a:b:1: too many colons in address"),
        ("unix:/nonexistent", "dial unix /nonexistent: connect: no such file or directory"),
    ],
)
def test_when_none_answers_the_reason_is_told_as_go_tells_it(text: str, complaint: str) -> None:
    with pytest.raises(DialError) as caught:
        connect(text)
    assert str(caught.value) == complaint


def test_time_up_is_told_from_failure() -> None:
    with pytest.raises(DialTimeout) as caught:
        connect("127.0.0.1:1", until=0.0)
    assert str(caught.value) == ""
    with pytest.raises(DialTimeout) as caught:
        connect("127.0.0.1:1", "127.0.0.1:1", until=0.5, step=0.1)
    assert "refused" in str(caught.value) or str(caught.value) == ""


def test_of_several_addresses_the_first_failure_is_told(monkeypatch) -> None:
    def two(host, port, **wanted):
        family, kind = socket.AF_INET, socket.SOCK_STREAM
        return [(family, kind, 6, "", (name, 1)) for name in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with pytest.raises(DialError, match=r"127\.0\.0\.2:1"):
        connect("some.name:1")
