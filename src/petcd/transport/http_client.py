"""HTTP/1.1 requests to members: streams that stay open, short requests over kept connections.

A short request is one call of `fetch`. `open` begins a GET whose answer goes on and on, piece by
piece into a sink. `post` sends a body that is made piece by piece. `begin` sends ready-made bytes
and gives the rest to the caller. Kept connections wait at most `IDLE_MAX_S`, less than the five
seconds after which a peer port cuts a silent one.

No redirects, no proxies, no names looked up for longer than the dial time-out. TLS: give the
constructor a context.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from time import perf_counter
from urllib.parse import urlsplit

from petcd.transport.http import Header
from petcd.transport.http1_answer import ExchangeFailed, MalformedAnswer, ResponseHead
from petcd.transport.http1_connection import Connection, ConnectionLost, ResponseSink

IDLE_MAX_S = 4.5
"""A kept connection is not used again after this."""
IDLE_CONNECTIONS_MAX = 4
"""Kept connections to one address: as many as a pipeline uses at once."""
ANSWER_BYTES_MAX = 16 << 20
"""The longest answer to a short request; member lists and errors have hundreds of bytes."""
SOCKET_BUFFER_BYTES = 256 << 10
"""Unsent bytes of a body after which the sender waits."""

Address = tuple[str, int, bool]


class Unreachable(ExchangeFailed):
    """Nobody answers at the URL, or not in time."""


class Response:
    """A short answer."""

    __slots__ = ("_head", "body", "duration_s")

    def __init__(self, head: ResponseHead, body: bytes, duration_s: float) -> None:
        self._head = head
        self.body = body
        self.duration_s = duration_s
        """From sending the request until the answer was complete."""

    @property
    def status(self) -> int:
        """The status code."""
        return self._head.status

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header (lower-case name), None when it is absent."""
        return self._head.header(name)


