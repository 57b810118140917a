"""Listening on what URLs name, socket files among them."""

import os
import socket
import sys

import pytest

from petcd.server.binding import Sockets, address_of
from petcd.server.config import ConfigError


@pytest.fixture
def sockets():
    sockets = Sockets(reuse_port=False)
    yield sockets
    sockets.close()


def test_a_port_of_zero_is_a_free_one(sockets):
    (bound,) = sockets.bind(["http://127.0.0.1:0"])
    host, port = address_of(bound)
    assert host == "127.0.0.1" and port > 0


def test_a_socket_file_goes_with_the_server(sockets, tmp_path):
    path = tmp_path / "etcd.sock"
    (bound,) = sockets.bind([f"unix://{path}"])
    assert address_of(bound) == (str(path), 0) and path.is_socket()
    sockets.close()
    assert not path.exists()


def test_a_socket_file_without_a_slash_lies_where_the_process_is(sockets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sockets.bind(["unix://localhost:2379"])
    assert os.listdir() == ["localhost:2379"]


def test_a_file_left_behind_is_taken_over_but_not_one_in_use(sockets, tmp_path):
    path = tmp_path / "etcd.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    (bound,) = sockets.bind([f"unix://{path}"])
    bound.listen()
    with pytest.raises(ConfigError, match="bind: address already in use"):
        Sockets(reuse_port=False).bind([f"unix://{path}"])
    assert path.is_socket()


def test_a_file_that_is_no_socket_is_left_alone(sockets, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="address already in use"):
        sockets.bind([f"unix://{path}"])
    assert path.read_text() == "mine"


def test_a_port_in_use_is_told_with_its_address(sockets):
    (bound,) = sockets.bind(["http://127.0.0.1:0"])
    bound.listen()
    port = address_of(bound)[1]
    text = f"listen tcp 127.0.0.1:{port}: bind: address already in use"
    with pytest.raises(ConfigError, match=text):
        Sockets(reuse_port=False).bind([f"http://127.0.0.1:{port}"])


def test_one_port_for_two_purposes_is_told_with_its_address(start):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    text = f"listen tcp 127.0.0.1:{port}: address already in use"
    with pytest.raises(OSError, match=text):
        start(listen_client_urls=(url,), listen_metrics_urls=(url,))


def test_a_member_serves_on_a_socket_file(start, tmp_path):
    path = tmp_path / "etcd.sock"
    start(listen_client_urls=("http://127.0.0.1:0", f"unix://{path}"))
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := client.recv(4096):
            answer += data
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"health":"true"' in answer


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's periods are taken")
def test_a_caller_that_went_away_without_a_word_is_noticed(sockets):
    (bound,) = sockets.bind(["http://127.0.0.1:0"])
    bound.listen()
    with socket.create_connection(address_of(bound)):
        accepted, _ = bound.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
                assert accepted.getsockopt(socket.IPPROTO_TCP, option) == 30
