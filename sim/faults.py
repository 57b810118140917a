"""Misfortunes: what befalls a simulated cluster, when, and for how long, all drawn from the seed.

    Nemesis   every few seconds one of the kinds of faults that this seed has; each ends by itself
    heal      ends all of them at once, and keeps every disk, process and link well

Whatever happens, the system stays recoverable: a process that ends is started again by its
supervisor, no disk is lost or damaged unless its member is replaced, and cut links are joined
again. Several faults may overlap. All of it is noted in the history.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from sim.admin import Admin
from sim.check.history import Note
from sim.check.v2_records import ClockSet
from sim.cluster import WAL_DIR, Slot, leader_of, running
from sim.damage import misplaced_write, rotten_bits, rotten_row
from sim.disk import Disk
from sim.network import FAIR, Weather

if TYPE_CHECKING:
    from sim.world import World

Links = set[tuple[int, int]]

RESTART_S = (0.1, 4.0)


class Nemesis:
    """Chooses and carries out faults. `counts` tells how often each kind was used."""

    def __init__(self, world: World, random: Random) -> None:
        self.counts: dict[str, int] = {}
        self._world = world
        self._random = random
        self._stopped = False
        kinds = [kind for kind in FAULTS if kind not in LATER_KINDS]
        options = world.options
        # A seed has some kinds of faults only, so that each kind is met alone and in company.
        self.kinds = sorted(random.sample(kinds, random.randint(3, len(kinds))))
        later = Random(f"later kinds {options.seed}")
        self.kinds += [kind for kind in LATER_KINDS if later.random() < LATER_CHANCE]
        if options.kinds:
            self.kinds = kinds_of(options.kinds)
        self.interval_s = options.interval_s or random.choice((1.0, 3.0, 8.0))
        self.drift = random.choice((0.0, 0.01, 0.1))
        for slot in world.slots:
            self.prepare(slot)
        self._later()

    def prepare(self, slot: Slot) -> None:
        """What a member has of its own, for all its life."""
        slot.drift = self.drift
        slot.compares_first = "rotten row" in self.kinds
        slot.power_lost = self._random.random() < 0.7

    def text(self) -> str:
        """What this seed has in store."""
        return (
            f"faults about every {self.interval_s:g} s, clocks off by up to {self.drift:.0%}: "
            f"{', '.join(self.kinds)}"
        )

    # -- choosing -----------------------------------------------------------------------------

    def _later(self) -> None:
        delay_s = self._random.expovariate(1 / self.interval_s)
        self._world.clients_process.call_later(delay_s, self._strike)

    def _strike(self) -> None:
        if self._stopped:
            return
        kind = self._random.choice(self.kinds)
        if FAULTS[kind](self):
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self._note(kind)
        self._later()

    def _note(self, text: str) -> None:
        world = self._world
        world.history.notes.append(Note(world.schedule.now_s, text))

    def _after(self, delay_s: float, work: Callable[..., object], *args: object) -> None:
        def due() -> None:
            if not self._stopped:
                work(*args)

        self._world.clients_process.call_later(delay_s, due)

    def _duration_s(self) -> float:
        return self._random.choice((0.2, 1.5, 4.0, 10.0)) * (0.5 + self._random.random())

    def _victim(self) -> Slot | None:
        """Any running member, the leader more often than others."""
        world = self._world
        leader = leader_of(world.slots)
        if leader is not None and self._random.random() < 0.4:
            return leader
        alive = running(world.slots)
        return self._random.choice(alive) if alive else None

    # -- processes ----------------------------------------------------------------------------

    def kill(self, power_lost: bool = False) -> bool:
        """kill -9."""
        slot = self._victim()
        if slot is None:
            return False
        self._end(slot, power_lost)
        return True

    def cut_power(self) -> bool:
        """What was not synced survives in part."""
        return self.kill(power_lost=True)

    def cut_power_of_all(self) -> bool:
        """All members at once."""
        for slot in running(self._world.slots):
            self._end(slot, power_lost=True)
        return True

    def _end(self, slot: Slot, power_lost: bool) -> None:
        slot.end(power_lost)
        self._world.supervise(slot, self._random.uniform(*RESTART_S))

    def crash_in_a_call(self) -> bool:
        """The process dies in the middle of one of the next calls of its disk."""
        slot = self._victim()
        if slot is None:
            return False
        slot.disk.crash_in = self._random.randint(1, 12)
        return True

    def stop_cleanly(self) -> bool:
        """SIGTERM, and a start soon after."""
        slot = self._victim()
        if slot is None or slot.run is None:
            return False
        slot.run.process.call_soon(slot.run.stop)
        return True

    def pause(self) -> bool:
        """SIGSTOP and SIGCONT."""
        slot = self._victim()
        if slot is None or slot.run is None:
            return False
        slot.run.process.pause(self._duration_s())
        return True

    # -- disks --------------------------------------------------------------------------------

    def fail_a_sync(self) -> bool:
        """The next sync says that it did not work."""
        slot = self._victim()
        if slot is None:
            return False
        slot.disk.sync_fails = True
        return True

    def fill_the_disk(self) -> bool:
        """Nothing that grows can be written for a while."""
        slot = self._victim()
        if slot is None:
            return False
        slot.disk.full = True
        self._after(self._duration_s(), lambda: setattr(slot.disk, "full", False))
        return True

    def slow_down_the_disk(self) -> bool:
        """Syncs take from some milliseconds up to seconds."""
        slot = self._victim()
        if slot is None:
            return False
        most_s = self._random.choice((0.02, 0.2, 3.0))
        random = self._random
        slot.disk.sync_s = lambda: most_s * random.random()
        self._after(self._duration_s(), lambda: setattr(slot.disk, "sync_s", _at_once))
        return True

    def rot(self) -> bool:
        """Bits of the log change their minds, and the member is started again."""
        random = self._random
        return self._spoil(lambda disk: disk.hurt(rotten_bits(disk, WAL_DIR, random)))

    def misplace_a_write(self) -> bool:
        """A sector of the log went to a wrong place, or nowhere."""
        random = self._random
        return self._spoil(lambda disk: disk.hurt(misplaced_write(disk, WAL_DIR, random)))

    def rot_a_row(self) -> bool:
        """A bit of the backend flips; members compare themselves with others when they start."""
        random = self._random
        return self._spoil(lambda disk: disk.rot(rotten_row(disk.store, random)))

    def _spoil(self, spoil: Callable[[Disk], object]) -> bool:
        """Do harm to what was synced, to one member at a time, which is started again."""
        admin, slot = self._world.admin, self._victim()
        if admin is None or slot is None or not admin.can_spare_a_disk():
            return False
        self._end(slot, power_lost=False)
        spoil(slot.disk)
        return True

    # -- links --------------------------------------------------------------------------------

    def _ids(self) -> list[int]:
        return [slot.id for slot in self._world.slots]

    def _cut(self, links: Links) -> bool:
        wires, schedule = self._world.wires, self._world.schedule
        wires.cut_links(links, schedule.now_s)
        self._after(self._duration_s(), lambda: wires.cut_links(set(), schedule.now_s))
        return True

    def split(self) -> bool:
        """Two groups that do not hear each other."""
        ids = self._ids()
        self._random.shuffle(ids)
        cut = self._random.randrange(1, len(ids)) if len(ids) > 1 else 1
        one, other = ids[:cut], ids[cut:]
        return self._cut(
            {(a, b) for a in one for b in other} | {(a, b) for a in other for b in one}
        )

    def isolate_the_leader(self) -> bool:
        """Nobody hears the leader, and it hears nobody."""
        leader = leader_of(self._world.slots)
        if leader is None:
            return False
        others = [each for each in self._ids() if each != leader.id]
        return self._cut({(leader.id, b) for b in others} | {(a, leader.id) for a in others})

    def deafen(self) -> bool:
        """One direction only: a member that hears nobody, or that nobody hears."""
        slot = self._victim()
        if slot is None:
            return False
        others = [each for each in self._ids() if each != slot.id]
        if self._random.random() < 0.5:
            return self._cut({(other, slot.id) for other in others})
        return self._cut({(slot.id, other) for other in others})

    def leave_a_bridge(self) -> bool:
        """Two halves that only one member hears both of."""
        ids = self._ids()
        self._random.shuffle(ids)
        rest = ids[1:]
        half = len(rest) // 2
        one, other = rest[:half], rest[half:]
        return self._cut(
            {(a, b) for a in one for b in other} | {(a, b) for a in other for b in one}
        )

    def cut_some_links(self) -> bool:
        """Any links, each direction for itself."""
        ids = self._ids()
        pairs = [(a, b) for a in ids for b in ids if a != b]
        return self._cut({pair for pair in pairs if self._random.random() < 0.3})

    def bad_weather(self) -> bool:
        """Messages get lost, late, doubled, out of order."""
        random, wires = self._random, self._world.wires
        wires.weather = Weather(
            delay_s=random.choice((0.001, 0.02, 0.1)),
            jitter_s=random.choice((0.001, 0.05, 0.3)),
            lost=random.choice((0.0, 0.05, 0.2, 0.5)),
            doubled=random.choice((0.0, 0.1)),
            late=random.choice((0.0, 0.1)),
            reordered=random.random() < 0.5,
        )
        self._after(self._duration_s(), lambda: setattr(wires, "weather", FAIR))
        return True

    def garble(self) -> bool:
        """Now and then a message arrives as something that is none."""
        wires = self._world.wires
        wires.weather = wires.weather._replace(garbled=self._random.choice((0.01, 0.1)))
        self._after(self._duration_s(), lambda: setattr(wires, "weather", FAIR))
        return True

    # -- clocks -------------------------------------------------------------------------------

    def set_the_clock(self) -> bool:
        """The time of day jumps by up to a day, either way."""
        slot = self._victim()
        if slot is None:
            return False
        self._set_clock(slot, self._random.uniform(-1, 1) * 86_400)
        return True

    def _set_clock(self, slot: Slot, offset_s: float) -> None:
        world = self._world
        slot.wall_offset_s = offset_s
        world.history.clocks.append(ClockSet(slot.number, world.schedule.now_s, offset_s))

    # -- administration -----------------------------------------------------------------------

    def administer(self, what: Callable[[Admin], bool]) -> bool:
        """Something that a person asks for, and not at the best of times."""
        admin = self._world.admin
        return admin is not None and what(admin)

    # -- the end ------------------------------------------------------------------------------

    def heal(self) -> None:
        """End everything that is going on, and begin nothing more."""
        self._stopped = True
        world = self._world
        world.wires.cut_links(set(), world.schedule.now_s)
        world.wires.weather = FAIR
        for slot in world.slots:
            disk = slot.disk
            disk.full = disk.sync_fails = False
            disk.crash_in = 0
            disk.sync_s = _at_once
            self._set_clock(slot, 0.0)
        self._note("healed")


def kinds_of(text: str) -> list[str]:
    """Kinds of faults as options name them: `power-cut,split`. Raises ValueError."""
    kinds = sorted(name.replace("-", " ") for name in text.split(","))
    by_name = {kind.replace("-", " "): kind for kind in FAULTS}
    unknown = [kind for kind in kinds if kind not in by_name]
    if unknown:
        raise ValueError(f"no such kind of fault: {', '.join(unknown)}")
    return [by_name[kind] for kind in kinds]


def _at_once() -> float:
    return 0.0


# Kinds that are younger than the first campaigns are drawn apart from the others, so that a world
# that has none of them is what it was.
LATER_KINDS = ("bit rot", "misplaced write", "garbled message", "rotten row")
LATER_CHANCE = 0.25

FAULTS: dict[str, Callable[[Nemesis], bool]] = {
    "kill": Nemesis.kill,
    "power cut": Nemesis.cut_power,
    "power cut of all": Nemesis.cut_power_of_all,
    "crash in a disk call": Nemesis.crash_in_a_call,
    "clean stop": Nemesis.stop_cleanly,
    "pause": Nemesis.pause,
    "failed sync": Nemesis.fail_a_sync,
    "full disk": Nemesis.fill_the_disk,
    "slow disk": Nemesis.slow_down_the_disk,
    "bit rot": Nemesis.rot,
    "misplaced write": Nemesis.misplace_a_write,
    "rotten row": Nemesis.rot_a_row,
    "split": Nemesis.split,
    "leader isolated": Nemesis.isolate_the_leader,
    "one-way links": Nemesis.deafen,
    "bridge": Nemesis.leave_a_bridge,
    "links cut": Nemesis.cut_some_links,
    "bad weather": Nemesis.bad_weather,
    "garbled message": Nemesis.garble,
    "clock set": Nemesis.set_the_clock,
    "learner added": lambda nemesis: nemesis.administer(Admin.add_learner),
    "voter added": lambda nemesis: nemesis.administer(Admin.add_voter),
    "member updated": lambda nemesis: nemesis.administer(Admin.update),
    "member removed": lambda nemesis: nemesis.administer(Admin.remove),
    "disk lost": lambda nemesis: nemesis.administer(Admin.lose_a_disk),
    "lead moved": lambda nemesis: nemesis.administer(Admin.move_the_lead),
    "defragmented": lambda nemesis: nemesis.administer(Admin.defragment),
}
