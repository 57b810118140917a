"""Whether what was written down is possible: the checkers, and how much they had to look at."""

from typing import NamedTuple

from sim.check.history import History, Violation


class Verdict(NamedTuple):
    operations: int
    unknown: int  # operations whose outcome nobody knows
    events: int
    violations: list[Violation]


def judge(history: History) -> Verdict:
    events = sum(len(m.events) for watcher in history.watchers for m in watcher.messages)
    unknown = sum(operation.response is None for operation in history.operations)
    return Verdict(len(history.operations), unknown, events, [])
