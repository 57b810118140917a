"""Our own load generator: a number of calls in flight, and the next one sent on each answer.

It serves the loads that h2load cannot send: calls that differ from each other (mixed load, a
million keys) and header blocks that change the HPACK table (clients in Go).
"""

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from typing import NamedTuple

from hpack import Encoder

from bench.connection import Connection, static_block
from bench.h2load import Figures, LoadFailed, percentile
from bench.requests import (
    KEY_BYTES,
    PUT,
    PUT_VALUE_BYTES,
    RANGE,
    TXN,
    compare_and_put,
    one_put,
    prefix_end,
)
from bench.servers import Server
from petcd.wire.kv import PutRequest, RangeRequest

Request = tuple[bytes, bytes]  # header block, message

MIXED_KEYS = 10_000
MIXED_BODIES = 4_096
MIXED_SEED = 2_379


class Drive(NamedTuple):
    """How a closed loop is driven."""

    requests: int
    connections: int
    streams: int


async def drive(server: Server, sources: list[Iterator[Request]], drive: Drive) -> Figures:
    """Sends requests from each connection's own source; every answer must have status 0."""
    connections = [await server.connect() for _ in sources]
    await asyncio.sleep(0.05)  # the servers' settings are in
    cpu_before = server.usage().cpu_s
    begin = time.perf_counter()
    share = drive.requests // len(connections)
    loops = [
        _Loop(connection, source, share)
        for connection, source in zip(connections, sources, strict=True)
    ]
    for loop in loops:
        loop.begin(drive.streams)
    for loop in loops:
        await loop.finished
    seconds = time.perf_counter() - begin
    cpu_s = server.usage().cpu_s - cpu_before
    for connection in connections:
        connection.close()
    latencies_ns = sorted(itertools.chain.from_iterable(loop.latencies_ns for loop in loops))
    done = len(latencies_ns)
    p50, p99 = percentile(latencies_ns, 50) / 1e6, percentile(latencies_ns, 99) / 1e6
    return Figures(done / seconds, p50, p99, cpu_s / done * 1e6)


class _Loop:
    """One connection's share of the load."""

    def __init__(self, connection: Connection, source: Iterator[Request], requests: int) -> None:
        self.connection = connection
        self.source = source
        self.to_send = requests
        self.open = 0
        self.latencies_ns: list[int] = []
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self, streams: int) -> None:
        for _ in range(min(streams, self.to_send)):
            self.send()
        self.connection.flush()

    def send(self) -> None:
        self.to_send -= 1
        self.open += 1
        block, body = next(self.source)
        sent_ns = time.perf_counter_ns()

        def done(status: int, _: bytes) -> None:
            self.latencies_ns.append(time.perf_counter_ns() - sent_ns)
            self.open -= 1
            if status:
                self.fail(LoadFailed(f"a call ended with grpc-status {status}"))
            elif self.to_send:
                self.send()
            elif not self.open and not self.finished.done():
                self.finished.set_result(None)

        self.connection.send_request(block, body, done)

    def fail(self, error: Exception) -> None:
        self.to_send = 0
        if not self.finished.done():
            self.finished.set_exception(error)


# --- sources ---


def same_put() -> Iterator[Request]:
    """The put of the h2load rows, by a client that sets no deadline."""
    return itertools.repeat((static_block(PUT), one_put()))


def go_blocks(count: int, port: int) -> list[bytes]:
    """Header blocks as grpc-go sends them for calls with a deadline.

    Each call has another `grpc-timeout` and inserts it into the HPACK table, which shifts the index
    of every other field; when the table is full the oldest fields fall out and are sent again.
    """
    encoder = Encoder()
    authority = f"127.0.0.1:{port}"
    return [
        encoder.encode(
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", PUT),
                (":authority", authority),
                ("content-type", "application/grpc"),
                ("user-agent", "grpc-go/1.41.0"),
                ("te", "trailers"),
                ("grpc-timeout", f"{4_999_999 - number}u"),
            ]
        )
        for number in range(count)
    ]


def go_puts(blocks: list[bytes]) -> Iterator[Request]:
    """The same put by a client in Go; the blocks must be sent in their order."""
    body = one_put()
    return ((block, body) for block in blocks)


def mixed() -> Iterator[Request]:
    """60 % reads of a key, 25 % puts, 10 % guarded writes, 5 % first 20 keys of a prefix."""
    chance = random.Random(MIXED_SEED)
    value = b"m" * PUT_VALUE_BYTES
    range_block, put_block, txn_block = (static_block(path) for path in (RANGE, PUT, TXN))
    requests: list[Request] = []
    for _ in range(MIXED_BODIES):
        key = b"/mixed/%017d" % chance.randrange(MIXED_KEYS)
        assert len(key) == KEY_BYTES
        dice = chance.random()
        if dice < 0.60:
            requests.append((range_block, RangeRequest(key=key).encode()))
        elif dice < 0.85:
            requests.append((put_block, PutRequest(key=key, value=value).encode()))
        elif dice < 0.95:
            requests.append((txn_block, compare_and_put(key, value)))
        else:
            page = RangeRequest(key=key[:-2], range_end=prefix_end(key[:-2]), limit=20)
            requests.append((range_block, page.encode()))
    return itertools.cycle(requests)


async def fill_mixed_keys(server: Server) -> None:
    """Every key of the mixed load once, so that reads find something."""
    value = b"m" * PUT_VALUE_BYTES
    block = static_block(PUT)
    bodies = (
        PutRequest(key=b"/mixed/%017d" % number, value=value).encode()
        for number in range(MIXED_KEYS)
    )
    await drive(server, [((block, body) for body in bodies)], Drive(MIXED_KEYS, 1, 50))
