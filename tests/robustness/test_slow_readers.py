"""Clients that ask for much and do not read: the member's memory stays bounded, others go on."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from bench.connection import Connection, static_block
from bench.requests import PUT, RANGE, WATCH, watch_create
from bench.servers import Server
from petcd.wire.kv import PutRequest, RangeRequest, RangeResponse
from petcd.wire.watch import WatchResponse

KEY = b"key"
VALUE_BYTES = 250_000
PUTS = 60
WATCHERS = 12
ROOM_BYTES = 120 << 20  # the log holds the writes, 15 MB; copies for each watcher would be 180 MB
ANSWER_BYTES = 1_000_000
ASKED = 75
READERS = 3  # for whom 225 MB would lie ready; 16 MB each are allowed
WAIT_S = 60.0


class Watcher:
    """One that reads, or does not for now."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.revisions: list[int] = []
        stream = connection.open_stream(WATCH, self.take, lambda status, message: None)
        stream.send(watch_create(KEY))
        connection.flush()

    def take(self, message: bytes) -> None:
        response = WatchResponse.decode(message)
        assert not response.canceled, response.cancel_reason
        self.revisions += [event.kv.mod_revision for event in response.events if event.kv]

    async def has(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while len(self.revisions) < count:
                await asyncio.sleep(0.01)
        assert self.revisions == list(range(2, count + 2))


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Server]:
    server = Server("petcd")
    try:
        await server.start()
        yield server
    finally:
        server.close()


async def put_much(connection: Connection) -> None:
    for _ in range(PUTS):
        request = PutRequest(key=KEY, value=os.urandom(VALUE_BYTES))
        await asyncio.wait_for(connection.call(PUT, request.encode()), WAIT_S)


def test_watchers_that_do_not_read_cost_little_and_get_everything_later() -> None:
    async def scenario() -> None:
        async with running() as server:
            writer = await server.connect()
            slow = [Watcher(await server.connect()) for _ in range(WATCHERS)]
            fast = Watcher(await server.connect())
            await asyncio.sleep(0.2)  # until they watch
            for watcher in slow:
                watcher.connection.transport.pause_reading()
            before = server.usage().anonymous_bytes
            await put_much(writer)
            await fast.has(PUTS)
            assert server.usage().anonymous_bytes - before < ROOM_BYTES
            for watcher in slow:
                watcher.connection.transport.resume_reading()
                await watcher.has(PUTS)
            for connection in (writer, fast.connection, *(one.connection for one in slow)):
                connection.close()

    asyncio.run(scenario())


def test_answers_that_nobody_reads_cost_little() -> None:
    answers = []

    def done(status: int, message: bytes) -> None:
        answers.append(len(RangeResponse.decode(message).kvs[0].value))

    async def scenario() -> None:
        async with running() as server:
            writer = await server.connect()
            await writer.call(PUT, PutRequest(key=KEY, value=os.urandom(ANSWER_BYTES)).encode())
            before = server.usage().anonymous_bytes
            block, body = static_block(RANGE), RangeRequest(key=KEY).encode()
            slow = [await server.connect() for _ in range(READERS)]
            for connection in slow:
                connection.transport.pause_reading()
                for _ in range(ASKED):
                    connection.send_request(block, body, done)
                connection.flush()
            for _ in range(20):
                await asyncio.wait_for(writer.call(PUT, PutRequest(key=b"x").encode()), WAIT_S)
            assert server.usage().anonymous_bytes - before < ROOM_BYTES
            for connection in slow:
                connection.transport.resume_reading()
            async with asyncio.timeout(WAIT_S):
                while len(answers) < ASKED * READERS:
                    await asyncio.sleep(0.01)
            for connection in (writer, *slow):
                connection.close()

    asyncio.run(scenario())
    assert set(answers) == {ANSWER_BYTES}
