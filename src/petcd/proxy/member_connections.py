"""One HTTP/2 connection to each member, shared by all calls that go there.

Dialled when the first call wants it, forgotten when it is lost or going away. A member that is no
longer one keeps its connection until its last call is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from petcd.client.aio import AsyncConnection, connect
from petcd.client.endpoint import AddressError, parse_endpoint
from petcd.version import PETCD_VERSION

USER_AGENT = f"petcd-proxy/{PETCD_VERSION}".encode()


class MemberConnections:
    """Made inside a running loop. `dial_timeout_s` None is no end."""

    def __init__(self, dial_timeout_s: float | None) -> None:
        self._dial_timeout_s = dial_timeout_s
        self._open: dict[str, AsyncConnection] = {}
        self._dialling: dict[str, asyncio.Task[AsyncConnection]] = {}
        self._leaving: list[AsyncConnection] = []

    def usable(self, url: str) -> AsyncConnection | None:
        """The connection to a member if there is one on which a call can be made."""
        connection = self._open.get(url)
        if connection is not None and connection.usable:
            return connection
        return None

    def dial(self, url: str) -> asyncio.Task[AsyncConnection]:
        """The connection that is being made; its exception is an OSError."""
        task = self._dialling.get(url)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._dial(url))
            self._dialling[url] = task
        return task

    async def _dial(self, url: str) -> AsyncConnection:
        try:
            endpoint = parse_endpoint(url)
            if endpoint.tls:
                raise OSError(f"{url}: TLS towards members is not served yet")
            connection = await connect(endpoint, USER_AGENT, self._dial_timeout_s)
        except AddressError as error:
            raise OSError(str(error)) from None
        finally:
            del self._dialling[url]
        before = self._open.pop(url, None)
        if before is not None:
            self._leave(before)
        self._open[url] = connection
        return connection

    def keep_only(self, urls: Collection[str]) -> None:
        """Let the connections to all other members go."""
        for url in [url for url in self._open if url not in urls]:
            self._leave(self._open.pop(url))
        self._leaving = [each for each in self._leaving if not _close_if_idle(each)]

    def _leave(self, connection: AsyncConnection) -> None:
        if not _close_if_idle(connection):
            self._leaving.append(connection)

    async def stop(self) -> None:
        """Close all."""
        dialling = list(self._dialling.values())
        for task in dialling:
            task.cancel()
        if dialling:
            await asyncio.wait(dialling)
        for connection in (*self._open.values(), *self._leaving):
            connection.close()
        self._open.clear()
        self._leaving.clear()


def _close_if_idle(connection: AsyncConnection) -> bool:
    if connection.engine.streams and not connection.engine.closed:
        return False
    connection.close()
    return True
