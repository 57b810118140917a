"""The store with a million keys: loading, memory, restart, a page of a prefix, and stalls.

    load in transactions of 100 puts -> RSS -> restart -> RSS -> page of a prefix
    -> stalls while: idle, the whole range is read, the store is hashed, a snapshot streams
    -> every key is written again, so that there are a million revisions to compact -> stalls

The keys come in a scattered order that is the same each time.
"""

import asyncio
import contextlib
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from bench.closed_loop import Drive, Request, drive
from bench.connection import Connection, GrpcError, static_block
from bench.h2load import LoadFailed, current_revision, median, put_once
from bench.requests import (
    COMPACT,
    HASH_KV,
    RANGE,
    SNAPSHOT,
    TXN,
    PutTxns,
    compact,
    million_page,
)
from bench.servers import Server
from petcd.wire.kv import RangeResponse

LOAD_CONNECTIONS, LOAD_STREAMS = 4, 4
PAGE_LIMIT = 500
PAGE_REPEATS = 11
SETTLE_S = 1.0  # the backend's lazy commit (100 ms) is done
QUIET_S = 1.0
UNIMPLEMENTED = 12

Values = dict[str, float]
Say = Callable[[str], None]


async def million(server: Server, keys: int, say: Say) -> Values:
    """All measures of the group; `server` runs on an empty data directory."""
    values: Values = {}
    say(f"loading {keys:,} keys")
    values["load-keys"] = await load(server, keys, b"1")
    await asyncio.sleep(SETTLE_S)
    values["rss-loaded"] = server.usage().rss_bytes
    values["rss-loaded-anonymous"] = server.usage().anonymous_bytes
    values["disk-loaded"] = server.disk_bytes()
    say("restarting")
    server.stop()
    values["restart"] = await server.start()
    await asyncio.sleep(SETTLE_S)
    values["rss-restarted"] = server.usage().rss_bytes
    values["rss-restarted-anonymous"] = server.usage().anonymous_bytes
    say("reading pages")
    values["page-500"] = await page(server, keys)
    await put_once(server)
    say("stalls while idle, ranging, hashing, streaming a snapshot")
    values["stall-idle"] = await stall(server, lambda _: asyncio.sleep(QUIET_S))
    values["stall-range"] = await stall(server, lambda c: read_all(c, keys))
    values["stall-hash"] = await stall(server, lambda c: c.call(HASH_KV, b""))
    with contextlib.suppress(NotOffered):
        values["stall-snapshot"] = await stall(server, snapshot)
    say(f"writing {keys:,} keys again")
    await load(server, keys, b"2")
    say("stalls while compacting")
    values["stall-compact"] = await stall(server, lambda c: compact_all(c, server))
    return values


class NotOffered(Exception):
    """The server has no such RPC."""


async def load(server: Server, keys: int, fill: bytes) -> float:
    """Writes every key once; returns keys per second, checked by the revision."""
    txns = PutTxns(keys, fill)
    before = await current_revision(server)
    numbers = itertools.count()  # shared: whichever connection is free takes the next transaction
    block = static_block(TXN)

    def source() -> Iterator[Request]:
        return ((block, txns.body(next(numbers))) for _ in itertools.count())

    sources = [source() for _ in range(LOAD_CONNECTIONS)]
    figures = await drive(server, sources, Drive(txns.count, LOAD_CONNECTIONS, LOAD_STREAMS))
    written = await current_revision(server) - before
    if written != txns.count:
        raise LoadFailed(f"{server.kind}: {txns.count} transactions made {written} revisions")
    return figures.per_second * PutTxns.PUTS_PER_TXN


async def page(server: Server, keys: int) -> float:
    """Seconds for the first 500 keys of the prefix, with the count of all; the median."""
    connection = await server.connect()
    body = million_page(PAGE_LIMIT)
    seconds = []
    for _ in range(PAGE_REPEATS):
        begin = time.perf_counter()
        reply = await connection.call(RANGE, body)
        seconds.append(time.perf_counter() - begin)
        answer = RangeResponse.decode(reply)
        if (len(answer.kvs), answer.count, answer.more) != (PAGE_LIMIT, keys, True):
            raise LoadFailed(f"{server.kind}: a page of {len(answer.kvs)} of {answer.count} keys")
    connection.close()
    return median(seconds)


async def stall(server: Server, action: Callable[[Connection], Awaitable[object]]) -> float:
    """The longest that a small request waited while `action` went on, in seconds."""
    connection = await server.connect()
    async with probing(server.port) as result:
        await action(connection)
        await asyncio.sleep(0.05)
    connection.close()
    return result["max_ms"] / 1e3


@contextlib.asynccontextmanager
async def probing(port: int) -> AsyncIterator[Values]:
    """A probe runs meanwhile; its figures are in the yielded dict afterwards."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "bench.probe", str(port))
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdin is not None and process.stdout is not None
    try:
        if (await process.stdout.readline()).strip() != b"ready":
            raise LoadFailed("the probe did not start")
        result: Values = {}
        yield result
        process.stdin.close()
        result.update(json.loads(await process.stdout.readline()))
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def read_all(connection: Connection, keys: int) -> None:
    reply = await connection.call(RANGE, million_page(0))
    if len(reply) < keys * 100:
        raise LoadFailed(f"a range of {keys} keys gave {len(reply)} bytes")


async def snapshot(connection: Connection) -> None:
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stream = connection.open_stream(SNAPSHOT, lambda _: None, lambda s, _: ended.set_result(s))
    stream.send(b"", last=True)
    status = await ended
    if status == UNIMPLEMENTED:
        raise NotOffered
    if status:
        raise LoadFailed(f"a snapshot ended with grpc-status {status}")


async def compact_all(connection: Connection, server: Server) -> None:
    """Compacts up to now and waits until the old revisions are gone."""
    revision = await current_revision(server)
    try:
        await connection.call(COMPACT, compact(revision, physical=True))
    except GrpcError as error:
        raise LoadFailed(f"{server.kind}: compaction: {error}") from None
