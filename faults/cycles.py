"""One fault after the other on one cluster under load, and what must be true at the end.

    a cycle:   load alone | harm | load under the fault | heal | load alone, until all serve | hash

A cycle is void, and the run with it, when there was too little traffic to prove anything: before
and after a fault `FLOOR_PER_SECOND`, and some during it while a majority is connected.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from bench.clusters import UNREACHABLE
from bench.servers import Server, ServerFailed, free_ports
from faults.kinds import FAULTS, Fault
from faults.member import Member
from faults.recording import Recorder
from faults.stand import Stand
from faults.verdict import Verdict, judge
from faults.workload import PER_SECOND, Workload
from sim.check.history import History

FLOOR_PER_SECOND = 50
FLOOR_DURING = 5  # operations in a fault of a minority that lasts longer than a fail-over
FAIL_OVER_S = 4.5  # a deaf leader is heard until it notices, and the others wait from then on
ALONE_S = 0.5  # of traffic before and after a fault
ALONE_WINDOWS_MAX = 8  # of that length, until the floor is reached
HEAL_TIMEOUT_S = 30.0
HASH_TIMEOUT_S = 20.0
FLAGS = ("--snapshot-count", "200")  # entries: the log is cut back all the time
FLAGS_OF_PETCD = ("--snapshot-catchup-entries", "100")  # etcd 3.5.1 keeps 5,000

Say = Callable[[str], None]


class Cycle(NamedTuple):
    """What one fault did."""

    fault: str
    to: str
    seconds: float
    recovery_s: float  # from healing until every member serves
    before: float  # operations a second
    during: float
    after: float

    def __str__(self) -> str:
        return (
            f"{self.fault} ({self.to}) {self.seconds:.1f} s, all serve {self.recovery_s:.1f} s "
            f"later; operations/s: {self.before:.0f} before, {self.during:.0f} during, "
            f"{self.after:.0f} after"
        )


class Outcome(NamedTuple):
    """A whole run. It passes when there are no violations and nothing was void."""

    cycles: list[Cycle]
    verdict: Verdict
    void: list[str]
    history: History

    @property
    def is_bad(self) -> bool:
        return bool(self.void or self.verdict.violations)


class Run:
    """A stand, its load, and the faults done to it so far."""

    def __init__(self, stand: Stand, seed: int, per_second: int = PER_SECOND) -> None:
        self.stand = stand
        self.recorder = Recorder()
        self.load = Workload(stand.members, self.recorder, seed, per_second)
        self.cycles: list[Cycle] = []
        self.void: list[str] = []

    async def traffic(self, seconds: float) -> float:
        """Lets the load go on for so long; returns operations a second."""
        answered, begin = self.recorder.answered, time.monotonic()
        await asyncio.sleep(seconds)
        self.load.check_clients()
        return (self.recorder.answered - answered) / (time.monotonic() - begin)

    async def traffic_alone(self) -> float:
        """Waits a little for enough of it: leaders settle, and the machine may be busy."""
        for _ in range(ALONE_WINDOWS_MAX):
            per_second = await self.traffic(ALONE_S)
            if per_second >= FLOOR_PER_SECOND:
                break
        return per_second

    async def cycle(self, fault: Fault) -> Cycle:
        stand, recorder = self.stand, self.recorder
        before = await self.traffic_alone()
        recorder.note(fault.name)
        answered, begin = recorder.answered, time.monotonic()
        to = await fault.harm(stand)
        await stand.sleep(*fault.seconds)
        self.load.check_clients()
        seconds = time.monotonic() - begin
        during = recorder.answered - answered
        recorder.note("healed")
        stand.heal()
        recovery_s = await stand.healthy(HEAL_TIMEOUT_S)
        after = await self.traffic_alone()
        await self.same_hashes()
        done = Cycle(fault.name, to, seconds, recovery_s, before, during / seconds, after)
        self.judge_traffic(done, fault, during)
        self.cycles.append(done)
        return done

    def judge_traffic(self, cycle: Cycle, fault: Fault, during: int) -> None:
        if min(cycle.before, cycle.after) < FLOOR_PER_SECOND:
            self.void.append(f"fewer than {FLOOR_PER_SECOND} operations a second: {cycle}")
        if fault.majority and cycle.seconds > FAIL_OVER_S and during < FLOOR_DURING:
            self.void.append(f"fewer than {FLOOR_DURING} operations under the fault: {cycle}")

    async def same_hashes(self) -> None:
        """Every member has the same data at a revision that all have reached."""
        begin = time.monotonic()
        while True:
            try:
                statuses = await self.stand.statuses()
                if len(statuses) == len(self.stand.members):
                    revision = min(one.header.revision for one in statuses.values() if one.header)
                    hashes = await self.stand.hashes(revision)
                    self.recorder.samples(self.stand, statuses, hashes, revision)
                    if len({one.compact_revision for one in hashes.values()}) == 1:
                        return
            except UNREACHABLE:
                pass  # compacted meanwhile, or busy: ask anew
            if time.monotonic() - begin > HASH_TIMEOUT_S:
                raise ServerFailed(f"members do not give a hash for {HASH_TIMEOUT_S:.0f} s")
            await asyncio.sleep(0.1)

    async def finish(self) -> Outcome:
        """Ends the load, reads everything once more, and judges what was written down."""
        revision = await self.load.settle()
        alive = [watcher.before for watcher in self.load.watchers]
        await self.load.end()
        await self.same_hashes()
        verdict = judge(self.recorder.history, alive, revision)
        return Outcome(self.cycles, verdict, self.void, self.recorder.history)


@contextlib.asynccontextmanager
async def loaded(
    members: list[Server], seed: int, per_second: int = PER_SECOND
) -> AsyncIterator[Run]:
    """A run on a cluster of these members, which begins here, with its load on."""
    stand = Stand(members, free_ports(len(members)), seed)
    run = Run(stand, seed, per_second)
    try:
        await stand.start()
        run.load.begin()
        await run.traffic(ALONE_S)
        yield run
    finally:
        await asyncio.gather(*run.load.stopped(), return_exceptions=True)
        await stand.close()


def short_memories(kinds: Sequence[str]) -> list[Server]:
    """Members of these kinds whose logs are short, so that who was away needs a snapshot."""
    return [
        Member(kind, *FLAGS, *(FLAGS_OF_PETCD if kind == "petcd" else ()), name=f"m{number}")
        for number, kind in enumerate(kinds, 1)
    ]


async def harmed(kinds: Sequence[str], faults: Sequence[Fault], seed: int, say: Say) -> Outcome:
    """All the faults on one cluster, and the verdict."""
    async with loaded(short_memories(kinds), seed) as run:
        for number, fault in enumerate(faults, 1):
            say(f"{number}/{len(faults)} {await run.cycle(fault)}")
        return await run.finish()


def drawn(count: int, seed: int, faults: Sequence[Fault] = FAULTS) -> list[Fault]:
    """Every fault once, in an order of the seed's, then again."""
    chance = random.Random(seed)
    found: list[Fault] = []
    while len(found) < count:
        found += chance.sample(faults, len(faults))
    return found[:count]
