"""Many worlds, one after the other or several at a time, and what came of them.

Each world is a run of its own from its own seed, so it does not matter which process runs it. A
failure is told with the one command that repeats it, and so is a history that stayed undecided.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from sim.options import Options
from sim.world import World

# Of a failure are shown: the end of the traceback, and the last faults before.
TRACE_LINES = 12
NOTES = 6


class Outcome(NamedTuple):
    """What came of one world. `failure` is empty when it kept all promises."""

    options: Options
    failure: str
    details: list[str]
    story: str
    simulated_s: float
    cpu_s: float
    answered: int
    asked: int
    revisions: int
    undecided: bool
    faults: dict[str, int]
    digest: int


def run_seed(options: Options, history_path: str = "") -> Outcome:
    """Run one world to its end, and write its history if a path is given."""
    started_s = time.process_time()
    world = World(options)
    failure, details = "", []
    try:
        world.run()
    except Exception as error:  # whatever goes wrong in a world is the news that we are after
        failure = f"{type(error).__name__}: {error}"
        trace = traceback.format_exc().splitlines()
        notes = [f"{note.time_s:.3f} {note.text}" for note in world.history.notes[-NOTES:]]
        details = [*world.states(), f"at last: {', '.join(notes)}", *trace[-TRACE_LINES:]]
    if history_path:
        Path(history_path).write_text("\n".join(world.history.lines()) + "\n", encoding="utf-8")
    judgement, nemesis = world.judgement, world.nemesis
    return Outcome(
        options,
        failure,
        details,
        f"{world.features.text()}; {'fair weather' if nemesis is None else nemesis.text()}",
        world.schedule.now_s,
        time.process_time() - started_s,
        world.answered,
        len(world.history.operations),
        0 if judgement is None else judgement.revisions,
        judgement is not None and judgement.undecided,
        {} if nemesis is None else nemesis.counts,
        world.digest(),
    )


def run_all(worlds: Sequence[Options], jobs: int) -> Iterator[Outcome]:
    """Run worlds, the outcomes as they come."""
    if jobs <= 1 or len(worlds) <= 1:
        yield from map(run_seed, worlds)
        return
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(run_seed, worlds)


class Summary:
    """What all worlds together amount to."""

    def __init__(self) -> None:
        self.worlds = 0
        self.simulated_s = 0.0
        self.cpu_s = 0.0
        self.answered = 0
        self.revisions = 0
        self.undecided = 0
        self.faults: Counter[str] = Counter()
        self.failures: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """One more."""
        self.worlds += 1
        self.simulated_s += outcome.simulated_s
        self.cpu_s += outcome.cpu_s
        self.answered += outcome.answered
        self.revisions += outcome.revisions
        self.undecided += outcome.undecided
        self.faults.update(outcome.faults)
        if outcome.failure:
            self.failures.append(outcome)

    @property
    def speed(self) -> float:
        """Simulated seconds in a second of one core."""
        return self.simulated_s / self.cpu_s if self.cpu_s else 0.0

    def lines(self) -> list[str]:
        """The summary, for people."""
        faults = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        per_s = self.answered / self.simulated_s if self.simulated_s else 0.0
        return [
            f"worlds              {self.worlds}",
            f"simulated           {self.simulated_s / 3600:.2f} h",
            f"speed               {self.speed:.0f} x real time on one core",
            f"requests answered   {self.answered} ({per_s:.0f} a simulated second)",
            f"revisions replayed  {self.revisions}; undecided histories {self.undecided}",
            f"faults              {faults or 'none'}",
            f"violations          {len(self.failures)}",
        ]


def command_of(options: Options) -> str:
    """What repeats a run."""
    return f"./dev sim {options.text()}"


def failure_lines(outcome: Outcome) -> list[str]:
    """What to tell of a failure."""
    return [
        f"FAILED after {outcome.simulated_s:.3f} s: {outcome.failure}",
        f"  {outcome.story}",
        *(f"    {line}" for line in outcome.details),
        f"  repeat with: {command_of(outcome.options)}",
    ]


def undecided_line(outcome: Outcome) -> str:
    """What to tell of a world whose history the judge gave up."""
    return f"UNDECIDED; repeat with: {command_of(outcome.options)}"


def saved_regressions() -> list[Options]:
    """Worlds that failed once: one line of options each, with what was wrong behind a #."""
    text = (Path(__file__).parent / "regressions.txt").read_text(encoding="utf-8")
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    return [Options.parse(words) for words in lines if words]


def campaign(
    worlds: Sequence[Options], jobs: int, tell: Callable[[Summary, Outcome], None]
) -> Summary:
    """Run worlds; `tell` hears of each."""
    summary = Summary()
    for outcome in run_all(worlds, jobs):
        summary.add(outcome)
        tell(summary, outcome)
    return summary
