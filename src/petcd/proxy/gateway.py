"""The TCP gateway: a client's connection is joined to one of an endpoint.

```
  client --- _Side <--partner--> _Side --- endpoint
```

What one side receives the other writes; a side whose socket is full stops its partner from reading,
so that a slow reader holds no more than two socket buffers. The end of one direction is handed on
and the other direction lives until it ends, too; an error cuts both.

An endpoint that cannot be connected is out until a connection, tried every `retry_delay_s`,
succeeds. A client for whom none is left is hung up on. No TLS of its own: bytes pass as they are.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import cast

from petcd.proxy.log import Log
from petcd.proxy.remotes import Remote, Remotes

DIAL_TIMEOUT_S = 5.0
"""A silent endpoint counts as failed after this; etcd waits for the system's minutes."""
SOCKET_BUFFER_BYTES = 256 << 10
BACKLOG = 1024


class _Side(asyncio.Protocol):
    """One of two joined sockets; made with `partner` when that is there already."""

    def __init__(self, gateway: Gateway, partner: _Side | None = None) -> None:
        self.gateway = gateway
        self.transport: asyncio.Transport | None = None
        self.partner = partner
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=SOCKET_BUFFER_BYTES)
        self.gateway.sides.add(self)
        if self.partner is not None:
            self.partner.join(self)

    def join(self, partner: _Side) -> None:
        """The other side is there."""
        self.partner = partner

    def data_received(self, data: bytes) -> None:
        partner = self.partner
        if partner is not None and partner.transport is not None:
            partner.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        partner = self.partner
        if partner is None or partner.transport is None or partner.ended:
            return False  # both directions are through: asyncio closes this side
        partner.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if self.partner is not None and self.partner.transport is not None:
            self.partner.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.partner is not None and self.partner.transport is not None:
            self.partner.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gateway.sides.discard(self)
        partner, self.partner = self.partner, None
        if partner is not None and partner.transport is not None:
            partner.partner = None
            partner.transport.close()

    def cut(self) -> None:
        """End this side at once, and with it its partner."""
        if self.transport is not None:
            self.transport.abort()


class _Client(_Side):
    """The accepted side; holds what comes before an endpoint is connected, and asks for no more."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.gateway.connect_for(self)

    def data_received(self, data: bytes) -> None:
        if self.partner is None:
            assert self.transport is not None
            self._early.append(data)
            self.transport.pause_reading()
        else:
            super().data_received(data)

    def eof_received(self) -> bool:
        if self.partner is None:
            self.ended = True
            return True
        return super().eof_received()

    def join(self, partner: _Side) -> None:
        super().join(partner)
        assert partner.transport is not None
        partner.transport.writelines(self._early)
        self._early.clear()
        if self.ended:
            partner.transport.write_eof()


class Gateway:
    """Listens on one address. `start` once, `stop` once; made inside a running loop."""

    def __init__(
        self, remotes: Sequence[Remote], host: str, port: int, retry_delay_s: float, log: Log
    ) -> None:
        self.remotes = Remotes(remotes, random.randrange)
        self.sides: set[_Side] = set()
        self.address = (host, port)
        self._retry_delay_s = retry_delay_s
        self._log = log
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._monitor: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Client(self), *self.address, backlog=BACKLOG
        )
        name = self._server.sockets[0].getsockname()
        self.address = (name[0], name[1])
        self._monitor = loop.create_task(self._watch_remotes())
        self._log.info(
            "ready to proxy client requests",
            endpoints=[remote.address for remote in self.remotes.all],
        )

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        tasks = [*self._tasks, *([] if self._monitor is None else [self._monitor])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for side in list(self.sides):
            side.cut()
        await asyncio.sleep(0)  # lets the transports tell their protocols

    # -- a client's connection -------------------------------------------------------------------

    def connect_for(self, client: _Client) -> None:
        """Find an endpoint for an accepted connection."""
        task = asyncio.get_running_loop().create_task(self._connect_for(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect_for(self, client: _Client) -> None:
        assert client.transport is not None
        while (remote := self.remotes.pick()) is not None:
            try:
                side = await self._connect(remote, client)
            except OSError as error:
                remote.active = False
                self._log.warn(
                    "deactivated endpoint",
                    address=remote.address,
                    interval=self._retry_delay_s,
                    error=reason_of(error),
                )
                continue
            if client.transport.is_closing():
                side.cut()
            else:
                client.transport.resume_reading()
            return
        client.transport.close()

    async def _connect(self, remote: Remote, client: _Client | None = None) -> _Side:
        loop = asyncio.get_running_loop()
        made = loop.create_connection(lambda: _Side(self, client), remote.host, remote.port)
        _, side = await asyncio.wait_for(made, DIAL_TIMEOUT_S)
        return side

    # -- failed endpoints --------------------------------------------------------------------------

    async def _watch_remotes(self) -> None:
        while True:
            await asyncio.sleep(self._retry_delay_s)
            failed = [remote for remote in self.remotes.all if not remote.active]
            await asyncio.gather(*map(self._try_again, failed))

    async def _try_again(self, remote: Remote) -> None:
        try:
            side = await self._connect(remote)
        except OSError as error:
            self._log.warn(
                "failed to activate endpoint (stay inactive for another interval)",
                address=remote.address,
                interval=self._retry_delay_s,
                error=reason_of(error),
            )
            return
        side.cut()
        remote.active = True
        self._log.info("activated", address=remote.address)


def reason_of(error: OSError) -> str:
    """One line for a log, also for errors that carry no text."""
    return (error.strerror or str(error) or type(error).__name__).lower()
