"""Whether what was written down is possible, and how much there was to look at."""

from collections.abc import Collection
from typing import NamedTuple

from sim.check.history import History, Violation
from sim.check.judge import judge as judged

CLOCK_DRIFT = 0.01  # all processes share one clock; timers have a tick


class Verdict(NamedTuple):
    operations: int
    unknown: int  # operations whose outcome nobody knows
    events: int
    violations: list[Violation]


def judge(history: History, alive: Collection[int] = (), final_revision: int = 0) -> Verdict:
    """`alive`: the watchers that must have been told of everything up to `final_revision`."""
    events = sum(len(m.events) for watcher in history.watchers for m in watcher.messages)
    unknown = sum(operation.response is None for operation in history.operations)
    found = judged(history, CLOCK_DRIFT, alive=alive, final_revision=final_revision)
    violations = list(found.violations)
    if found.undecided:
        violations.append(Violation("decidable", "the search for unknown outcomes gave up"))
    return Verdict(len(history.operations), unknown, events, violations)
