"""Watch fan-out: one put, a thousand watchers; events delivered a second.

    10 connections x 10 streams x 10 watchers on one key <- puts of that key, a few ahead

Receiving must cost next to nothing, or the client would be what is measured: once the watchers
stand, the bytes that arrive are not parsed; a mark inside the value is counted. Every event must
arrive: the load ends when puts x watchers of them are in, and fails when they do not come.
"""

import asyncio
import time
from typing import NamedTuple

from bench.connection import Connection, static_block
from bench.h2load import LoadFailed
from bench.requests import ONE_KEY, PUT, PUT_VALUE_BYTES, WATCH, one_put, watch_create
from bench.servers import Server
from petcd.wire.watch import WatchResponse

CONNECTIONS, STREAMS, WATCHERS = 10, 10, 10
WATCHERS_IN_ALL = CONNECTIONS * STREAMS * WATCHERS
PUTS_AHEAD = 8  # puts whose events are not all in: keeps the server busy and its queues short
MARK = b"<- fan-out mark ->"
STALL_S = 20.0


class FanOut(NamedTuple):
    events_per_second: float
    p50_ms: float  # from sending a put to its last event, when one put is on its way at a time
    cpu_us: float  # of the server, per event


class _Counter:
    """Counts MARK in the bytes of all connections."""

    def __init__(self) -> None:
        self.events = 0
        self.arrived = asyncio.Event()

    def tap(self, connection: Connection) -> None:
        rest = b""

        def count(data: bytes) -> None:
            nonlocal rest
            data = rest + data
            self.events += data.count(MARK)
            rest = data[-len(MARK) + 1 :]
            self.arrived.set()

        connection.raw = count

    async def reaches(self, events: int) -> None:
        while self.events < events:
            self.arrived.clear()
            try:
                await asyncio.wait_for(self.arrived.wait(), STALL_S)
            except TimeoutError:
                missing = events - self.events
                raise LoadFailed(f"{missing} of {events} watch events did not arrive") from None


async def fan_out(server: Server, puts: int) -> FanOut:
    connections = [await server.connect() for _ in range(CONNECTIONS)]
    for connection in connections:
        await open_watchers(connection)
    counter = _Counter()
    for connection in connections:
        counter.tap(connection)
    writer = await server.connect()
    latencies = [await one_by_one(writer, counter) for _ in range(20)]
    before = counter.events
    cpu_before = server.usage().cpu_s
    begin = time.perf_counter()
    await burst(writer, counter, puts)
    seconds = time.perf_counter() - begin
    events = counter.events - before
    cpu_us = (server.usage().cpu_s - cpu_before) / events * 1e6
    for connection in (*connections, writer):
        connection.close()
    if events != puts * WATCHERS_IN_ALL:
        raise LoadFailed(f"{puts} puts gave {events} events to {WATCHERS_IN_ALL} watchers")
    return FanOut(events / seconds, sorted(latencies)[len(latencies) // 2] * 1e3, cpu_us)


async def open_watchers(connection: Connection) -> None:
    """Ten streams of ten watchers each; returns when all are created."""
    created = 0
    all_created = asyncio.Event()

    def on_message(message: bytes) -> None:
        nonlocal created
        created += WatchResponse.decode(message).created
        if created == STREAMS * WATCHERS:
            all_created.set()

    for _ in range(STREAMS):
        stream = connection.open_stream(WATCH, on_message, lambda status, reply: None)
        for _ in range(WATCHERS):
            stream.send(watch_create(ONE_KEY))
    await asyncio.wait_for(all_created.wait(), STALL_S)


def marked_put() -> bytes:
    return one_put(MARK.ljust(PUT_VALUE_BYTES, b"w"))


async def one_by_one(writer: Connection, counter: _Counter) -> float:
    """Seconds from one put to its last event."""
    begin = time.perf_counter()
    target = counter.events + WATCHERS_IN_ALL
    await writer.call(PUT, marked_put())
    await counter.reaches(target)
    return time.perf_counter() - begin


async def burst(writer: Connection, counter: _Counter, puts: int) -> None:
    start = counter.events
    block, body = static_block(PUT), marked_put()
    failed: list[int] = []

    def done(status: int, _: bytes) -> None:
        if status:
            failed.append(status)

    for number in range(puts):
        await counter.reaches(start + max(0, number - PUTS_AHEAD) * WATCHERS_IN_ALL)
        writer.send_request(block, body, done)
        writer.flush()
    await counter.reaches(start + puts * WATCHERS_IN_ALL)
    if failed:
        raise LoadFailed(f"a put ended with grpc-status {failed[0]}")
