"""Whether what was written down is possible: all checkers, and how much they had to look at."""

from collections.abc import Collection
from typing import NamedTuple

from sim.check import hashes, linear, watching
from sim.check.history import Compact, History, Violation


class Verdict(NamedTuple):
    operations: int
    unknown: int  # operations whose outcome nobody knows
    events: int
    violations: list[Violation]


def judge(history: History, alive: Collection[int] = (), final_revision: int = 0) -> Verdict:
    """`alive`: the watchers that must have been told of everything up to `final_revision`."""
    events = sum(len(m.events) for watcher in history.watchers for m in watcher.messages)
    unknown = sum(operation.response is None for operation in history.operations)
    found = linear.check(history.operations, watching.seen_events(history.watchers))
    violations = list(found.violations)
    if found.undecided:
        violations.append(Violation("decidable", "the search for unknown outcomes gave up"))
    requests = [operation.request for operation in history.operations]
    compacted = max([one.revision for one in requests if isinstance(one, Compact)], default=0)
    changes = found.changes or None
    violations += watching.check(history.watchers, changes, compacted, alive, final_revision)
    violations += hashes.check_hashes(history.hashes)
    violations += hashes.check_monotone(history.members)
    return Verdict(len(history.operations), unknown, events, violations)
