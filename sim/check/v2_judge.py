"""API 2 beyond single answers: its watches, and when nodes end.

* a watch is told what happened to what it watches, from its index on: all of it, whole, in order,
  once; a poll of that the first. Refreshes wake nobody. Error 401 needs a compaction.
* a node ends at one time, whoever tells it; not before, by the clock of any member, unless its time
  to live is over; and not much later, once all clocks are right. `linear` has found who was ended.

The truth is what `linear` has replayed: the events of API 3, and what API 2 made of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf
from typing import Any

from sim.check.history import Delete, Event, History, KeyValue, Operation, Range, Txn, Violation
from sim.check.model import seen_kvs, within
from sim.check.v2_evidence import EVERYTHING, V2Evidence
from sim.check.v2_model import events_of
from sim.check.v2_records import (
    ClockSet,
    V2Delete,
    V2Expiration,
    V2Expire,
    V2Get,
    V2Response,
    V2Set,
    V2Watch,
)

V2Done = tuple[Any, V2Response]
# An election, and the leader's next look at the time.
LATE_S = 8.0


def happenings(
    changes: Mapping[int, Sequence[Event]], v2: Mapping[int, V2Done]
) -> dict[int, list[V2Response]]:
    """What watches of API 2 are to be told of each revision."""
    created: dict[int, int] = {}
    found: dict[int, list[V2Response]] = {}

    def created_of(kv: KeyValue) -> int:
        return created.get(kv.mod_revision, kv.mod_revision)

    for revision in sorted(changes):
        done = v2.get(revision)
        if done is None:
            found[revision] = events_of(None, changes[revision], created_of)
            continue
        request, response = done
        created[revision] = response.node.created
        is_refresh = type(request) is V2Set and request.refresh
        found[revision] = [] if is_refresh else [response]
    return found


# ---- watches -------------------------------------------------------------------------------------


def check_watches(
    watches: Iterable[V2Watch],
    happened: Mapping[int, Sequence[V2Response]],
    compacted: int,
    resting: Collection[int] = (),
) -> list[Violation]:
    """`compacted`: as in `watching.check`. `resting`: ids of watches that have waited since the
    store came to rest, and must have been told everything."""
    by_key: dict[bytes, list[V2Response]] = defaultdict(list)
    for revision in sorted(happened):
        for event in happened[revision]:
            by_key[event.node.key].append(event)
            by_key[EVERYTHING].append(event)
    violations = []
    for watch in watches:
        found = _look_at(watch, by_key[watch.key], compacted, watch.id in resting)
        if found is not None:
            violations.append(found)
    return violations


def _look_at(
    watch: V2Watch, events: Sequence[V2Response], compacted: int, is_resting: bool
) -> Violation | None:
    if watch.is_cleared:
        if watch.wait_index > compacted:
            return Violation("a v2 watch was cleared without need", str(watch))
        return None
    if not watch.began_at:
        return None
    first = watch.wait_index or watch.began_at + 1
    due = [event for event in events if event.node.modified >= first]
    if not watch.stream:
        due = due[:1]
    if len(watch.events) > len(due):
        extra = watch.events[len(due)]
        return _told(watch, "a v2 watch was told too much", f"{extra} at the end")
    for got, expected in zip(watch.events, due, strict=False):
        if got != expected:
            return _told(watch, _law_of(got, expected, events), f"{got} instead of {expected}")
    if is_resting and len(watch.events) < len(due):
        missing = due[len(watch.events)]
        return _told(watch, "a v2 watch was left in silence", f"never told of {missing}")
    return None


def _law_of(got: V2Response, expected: V2Response, events: Sequence[V2Response]) -> str:
    if got.node.modified == expected.node.modified:
        return "a v2 watch was told otherwise"
    if got not in events:
        return "a v2 watch was told what did not happen"
    is_later = got.node.modified > expected.node.modified
    return "a v2 watch left out an event" if is_later else "a v2 watch repeated an event"


def _told(watch: V2Watch, law: str, detail: str) -> Violation:
    return Violation(law, f"{watch._replace(events=watch.events[-2:])}: {detail}")


# ---- times to live -------------------------------------------------------------------------------


class _Clocks:
    """What the members' clocks showed."""

    def __init__(self, settings: Iterable[ClockSet]) -> None:
        by_member: dict[int, list[ClockSet]] = defaultdict(list)
        for setting in settings:
            by_member[setting.member].append(setting)
        self._spans: list[tuple[float, float, float]] = [(0.0, inf, 0.0)]
        for own in by_member.values():
            ends = [setting.time_s for setting in own[1:]] + [inf]
            spans = zip(own, ends, strict=True)
            self._spans += [(one.time_s, end, one.offset_s) for one, end in spans]

    def latest_s(self, first_s: float, last_s: float) -> float:
        """The latest time that any of them showed between two times of the world."""
        return max(
            min(end, last_s) + offset
            for begin, end, offset in self._spans
            if begin <= last_s and end >= first_s
        )


