"""How long does a member leave a small local read waiting? `python -m faults.stalls PORT ...`.

A process of its own, so that the load cannot delay it. Every 10 ms it asks each member for one key
with a serializable read, which nothing but the member's own loop can hold up. Reads that took long
are printed as JSON lines `[port, when it was sent, seconds]`, less what the probe itself was late;
members that are away are tried again. It ends with its standard input.
"""

import asyncio
import contextlib
import json
import sys
import time

import uvloop

from bench.connection import Connection, Done, connect, static_block
from bench.requests import RANGE, one_range

PERIOD_S = 0.01
TOLD_S = 0.02


class Probe:
    """One member under watch; `own_gap_s` is the longest pause of this process's loop lately."""

    def __init__(self, port: int, clock: "OwnClock") -> None:
        self.port = port
        self.clock = clock
        self.block, self.body = static_block(RANGE), one_range(serializable=True)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError, TimeoutError):
                connection = await connect(self.port)
                try:
                    await self.watch(connection, stop)
                finally:
                    connection.close()
            await asyncio.sleep(PERIOD_S)

    async def watch(self, connection: Connection, stop: asyncio.Event) -> None:
        while not stop.is_set() and not connection.closed.done():
            connection.send_request(self.block, self.body, self.receiver(time.monotonic()))
            connection.flush()
            await asyncio.sleep(PERIOD_S)

    def receiver(self, sent: float) -> Done:
        def done(status: int, _: bytes) -> None:
            took_s = time.monotonic() - sent - self.clock.lost_since(sent)
            if not status and took_s > TOLD_S:
                print(json.dumps([self.port, sent, round(took_s, 4)]), flush=True)

        return done


class OwnClock:
    """Notices when this process itself did not run."""

    def __init__(self) -> None:
        self.gaps: list[tuple[float, float]] = []  # when it ended, how long

    async def run(self) -> None:
        while True:
            begin = time.monotonic()
            await asyncio.sleep(PERIOD_S / 2)
            late_s = time.monotonic() - begin - PERIOD_S / 2
            if late_s > PERIOD_S / 2:
                self.gaps = [*self.gaps[-100:], (time.monotonic(), late_s)]

    def lost_since(self, then: float) -> float:
        return sum(late_s for ended, late_s in self.gaps if ended > then)


async def main(ports: list[int]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    clock = OwnClock()
    own = asyncio.ensure_future(clock.run())
    await asyncio.gather(*(Probe(port, clock).run(stop) for port in ports))
    own.cancel()


if __name__ == "__main__":
    uvloop.run(main([int(word) for word in sys.argv[1:]]))
