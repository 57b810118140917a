"""Hours of mixed load with a fault every 20 s: nothing lost, memory flat, no member stalls.

Memory is sampled of processes that have run for a while, and its slope is that of the best straight
line through all samples of a member. Stalls are seen from outside (`stalls`); what happens while
members are killed, stopped or started is no stall of theirs, and is left out.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from bench.servers import ROOT
from faults.cycles import Outcome, Run, drawn, loaded, short_memories
from faults.kinds import Fault

PERIOD_S = 20.0
PER_SECOND = 120  # the checker replays every write of the whole run
SAMPLE_S = 5.0
SETTLED_S = 15.0  # a process this old has loaded its data
AFTER_START_S = 2.0
MOVING = ("kill", "vanish", "pause", "stutter", "restart", "replace", "hang", "slow disk", "fail")

Say = Callable[[str], None]


class Sample(NamedTuple):
    at_s: float
    rss_bytes: int


class Report(NamedTuple):
    outcome: Outcome
    memory: dict[str, list[Sample]]
    stalls: list[tuple[str, float, float]]  # member, when, seconds; the longest first

    def lines(self) -> list[str]:
        found = [
            f"{name}: RSS {samples[0].rss_bytes / 1e6:.0f} MB first, "
            f"{samples[-1].rss_bytes / 1e6:.0f} MB last, {slope_per_hour(samples) / 1e6:+.1f} MB/h"
            for name, samples in self.memory.items()
            if len(samples) > 1
        ]
        worst = ", ".join(f"{name} {took_s * 1e3:.0f} ms" for name, _, took_s in self.stalls[:5])
        return [*found, f"longest stalls: {worst or 'none over 20 ms'}"]


class Watch:
    """Looks at the members from outside while they run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.begin = time.monotonic()
        self.memory: dict[str, list[Sample]] = {m.name: [] for m in run.stand.members}
        self.since: dict[int, float] = {}  # pid -> when it was first seen
        self.moving: list[tuple[float, float]] = []  # when processes were killed, started, ...

    async def sample(self) -> None:
        while True:
            now = time.monotonic()
            for member in self.run.stand.awake():
                assert member.process is not None
                since = self.since.setdefault(member.process.pid, now)
                if now - since > SETTLED_S:
                    with contextlib.suppress(OSError):
                        rss_bytes = member.usage().rss_bytes
                        self.memory[member.name].append(Sample(now - self.begin, rss_bytes))
            await asyncio.sleep(SAMPLE_S)

    @contextlib.contextmanager
    def fault(self, fault: Fault) -> Iterator[None]:
        begin = time.monotonic()
        yield
        if fault.name.startswith(MOVING):
            self.moving.append((begin, time.monotonic() + AFTER_START_S))

    def stalls(self, lines: Sequence[bytes]) -> list[tuple[str, float, float]]:
        names = {member.port: member.name for member in self.run.stand.members}
        found = []
        for line in lines:
            port, sent, took_s = json.loads(line)
            if not any(begin < sent + took_s and sent < end for begin, end in self.moving):
                found.append((names[port], sent - self.begin, took_s))
        return sorted(found, key=lambda one: -one[2])


async def soak(kinds: Sequence[str], minutes: float, seed: int, say: Say) -> Report:
    async with loaded(short_memories(kinds), seed, PER_SECOND) as run:
        watch = Watch(run)
        probe = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "faults.stalls"),
            *(str(member.port) for member in run.stand.members),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        sampling = asyncio.ensure_future(watch.sample())
        lines = asyncio.ensure_future(all_lines(probe))
        try:
            faults = drawn(round(minutes * 60 / PERIOD_S), seed)
            for number, fault in enumerate(faults, 1):
                with watch.fault(fault):
                    say(f"{number}/{len(faults)} {await run.cycle(fault)}")
                await asyncio.sleep(watch.begin + number * PERIOD_S - time.monotonic())
        finally:
            sampling.cancel()
            probe.terminate()
            await probe.wait()
        return Report(await run.finish(), watch.memory, watch.stalls(await lines))


async def all_lines(process: asyncio.subprocess.Process) -> list[bytes]:
    assert process.stdout is not None
    return [line async for line in process.stdout]


def slope_per_hour(samples: Sequence[Sample]) -> float:
    """Bytes an hour, of the straight line with the least squares."""
    count = len(samples)
    mean_s = sum(one.at_s for one in samples) / count
    mean_bytes = sum(one.rss_bytes for one in samples) / count
    above = sum((one.at_s - mean_s) * (one.rss_bytes - mean_bytes) for one in samples)
    below = sum((one.at_s - mean_s) ** 2 for one in samples)
    return above / below * 3600 if below else 0.0
