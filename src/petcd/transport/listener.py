"""The asyncio side: sockets, time, one write per connection and turn.

A `Listener` makes a protocol object per connection, which tells HTTP/2 from HTTP/1.1 by its first
bytes (by ALPN under TLS) and then feeds that engine. Output that appears while bytes are handled
leaves at the end of that `data_received`; output from elsewhere (a commit batch, a watch) leaves
once per connection through `flush`, which the listener schedules with `call_soon` and which the
caller may also run at once.

Time: one timer for all deadlines, and a sweep each second for keepalive and the limits against slow
clients. It decides nothing about HTTP itself.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import cast

from petcd.transport.frames import PREFACE
from petcd.transport.h2_server import Http2ServerEngine
from petcd.transport.http import HttpHandler, HttpRequest, HttpResponder, SinkOpener
from petcd.transport.http1 import Http1ServerEngine
from petcd.transport.options import TransportLimits
from petcd.transport.router import Router

_DEADLINE_TICK_S = 0.02
"""New deadlines are looked at this often; one timer serves a listener."""
_SWEEP_S = 1.0
_SOCKET_BUFFER_BYTES = 256 << 10
"""A socket with more unsent bytes is full: `pause_writing`."""
_HANDSHAKE_TIMEOUT_S = 10.0
"""TLS handshakes that take longer are dropped (GHSA-6vch-q96h-7gc3: etcd had no limit)."""
_LINGER_S = 1.0
"""A client that broke a rule may go on sending for so long after our last byte."""
_CLOSE_TIMEOUT_S = 5.0
"""A closed connection whose client does not take the last bytes is cut off after this."""
_TELLING_BYTES = 3
"""`PRI` begins HTTP/2's preface and no HTTP/1.1 request that we serve."""
_BACKLOG = 1024


def _no_http(request: HttpRequest, respond: HttpResponder) -> None:
    respond.send(404, [(b"content-type", b"text/plain; charset=utf-8")], b"404 page not found\n")


class _Connection(asyncio.Protocol):
    """One accepted socket; `engine` is None until it has shown its protocol."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.time = listener.clock or listener.loop.time
        self.transport: asyncio.Transport | None = None
        self.engine: Http2ServerEngine | Http1ServerEngine | None = None
        self.peer = ""
        self.first = b""
        self.since = 0.0
        self.paused = False
        self.closing = False
        self.reading = True

    # -- asyncio's callbacks ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.since = self.time()
        listener = self.listener
        if len(listener.connections) >= listener.limits.max_connections:
            listener.refused += 1
            self.transport.abort()
            return
        self.transport.set_write_buffer_limits(high=_SOCKET_BUFFER_BYTES)
        listener.connections.add(self)
        name = transport.get_extra_info("peername")
        self.peer = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name or "")
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            self.engine = self._http2()

    def data_received(self, data: bytes) -> None:
        engine = self.engine
        if engine is None:
            data = self.first + data
            engine = self.engine = self._tell(data)
            if engine is None:
                self.first = data
                return
            self.first = b""
        engine.receive(data, self.time())
        after_receive = self.listener.after_receive
        if after_receive is not None:
            after_receive()
        self.flush()

    def pause_writing(self) -> None:
        self.paused = True
        if self.engine is not None:
            self.engine.pause_writing()

    def resume_writing(self) -> None:
        self.paused = False
        if self.engine is not None:
            self.engine.resume_writing()
            self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.forget(self)
        if self.engine is not None:
            self.engine.connection_lost()

    # -- protocols -------------------------------------------------------------------------------

    def _tell(self, data: bytes) -> Http2ServerEngine | Http1ServerEngine | None:
        if data[:_TELLING_BYTES] == PREFACE[:_TELLING_BYTES]:
            return self._http2()
        if PREFACE.startswith(data):
            return None
        listener = self.listener
        handler = listener.http_handler or _no_http
        engine = Http1ServerEngine(handler, listener.limits, self.peer, listener.date)
        engine.on_output = self._output
        engine.on_failure = listener.failed
        engine.open_sink = listener.open_sink
        return engine

    def _http2(self) -> Http2ServerEngine:
        listener = self.listener
        engine = Http2ServerEngine(
            listener.router, listener.limits, self.peer, listener.http_handler
        )
        engine.on_output = self._output
        engine.on_deadline = self._deadline
        engine.on_failure = listener.failed
        engine.http_date = listener.date
        engine.clock = self.time
        return engine

    def _output(self) -> None:
        self.listener.schedule(self)

    def _deadline(self, at: float) -> None:
        self.listener.note_deadline(self, at)

    # -- output and time -------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what the engine has, as long as the socket takes it."""
        engine, transport = self.engine, self.transport
        if engine is None or transport is None or self.closing:
            return
        while not self.paused:
            data = engine.take_output()
            if not data:
                break
            transport.write(data)
        if engine.closed:
            self._close(engine.take_output(), engine.lingers)
        elif not engine.wants_input or not self.reading:
            self._adjust_reading(engine.wants_input)

    def _close(self, last: bytes, lingers: bool) -> None:
        assert self.transport is not None
        self.closing = True
        self.since = self.time()
        if last:
            self.transport.write(last)
        if lingers and self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _adjust_reading(self, wanted: bool) -> None:
        assert self.transport is not None
        if wanted and not self.reading:
            self.reading = True
            self.transport.resume_reading()
        elif self.reading and not wanted:
            self.reading = False
            self.transport.pause_reading()

    def sweep(self, now: float) -> None:
        """What passing time asks for."""
        engine, transport = self.engine, self.transport
        assert transport is not None
        waited = now - self.since
        if self.closing:
            if waited > _CLOSE_TIMEOUT_S:
                transport.abort()
            elif waited > _LINGER_S:
                transport.close()
        elif engine is None:
            if waited > self.listener.limits.preface_timeout_s:
                transport.abort()
        else:
            engine.tick(now)
            if engine.closed:
                self.flush()

    def drain(self) -> None:
        """Graceful stop of this connection."""
        if self.engine is not None:
            self.engine.drain()
            self.flush()
        elif self.transport is not None:
            self.transport.abort()


