"""One connection for asyncio: the sans-IO engine on a transport.

```
  engine.open, call.send ... -> on_output -> one write at the end of the turn
  data_received -> engine.receive -> callbacks of the calls
```

A connection with open calls that hears nothing for `KEEPALIVE_S` pings, and counts as lost when
nothing comes back for `KEEPALIVE_TIMEOUT_S`: a server that hangs is found out like one that is
gone. To choose endpoints and to open another connection is the business of whoever made it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from petcd.client.endpoint import AddressError, Endpoint, split_host_port
from petcd.transport.h2_client import Http2ClientEngine

KEEPALIVE_S = 10.0
"""Shortest interval that grpc-go's clients allow themselves; servers punish one below 5 s."""
KEEPALIVE_TIMEOUT_S = 10.0
SOCKET_BUFFER_BYTES = 256 << 10
"""Unsent bytes beyond this make the engine hold streams back."""


class AsyncConnection(asyncio.Protocol):
    """Made by `connect`."""

    def __init__(self, engine: Http2ClientEngine) -> None:
        self.engine = engine
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._heard_at = 0.0
        self.heard: asyncio.Future[None] = self._loop.create_future()
        """Done when the server has sent something, which it does without being asked."""
        self._pinged = False
        self._timer: asyncio.TimerHandle | None = None
        engine.on_output = self._schedule

    @property
    def usable(self) -> bool:
        """Whether a new call can be made."""
        return not self.engine.closed and self.engine.goaway is None

    def flush(self) -> None:
        """Write what the engine has, as long as the socket takes it."""
        transport = self._transport
        if transport is None:
            return
        while not self._paused:
            data = self.engine.take_output()
            if not data:
                break
            transport.write(data)
        if self.engine.closed:
            transport.close()

    def close(self) -> None:
        """Say goodbye and close; open calls end."""
        if not self.engine.closed:
            self.engine.finish()
        self.flush()

    # -- asyncio's callbacks ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=SOCKET_BUFFER_BYTES)
        self._heard_at = self._loop.time()
        self._timer = self._loop.call_later(KEEPALIVE_S, self._check_silence)
        self.flush()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._pinged = False
        if not self.heard.done():
            self.heard.set_result(None)
        self.engine.receive(data, self._heard_at)
        self.flush()

    def pause_writing(self) -> None:
        self._paused = True
        self.engine.pause_writing()

    def resume_writing(self) -> None:
        self._paused = False
        self.engine.resume_writing()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        reason = "EOF" if exc is None else str(exc)
        self._transport = None
        if not self.heard.done():
            self.heard.set_exception(ConnectionResetError(f"error reading from server: {reason}"))
        self.engine.connection_lost(f"error reading from server: {reason}")

    # -- the turn and time -------------------------------------------------------------------------

    def _schedule(self) -> None:
        self._loop.call_soon(self.flush)

    def _check_silence(self) -> None:
        silent_s = self._loop.time() - self._heard_at
        wait_s = KEEPALIVE_S - silent_s
        if not self.engine.streams or silent_s < KEEPALIVE_S:
            wait_s = max(wait_s, KEEPALIVE_S / 2)
        elif not self._pinged:
            self._pinged = True
            self.engine.ping()
            wait_s = KEEPALIVE_TIMEOUT_S
        else:
            self._give_up()
            return
        self._timer = self._loop.call_later(wait_s, self._check_silence)

    def _give_up(self) -> None:
        transport = self._transport
        self.engine.connection_lost("keepalive ping failed to receive ACK within timeout")
        if transport is not None:
            transport.abort()


async def connect(
    endpoint: Endpoint, user_agent: bytes, timeout_s: float | None
) -> AsyncConnection:
    """Dial an endpoint without TLS and wait until it speaks: the kernel takes connections for a
    process that hangs, too. Raises OSError (TimeoutError when it stays silent) and AddressError."""
    engine = Http2ClientEngine(endpoint.authority.encode(), user_agent=user_agent)
    async with asyncio.timeout(timeout_s):
        connection = await _dial(endpoint, lambda: AsyncConnection(engine))
        try:
            await connection.heard
        except BaseException:
            connection.close()
            raise
    return connection


async def _dial(endpoint: Endpoint, make: Callable[[], AsyncConnection]) -> AsyncConnection:
    loop = asyncio.get_running_loop()
    if endpoint.network == "unix":
        _, made = await loop.create_unix_connection(make, endpoint.address)
    else:
        _, made = await loop.create_connection(make, *_host_and_port(endpoint.address))
    return made


def _host_and_port(address: str) -> tuple[str, int]:
    host, port = split_host_port(address)
    if not port.isdigit():
        raise AddressError(f"lookup tcp/{port}: unknown port")
    return host or "localhost", int(port)
