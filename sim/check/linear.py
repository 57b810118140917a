"""Is a history of the KV service linearizable? A replay in the order of revisions.

Every response of etcd carries a revision, and every revision is the work of one write. So the
order of what was answered is known, up to reads of one revision, which commute:

    rank of the write that made revision r: 2r         rank of a read at revision r: 2r + 1

    1. real time: whoever is called after another has returned has no smaller rank
    2. sense: replayed by rank, each request gives the very response that was recorded
    3. gaps: a revision that no answered write made is the work of one whose outcome is unknown, of
       a lease that ended, or of a revoke (whose response tells another revision)

A gap is filled by what was seen of its revision (in any response, or by a watcher), by what a
watcher would have seen and did not, by the writes that each key still needs (`lineage`), by real
time, and for the rest by search: one candidate of a kind (`twins`) after the other is tried, with a
memo on (revision, data, candidates used). So a history without open questions costs one pass, and
the search only what is unknown. Two branches that the memo takes for one may differ in their past,
which some later read asks for: so when nothing fits, the data of those revisions becomes part of
the memo, and the search begins anew.

Serializable reads may be stale: they must equal the state at their revision, which must not lie in
the future. And within a session no response may be older than one before.

It does not judge refusals, except those that name revisions; nor lease times (`leases`), nor
watchers (`watching`), though it uses what those saw. `search` is for histories without revisions.
Source: Wing and Gong 1993 and Lowe 2017 for the search; the ranks are what etcd's header offers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from sim.check.case import NOBODY, Case, with_newest_before
from sim.check.history import Event, KeyValue, Operation, Revoke, Violation
from sim.check.lineage import Lineage
from sim.check.model import FIRST_REVISION, Model, may_write
from sim.check.pool import Pool
from sim.check.v2_evidence import V2Evidence
from sim.check.v2_model import events_of
from sim.check.v2_records import V2Response

STEPS_MAX = 300_000
"""Revisions replayed again, in all wrong branches of the search together, before giving up."""
TRIES_MAX = 400_000
"""Open operations tried in gaps, beside one look at all for each gap, before giving up: about two
seconds."""
PATIENCE_S = 10.0
"""A request that was made this long before its neighbours has hardly been executed with them."""

V2Done = tuple[Any, V2Response]
"""(request, response)"""
Denial = Callable[[int, Sequence[Event]], bool]


class Verdict(NamedTuple):
    """`violations` is empty if the history is linearizable.

    `changes` are the events of each revision as replayed: the truth that watchers are held to.
    `ended_leases`: revision -> the lease whose end (by time, as far as known) made it.
    `undecided`: the search gave up; then the history is neither good nor bad. `v2`: which revisions
    API 2 made, ends of nodes included, and what came of that.
    """

    violations: list[Violation]
    changes: dict[int, list[Event]]
    ended_leases: dict[int, int]
    undecided: bool = False
    v2: Mapping[int, V2Done] = MappingProxyType({})


def check(
    operations: Sequence[Operation],
    seen: Mapping[int, Iterable[Event]] | None = None,
    denies: Denial | None = None,
    v2: V2Evidence | None = None,
) -> Verdict:
    """Judge a history that begins with an empty store.

    `seen`: events by revision that somebody saw besides the operations, not necessarily all of a
    revision (`watching.seen_events` collects them). `denies(revision, changes)`: whether somebody
    would have seen these changes and did not (`silence.Silence`). It rules out guesses only: when
    nothing else fits, the changes count, and whoever did not see them is to blame. `v2`: what API 2
    told, where it is no more than a `denies`, too.
    """
    case = Case(operations, seen or {}, v2 or V2Evidence())
    violations = case.check_times() + check_sessions(operations)
    if violations:
        return Verdict(violations, {}, {})
    orphan = case.orphan()
    if orphan:
        verdict = Verdict([Violation("nobody wrote a revision", f"revision {orphan}")], {}, {})
        return _told_by_replay(case, verdict)
    if denies is not None:
        verdict = _search(case, Lineage(operations, case.seen, case.v2), denies)
        if _is_good(verdict):
            return verdict
    verdict = _search(case, Lineage(operations, case.seen), None)
    if _is_good(verdict) or verdict.undecided:
        return verdict
    return _told_by_replay(case, verdict)


def _told_by_replay(case: Case, verdict: Verdict) -> Verdict:
    """What is wrong is told best where the replay itself comes upon it, if it does."""
    plain = _Replay(case, None, None, with_pasts=True).run()
    return verdict if plain.undecided else plain


def _search(case: Case, lineage: Lineage, denies: Denial | None) -> Verdict:
    verdict = _Replay(case, lineage, denies, with_pasts=False).run()
    return verdict if _is_good(verdict) else _Replay(case, lineage, denies, with_pasts=True).run()


def _is_good(verdict: Verdict) -> bool:
    return not verdict.violations and not verdict.undecided


def check_sessions(operations: Sequence[Operation]) -> list[Violation]:
    """Within a session, no response is older than one that had returned before the call."""
    violations = []
    sessions: dict[int, list[Operation]] = defaultdict(list)
    for op in operations:
        if op.revision and op.return_s is not None:
            sessions[op.session].append(op)
    for ops in sessions.values():
        newest: Operation | None = None
        for op, newest in with_newest_before(ops):
            if newest is not None and op.revision < newest.revision:
                violations.append(Violation("a session goes back", f"{newest}\n  then {op}"))
                break
    return violations


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

    def __init__(
        self, case: Case, lineage: Lineage | None, denies: Denial | None, with_pasts: bool
    ) -> None:
        self.case = case
        self.lineage = lineage
        self.denies = denies
        self.model = Model(case.unseen)
        self.pool = Pool(case)
        self.dues = case.dues()
        self.pasts = case.pasts() if with_pasts else defaultdict(list)
        self.tries = 0
        self.placed: list[tuple[int, int]] = []
        """(revision, i) of the filled gaps, ascending."""
        self.changes: dict[int, list[Event]] = {}
        self.v2: dict[int, V2Done] = {}
        self.choices: list[_Choice] = []
        self.failed: set[Hashable] = set()
        self.prints: dict[int, int] = {}
        """The data's fingerprint at each revision so far."""
        self.deepest: tuple[int, Violation] | None = None
        gaps = case.last_revision - FIRST_REVISION - len(case.writers)
        self.steps_max = case.last_revision + STEPS_MAX
        self.tries_max = gaps * self.pool.size + TRIES_MAX

    def run(self) -> Verdict:
        """Replay everything."""
        if not self._look(FIRST_REVISION):
            return self._verdict()
        revision = FIRST_REVISION + 1
        steps = 0
        while revision <= self.case.last_revision:
            steps += 1
            if steps > self.steps_max or self.tries > self.tries_max:
                return Verdict([], {}, {}, undecided=True)
            if self._step(revision):
                revision += 1
                continue
            back = self._back()
            if back is None:
                return self._verdict()
            revision = back + 1
        return Verdict([], self.changes, self._ended_leases(), v2=self.v2)

    def _verdict(self) -> Verdict:
        assert self.deepest is not None
        return Verdict([self.deepest[1]], {}, {})

    def _ended_leases(self) -> dict[int, int]:
        """Gaps that were filled by nobody's request."""
        fillers = [(revision, self.case.open[index]) for revision, index in self.placed]
        return {
            revision: op.request.id
            for revision, op in fillers
            if op.client == NOBODY and type(op.request) is Revoke
        }

    # ---- forwards ----

    def _step(self, revision: int) -> bool:
        """Make `revision`; False if nothing fits."""
        writer = self.case.writers.get(revision)
        if writer is not None:
            return self._write(revision, writer, -1) and self._look(revision)
        state = self._state(revision)
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

    def _state(self, revision: int) -> Hashable:
        """All that matters from here on: the data, what is still open, and of the past what later
        reads ask for."""
        pasts = tuple([self.prints[past] for past in self.pasts[revision]])
        return revision, self.model.fingerprint, self.pool.fingerprint, pasts

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
        due = set() if self.lineage is None else self.lineage.due(revision, self.model.kvs)
        if due is None:
            return []
        last: dict[Hashable, int] = {}
        for index in sorted(self.pool.unused(revision, self.model, due)):
            if self.case.floors[index] < 2 * revision and self.case.open[index].call_s <= latest_s:
                last[self.case.kinds[index]] = index  # those before it fit wherever it does
        fresh: list[tuple[int, Operation]] = []
        forgotten: list[tuple[int, Operation]] = []
        for index in last.values():
            op = self.case.open[index]
            if self._agrees(revision, op):
                is_fresh = op.call_s >= fresh_s or op.client == NOBODY
                (fresh if is_fresh else forgotten).append((index, op))
        return forgotten + fresh[::-1]

    def _agrees(self, revision: int, op: Operation) -> bool:
        """Whether `op` would write now, and just what was seen of this revision."""
        self.tries += 1
        mark = self.model.mark()
        response, changes = self.model.apply(op.request)
        self.model.undo(mark)
        if not changes or self._unseen(revision, changes) is not None:
            return False
        done = events_of(response, changes, self.model.created_of)
        if self.lineage is not None and self.lineage.denies(revision, changes):
            return False
        if self.denies is None:
            return not self.case.v2.contradicts(revision, done)
        return not (
            self.case.v2.denies(revision, op.request, done) or self.denies(revision, changes)
        )

    def _unseen(self, revision: int, changes: list[Event]) -> Event | KeyValue | None:
        """What was seen of `revision` and is not among `changes`."""
        kvs = {(event.kind, event.kv.key): event.kv for event in changes}
        for event in self.case.seen.get(revision, ()):
            if kvs.get((event.kind, event.kv.key)) != event.kv:
                return event
        for kv in self.case.shown.get(revision, {}).values():
            if kvs.get(("put", kv.key)) != kv:
                return kv
        return None

    def _write(self, revision: int, op: Operation, index: int) -> bool:
        if not self._revoked(2 * revision, index):
            return False
        response, changes = self.model.apply(op.request)
        if not changes:
            return self._fail(revision, "a write should have changed nothing", str(op))
        if index < 0 and response != op.response:
            return self._fail(revision, "a write was answered wrongly", _instead(op, response))
        unseen = self._unseen(revision, changes)
        if unseen is not None:
            return self._fail(revision, "a change was seen that nobody made", f"{unseen}\n  {op}")
        if index < 0 and self.denies is not None:
            done = events_of(response, changes, self.model.created_of)
            if self.case.v2.disputes(revision, done):
                return self._fail(revision, "a v2 watch was told otherwise", f"{done}\n  {op}")
        self.changes[revision] = changes
        if type(response) is V2Response:
            self.v2[revision] = (op.request, response)
        else:
            self.v2.pop(revision, None)
        if index >= 0:
            self.pool.use(index)
            self.placed.append((revision, index))
        return True

    def _look(self, revision: int) -> bool:
        """All reads of this revision see the present data."""
        if not self._revoked(2 * revision + 1, -1):
            return False
        self.prints[revision] = self.model.fingerprint
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
                self.pool.give_back(index)
            self.model.undo(choice.mark)
            if self._choose():
                return choice.revision
        return None


def _instead(op: Operation, response: Any) -> str:
    return f"{op}\n  instead of {response}"
