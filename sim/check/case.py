"""A history of requests, sorted out for the replay: who wrote which revision, who read at which.

What needs no replay is judged here, too: real time, and refusals that name a revision. See `linear`
for ranks and for what is done with the open operations.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any

from sim.check.history import (
    COMPACTED,
    FUTURE_REVISION,
    Alarms,
    Compact,
    Disarm,
    Event,
    Grant,
    KeepAlive,
    KeyValue,
    Operation,
    Put,
    Range,
    Refused,
    Revoke,
    TimeToLive,
    Txn,
    Violation,
)
from sim.check.model import FIRST_REVISION, has_written, may_write, seen_kvs, written_keys
from sim.check.twins import kinds_of, unseen_values
from sim.check.v2_evidence import V2Evidence
from sim.check.v2_records import V2Expire, V2Get, V2Set

NOBODY = -1
"""The client of leases that end by themselves, and of nodes of API 2."""
_UNRANKED = (KeepAlive, TimeToLive)  # answered from a member's own state, whatever its age


class Case:
    """A history, sorted out: who wrote which revision, who read at which, what is open."""

    def __init__(
        self,
        operations: Sequence[Operation],
        seen: Mapping[int, Iterable[Event]],
        v2: V2Evidence,
    ) -> None:
        self.v2 = v2
        self.writers: dict[int, Operation] = {}
        self.readers: dict[int, list[Operation]] = defaultdict(list)
        self.ranked: list[Operation] = []
        """Answered and linearizable."""
        self.stale: list[Operation] = []
        """Answered serializable reads."""
        self.open: list[Operation] = []
        """What may fill a gap."""
        self.refused: list[Operation] = []
        self.compactions: list[Operation] = []
        self.violations: list[Violation] = []
        self.seen: dict[int, list[Event]] = {r: list(events) for r, events in seen.items()}
        self.shown: dict[int, dict[bytes, KeyValue]] = defaultdict(dict)
        self._leases: dict[int, float] = {}
        for op in operations:
            self._sort(op)
        for lease, called_s in self._leases.items():
            self.open.append(Operation(NOBODY, 0, 0, called_s, Revoke(lease)))
        known = (self.writers, self.readers, self.seen, self.shown, v2.events, v2.nodes)
        self.last_revision = max([FIRST_REVISION, *(revision for by in known for revision in by)])
        self.deadlines = self._deadlines()
        shown = (value for _, value, _ in self._facts())
        self.unseen = unseen_values(operations, self.open, shown)
        """Values of open operations that nobody was shown."""
        self.kinds = kinds_of(self.open, self.unseen)
        """By index of an open operation: equal for those that are as good as each other."""
        self.floors = self._floors()
        """By index of an open operation: the highest rank that had returned before its call."""
        self.pinned = self._pinned(operations)
        """id of an open operation -> the revision at which its value was seen."""

    def _sort(self, op: Operation) -> None:
        request, response = op.request, op.response
        self._note_lease(op)
        if response is None:
            if may_write(request):
                self.open.append(op)
            elif type(request) is Compact:
                self.compactions.append(op)
        elif type(response) is Refused:
            self.refused.append(op)
        elif type(request) is Revoke:
            self.open.append(op)
            self.ranked.append(op)
        elif not isinstance(request, _UNRANKED):
            self._sort_answered(op)

    def _note_lease(self, op: Operation) -> None:
        request = op.request
        if type(request) is V2Set:
            if request.ttl_s:
                self.open.append(Operation(NOBODY, 0, 0, op.call_s, V2Expire(request.key)))
            return
        if type(request) is Grant:
            lease = request.id or getattr(op.response, "id", 0)
        else:
            lease = request.lease if type(request) is Put else 0
        if lease:
            self._leases[lease] = min(op.call_s, self._leases.get(lease, inf))
        if type(request) is Txn:
            for put in request.then + request.otherwise:
                if type(put) is Put and put.lease:
                    self._leases.setdefault(put.lease, op.call_s)

    def _sort_answered(self, op: Operation) -> None:
        if type(op.request) is Compact:
            self.compactions.append(op)
        if type(op.request) in (Compact, Grant, Alarms, Disarm):
            self.ranked.append(op)
            return
        for kv in seen_kvs(op.request, op.response):
            self.shown[kv.mod_revision][kv.key] = kv
        if is_stale(op.request):
            self.stale.append(op)
            self.readers[op.revision].append(op)
            return
        self.ranked.append(op)
        if not has_written(op.response):
            self.readers[op.revision].append(op)
        elif op.revision <= FIRST_REVISION:
            self.violations.append(Violation("a write has no revision of its own", str(op)))
        elif op.revision in self.writers:
            twins = f"{self.writers[op.revision]}\n  and {op}"
            self.violations.append(Violation("two writes have one revision", twins))
        else:
            self.writers[op.revision] = op

    def _deadlines(self) -> list[tuple[float, Operation | None]]:
        """By revision: when it was first seen, or a later one; it must have been asked for then."""
        first: list[tuple[float, Operation | None]] = [(inf, None)] * (self.last_revision + 2)
        for op in self.ranked + self.stale:
            revision = min(op.revision, self.last_revision)
            if op.return_s is not None and op.return_s < first[revision][0]:
                first[revision] = (op.return_s, op)
        for revision in range(self.last_revision - 1, -1, -1):
            if first[revision + 1][0] < first[revision][0]:
                first[revision] = first[revision + 1]
        return first

    def _pinned(self, operations: Sequence[Operation]) -> dict[int, int]:
        """Values that only one operation may have written tell where it has its place."""
        authors: dict[tuple[bytes, bytes], set[int]] = defaultdict(set)
        copied: set[bytes] = set()
        for op in operations:
            for put in puts_of(op.request):
                authors[put.key, put.value].add(id(op))
                if put.ignore_value:
                    copied.add(put.key)
        seen = {(key, value): revision for key, value, revision in self._facts()}
        pinned: dict[int, int] = {}
        for op in self.open:
            for put in puts_of(op.request):
                revision = seen.get((put.key, put.value))
                alone = len(authors[put.key, put.value]) == 1 and put.key not in copied
                if revision is not None and alone:
                    pinned[id(op)] = revision
        return pinned

    def _facts(self) -> Iterable[tuple[bytes, bytes, int]]:
        """(key, value, revision) of all that anybody was shown."""
        for kvs in self.shown.values():
            yield from ((kv.key, kv.value, kv.mod_revision) for kv in kvs.values())
        for events in self.seen.values():
            kvs_put = (event.kv for event in events if event.kind == "put")
            yield from ((kv.key, kv.value, kv.mod_revision) for kv in kvs_put)
        for nodes in self.v2.nodes.values():
            yield from ((node.key, node.value, node.modified) for node in nodes.values())

    def written_s(self, revision: int) -> float:
        """When the last answered write up to this revision was asked for."""
        while revision > FIRST_REVISION and revision not in self.writers:
            revision -= 1
        return self.writers[revision].call_s if revision in self.writers else 0.0

    def pasts(self) -> dict[int, list[int]]:
        """By gap: the revisions before it that are still read at it or later."""
        until: dict[int, int] = {}
        for revision, ops in [*self.readers.items(), *((r, [w]) for r, w in self.writers.items())]:
            for past in {past for op in ops for past in _asked(op.request) if past < revision}:
                until[past] = max(revision, until.get(past, 0))
        asked = sorted(until)
        pasts: dict[int, list[int]] = {}
        place = 0
        active: list[int] = []
        for revision in range(FIRST_REVISION + 1, self.last_revision + 1):
            if revision in self.writers:
                continue
            first = place
            while place < len(asked) and asked[place] < revision:
                place += 1
            active = [past for past in active + asked[first:place] if until[past] >= revision]
            pasts[revision] = active
        return pasts

    # ---- real time ----

    def check_times(self) -> list[Violation]:
        """Whoever is called after another has returned has no smaller rank."""
        for op, newest in with_newest_before(self.ranked):
            if newest is not None and rank_of(op) < rank_of(newest):
                law = "a write went back in time" if _writes(op) else "a stale read"
                self.violations.append(Violation(law, f"{newest}\n  returned before {op}"))
        for op in self.writers.values():
            seen_s, by = self.deadlines[op.revision]
            if seen_s < op.call_s:
                detail = f"{by}\n  returned before {op}"
                self.violations.append(Violation("a revision was seen before its write", detail))
        self._check_refusals()
        self._check_compacted_reads()
        return self.violations

    def _check_refusals(self) -> None:
        """A revision is refused as future or as compacted only when it is."""
        for op in self.refused:
            revision = getattr(op.request, "revision", 0)
            if not revision:
                continue
            reason = op.response.reason
            if reason == FUTURE_REVISION and not getattr(op.request, "serializable", False):
                known = [
                    o for o in self.ranked if _returned_before(o, op) and o.revision >= revision
                ]
                if known:
                    detail = f"{known[0]}\n  returned before {op}"
                    self.violations.append(Violation("a stale read", detail))
            elif (
                reason == COMPACTED
                and type(op.request) is Range
                and not any(_called_by(c, op) for c in self._compacting(revision))
            ):
                self.violations.append(Violation("nobody has compacted that", str(op)))

    def _compacting(self, revision: int) -> list[Operation]:
        return [op for op in self.compactions if op.request.revision > revision]

    def _check_compacted_reads(self) -> None:
        for read in self.ranked:
            asked = getattr(read.request, "revision", 0)
            if type(read.request) is Range and asked:
                for compaction in self._compacting(asked):
                    if _returned_before(compaction, read):
                        detail = f"{compaction}\n  returned before {read}"
                        self.violations.append(Violation("a compacted revision was read", detail))
                        break

    def _floors(self) -> list[int]:
        floors = [0] * len(self.open)
        ended = sorted(self.ranked, key=lambda op: op.return_s or 0.0)
        place = highest = 0
        for index in sorted(range(len(self.open)), key=lambda index: self.open[index].call_s):
            op = self.open[index]
            while place < len(ended) and _returned_before(ended[place], op):
                highest = max(highest, rank_of(ended[place]))
                place += 1
            floors[index] = highest
        return floors

    def orphan(self) -> int:
        """A revision of which something was seen that no open operation can have done; or 0."""
        by_key: dict[bytes | None, list[int]] = defaultdict(list)
        for index, op in enumerate(self.open):
            for key in written_keys(op.request) or (None,):
                by_key[key].append(index)
        for revision in sorted({*self.seen, *self.shown}.difference(self.writers)):
            facts = [(event.kind, event.kv) for event in self.seen.get(revision, ())]
            facts += [("put", kv) for kv in self.shown.get(revision, {}).values()]
            latest_s = self.deadlines[revision][0]
            if facts and not any(
                self.floors[index] < 2 * revision
                and self.open[index].call_s <= latest_s
                and all(_may_make(self.open[index].request, kind, kv) for kind, kv in facts)
                for key in (facts[0][1].key, None)
                for index in by_key[key]
            ):
                return revision
        return 0

    def dues(self) -> dict[int, list[tuple[int, Operation]]]:
        """Revision -> (rank, revoke) that must have happened before anything of that rank."""
        dues: dict[int, list[tuple[int, Operation]]] = defaultdict(list)
        calls = sorted(self.ranked, key=lambda op: op.call_s)
        lowest = [rank_of(op) for op in calls]
        for place in range(len(lowest) - 2, -1, -1):
            lowest[place] = min(lowest[place], lowest[place + 1])
        for revoke in self.open:
            if revoke.return_s is not None:
                later = bisect_right(calls, revoke.return_s, key=lambda op: op.call_s)
                if later < len(calls):
                    dues[lowest[later] // 2].append((lowest[later], revoke))
        return dues


def puts_of(request: Any) -> Iterable[Put]:
    """All puts that a request may do."""
    if type(request) is Put:
        yield request
    elif type(request) is V2Set:
        yield Put(request.key, request.value, ignore_value=request.refresh)
    elif type(request) is Txn:
        for one in request.then + request.otherwise:
            yield from puts_of(one)


def _may_make(request: Any, kind: str, kv: KeyValue) -> bool:
    """Whether a request can have made a change."""
    if kind == "put":
        puts = [put for put in puts_of(request) if put.key == kv.key]
        return any(put.ignore_value or put.value == kv.value for put in puts)
    keys = written_keys(request)
    return (keys is None or kv.key in keys) and type(request) not in (Put, V2Set)


def _asked(request: Any) -> Iterable[int]:
    """The revisions that a request wants to read at."""
    if type(request) is Range and request.revision:
        yield request.revision
    elif type(request) is Txn:
        for one in request.then + request.otherwise:
            yield from _asked(one)


def is_stale(request: Any) -> bool:
    """Whether a read is served from what a member has."""
    if type(request) is V2Get:
        return not request.quorum
    return type(request) is Range and request.serializable


def _writes(op: Operation) -> bool:
    return has_written(op.response)


def _returned_before(first: Operation, then: Operation) -> bool:
    return first.return_s is not None and first.return_s < then.call_s


def _called_by(first: Operation, then: Operation) -> bool:
    return then.return_s is None or first.call_s <= then.return_s


def with_newest_before(
    ops: list[Operation],
) -> Iterable[tuple[Operation, Operation | None]]:
    """Each operation with the one of the highest rank that had returned before its call."""
    by_return = sorted(ops, key=lambda op: op.return_s or 0.0)
    newest: Operation | None = None
    place = 0
    for op in sorted(ops, key=lambda op: op.call_s):
        while place < len(by_return) and (by_return[place].return_s or 0.0) < op.call_s:
            ended = by_return[place]
            if newest is None or rank_of(ended) > rank_of(newest):
                newest = ended
            place += 1
        yield op, newest


def rank_of(op: Operation) -> int:
    return 2 * op.revision if has_written(op.response) else 2 * op.revision + 1
