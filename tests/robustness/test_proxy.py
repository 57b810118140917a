"""The proxies between members do to the bytes what they say, per direction and pair."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import pytest

from bench.servers import free_ports
from faults.proxy import Network, Proxy

SOON_S = 0.05
WAIT_S = 5.0
HEAD = b"GET /raft HTTP/1.1\r\nHost: b\r\nX-Server-From: a1\r\n\r\n"


class Pair:
    """Member `a` (id a1) is connected to member `b`, which answers each chunk in capitals."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.arrived: list[bytes] = []  # at b
        self.writers: list[asyncio.StreamWriter] = []

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            self.arrived.append(data)
            writer.write(data.upper())
        writer.close()

    async def dial(self, head: bytes = HEAD) -> None:
        port = self.network.proxies[0].port
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        self.writers.append(self.writer)
        self.writer.write(head)
        await self.hears(head.upper())

    async def hears(self, wanted: bytes) -> None:
        got = await asyncio.wait_for(self.reader.readexactly(len(wanted)), WAIT_S)
        assert got == wanted

    async def hears_nothing(self) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self.reader.readexactly(1), SOON_S)

    async def is_cut_off(self) -> bool:
        try:
            return await asyncio.wait_for(self.reader.read(1), WAIT_S) == b""
        except ConnectionResetError:
            return True


def with_pair(script: Callable[[Pair], Awaitable[None]]) -> None:
    async def play() -> None:
        port, target = free_ports(2)
        network = Network(random.Random(7))
        network.names[0xA1] = "a"
        pair = Pair(network)
        proxy = Proxy(network, "b", port, target)
        await proxy.start()
        server = await asyncio.start_server(pair.echo, "127.0.0.1", target)
        try:
            await script(pair)
        finally:
            for writer in pair.writers:
                writer.close()
            await network.close()
            server.close()
            await server.wait_closed()
            await asyncio.sleep(SOON_S)  # transports close in the turns that follow

    asyncio.run(play())


def test_what_passes_comes_back_whole_and_in_order() -> None:
    async def script(pair: Pair) -> None:
        await pair.dial()
        data = bytes(random.Random(1).choices(b"abcdefgh", k=300_000))
        pair.writer.write(data)
        await pair.hears(data.upper())
        assert b"".join(pair.arrived) == HEAD + data

    with_pair(script)


def test_a_held_direction_keeps_all_until_it_is_released() -> None:
    async def script(pair: Pair) -> None:
        await pair.dial()
        pair.network.link("a", "b").held = True
        pair.writer.write(b"one")
        await pair.hears_nothing()
        assert pair.arrived == [HEAD]
        pair.writer.write(b"two")
        pair.network.restore()
        await pair.hears(b"ONETWO")

    with_pair(script)


def test_the_other_direction_is_held_apart() -> None:
    async def script(pair: Pair) -> None:
        await pair.dial()
        pair.network.link("b", "a").held = True
        pair.writer.write(b"one")
        await pair.hears_nothing()
        assert pair.arrived == [HEAD, b"one"]
        pair.network.restore()
        await pair.hears(b"ONE")

    with_pair(script)


def test_a_cut_ends_connections_and_new_ones_as_soon_as_they_say_who_they_are() -> None:
    async def script(pair: Pair) -> None:
        await pair.dial()
        pair.network.link("b", "a").cut = True
        pair.network.changed()
        assert await pair.is_cut_off()
        await pair.dial(b"GET /version HTTP/1.1\r\n\r\n")  # from nobody in particular
        pair.writer.write(HEAD)
        assert await pair.is_cut_off()

    with_pair(script)


def test_a_lost_connection_says_nothing_any_more_and_a_new_one_passes() -> None:
    async def script(pair: Pair) -> None:
        await pair.dial()
        pair.network.lose("b")
        connection = next(iter(pair.network.proxies[0].connections))
        assert connection.called.transport is not None
        connection.called.transport.abort()
        pair.network.restore()
        pair.writer.write(b"one")
        await pair.hears_nothing()
        await pair.dial()
        pair.writer.write(b"two")
        await pair.hears(b"TWO")

    with_pair(script)


def test_slow_bytes_come_late_and_in_order() -> None:
    async def script(pair: Pair) -> None:
        await pair.dial()
        link = pair.network.link("a", "b")
        link.delay_s, link.jitter_s = 0.05, 0.05
        begin = time.monotonic()
        for word in (b"one", b"two", b"three"):
            pair.writer.write(word)
            await asyncio.sleep(0.01)
        await pair.hears(b"ONETWOTHREE")
        assert time.monotonic() - begin > 0.07

    with_pair(script)


def test_pieces_are_small_and_none_is_missing() -> None:
    async def script(pair: Pair) -> None:
        await pair.dial()
        pair.network.link("a", "b").piece_bytes_max = 3
        data = b"abcdefghijklmnopqrstuvwxyz" * 4
        pair.writer.write(data)
        await pair.hears(data.upper())
        assert len(pair.arrived) > 3

    with_pair(script)


def test_who_sends_more_than_fits_has_to_wait() -> None:
    async def script(pair: Pair) -> None:
        await pair.dial()
        pair.network.link("a", "b").held = True
        pair.writer.write(b"x" * (40 << 20))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pair.writer.drain(), 0.3)
        waiting = next(iter(pair.network.proxies[0].connections)).request.waiting_bytes
        assert waiting < 8 << 20
        pair.writer.transport.abort()

    with_pair(script)


def test_a_target_that_dies_while_held_harms_nobody() -> None:
    async def script(pair: Pair) -> None:
        await pair.dial()
        pair.network.link("a", "b").held = True
        pair.writer.write(b"one")
        await pair.hears_nothing()
        connection = next(iter(pair.network.proxies[0].connections))
        assert connection.called.transport is not None
        connection.called.transport.abort()
        await asyncio.sleep(SOON_S)
        pair.network.restore()
        assert await pair.is_cut_off()

    with_pair(script)
