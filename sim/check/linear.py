"""Is a history of the KV service linearizable? A replay in the order of revisions.

Every response of etcd carries a revision, and every revision is the work of one write. So the
order of what was answered is known, up to reads of one revision, which commute:

    rank of the write that made revision r: 2r         rank of a read at revision r: 2r + 1

    1. real time: whoever is called after another has returned has no smaller rank
    2. sense: replayed by rank, each request gives the very response that was recorded
    3. gaps: a revision that no answered write made is the work of one whose outcome is unknown, of
       a lease that ended, or of a revoke (whose response tells another revision)

A gap is filled by what was seen of its revision (in any response, or by a watcher), by what a
watcher would have seen and did not, by real time, and for the rest by search: each candidate is
tried, with a memo on (revision, data, candidates used). So a history without open questions costs
one pass, and the search only what is unknown.

Serializable reads may be stale: they must equal the state at their revision, which must not lie in
the future. And within a session no response may be older than one before.

It does not judge refusals, except those that name revisions; nor lease times (`leases`), nor
watchers (`watching`), though it uses what those saw. `search` is for histories without revisions.
Source: Wing and Gong 1993 and Lowe 2017 for the search; the ranks are what etcd's header offers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

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
from sim.check.model import FIRST_REVISION, Model, has_written, may_write, seen_kvs

STEPS_MAX = 300_000
"""Revisions replayed, all branches of the search together, before giving up."""
TRIES_MAX = 400_000
"""Open operations tried in gaps before giving up: about two seconds."""
PATIENCE_S = 10.0
"""A request that was made this long before its neighbours has hardly been executed with them."""

NOBODY = -1
"""The client of leases that end by themselves."""
Denial = Callable[[int, Sequence[Event]], bool]
_UNRANKED = (KeepAlive, TimeToLive)  # answered from a member's own state, whatever its age


class Verdict(NamedTuple):
    """`violations` is empty if the history is linearizable.

    `changes` are the events of each revision as replayed: the truth that watchers are held to.
    `ended_leases`: revision -> the lease whose end (by time, as far as known) made it.
    `undecided`: the search gave up; then the history is neither good nor bad.
    """

    violations: list[Violation]
    changes: dict[int, list[Event]]
    ended_leases: dict[int, int]
    undecided: bool = False


def check(
    operations: Sequence[Operation],
    seen: Mapping[int, Iterable[Event]] | None = None,
    denies: Denial | None = None,
) -> Verdict:
    """Judge a history that begins with an empty store.

    `seen`: events by revision that somebody saw besides the operations, not necessarily all of a
    revision (`watching.seen_events` collects them). `denies(revision, changes)`: whether somebody
    would have seen these changes and did not (`silence.Silence`). It rules out guesses only: when
    nothing else fits, the changes count, and whoever did not see them is to blame.
    """
    case = _Case(operations, seen or {})
    violations = case.check_times() + check_sessions(operations)
    if violations:
        return Verdict(violations, {}, {})
    if denies is not None:
        verdict = _Replay(case, denies).run()
        if not verdict.violations and not verdict.undecided:
            return verdict
    return _Replay(case).run()


def check_sessions(operations: Sequence[Operation]) -> list[Violation]:
    """Within a session, no response is older than one that had returned before the call."""
    violations = []
    sessions: dict[int, list[Operation]] = defaultdict(list)
    for op in operations:
        if op.revision and op.return_s is not None:
            sessions[op.session].append(op)
    for ops in sessions.values():
        newest: Operation | None = None
        for op, newest in _with_newest_before(ops):
            if newest is not None and op.revision < newest.revision:
                violations.append(Violation("a session goes back", f"{newest}\n  then {op}"))
                break
    return violations


def _with_newest_before(
    ops: list[Operation],
) -> Iterable[tuple[Operation, Operation | None]]:
    """Each operation with the one of the highest rank that had returned before its call."""
    by_return = sorted(ops, key=lambda op: op.return_s or 0.0)
    newest: Operation | None = None
    place = 0
    for op in sorted(ops, key=lambda op: op.call_s):
        while place < len(by_return) and (by_return[place].return_s or 0.0) < op.call_s:
            ended = by_return[place]
            if newest is None or _rank(ended) > _rank(newest):
                newest = ended
            place += 1
        yield op, newest


def _rank(op: Operation) -> int:
    return 2 * op.revision if has_written(op.response) else 2 * op.revision + 1


class _Case:
    """A history, sorted out: who wrote which revision, who read at which, what is open."""

    def __init__(
        self, operations: Sequence[Operation], seen: Mapping[int, Iterable[Event]]
    ) -> None:
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
        self.last_revision = max(
            [FIRST_REVISION, *self.writers, *self.readers, *self.seen, *self.shown]
        )
        self.deadlines = self._deadlines()
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
        if type(op.request) is Range and op.request.serializable:
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
            for put in _puts(op.request):
                authors[put.key, put.value].add(id(op))
                if put.ignore_value:
                    copied.add(put.key)
        seen = {(kv.key, kv.value): kv.mod_revision for kv in self._facts()}
        pinned: dict[int, int] = {}
        for op in self.open:
            for put in _puts(op.request):
                revision = seen.get((put.key, put.value))
                alone = len(authors[put.key, put.value]) == 1 and put.key not in copied
                if revision is not None and alone:
                    pinned[id(op)] = revision
        return pinned

    def _facts(self) -> Iterable[KeyValue]:
        """All key-values that anybody was shown."""
        for kvs in self.shown.values():
            yield from kvs.values()
        for events in self.seen.values():
            yield from (event.kv for event in events if event.kind == "put")

    def written_s(self, revision: int) -> float:
        """When the last answered write up to this revision was asked for."""
        while revision > FIRST_REVISION and revision not in self.writers:
            revision -= 1
        return self.writers[revision].call_s if revision in self.writers else 0.0

    # ---- real time ----

    def check_times(self) -> list[Violation]:
        """Whoever is called after another has returned has no smaller rank."""
        for op, newest in _with_newest_before(self.ranked):
            if newest is not None and _rank(op) < _rank(newest):
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

    def floors(self) -> dict[int, int]:
        """id of an open operation -> the highest rank that had returned before its call."""
        floors: dict[int, int] = {}
        ended = sorted(self.ranked, key=lambda op: op.return_s or 0.0)
        place = highest = 0
        for op in sorted(self.open, key=lambda op: op.call_s):
            while place < len(ended) and _returned_before(ended[place], op):
                highest = max(highest, _rank(ended[place]))
                place += 1
            floors[id(op)] = highest
        return floors

    def dues(self) -> dict[int, list[tuple[int, Operation]]]:
        """Revision -> (rank, revoke) that must have happened before anything of that rank."""
        dues: dict[int, list[tuple[int, Operation]]] = defaultdict(list)
        calls = sorted(self.ranked, key=lambda op: op.call_s)
        lowest = [_rank(op) for op in calls]
        for place in range(len(lowest) - 2, -1, -1):
            lowest[place] = min(lowest[place], lowest[place + 1])
        for revoke in self.open:
            if revoke.return_s is not None:
                later = bisect_right(calls, revoke.return_s, key=lambda op: op.call_s)
                if later < len(calls):
                    dues[lowest[later] // 2].append((lowest[later], revoke))
        return dues


def _puts(request: Any) -> Iterable[Put]:
    """All puts that a request may do."""
    if type(request) is Put:
        yield request
    elif type(request) is Txn:
        for one in request.then + request.otherwise:
            yield from _puts(one)


def _writes(op: Operation) -> bool:
    return has_written(op.response)


def _returned_before(first: Operation, then: Operation) -> bool:
    return first.return_s is not None and first.return_s < then.call_s


def _called_by(first: Operation, then: Operation) -> bool:
    return then.return_s is None or first.call_s <= then.return_s


class _Choice:
    """A revision where the search can still do something else."""

    __slots__ = ("mark", "options", "revision")

    def __init__(
        self, revision: int, mark: tuple[int, int], options: list[tuple[int, Operation]]
    ) -> None:
        self.revision = revision
        self.mark = mark
        self.options = options


class _Replay:
    """The search: revision by revision, back to the last choice when something does not fit."""

    def __init__(self, case: _Case, denies: Denial | None = None) -> None:
        self.case = case
        self.denies = denies
        self.model = Model()
        self.floors = case.floors()
        self.dues = case.dues()
        self.tries = 0
        self.used = 0
        """Bit i: `case.open[i]` fills a gap already."""
        self.placed: list[tuple[int, int]] = []
        """(revision, i) of the filled gaps, ascending."""
        self.changes: dict[int, list[Event]] = {}
        self.choices: list[_Choice] = []
        self.failed: set[tuple[int, int, int]] = set()
        self.deepest: tuple[int, Violation] | None = None

    def run(self) -> Verdict:
        """Replay everything."""
        if not self._look(FIRST_REVISION):
            return self._verdict()
        revision = FIRST_REVISION + 1
        steps = 0
        while revision <= self.case.last_revision:
            steps += 1
            if steps > STEPS_MAX or self.tries > TRIES_MAX:
                return Verdict([], {}, {}, undecided=True)
            if self._step(revision):
                revision += 1
                continue
            back = self._back()
            if back is None:
                return self._verdict()
            revision = back + 1
        return Verdict([], self.changes, self._ended_leases())

    def _verdict(self) -> Verdict:
        assert self.deepest is not None
        return Verdict([self.deepest[1]], {}, {})

    def _ended_leases(self) -> dict[int, int]:
        """Gaps that were filled by nobody's request."""
        fillers = [(revision, self.case.open[index]) for revision, index in self.placed]
        return {revision: op.request.id for revision, op in fillers if op.client == NOBODY}

    # ---- forwards ----

    def _step(self, revision: int) -> bool:
        """Make `revision`; False if nothing fits."""
        writer = self.case.writers.get(revision)
        if writer is not None:
            return self._write(revision, writer, -1) and self._look(revision)
        state = (revision, self.model.fingerprint, self.used)
        if state in self.failed:
            return False
        options = self._candidates(revision)
        if not options:
            self._fail(revision, "nobody wrote a revision", f"revision {revision}")
            return False
        if len(options) == 1:
            index, only = options[0]
            return self._write(revision, only, index) and self._look(revision)
        self.failed.add(state)  # unless one of the options succeeds: then nobody comes back
        self.choices.append(_Choice(revision, self.model.mark(), options))
        return self._choose()

    def _choose(self) -> bool:
        choice = self.choices[-1]
        index, op = choice.options.pop()
        if not choice.options:
            self.choices.pop()
        return self._write(choice.revision, op, index) and self._look(choice.revision)

    def _candidates(self, revision: int) -> list[tuple[int, Operation]]:
        """Open operations that may have made this revision; the likeliest last."""
        latest_s = self.case.deadlines[revision][0]
        fresh_s = self.case.written_s(revision) - PATIENCE_S
        found: dict[Any, tuple[int, Operation]] = {}
        for index, op in enumerate(self.case.open):
            if self.used >> index & 1 or self.floors[id(op)] >= 2 * revision:
                continue
            if self.case.pinned.get(id(op), revision) != revision:
                continue
            if op.call_s > latest_s or not self._agrees(revision, op):
                continue
            if type(op.request) is Revoke and op.return_s is not None:
                found[index] = (index, op)  # it has a date by which it must be placed
            elif op.request not in found:
                found[op.request] = (index, op)
        fresh: list[tuple[int, Operation]] = []
        forgotten: list[tuple[int, Operation]] = []
        for option in found.values():
            is_fresh = option[1].call_s >= fresh_s or option[1].client == NOBODY
            (fresh if is_fresh else forgotten).append(option)
        return forgotten + fresh[::-1]

    def _agrees(self, revision: int, op: Operation) -> bool:
        """Whether `op` would write now, and just what was seen of this revision."""
        self.tries += 1
        if type(op.request) is Revoke and not self.model.keys_of_lease(op.request.id):
            return False
        mark = self.model.mark()
        _, changes = self.model.apply(op.request)
        self.model.undo(mark)
        if not changes or self._unseen(revision, changes):
            return False
        return self.denies is None or not self.denies(revision, changes)

    def _unseen(self, revision: int, changes: list[Event]) -> str:
        """What was seen of `revision` and is not among `changes`; empty if there is nothing."""
        kvs = {(event.kind, event.kv.key): event.kv for event in changes}
        for event in self.case.seen.get(revision, ()):
            if kvs.get((event.kind, event.kv.key)) != event.kv:
                return str(event)
        for kv in self.case.shown.get(revision, {}).values():
            if kvs.get(("put", kv.key)) != kv:
                return str(kv)
        return ""

    def _write(self, revision: int, op: Operation, index: int) -> bool:
        if not self._revoked(2 * revision, index):
            return False
        response, changes = self.model.apply(op.request)
        if not changes:
            return self._fail(revision, "a write should have changed nothing", str(op))
        if index < 0 and response != op.response:
            return self._fail(revision, "a write was answered wrongly", _instead(op, response))
        unseen = self._unseen(revision, changes)
        if unseen:
            return self._fail(revision, "a change was seen that nobody made", f"{unseen}\n  {op}")
        self.changes[revision] = changes
        if index >= 0:
            self.used |= 1 << index
            self.placed.append((revision, index))
        return True

    def _look(self, revision: int) -> bool:
        """All reads of this revision see the present data."""
        if not self._revoked(2 * revision + 1, -1):
            return False
        known: dict[Any, Any] = {}
        for op in self.case.readers.get(revision, ()):
            request = op.request
            if request not in known:
                known[request] = self._ask(request)
            if known[request] != op.response:
                law = "a read was answered wrongly"
                return self._fail(revision, law, _instead(op, known[request]))
        return True

    def _ask(self, request: Any) -> Any:
        if not may_write(request):
            return self.model.read(request)
        mark = self.model.mark()
        response, _ = self.model.apply(request)
        self.model.undo(mark)
        return response

    def _revoked(self, rank: int, index: int) -> bool:
        """Leases whose revoke had returned before anything of this rank have no keys left."""
        for due, revoke in self.dues.get(rank // 2, ()):
            if due != rank or (index >= 0 and self.case.open[index] is revoke):
                continue
            keys = self.model.keys_of_lease(revoke.request.id)
            if keys:
                return self._fail(rank // 2, "a revoked lease has keys", f"{keys} after {revoke}")
        return True

    # ---- backwards ----

    def _fail(self, revision: int, law: str, detail: str) -> bool:
        if self.deepest is None or revision >= self.deepest[0]:
            self.deepest = (revision, Violation(law, detail))
        return False

    def _back(self) -> int | None:
        """Take the next option of the last choice; its revision, or None if there is none."""
        while self.choices:
            choice = self.choices[-1]
            while self.placed and self.placed[-1][0] >= choice.revision:
                _, index = self.placed.pop()
                self.used &= ~(1 << index)
            self.model.undo(choice.mark)
            if self._choose():
                return choice.revision
        return None


def _instead(op: Operation, response: Any) -> str:
    return f"{op}\n  instead of {response}"
