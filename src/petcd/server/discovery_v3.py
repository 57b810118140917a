"""A registry in the keys of the v3 API of any etcd or petcd, as of etcd 3.6.

    /_etcd/registry/TOKEN/_config/size
    /_etcd/registry/TOKEN/members/MEMBER ID

Endpoints are asked in turn until one answers. No TLS and no credentials yet.
"""

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from petcd.client import methods
from petcd.client.aio import AsyncConnection, connect
from petcd.client.endpoint import AddressError, parse_endpoint
from petcd.client.ranges import prefix_end
from petcd.server.discovery_registry import SIZE_NOT_FOUND, DiscoveryFailed, Entry, Unanswered
from petcd.transport.h2_client import ClientCall
from petcd.version import PETCD_VERSION
from petcd.wire.codec import DecodeError, Message
from petcd.wire.kv import PutRequest, PutResponse, RangeRequest, RangeResponse
from petcd.wire.watch import WatchCreateRequest, WatchRequest, WatchResponse

PREFIX = "/_etcd/registry"
USER_AGENT = f"petcd/{PETCD_VERSION}".encode()

_Answer = TypeVar("_Answer", bound=Message)


class V3Registry:
    """See `discovery_registry.Registry`. Made inside a running loop; `close` ends it."""

    def __init__(
        self, endpoints: Sequence[str], token: str, dial_timeout_s: float, request_timeout_s: float
    ) -> None:
        self._endpoints = list(endpoints)
        self._size_key = f"{PREFIX}/{token}/_config/size"
        self._members_prefix = f"{PREFIX}/{token}/members/"
        self._dial_timeout_s = dial_timeout_s
        self._request_timeout_s = request_timeout_s
        self._connection: AsyncConnection | None = None

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            await asyncio.sleep(0)

    async def size(self) -> str:
        """See Registry."""
        request = RangeRequest(key=self._size_key.encode())
        answer = await self._unary(methods.RANGE, request, RangeResponse)
        if not answer.kvs:
            raise DiscoveryFailed(SIZE_NOT_FOUND)
        return answer.kvs[0].value.decode("utf-8", "replace")

    async def entries(self) -> tuple[list[Entry], int]:
        """See Registry."""
        prefix = self._members_prefix.encode()
        request = RangeRequest(key=prefix, range_end=prefix_end(prefix))
        answer = await self._unary(methods.RANGE, request, RangeResponse)
        found = []
        for kv in answer.kvs:
            name = kv.key.removeprefix(prefix).decode("utf-8", "replace")
            peers = kv.value.decode("utf-8", "replace").strip()
            if "=" in peers:
                found.append(Entry(name, peers, kv.create_revision))
        return found, answer.header.revision if answer.header is not None else 0

    async def register(self, member_id: str, peers: str) -> bool:
        """See Registry; an entry of ours from an earlier attempt is written over, as in etcd."""
        key = f"{self._members_prefix}{member_id}".encode()
        request = PutRequest(key=key, value=peers.encode())
        await self._unary(methods.PUT, request, PutResponse)
        return True

    async def changed_since(self, index: int) -> None:
        """See Registry."""
        prefix = self._members_prefix.encode()
        create = WatchCreateRequest(
            key=prefix, range_end=prefix_end(prefix), start_revision=index + 1
        )
        call = (await self._connected()).engine.open(methods.WATCH)
        try:
            call.send(WatchRequest(create_request=create).encode())
            while True:
                answer = await _next(call, WatchResponse)
                if answer.events or answer.canceled:  # cancelled: compacted, so look again
                    return
        finally:
            call.cancel()

    # -- calls -------------------------------------------------------------------------------------

    async def _unary(self, path: bytes, request: Message, answer: type[_Answer]) -> _Answer:
        connection = await self._connected()
        timeout_s = self._request_timeout_s
        call = connection.engine.unary(path, request.encode(), timeout_s=timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                return await _next(call, answer)
        except TimeoutError:
            call.cancel()
            raise Unanswered("the request timed out") from None

    async def _connected(self) -> AsyncConnection:
        if self._connection is not None and self._connection.usable:
            return self._connection
        faults = []
        for text in self._endpoints:
            endpoint = parse_endpoint(text)
            if endpoint.tls:
                raise DiscoveryFailed(f"--discovery-endpoints: {text}: TLS is not served yet")
            try:
                self._connection = await connect(endpoint, USER_AGENT, self._dial_timeout_s)
                return self._connection
            except (OSError, AddressError) as error:
                faults.append(f"{text}: {error or type(error).__name__}")
        self._endpoints.append(self._endpoints.pop(0))
        raise Unanswered("; ".join(faults))


async def _next(call: ClientCall, answer: type[_Answer]) -> _Answer:
    """The next message of a call. Raises Unanswered when it has ended instead."""
    came = asyncio.Event()

    def take(message: bytes) -> None:
        call.messages.append(message)
        came.set()

    call.on_end = came.set
    call.on_message = take
    while not call.messages:
        if call.status is not None:
            raise Unanswered(f"{call.details or 'no answer'} (code {call.status})")
        came.clear()
        await came.wait()
    try:
        return answer.decode(call.messages.popleft())
    except DecodeError as error:
        raise Unanswered(str(error)) from None
