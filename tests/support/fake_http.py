"""A server of HTTP/1.1 whose answers are given as raw bytes, also such that break the rules."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Asked(NamedTuple):
    """A request as it came."""

    line: str  # method and target
    head: str
    body: str


Answers = Callable[[Asked], bytes | None]


def answer(body: str, status: str = "200 OK", *headers: str) -> bytes:
    """An answer with a length."""
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers))
    return f"{head}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()


class FakeHttp:
    """`answers(request)` is what goes back; None closes the connection, b"" says nothing more."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.asked: list[Asked] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self._listening.getsockname()[1]  # noqa: UP031
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def lines(self) -> list[str]:
        return [asked.line for asked in self.asked]

    def _accept(self) -> None:
        threads = []
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                break
            self.connections += 1
            self._open.append(sock)
            threads.append(threading.Thread(target=self._serve, args=(sock,)))
            threads[-1].start()
        for thread in threads:
            thread.join(10)

    def _serve(self, sock: socket.socket) -> None:
        stream = sock.makefile("rb")
        with sock, stream:
            while first := stream.readline():
                head, size = b"", 0
                while (line := stream.readline()).strip():
                    head += line
                    if line.startswith(b"Content-Length:"):
                        size = int(line.partition(b":")[2])
                body = stream.read(size)
                request = " ".join(first.decode().split()[:2])
                self.asked.append(Asked(request, head.decode(), body.decode()))
                reply = self.answers(self.asked[-1])
                if reply is None:
                    break
                sock.sendall(reply)
                if b"Content-Length" not in reply and b"chunked" not in reply and reply:
                    break
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)


def answering() -> Iterator[Callable[[Answers], FakeHttp]]:
    """What a fixture yields: `answering(answers)` makes a server that ends with the test."""
    servers: list[FakeHttp] = []

    def make(answers: Answers) -> FakeHttp:
        servers.append(FakeHttp(answers))
        return servers[-1]

    yield make
    for server in servers:
        server.close()
