"""How long nobody can write when the leader dies: killed under load, again and again.

    writers   at every member, a few puts in flight each; whoever fails goes on with the next
    pulses    from the kill on, a new put at each survivor every 10 ms, until one is answered

The wait is from the kill to the first answer of a put that was sent after it. Timers are the
defaults: 100 ms heartbeats, 1 s election time-out.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

from bench.clusters import UNREACHABLE, Cluster, call, running_cluster
from bench.connection import Connection, static_block
from bench.h2load import LoadFailed
from bench.requests import PUT, RANGE, one_put, one_range
from bench.servers import Server

MEMBERS = 3
IN_FLIGHT = 4
WRITER_PAUSE_S = 0.002
PULSE_S = 0.01
GIVE_UP_S = 30.0
LOAD_S = 0.5  # alone between two kills
ANSWER_TIMEOUT_S = 1.0

Say = Callable[[str], None]


async def fail_over(kind: str, kills: int, say: Say) -> list[float]:
    """Seconds without writes for each kill, in ascending order."""
    waits_s = []
    async with running_cluster([kind] * MEMBERS) as cluster:
        writers = [asyncio.ensure_future(write(member)) for member in cluster.members * IN_FLIGHT]
        try:
            for number in range(kills):
                await asyncio.sleep(LOAD_S)
                say(f"leader killed {number + 1} of {kills}")
                waits_s.append(await one_kill(cluster))
        finally:
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
    return sorted(waits_s)


async def one_kill(cluster: Cluster) -> float:
    leader = await cluster.leader()
    survivors = [member for member in cluster.members if member is not leader]
    connections = [await member.connect() for member in survivors]
    killed = time.perf_counter()
    leader.kill()
    try:
        wait_s = await first_answer(connections) - killed
    finally:
        for connection in connections:
            connection.close()
    await leader.start()
    for member in cluster.members:
        await call(member, RANGE, one_range(), GIVE_UP_S)
    return wait_s


async def first_answer(connections: list[Connection]) -> float:
    """When the first put that is sent from now on is answered."""
    answered: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    block, body = static_block(PUT), one_put()

    def done(status: int, _: bytes) -> None:
        if not status and not answered.done():
            answered.set_result(time.perf_counter())

    begin = time.perf_counter()
    while time.perf_counter() - begin < GIVE_UP_S:
        for connection in connections:
            if not connection.closed.done():
                connection.send_request(block, body, done)
                connection.flush()
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.shield(answered), PULSE_S)
    raise LoadFailed(f"no write for {GIVE_UP_S:.0f} s after the leader was killed")


async def write(member: Server) -> None:
    """Puts one after the other, for ever; the member may come and go."""
    while True:
        with contextlib.suppress(*UNREACHABLE):
            connection = await member.connect()
            try:
                while True:
                    await asyncio.wait_for(connection.call(PUT, one_put()), ANSWER_TIMEOUT_S)
                    await asyncio.sleep(WRITER_PAUSE_S)
            finally:
                connection.close()
        await asyncio.sleep(PULSE_S)