def check_times(
    history: History,
    changes: Mapping[int, Sequence[Event]] | None,
    v2: Mapping[int, V2Done],
    seen_s: Mapping[int, float],
    seen: Mapping[int, Iterable[Event]],
    calm_since_s: float = inf,
) -> list[Violation]:
    """`seen_s`: when each revision was first seen, `seen`: what of it. `calm_since_s`: from then
    on nothing disturbs the members, and their clocks are right."""
    ends: dict[tuple[bytes, int], V2Expiration] = {}
    for told in history.expirations:
        known = ends.setdefault((told.key, told.modified), told)
        if known != told:
            return [Violation("a node has two times to end", f"{known} and {told}")]
    violations = _early(history, ends, changes or {}, v2, seen_s, seen)
    return violations + _late(history.operations, ends, calm_since_s)


def _early(
    history: History,
    ends: Mapping[tuple[bytes, int], V2Expiration],
    changes: Mapping[int, Sequence[Event]],
    v2: Mapping[int, V2Done],
    seen_s: Mapping[int, float],
    seen: Mapping[int, Iterable[Event]],
) -> list[Violation]:
    """Of the ends that are certain: who filled a gap that nobody saw is only a guess."""
    clocks = _Clocks(history.clocks)
    heard = V2Evidence(history.v2_watches).events
    unknown = [op for op in history.operations if op.response is None]
    written = {op.revision: op for op in history.operations if type(op.request) is V2Set}
    for revision, (request, _) in v2.items():
        if type(request) is not V2Expire or revision not in seen_s:
            continue
        prev = changes[revision][0].prev
        assert prev is not None, revision
        op, end = written.get(prev.mod_revision), ends.get((prev.key, prev.mod_revision))
        gone_s = seen_s[revision]
        if op is None or end is None:
            continue
        of_key = heard.get(revision, {}).get(prev.key)
        if of_key is None or of_key.action != "expire":
            was_seen = any(event.kv.key == prev.key for event in seen.get(revision, ()))
            if not was_seen or _may_have_deleted(unknown, prev.key, gone_s):
                continue
        latest_s = clocks.latest_s(op.call_s, gone_s)
        if latest_s < end.at_s and gone_s < op.call_s + op.request.ttl_s:
            detail = f"{end} had ended by {gone_s:.6f}, clocks showed {latest_s:.6f} at most; {op}"
            return [Violation("a node ended early", detail)]
    return []


def _may_have_deleted(unknown: Iterable[Operation], key: bytes, until_s: float) -> bool:
    """Whether somebody may have deleted a key, and `linear` has guessed otherwise."""
    return any(op.call_s < until_s and _deletes(op.request, key) for op in unknown)


def _deletes(request: Any, key: bytes) -> bool:
    if type(request) is Txn:
        return any(_deletes(one, key) for one in request.then + request.otherwise)
    if type(request) is Delete:
        return within(key, request.key, request.end)
    return type(request) is V2Delete and request.key == key


def _late(
    operations: Iterable[Operation],
    ends: Mapping[tuple[bytes, int], V2Expiration],
    calm_since_s: float,
) -> list[Violation]:
    """Linearizable reads in calm times that show nodes which must have ended."""
    for op in operations:
        if op.call_s < calm_since_s + LATE_S:
            continue
        for key, modified in _shown(op):
            end = ends.get((key, modified))
            if end is not None and op.call_s > end.at_s + LATE_S:
                return [Violation("a node outlived its time", f"{end} and {op}")]
    return []


def _shown(op: Operation) -> list[tuple[bytes, int]]:
    request, response = op.request, op.response
    if type(request) is V2Get and request.quorum and type(response) is V2Response:
        return [(response.node.key, response.node.modified)]
    if type(request) is Range and not request.serializable and not request.revision:
        return [(kv.key, kv.mod_revision) for kv in seen_kvs(request, response)]
    return []
