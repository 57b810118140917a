"""The asyncio connection between sockets on loopback; its patience is shortened."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from petcd.client import aio
from petcd.client.endpoint import AddressError, parse_endpoint
from petcd.transport.grpc_status import UNAVAILABLE
from petcd.transport.listener import Listener
from petcd.transport.options import TransportLimits
from petcd.transport.router import BIDI, UNARY, Method, Router


@asynccontextmanager
async def server():
    router = Router()
    router.add(Method(b"/s.S/Echo", UNARY, lambda call, body: call.reply(body)))
    router.add(Method(b"/s.S/Wait", BIDI, lambda call: None))
    listener = Listener(router, limits=TransportLimits(keepalive_min_time_s=0.0))
    host, port = await listener.start("127.0.0.1", 0)
    yield f"{host}:{port}"
    await listener.close()


async def ended(call):
    async with asyncio.timeout(5):
        while call.status is None:
            await asyncio.sleep(0.001)
    return call


@pytest.fixture
def short_patience(monkeypatch):
    monkeypatch.setattr(aio, "KEEPALIVE_S", 0.05)
    monkeypatch.setattr(aio, "KEEPALIVE_TIMEOUT_S", 0.05)


def test_calls_pass_and_end_with_the_connection():
    async def main():
        async with server() as address:
            connection = await aio.connect(parse_endpoint(address), b"test", 5.0)
            call = await ended(connection.engine.unary(b"/s.S/Echo", b"hello"))
            assert list(call.messages) == [b"hello"]
            waiting = connection.engine.open(b"/s.S/Wait")
            connection.close()
            assert (await ended(waiting)).status == UNAVAILABLE and not connection.usable
            await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_quiet_server_that_answers_pings_is_kept(short_patience):
    async def main():
        async with server() as address:
            connection = await aio.connect(parse_endpoint(address), b"test", 5.0)
            call = connection.engine.open(b"/s.S/Wait")
            await asyncio.sleep(0.4)
            assert call.status is None and connection.engine.pongs >= 2
            connection.close()
            await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_server_that_hangs_is_found_out_by_its_silence(short_patience):
    async def main():
        async def hang(reader, writer):
            writer.write(b"\0\0\0\4\0\0\0\0\0")  # SETTINGS, then nothing
            await reader.read(-1)
            writer.close()

        hanging = await asyncio.start_server(hang, "127.0.0.1", 0)
        host, port = hanging.sockets[0].getsockname()
        connection = await aio.connect(parse_endpoint(f"{host}:{port}"), b"test", 5.0)
        call = await ended(connection.engine.open(b"/s.S/Wait"))
        assert call.status == UNAVAILABLE and "keepalive" in call.details
        assert not connection.usable
        hanging.close()
        await asyncio.sleep(0.02)

    asyncio.run(main())


def test_a_port_that_accepts_and_says_nothing_is_no_connection():
    async def main():
        async def swallow(reader, writer):
            await reader.read(-1)
            writer.close()

        silent = await asyncio.start_server(swallow, "127.0.0.1", 0)
        host, port = silent.sockets[0].getsockname()
        with pytest.raises(TimeoutError):
            await aio.connect(parse_endpoint(f"{host}:{port}"), b"test", 0.05)
        await asyncio.sleep(0.02)
        silent.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "error"),
    [("127.0.0.1:1", OSError), ("nonsense", AddressError), ("h:http", AddressError)],
)
def test_what_cannot_be_dialled_is_an_error(text, error):
    with pytest.raises(error):
        asyncio.run(aio.connect(parse_endpoint(text), b"test", 5.0))
