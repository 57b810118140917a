"""The asyncio side: sockets, time, one write per connection and turn.

A `Listener` makes a protocol object per connection, which tells HTTP/2 from HTTP/1.1 by its first
bytes and then feeds the engine. Output that appears while bytes are handled leaves at the end of
that `data_received`; output from elsewhere (a commit batch, a watch) leaves once per connection
through `flush`, which the listener schedules with `call_soon` and which the caller may also run at
once.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import cast

from petcd.transport.call import Call
from petcd.transport.h2_server import Http2ServerEngine
from petcd.transport.http import HttpHandler
from petcd.transport.options import TransportLimits
from petcd.transport.router import Router

_DEADLINE_TICK_S = 0.02
"""Deadlines are looked at this often while calls with one are open; a single timer serves a
listener."""
_SOCKET_BUFFER_BYTES = 256 << 10
"""A socket with more unsent bytes is full: `pause_writing`."""


class _Connection(asyncio.Protocol):
    """One accepted socket."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.loop = listener.loop
        self.transport: asyncio.Transport | None = None
        self.engine: Http2ServerEngine | None = None
        self.paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_SOCKET_BUFFER_BYTES)
        self.listener.connections.add(self)
        name = transport.get_extra_info("peername")
        peer = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name or "")
        engine = Http2ServerEngine(self.listener.router, self.listener.limits, peer)
        engine.on_output = self._output
        engine.on_deadline = self._deadline
        engine.on_failure = self.listener.failed
        self.engine = engine

    def data_received(self, data: bytes) -> None:
        assert self.engine is not None
        self.engine.receive(data, self.loop.time())
        self.flush()

    def pause_writing(self) -> None:
        self.paused = True
        assert self.engine is not None
        self.engine.pause_writing()

    def resume_writing(self) -> None:
        self.paused = False
        assert self.engine is not None
        self.engine.resume_writing()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.connections.discard(self)
        assert self.engine is not None
        self.engine.connection_lost()

    def flush(self) -> None:
        engine, transport = self.engine, self.transport
        assert engine is not None and transport is not None
        while True:
            data = engine.take_output()
            if not data:
                break
            transport.write(data)
            if self.paused:
                break
        if engine.closed:
            transport.close()

    def _output(self) -> None:
        self.listener.schedule(self)

    def _deadline(self, at: float) -> None:
        self.listener.watch_deadlines(self, at)


class Listener:
    """Sockets that serve a `Router`'s methods."""

    def __init__(
        self,
        router: Router,
        http_handler: HttpHandler | None = None,
        limits: TransportLimits | None = None,
    ) -> None:
        self.router = router
        self.http_handler = http_handler
        self.limits = limits or TransportLimits()
        self.loop = asyncio.get_running_loop()
        self.connections: set[_Connection] = set()
        self._dirty: list[_Connection] = []
        self._timed: set[_Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._servers: list[asyncio.Server] = []

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen on an address; returns the address really bound (port 0 picks a free one)."""
        server = await self.loop.create_server(lambda: _Connection(self), host, port)
        self._servers.append(server)
        name = server.sockets[0].getsockname()
        return name[0], name[1]

    async def close(self) -> None:
        """Stop listening and close every connection."""
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            if connection.transport is not None:
                connection.transport.abort()
        for server in self._servers:
            with contextlib.suppress(asyncio.CancelledError):
                await server.wait_closed()

    def schedule(self, connection: _Connection) -> None:
        if not self._dirty:
            self.loop.call_soon(self.flush)
        self._dirty.append(connection)

    def flush(self) -> None:
        """Write what connections have gathered since the last turn."""
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()

    def failed(self, call: Call, error: Exception) -> None:
        self.loop.call_exception_handler(
            {"message": f"handler of {call.method.path.decode()} failed", "exception": error}
        )

    def watch_deadlines(self, connection: _Connection, at: float) -> None:
        self._timed.add(connection)
        self._set_timer(min(at, self.loop.time() + _DEADLINE_TICK_S))

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self.loop.call_at(at, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self.loop.time()
        timed, self._timed = self._timed, set()
        for connection in timed:
            assert connection.engine is not None
            following = connection.engine.expire(now)
            if following is not None:
                self._timed.add(connection)
                self._set_timer(following)
