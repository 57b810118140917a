"""Members behind a relay that cuts connections at any byte: what arrives is whole, and once."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
import uvloop
from peer_endpoints import Endpoint

from petcd.peer import stream_reader
from petcd.raft.types import Entry, Message, MessageType

APP, APP_RESP = MessageType.APP, MessageType.APP_RESP
A, B = 0xAAAA000000000001, 0xB2
STREAMS = 40  # so many must have been opened, and cut


class Relay:
    """Passes bytes on to a port, and cuts each connection after a random number of them."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self._port = port
        self._rng = rng
        self._tasks: set[asyncio.Task[None]] = set()
        self.cutting = True

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, on = await asyncio.open_connection("127.0.0.1", self._port)
        writers = (back, on)
        for reader, writer in ((near, on), (far, back)):
            task = asyncio.create_task(self._pass(reader, writer, writers))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        both: tuple[asyncio.StreamWriter, ...],
    ) -> None:
        left = self._rng.choice((30, 400, 2000, 20_000, 200_000))
        try:
            while data := await reader.read(self._rng.choice((1, 7, 100, 4096, 65536))):
                if self.cutting and left < len(data):
                    writer.write(data[:left])
                    break
                left -= len(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            for each in both:
                each.transport.abort()


def app(index: int) -> Message:
    data = b"%d" % index * (index % 50)
    return Message(APP, B, A, 1, 1, index, [Entry(0, 1, index + 1, data)], index)


def resp(index: int) -> Message:
    return Message(APP_RESP, B, A, 1, index=index)


@pytest.mark.parametrize("seed", range(3))
def test_messages_through_cut_connections_are_whole_and_come_once(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some is lost, and requests overtake streams; but nothing comes twice or changed."""
    monkeypatch.setattr(stream_reader, "DIAL_EVERY_S", 0.005)

    async def main() -> None:
        a = await Endpoint(A, tmp_path).start()
        b = await Endpoint(B, tmp_path).start()
        relays = [Relay(e.port, random.Random(seed)) for e in (a, b)]
        try:
            a_url, b_url = [await relay.start() for relay in relays]
            a.network.add(B, [b_url])
            b.network.add(A, [a_url])
            index = await send_until_cut_often(a)
            for relay in relays:
                relay.cutting = False
            await send_until_heard(a, b, index)
        finally:
            for end in (a, b):
                await end.stop()
            for relay in relays:
                await relay.stop()
        check(b.news.messages)

    uvloop.run(main())


async def send_until_cut_often(a: Endpoint) -> int:
    index = 1
    async with asyncio.timeout(60):
        while sum(text.startswith("established") for text, _ in a.log.lines) < STREAMS:
            a.network.send([app(index), resp(index)])
            index += 1
            await asyncio.sleep(0)
    return index


async def send_until_heard(a: Endpoint, b: Endpoint, index: int) -> None:
    """Once nothing is cut any more, what is sent by either stream arrives."""
    first = index
    async with asyncio.timeout(20):
        while {m.type for m in b.news.messages if m.index >= first} != {APP, APP_RESP}:
            a.network.send([app(index), resp(index)])
            index += 1
            await asyncio.sleep(0.01)


def check(messages: list[Message]) -> None:
    for kind, made in ((APP, app), (APP_RESP, resp)):
        heard = [m for m in messages if m.type == kind]
        assert len(heard) > 10
        assert heard == [made(m.index) for m in heard], "a message was changed"
        assert len({m.index for m in heard}) == len(heard), "a message came twice"