class _Gathering:
    """A sink that gathers a short answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.done: asyncio.Future[tuple[ResponseHead, bytes]] = loop.create_future()
        self._head: ResponseHead | None = None
        self._body = bytearray()

    def head(self, head: ResponseHead) -> None:
        self._head = head

    def body(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > ANSWER_BYTES_MAX:
            self.failed(MalformedAnswer("answer too long"))

    def end(self) -> None:
        if not self.done.done():
            assert self._head is not None
            self.done.set_result((self._head, bytes(self._body)))

    def failed(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Stream:
    """A GET whose answer goes into a sink until `close`."""

    def __init__(self, client: HttpClient, url: str, request: bytes, sink: ResponseSink) -> None:
        self._client = client
        self._connection: Connection | None = None
        self._sink = sink
        self._task = client.loop.create_task(self._dial(url, request))

    async def _dial(self, url: str, request: bytes) -> None:
        try:
            connection = await self._client.connect(address_of(url))
        except (ExchangeFailed, OSError) as error:
            self._sink.failed(error)
            return
        connection.after_data = self._client.after_stream_data
        self._connection = connection
        connection.begin(request, self._sink)

    def close(self) -> None:
        """Cut it; the sink hears nothing more."""
        self._task.cancel()
        if self._connection is not None:
            self._connection.close()


class HttpClient:
    """Connections to servers, kept while they are of use. Made inside a running loop."""

    def __init__(
        self,
        dial_timeout_s: float | None,
        tls: ssl.SSLContext | None = None,
        idle_max: int = IDLE_CONNECTIONS_MAX,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.after_stream_data: Callable[[], None] | None = None
        """Called when the bytes that a stream's socket brought are handled."""
        self._dial_timeout_s = dial_timeout_s
        self._tls = tls
        self._idle_max = idle_max
        self._idle: dict[Address, list[tuple[Connection, float]]] = {}
        self._addresses: dict[Connection, Address] = {}

    def open(self, url: str, target: str, headers: Sequence[Header], sink: ResponseSink) -> Stream:
        """Begin a stream; what goes wrong, the sink is told."""
        return Stream(self, url, _request_head("GET", url, target, headers), sink)

    async def begin(
        self, url: str, request: bytes, sink: ResponseSink, bodiless: bool = False
    ) -> tuple[Connection, bool]:
        """Send a whole request as it is; the answer goes into the sink. Returns the connection and
        whether it was a kept one. Raises `OSError` and `Unreachable`."""
        address = address_of(url)
        kept = self._take_idle(address)
        connection = kept or await self.connect(address)
        connection.begin(request, sink, bodiless)
        return connection, kept is not None

    async def fetch(
        self,
        url: str,
        method: str,
        target: str,
        headers: Sequence[Header] = (),
        body: bytes = b"",
        timeout_s: float = 5.0,
    ) -> Response:
        """A short request. Raises `ExchangeFailed` or `OSError` when there is no answer in time."""
        length = [(b"content-length", b"%d" % len(body))] if body or method == "POST" else []
        request = _request_head(method, url, target, [*headers, *length]) + body
        gathering = _Gathering(self.loop)
        connection: Connection | None = None
        try:
            async with asyncio.timeout(timeout_s):
                address = address_of(url)
                connection = self._take_idle(address) or await self.connect(address)
                began = perf_counter()  # the loop's time stands still within a turn
                connection.begin(request, gathering)
                head, answer = await gathering.done
        except TimeoutError:
            raise Unreachable(f"no answer from {url} within {timeout_s:g} s") from None
        finally:
            if connection is not None and not gathering.done.done():
                connection.close()
        return Response(head, answer, perf_counter() - began)

    async def post(
        self,
        url: str,
        target: str,
        headers: Sequence[Header],
        length: int,
        pieces: AsyncGenerator[bytes, None],
        stall_s: float,
        answer_s: float,
    ) -> Response:
        """Send a body of `length` bytes piece by piece over a connection of its own.

        Gives up when the socket takes nothing for `stall_s`, or the answer does not come within
        `answer_s` of the last piece. Raises like `fetch`, and what `pieces` raises.
        """
        announced = [*headers, (b"content-length", b"%d" % length)]
        gathering = _Gathering(self.loop)
        connection = await self.connect(address_of(url))
        began = perf_counter()
        try:
            connection.begin(_request_head("POST", url, target, announced), gathering)
            async with aclosing(pieces):
                async for piece in pieces:
                    if gathering.done.done():  # refused, or lost
                        break
                    connection.write(piece)
                    async with asyncio.timeout(stall_s):
                        await connection.writable()
            async with asyncio.timeout(answer_s):
                head, answer = await gathering.done
        except ConnectionLost:
            if not gathering.done.done():
                raise
            head, answer = gathering.done.result()  # it was refused before it was complete
        except TimeoutError:
            raise Unreachable(f"{url} takes no data") from None
        finally:
            connection.close()
            if not gathering.done.cancel():
                gathering.done.exception()  # known by now, or of no interest
        return Response(head, answer, perf_counter() - began)

    async def close(self) -> None:
        """Cut every connection."""
        for connection in list(self._addresses):
            connection.close()
        self._idle.clear()
        await asyncio.sleep(0)

    # -- connections -------------------------------------------------------------------------------

    async def connect(self, address: Address) -> Connection:
        """A new connection. Raises `OSError` and `Unreachable`."""
        host, port, secure = address
        if secure and self._tls is None:
            raise Unreachable(f"https://{host}:{port} without TLS settings")
        try:
            async with asyncio.timeout(self._dial_timeout_s):
                transport, connection = await self.loop.create_connection(
                    lambda: Connection(self._keep, self._forget),
                    host,
                    port,
                    ssl=self._tls if secure else None,
                )
        except TimeoutError:
            raise Unreachable(f"dial tcp {host}:{port}: i/o timeout") from None
        transport.set_write_buffer_limits(high=SOCKET_BUFFER_BYTES)
        self._addresses[connection] = address
        return connection

    def _take_idle(self, address: Address) -> Connection | None:
        waiting = self._idle.get(address)
        while waiting:
            connection, since = waiting.pop()
            if self.loop.time() - since < IDLE_MAX_S:
                return connection
            connection.close()
        return None

    def _keep(self, connection: Connection) -> None:
        waiting = self._idle.setdefault(self._addresses[connection], [])
        if len(waiting) >= self._idle_max:
            connection.close()
        else:
            waiting.append((connection, self.loop.time()))

    def _forget(self, connection: Connection) -> None:
        address = self._addresses.pop(connection, None)
        if address is None:
            return
        waiting = [entry for entry in self._idle.get(address, []) if entry[0] is not connection]
        if waiting:
            self._idle[address] = waiting
        else:
            self._idle.pop(address, None)


def address_of(url: str) -> Address:
    """Host, port and whether TLS is spoken there. Raises `Unreachable` when that is not said, or
    the host is a name that cannot be looked up."""
    try:
        parts = urlsplit(url)
        host, port, secure = parts.hostname, parts.port, parts.scheme == "https"
        if host is not None:
            host.encode("idna")  # so begins the look-up; labels are neither empty nor long
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise Unreachable(f"not an HTTP URL: {url}")
    return host, port or (443 if secure else 80), secure


def _request_head(method: str, url: str, target: str, headers: Sequence[Header]) -> bytes:
    lines = [
        f"{method} {target} HTTP/1.1\r\n".encode(),
        b"Host: " + urlsplit(url).netloc.encode() + b"\r\n",
    ]
    lines += [name + b": " + value + b"\r\n" for name, value in headers]
    lines.append(b"\r\n")
    return b"".join(lines)
