"""How long does the server leave a small request waiting? `python -m bench.probe PORT`.

A process of its own, so that what the bench does meanwhile (taking in a million keys) cannot delay
it. It asks for one key every millisecond without waiting for answers: a server that stalls for 80
ms shows 80 requests that took long, the first of them about 80 ms. It says `ready`, runs until its
standard input closes, then prints one JSON line.
"""

import asyncio
import json
import sys
import time

import uvloop

from bench.connection import Done, connect, static_block
from bench.requests import RANGE, one_range

PERIOD_S = 0.001
LAST_ANSWERS_S = 30.0


class Probe:
    """Latencies of requests sent on a fixed schedule."""

    def __init__(self) -> None:
        self.latencies_ms: list[float] = []
        self.waiting = 0
        self.late_ms = 0.0  # the probe's own worst delay in sending: what it cannot tell apart

    async def run(self, port: int, stop: asyncio.Event) -> None:
        connection = await connect(port)
        block, body = static_block(RANGE), one_range()
        await connection.call(RANGE, body)
        print("ready", flush=True)
        due = time.perf_counter()
        while not stop.is_set():
            due += PERIOD_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            now = time.perf_counter()
            self.late_ms = max(self.late_ms, (now - due) * 1e3)
            due = max(due, now - PERIOD_S)  # after a pause of our own: no burst to catch up
            connection.send_request(block, body, self._receiver(now))
            connection.flush()
            self.waiting += 1
        deadline = time.perf_counter() + LAST_ANSWERS_S
        while self.waiting and time.perf_counter() < deadline:
            await asyncio.sleep(PERIOD_S)

    def _receiver(self, sent: float) -> Done:
        def done(status: int, _: bytes) -> None:
            self.waiting -= 1
            took_s = LAST_ANSWERS_S if status else time.perf_counter() - sent
            self.latencies_ms.append(took_s * 1e3)

        return done

    def summary(self) -> dict[str, float]:
        ordered = sorted(self.latencies_ms)
        return {
            "requests": len(ordered),
            "p50_ms": ordered[len(ordered) // 2],
            "p99_ms": ordered[len(ordered) * 99 // 100],
            "max_ms": ordered[-1] if not self.waiting else LAST_ANSWERS_S * 1e3,
            "late_ms": self.late_ms,
        }


async def main(port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    probe = Probe()
    await probe.run(port, stop)
    print(json.dumps(probe.summary()), flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
