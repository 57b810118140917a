"""Servers of gRPC handlers on loopback sockets, for clients to talk to."""

import asyncio
import threading
from collections.abc import Callable, Iterator

from petcd.client.endpoint import Endpoint, parse_endpoint
from petcd.transport.listener import Listener
from petcd.transport.router import BIDI, UNARY, Method, Router

Handler = Callable[..., None]


class FakeServer:
    """Listens and answers with the handlers it was given; `stop` breaks every connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.router = Router()
        self.address = ("127.0.0.1", 0)
        self.listener: Listener | None = None

    def unary(self, path: bytes, handler: Handler) -> "FakeServer":
        self.router.add(Method(path, UNARY, handler))
        return self

    def stream(self, path: bytes, handler: Handler) -> "FakeServer":
        self.router.add(Method(path, BIDI, handler))
        return self

    def start(self) -> "FakeServer":
        self._run(self._start())
        return self

    async def _start(self) -> None:
        self.listener = Listener(self.router)
        self.address = await self.listener.start(*self.address)

    def stop(self) -> None:
        if self.listener is not None:
            self._run(self._stop(self.listener))
            self.listener = None

    async def _stop(self, listener: Listener) -> None:
        await listener.close()
        await asyncio.sleep(0)  # lets the sockets close

    def _run(self, work) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    @property
    def endpoint(self) -> Endpoint:
        return parse_endpoint(f"{self.address[0]}:{self.address[1]}")


def serving() -> Iterator[Callable[[], FakeServer]]:
    """What a fixture `serve` yields: `serve()` makes a server; add handlers, then `start()` it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    servers: list[FakeServer] = []

    def make() -> FakeServer:
        servers.append(FakeServer(loop))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
