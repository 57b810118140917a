"""HTTP requests and answers as handlers see them, whether they came over HTTP/1.1 or HTTP/2.

A handler is called as `handler(request, respond)` with the whole request, and answers now or later,
exactly once: `send`, or `start`, any number of `write`, and `end`. When the client is gone `closed`
is true, `on_close` has been called once, and answers are dropped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Header = tuple[bytes, bytes]


class HttpRequest:
    """One request: `method` and `target` as text (the target undecoded), header names in lower
    case."""

    __slots__ = ("body", "headers", "method", "peer", "target")

    def __init__(
        self, method: str, target: str, headers: list[Header], body: bytes, peer: str
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.peer = peer

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header (lower-case name), None when it is absent."""
        for field in self.headers:
            if field[0] == name:
                return field[1]
        return None


class HttpResponder(Protocol):
    """Where an answer goes. Header names are lower case; framing headers are added here."""

    closed: bool
    on_close: Callable[[], Any] | None
    on_drain: Callable[[], Any] | None

    @property
    def queued_bytes(self) -> int:
        """Bytes given to us that the client has not accepted yet; `on_drain` tells when they are
        few."""

    def send(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """A whole answer; its length is announced."""

    def start(self, status: int, headers: Sequence[Header]) -> None:
        """Begin an answer of unknown length."""

    def write(self, data: bytes) -> None:
        """Some bytes of it."""

    def end(self) -> None:
        """That was all."""


HttpHandler = Callable[[HttpRequest, HttpResponder], None]


class BodySink(Protocol):
    """Takes the body of a request in pieces, so that it need not fit into memory, and answers.

    It may answer before the body is complete: the rest is then not read and the connection closed.
    """

    @property
    def full(self) -> bool:
        """Wants no more for now. When that changes it calls its `more_wanted`."""

    more_wanted: Callable[[], None]
    """Set by the connection."""

    def write(self, piece: bytes) -> None:
        """The next bytes."""

    def end(self) -> None:
        """That was all."""


SinkOpener = Callable[[HttpRequest, HttpResponder], BodySink | None]
"""Asked when a request's head is there (its body is still empty): a sink, or None to have the whole
body gathered for the handler."""
