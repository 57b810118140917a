"""An HTTP/1.1 connection to a server: one request after the other, answers in pieces.

```
  HttpClient -> Connection.begin(request, sink) -> sink.head, sink.body*, sink.end
                                                    or sink.failed, once, at any time
```

`write` adds to a request whose body is sent in pieces; `writable` waits while the socket is full.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from petcd.transport.http1_answer import (
    ExchangeFailed,
    MalformedAnswer,
    ResponseHead,
    ResponseReader,
)


class ConnectionLost(ExchangeFailed):
    """The connection ended before the answer did."""


class ResponseSink(Protocol):
    """Who takes an answer."""

    def head(self, head: ResponseHead) -> None:
        """Status and headers are there."""

    def body(self, data: bytes) -> None:
        """Some of the body."""

    def end(self) -> None:
        """The answer is complete."""

    def failed(self, error: Exception) -> None:
        """There is no (complete) answer: the last call, as `end` is otherwise."""


class Connection(asyncio.Protocol):
    """A socket to a server; idle while it has no sink. `on_idle` and `on_gone` are its owner's."""

    def __init__(
        self,
        on_idle: Callable[[Connection], None],
        on_gone: Callable[[Connection], None],
    ) -> None:
        self._on_idle = on_idle
        self._on_gone = on_gone
        self._transport: asyncio.Transport | None = None
        self._sink: ResponseSink | None = None
        self._reader = ResponseReader()
        self._head_told = False
        self._writable = asyncio.Event()
        self._writable.set()
        self.after_data: Callable[[], None] | None = None
        """Called when the bytes that the socket brought are handled."""

    def begin(self, request: bytes, sink: ResponseSink, bodiless: bool = False) -> None:
        """Send a request (head, and body or its beginning) on an idle connection; `bodiless` when
        it asks for the head of an answer only."""
        assert self._sink is None and self._transport is not None
        self._sink = sink
        self._reader = ResponseReader(bodiless)
        self._head_told = False
        self._transport.write(request)

    def write(self, data: bytes) -> None:
        """More of the request's body."""
        if self._transport is not None:
            self._transport.write(data)

    async def writable(self) -> None:
        """Returns when the socket takes more. Raises `ConnectionLost`."""
        await self._writable.wait()
        if self._transport is None or self._sink is None:
            raise ConnectionLost("connection lost while sending")

    def pause_reading(self) -> None:
        """The sink takes no more for now."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """It does again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """Cut it; the sink hears nothing more."""
        self._sink = None
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio's callbacks -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        sink, reader = self._sink, self._reader
        if sink is None:  # nobody asked
            self.close()
            return
        try:
            piece = reader.feed(data)
        except MalformedAnswer as error:
            self._fail(error)
            return
        if reader.head is not None and not self._head_told:
            self._head_told = True
            sink.head(reader.head)
        if piece and self._sink is sink:
            sink.body(piece)
        if reader.done and self._sink is sink:
            self._finish(sink)
        if self.after_data is not None:
            self.after_data()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._writable.set()
        self._on_gone(self)
        sink = self._sink
        if sink is None:
            return
        try:
            self._reader.finish()
        except MalformedAnswer as error:
            self._sink = None
            sink.failed(exc if exc is not None else ConnectionLost(str(error)))
            return
        self._finish(sink)

    def _finish(self, sink: ResponseSink) -> None:
        self._sink = None
        head = self._reader.head
        assert head is not None
        if self._transport is not None:
            if head.keep_alive and not self._reader.surplus:
                self._on_idle(self)
            else:
                self._transport.close()
        sink.end()

    def _fail(self, error: Exception) -> None:
        sink = self._sink
        self.close()
        if sink is not None:
            sink.failed(error)
