"""A member that gets no more descriptors or memory sheds load, and goes on when there are some."""

import asyncio
import contextlib
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator

import pytest

from bench.clusters import UNREACHABLE
from bench.connection import Connection
from bench.requests import PUT, RANGE
from bench.servers import Server
from petcd.wire.kv import PutRequest, RangeRequest, RangeResponse
from petcd.wire.maintenance import DefragmentRequest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits are set from outside")

DEFRAGMENT = "/etcdserverpb.Maintenance/Defragment"
DESCRIPTORS = 200  # 150 of them are kept back
CROWD = 400
WAIT_S = 20.0
CLIENTS = 8
VALUE_BYTES = 1_000_000
ROOM_BYTES = 16 << 20  # for some of the clients' values, not for all


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Server]:
    server = Server("petcd", "--log-level", "warn")
    try:
        await server.start()
        yield server
    finally:
        server.close()


async def put(connection: Connection, key: bytes, value: bytes) -> None:
    request = PutRequest(key=key, value=value)
    await asyncio.wait_for(connection.call(PUT, request.encode()), WAIT_S)


async def is_served(server: Server) -> bool:
    with contextlib.suppress(*UNREACHABLE):
        connection = await server.connect()
        await put(connection, b"new", b"")
        connection.close()
        return True
    return False


def crowd(port: int) -> list[socket.socket]:
    """Clients that connect and say nothing."""
    made = []
    for _ in range(CROWD):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
        made.append(one)
    return made


def log_of(server: Server) -> str:
    return (server.folder / "log").read_text()


def limited(server: Server, which: int, most: int) -> None:
    assert server.process is not None
    resource.prlimit(
        server.process.pid, which, (most, resource.prlimit(server.process.pid, which)[1])
    )


def test_a_crowd_of_clients_leaves_the_member_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = Server.command
    prlimit = ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"]
    monkeypatch.setattr(Server, "command", lambda server: [*prlimit, *command(server)])

    async def scenario() -> None:
        async with running() as server:
            old = await server.connect()
            idle = crowd(server.port)
            try:
                await put(old, b"old", b"")
                assert not await is_served(server)
                # It opens files, as the log does when a segment is full.
                body = DefragmentRequest().encode()
                await asyncio.wait_for(old.call(DEFRAGMENT, body), WAIT_S)
                while "refused client connections" not in log_of(server):
                    await asyncio.sleep(0.1)
            finally:
                for one in idle:
                    one.close()
            begin = asyncio.get_running_loop().time()
            while not await is_served(server):
                assert asyncio.get_running_loop().time() - begin < WAIT_S
                await asyncio.sleep(0.05)
            old.close()
            assert "Traceback" not in log_of(server)

    asyncio.run(scenario())


def test_without_memory_clients_are_dropped_and_nothing_acknowledged_is_lost() -> None:
    acknowledged: list[bytes] = []

    async def write(server: Server, client: int, count: int, size: int) -> None:
        with contextlib.suppress(*UNREACHABLE):
            connection = await server.connect()
            for number in range(count):
                key = b"%d-%d-%d" % (size, client, number)
                await put(connection, key, os.urandom(size))
                acknowledged.append(key)
            connection.close()

    async def verify(server: Server) -> None:
        connection = await server.connect()
        for key in acknowledged:
            answer = await connection.call(RANGE, RangeRequest(key=key).encode())
            (pair,) = RangeResponse.decode(answer).kvs
            assert len(pair.value) == int(key.split(b"-")[0])
        connection.close()

    async def has_room_again(server: Server) -> bool:
        """Whether it lived on, and then it has to serve."""
        assert server.process is not None
        limited(server, resource.RLIMIT_AS, resource.RLIM_INFINITY)
        begin = asyncio.get_running_loop().time()
        while server.process.poll() is None:
            if await is_served(server):
                return True
            assert asyncio.get_running_loop().time() - begin < WAIT_S
        return False

    async def scenario() -> None:
        async with running() as server:
            assert server.process is not None
            await asyncio.gather(*(write(server, n, 50, 100) for n in range(CLIENTS)))
            with open(f"/proc/{server.process.pid}/statm") as statm:
                used_bytes = int(statm.read().split()[0]) * resource.getpagesize()
            limited(server, resource.RLIMIT_AS, used_bytes + ROOM_BYTES)
            await asyncio.gather(*(write(server, n, 20, VALUE_BYTES) for n in range(CLIENTS)))
            assert len(acknowledged) < (50 + 20) * CLIENTS, "there was memory enough"
            if await has_room_again(server):
                await verify(server)
            assert "Traceback" not in log_of(server)
            server.kill()
            await server.start()
            await verify(server)

    asyncio.run(scenario())
