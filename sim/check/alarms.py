"""A full backend: the alarm NOSPACE, and what may and may not be done while it is raised.

    applied index ----+---------[ alarm ]-----------+------->
    revision          r         r + 1 ... r + n: deletes only

* the alarms are part of the replicated state: equal on all members at equal applied index, through
  restarts and snapshots, and so is the revision;
* while the alarm is raised nothing is put; what frees space is never refused;
* nobody is refused for want of space in a world without a quota;
* a backend does not grow much beyond its quota.

A write that is refused for want of space was not done, unless it was the one that used it up:
then it is done, and refused all the same, as in etcd. `settled` finds out which of them may be.
Source: etcd's quota and alarm appliers.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sim.check.case import is_stale
from sim.check.history import (
    NO_SPACE,
    Event,
    Grant,
    KeepAlive,
    Operation,
    Put,
    Refused,
    TimeToLive,
    Txn,
    Violation,
)
from sim.check.invariants import broken
from sim.check.model import has_written
from sim.check.v2_records import V2Set

# What one turn of a member writes, and what deletes and leases add while the alarm is raised.
EXCESS_BYTES_MAX = 16 * 1024
_UNRANKED = (KeepAlive, TimeToLive)


class _State(NamedTuple):
    """Of a member at an applied index."""

    revision: int
    raised: tuple[int, ...]


class AlarmRecord:
    """What the members of a world had at each applied index."""

    def __init__(self, quota_bytes: int) -> None:
        self._quota_bytes = quota_bytes
        self._states: dict[int, _State] = {}
        self._seen: dict[int, int] = {}

    def look(
        self, member: int, applied: int, revision: int, raised: tuple[int, ...], in_use_bytes: int
    ) -> None:
        """A member has taken a step; `raised` are the members with an alarm. Raises Broken."""
        state = _State(revision, raised)
        known = self._states.setdefault(applied, state)
        if known != state:
            detail = f"{member:x} has {state} at {applied}, others had {known}"
            broken("members differ at one applied index", detail)
        # A member that has still to compact what others have compacted holds the quota twice.
        if in_use_bytes > 2 * self._quota_bytes + EXCESS_BYTES_MAX:
            detail = f"{member:x} holds {in_use_bytes} bytes with a quota of {self._quota_bytes}"
            broken("a backend grew beyond its quota", detail)

    def has_moved(self, member: int, applied: int) -> bool:
        """Whether there is something to look at, since the last time that this was asked."""
        before = self._seen.get(member)
        self._seen[member] = applied
        return before != applied

    def raised(self) -> list[tuple[int, int]]:
        """(revision when the alarm was raised, at the latest; when it still was, at least)."""
        found: list[tuple[int, int]] = []
        before: set[int] = set()
        for applied in sorted(self._states):
            state = self._states[applied]
            if not before.isdisjoint(state.raised):
                found[-1] = (found[-1][0], state.revision)
            elif state.raised:  # perhaps after a moment without any, in what nobody looked at
                found.append((state.revision, state.revision))
            before = set(state.raised)
        return found


class Embargo:
    """Where nothing was put: evidence for `linear`, of writes whose outcome is unknown."""

    def __init__(self, record: AlarmRecord | None) -> None:
        self._spans = [] if record is None else record.raised()
        self._firsts = [first for first, _ in self._spans]

    def denies(self, revision: int, changes: Iterable[Event]) -> bool:
        """Whether one of the changes is a put while the alarm was raised."""
        place = bisect_left(self._firsts, revision) - 1
        if place < 0 or revision > self._spans[place][1]:
            return False
        return any(event.kind == "put" for event in changes)


def check(
    operations: Iterable[Operation],
    changes: Mapping[int, Sequence[Event]] | None,
    record: AlarmRecord | None,
) -> list[Violation]:
    """Judge what was refused for want of space, and what was not. `record`: None for no quota."""
    violations: list[Violation] = []
    for op in operations:
        if type(op.response) is Refused and op.response.reason == NO_SPACE:
            if record is None:
                return [Violation("refused for want of space without a quota", str(op))]
            if not takes_space(op.request):
                return [Violation("refused for want of space what takes none", str(op))]
    if record is None or changes is None:
        return violations
    for first, last in record.raised():
        for revision in range(first + 1, last + 1):
            put = next((e for e in changes.get(revision, ()) if e.kind == "put"), None)
            if put is not None:
                detail = f"{put} while it was raised from revision {first} to {last}"
                violations.append(Violation("a write in spite of the alarm", detail))
                break
    return violations


def takes_space(request: Any) -> bool:
    """Whether a request may be refused for want of space."""
    if type(request) is Txn:
        return any(takes_space(one) for one in request.then + request.otherwise)
    return type(request) in (Put, Grant, V2Set)


def settled(operations: Sequence[Operation], seen: Iterable[int]) -> Sequence[Operation]:
    """The operations, with each refused write that may have been done as one that is open.

    It may have been when a revision that nobody answered for lies between what had returned before
    its call and what was called after its return. `seen`: revisions that watchers were told of.
    """
    doubtful = {
        id(op)
        for op in operations
        if type(op.response) is Refused
        and op.response.reason == NO_SPACE
        and type(op.request) in (Put, Txn, V2Set)
    }
    if not doubtful:
        return operations
    windows = _Windows(operations, seen)
    found = []
    for op in operations:
        if id(op) not in doubtful:
            found.append(op)
        elif windows.has_a_gap(op):
            found.append(Operation(op.client, op.session, op.member, op.call_s, op.request))
    return found


class _Windows:
    """Which revisions may be the work of an operation that has ended, by real time."""

    def __init__(self, operations: Sequence[Operation], seen: Iterable[int]) -> None:
        ranked = [op for op in operations if _has_rank(op)]
        written = {op.revision for op in ranked if has_written(op.response)}
        last = max([0, *(op.revision for op in ranked), *seen])
        self._gaps = [revision for revision in range(2, last + 1) if revision not in written]
        returns = sorted((op.return_s or 0.0, op.revision) for op in ranked)
        self._return_s = [return_s for return_s, _ in returns]
        self._highest = _running([revision for _, revision in returns], max)
        calls = sorted((op.call_s, op.revision) for op in ranked)
        self._call_s = [call_s for call_s, _ in calls]
        self._lowest = _running([revision for _, revision in reversed(calls)], min)[::-1]

    def has_a_gap(self, op: Operation) -> bool:
        """Whether one of the revisions that lie in its time has no author."""
        assert op.return_s is not None
        before = bisect_right(self._return_s, op.call_s)
        after = bisect_right(self._call_s, op.return_s)
        low = self._highest[before - 1] if before else 0
        high = self._lowest[after] if after < len(self._lowest) else None
        place = bisect_right(self._gaps, low)
        return place < len(self._gaps) and (high is None or self._gaps[place] <= high)


def _has_rank(op: Operation) -> bool:
    return bool(op.revision) and not is_stale(op.request) and type(op.request) not in _UNRANKED


def _running(numbers: list[int], choose: Any) -> list[int]:
    found: list[int] = []
    for number in numbers:
        found.append(choose(found[-1], number) if found else number)
    return found
