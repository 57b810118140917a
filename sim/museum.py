"""Runs the museum: every exhibit of `sim.bugs` must be found within its number of worlds.

An exhibit is found when a world fails with one of the laws that the exhibit breaks, and the same
world passes without the defect. A failure with other words does not count: it may be a defect of
its own. Worlds of an exhibit are drawn from the seed like all others; its options and its stage
only say what is met how often.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from types import FrameType
from typing import Any, NamedTuple

from sim.bugs import EXHIBITS, Exhibit
from sim.bugs.switch import applied
from sim.campaign import run_seed
from sim.options import Options

# What an exhibit is shown in, unless its options say otherwise: nothing but keys and faults.
PLAIN: dict[str, Any] = {"duration_s": 60.0, "members": 3, "features": "none"}
# A defect may make a member spin for ever; no sound world of this length needs so much.
WORLD_CPU_S = 12.0


class Finding(NamedTuple):
    """What came of one exhibit. `failure` is empty when it was not found.

    `others` are failures that broke no law of the exhibit, or come without the defect too.
    """

    name: str
    failure: str
    options: Options
    worlds: int
    cpu_s: float
    others: tuple[str, ...]

    def line(self) -> str:
        """For the table."""
        found = f"found in world {self.worlds}" if self.failure else "NOT FOUND"
        rest = self.failure or "; ".join(self.others[:2])
        return f"{self.name:44} {found:18} {self.cpu_s:6.1f} s   {rest[:100]}"


class Spinning(BaseException):
    """A world does not end. Nothing in production may catch it."""


@contextmanager
def limited(cpu_s: float) -> Iterator[None]:
    """Raise Spinning when what is done here takes more CPU time than this."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Spinning(f"the world took more than {cpu_s:g} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


def options_of(exhibit: Exhibit, seed: int) -> Options:
    """The world in which an exhibit is looked for."""
    return Options(**{**PLAIN, **exhibit.options, "seed": seed})


def failure_of(exhibit: Exhibit, options: Options, is_switched: bool) -> str:
    """What a world comes to on the exhibit's stage, with or without its defect."""
    patches = exhibit.patches() if is_switched else exhibit.stage()
    try:
        with applied(patches), limited(WORLD_CPU_S):
            return run_seed(options).failure
    except Spinning as error:
        return f"Spinning: {error}"


def look_for(name: str, first_seed: int = 1) -> Finding:
    """Run worlds with the defect until one shows it."""
    exhibit = EXHIBITS[name]
    started_s = time.process_time()
    others: list[str] = []
    found = ""
    options = options_of(exhibit, first_seed)
    for seed in range(first_seed, first_seed + exhibit.seeds):
        options = options_of(exhibit, seed)
        failure = failure_of(exhibit, options, True)
        if any(law in failure for law in exhibit.laws):
            without = failure_of(exhibit, options, False)
            if not without:
                found = failure
                break
            failure = f"also without the defect: {without}"
        if failure:
            others.append(failure)
    cpu_s = time.process_time() - started_s
    return Finding(name, found, options, options.seed - first_seed + 1, cpu_s, tuple(others))


def tour(names: Sequence[str], jobs: int) -> Iterator[Finding]:
    """All these exhibits, as they are found."""
    if jobs <= 1:
        yield from map(look_for, names)
        return
    with get_context("spawn").Pool(jobs, maxtasksperchild=4) as pool:
        yield from pool.imap_unordered(look_for, names)


def main(names: Sequence[str], jobs: int, tell: Callable[[str], None] = print) -> int:
    """Look for exhibits and tell of each; 1 when one was not found."""
    unknown = [name for name in names if name not in EXHIBITS]
    if unknown:
        tell(f"no such exhibit: {', '.join(unknown)}; there are:")
        for name, exhibit in EXHIBITS.items():
            tell(f"  {name:44} {exhibit.source}: {exhibit.breaks}")
        return 2
    findings = []
    for finding in tour(names or list(EXHIBITS), jobs):
        findings.append(finding)
        tell(finding.line())
    missed = [finding.name for finding in findings if not finding.failure]
    cpu_s = sum(finding.cpu_s for finding in findings)
    tell(f"{len(findings) - len(missed)} of {len(findings)} defects found, {cpu_s:.0f} s of CPU")
    return 1 if missed else 0
