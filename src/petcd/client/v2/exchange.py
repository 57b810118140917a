"""One request and its answer over HTTP/1.1, on a socket that may serve several in turn.

Answers end by their length, by chunks, or with the connection.  Everything is bounded by times of
the monotonic clock, None for none.  Failures are EndpointFailure with the texts that Go's client
has for them.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping

from petcd.client.dialing import error_text
from petcd.client.v2.errors import EndpointFailure

HEAD_BYTES_MAX = 1 << 20
LINE_BYTES_MAX = 64 * 1024
RECEIVE_BYTES = 64 * 1024
BODILESS = (204, 304)


class Request:
    """What is sent.  `target` is path and query, `body` None when there is none at all."""

    __slots__ = ("body", "headers", "method", "target")

    def __init__(
        self, method: str, target: str, body: str | None = None, content_type: str = ""
    ) -> None:
        self.method = method
        self.target = target
        self.body = body
        self.headers = {"Content-Type": content_type} if content_type else {}


class Answer:
    """What came.  Names of headers are in lower case."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class TimeUp(Exception):
    """The time for what was awaited is over."""


class Wire:
    """A connection.  After a failure, or an answer that ends with it, `usable` is False."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""
        self._began = False
        self.usable = True
        self.answers = 0

    @property
    def untouched(self) -> bool:
        """Whether nothing of the present answer has come."""
        return not self._began

    def close(self) -> None:
        self.usable = False
        self._sock.close()

    def ask(
        self, request: Request, host: str, head_until: float | None, until: float | None
    ) -> Answer:
        """Send and receive.  `head_until` bounds the wait for the answer's head.

        Raises EndpointFailure, TimeUp.
        """
        self._began = False
        try:
            self._send(_encoded(request, host), head_until)
            status, headers = self._head(head_until)
            body = self._body(request.method, status, headers, until)
        except OSError as error:
            self.close()
            raise self._failure(error) from None
        except BaseException:
            self.close()
            raise
        if headers.get("connection", "").lower() == "close":
            self.close()
        self.answers += 1
        return Answer(status, headers, body)

    def _failure(self, error: OSError) -> EndpointFailure:
        where = "tcp"
        with contextlib.suppress(OSError):
            local, peer = self._sock.getsockname(), self._sock.getpeername()
            where = f"tcp {local[0]}:{local[1]}->{peer[0]}:{peer[1]}"
        reason = error_text(error.errno) if error.errno else str(error)
        return EndpointFailure(f"read {where}: read: {reason}", connecting=True)

    def _send(self, data: bytes, until: float | None) -> None:
        self._wait_at_most(until)
        try:
            self._sock.sendall(data)
        except TimeoutError:
            raise TimeUp from None

    def _wait_at_most(self, until: float | None) -> None:
        if until is None:
            self._sock.settimeout(None)
            return
        left = until - time.monotonic()
        if left <= 0:
            raise TimeUp
        self._sock.settimeout(left)

    def _receive(self, until: float | None) -> bool:
        """More into the buffer; False at the end of the connection."""
        self._wait_at_most(until)
        try:
            data = self._sock.recv(RECEIVE_BYTES)
        except TimeoutError:
            raise TimeUp from None
        self._buffer += data
        self._began = self._began or bool(data)
        return bool(data)

    def _until(self, mark: bytes, bytes_max: int, until: float | None) -> bytes:
        """What comes before a mark; both leave the buffer."""
        while (end := self._buffer.find(mark)) < 0:
            if len(self._buffer) > bytes_max:
                raise EndpointFailure("net/http: server response headers exceeded limit")
            if not self._receive(until):
                raise EndpointFailure("unexpected EOF" if self._began else "EOF")
        found, self._buffer = self._buffer[:end], self._buffer[end + len(mark) :]
        return found

    def _head(self, until: float | None) -> tuple[int, dict[str, str]]:
        while True:
            first, *rows = (
                self._until(b"\r\n\r\n", HEAD_BYTES_MAX, until).decode("latin-1").split("\r\n")
            )
            version, _, rest = first.partition(" ")
            if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
                raise EndpointFailure(
                    "net/http: HTTP/1.x transport connection broken: "
                    f'malformed HTTP response "{first}"'
                )
            status = int(rest[:3])
            pairs = [row.partition(":") for row in rows]
            if status >= 200:
                return status, {name.strip().lower(): value.strip() for name, _, value in pairs}

    def _body(
        self, method: str, status: int, headers: Mapping[str, str], until: float | None
    ) -> bytes:
        if method == "HEAD" or status in BODILESS:
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks(until)
        length = headers.get("content-length", "")
        if length.isdigit():
            return self._exactly(int(length), until)
        while self._receive(until):
            pass
        self.close()
        return self._buffer

    def _exactly(self, size: int, until: float | None) -> bytes:
        while len(self._buffer) < size:
            if not self._receive(until):
                raise EndpointFailure("unexpected EOF")
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _chunks(self, until: float | None) -> bytes:
        parts = []
        while True:
            line = self._until(b"\r\n", LINE_BYTES_MAX, until).partition(b";")[0].strip()
            try:
                size = int(line, 16)
            except ValueError:
                raise EndpointFailure("invalid byte in chunk length") from None
            if size == 0:
                break
            parts.append(self._exactly(size, until))
            self._until(b"\r\n", LINE_BYTES_MAX, until)
        while self._until(b"\r\n", LINE_BYTES_MAX, until):
            pass  # trailers
        return b"".join(parts)


def _encoded(request: Request, host: str) -> bytes:
    body = (request.body or "").encode()
    lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.body is not None or request.method in ("PUT", "POST"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "User-Agent: etcdctl", "", ""]).encode("latin-1") + body