class Listener:
    """Sockets that serve a `Router`'s methods over gRPC and an `HttpHandler` over HTTP.

    Made inside a running event loop. `on_failure(what, error)` learns of exceptions in handlers.
    `after_receive()` is called when the bytes that a socket brought are handled, before answers go
    out: the place to finish work that gathers them. `on_refused(count)` is told each second how
    many connections were dropped because there are too many. `open_sink` may take the body of an
    HTTP/1.1 request in pieces. `clock` is set where somebody wants to know how long calls take: the
    loop's time, but not the same within a round.
    Byte counters, for the metrics: `message_bytes_received` and `message_bytes_sent` of gRPC.
    """

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
        self.clock: Callable[[], float] | None = None
        self.on_failure: Callable[[str, Exception], None] = self._log
        self.after_receive: Callable[[], None] | None = None
        self.open_sink: SinkOpener | None = None
        self.on_refused: Callable[[int], None] | None = None
        self.refused = 0
        self.connections: set[_Connection] = set()
        self._dirty: list[_Connection] = []
        self._timed: set[_Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._sweeper: asyncio.TimerHandle | None = None
        self._servers: list[asyncio.Server] = []
        self._gone_received = 0
        self._gone_sent = 0
        self._all_gone: asyncio.Future[None] | None = None
        self._date = b""
        self._date_at = 0

    # -- start and stop --------------------------------------------------------------------------

    async def start(
        self, host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> tuple[str, int]:
        """Listen on an address; returns the one really bound (port 0 picks a free one).

        With `tls`, set its ALPN to `h2, http/1.1` as etcd does. Raises OSError.
        """
        timeout = None if tls is None else _HANDSHAKE_TIMEOUT_S
        server = await self.loop.create_server(
            self.protocol_factory,
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=timeout,
            backlog=_BACKLOG,
        )
        self._started(server)
        name = server.sockets[0].getsockname()
        return name[0], name[1]

    async def start_on(self, bound: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a socket that is bound already. Raises OSError."""
        # Two sockets may be bound to one port as long as neither listens; uvloop would not tell.
        try:
            bound.listen(_BACKLOG)
        except OSError as error:
            where = ":".join(map(str, bound.getsockname()[:2]))
            raise OSError(f"listen tcp {where}: {(error.strerror or '').lower()}") from None
        timeout = None if tls is None else _HANDSHAKE_TIMEOUT_S
        is_file = bound.family == socket.AF_UNIX
        create = self.loop.create_unix_server if is_file else self.loop.create_server
        server = await create(
            self.protocol_factory,
            sock=bound,
            ssl=tls,
            ssl_handshake_timeout=timeout,
            backlog=_BACKLOG,
        )
        self._started(server)

    def _started(self, server: asyncio.Server) -> None:
        self._servers.append(server)
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(_SWEEP_S, self._sweep)

    def protocol_factory(self) -> asyncio.Protocol:
        """A protocol for one more accepted socket."""
        return _Connection(self)

    async def stop(self, grace_s: float) -> None:
        """Graceful stop: nothing new is taken, what is in flight gets `grace_s`, then `close`."""
        for server in self._servers:
            server.close()
        if self.connections and grace_s > 0:
            self._all_gone = self.loop.create_future()
            for connection in list(self.connections):
                connection.drain()
            await asyncio.wait([self._all_gone], timeout=grace_s)
        await self.close()

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        for server in self._servers:
            server.close()
        for timer in (self._sweeper, self._timer):
            if timer is not None:
                timer.cancel()
        self._sweeper = self._timer = None
        for connection in list(self.connections):
            if connection.transport is not None:
                connection.transport.abort()
        self._servers.clear()
        await asyncio.sleep(0)  # lets the transports tell their protocols

    # -- output ----------------------------------------------------------------------------------

    def schedule(self, connection: _Connection) -> None:
        """A connection has output: flush it at the end of this turn."""
        if not self._dirty:
            self.loop.call_soon(self.flush)
        self._dirty.append(connection)

    def flush(self) -> None:
        """Write what connections have gathered outside `data_received`, now."""
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()

    # -- counters --------------------------------------------------------------------------------

    @property
    def message_bytes_received(self) -> int:
        """Bytes of gRPC messages received, on open and closed connections."""
        return self._gone_received + sum(e.message_bytes_received for e in self._engines())

    @property
    def message_bytes_sent(self) -> int:
        """Bytes of gRPC messages sent, on open and closed connections."""
        return self._gone_sent + sum(e.message_bytes_sent for e in self._engines())

    def _engines(self) -> list[Http2ServerEngine]:
        engines = [connection.engine for connection in self.connections]
        return [engine for engine in engines if isinstance(engine, Http2ServerEngine)]

    # -- called by connections -------------------------------------------------------------------

    def forget(self, connection: _Connection) -> None:
        """A socket is gone."""
        if connection not in self.connections:
            return
        self.connections.discard(connection)
        self._timed.discard(connection)
        engine = connection.engine
        if isinstance(engine, Http2ServerEngine):
            self._gone_received += engine.message_bytes_received
            self._gone_sent += engine.message_bytes_sent
        if not self.connections and self._all_gone is not None and not self._all_gone.done():
            self._all_gone.set_result(None)

    def failed(self, what: str, error: Exception) -> None:
        self.on_failure(what, error)

    def _log(self, what: str, error: Exception) -> None:
        self.loop.call_exception_handler(
            {"message": f"handler of {what} failed", "exception": error}
        )

    def date(self) -> bytes:
        """The value of a Date header, made once a second."""
        second = int(time.time())
        if second != self._date_at:
            self._date_at = second
            self._date = formatdate(second, usegmt=True).encode("ascii")
        return self._date

    # -- time ------------------------------------------------------------------------------------

    def note_deadline(self, connection: _Connection, at: float) -> None:
        """A call with a deadline began on a connection."""
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
            engine = connection.engine
            assert isinstance(engine, Http2ServerEngine)
            following = engine.expire(now)
            if following is not None:
                self._timed.add(connection)
                self._set_timer(following)

    def tell_of_refused(self) -> None:
        """Part of each second's sweep."""
        if self.refused and self.on_refused is not None:
            self.on_refused(self.refused)
        self.refused = 0

    def _sweep(self) -> None:
        self._sweeper = self.loop.call_later(_SWEEP_S, self._sweep)
        now = self.loop.time()
        self.tell_of_refused()
        for connection in list(self.connections):
            connection.sweep(now)
