"""A whole member in this process, on its own thread and a free port, with a real disk."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import uvloop

from petcd.client.connection import Connection
from petcd.server.config import default_config
from petcd.server.log import Logger
from petcd.server.serve import Server
from petcd.wire.codec import Message
from tests.support.in_memory_cluster import Cluster

FREE_PORT = ("http://127.0.0.1:0",)


class Running:
    """A started member and one connection to it."""

    def __init__(self, data_dir: str, **settings: object) -> None:
        ports = {"listen_client_urls": FREE_PORT, "listen_peer_urls": FREE_PORT}
        config = default_config(data_dir, **{**ports, **settings})
        self.log_path = data_dir + ".log"
        self.log = Logger("info", "json", (self.log_path,))
        self.server = Server(config, self.log)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self.on_loop(self.server.start())
        except BaseException:
            self._end()
            raise
        self.address = self.server.client_addresses[0]
        self._socket = socket.create_connection(self.address)
        self._socket.setblocking(False)
        self.connection = Connection(self._socket, "test")

    def on_loop(self, work, timeout_s: float = 20.0):
        """Run a coroutine on the member's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    def call(self, path: bytes, request: Message, answer: type[Message]) -> Message:
        """One unary call; raises ClientError."""
        return answer.decode(self.connection.unary(path, request.encode(), 10.0))

    def http(self, head: str, body: bytes = b"") -> tuple[int, bytes]:
        """One HTTP/1.1 request on a connection of its own; (status, body)."""
        with socket.create_connection(self.address) as sock:
            sock.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode() + body)
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
        status, _, rest = answer.partition(b"\r\n\r\n")
        return int(status.split()[1]), rest

    def stop(self) -> None:
        """Stop as SIGTERM does."""
        self._socket.close()
        self._end()

    def _end(self) -> None:
        self.on_loop(self.server.stop())
        self.log.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def start(name: str = "m", **settings: object) -> Running:
        running.append(Running(str(tmp_path / name), **settings))
        return running[-1]

    yield start
    for one in running:
        if not one._loop.is_closed():
            one.stop()


@pytest.fixture
def in_memory_cluster(tmp_path) -> Iterator[Callable[..., Cluster]]:
    """A cluster of members in this process, given their names."""
    made: list[Cluster] = []

    def make(*names: str, **settings: object) -> Cluster:
        made.append(Cluster(names, str(tmp_path), **settings))
        return made[-1]

    yield make
    for cluster in made:
        cluster.lines.close()
