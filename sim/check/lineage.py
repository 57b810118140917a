"""What is certain of each key, and how many writes of unknown outcome that needs: evidence for
`linear`.

    k at 12, version 4    k put at 20    k at 30, version 7     between 12 and 30, one gap put k
    k at 12, version 4    k put at 20    k at 30, version 6     between 12 and 30, no gap wrote k
    k at 12               k at 30, created at 25                before 25, some gap deleted k
    k at 12               no k at 30                            up to 30, some gap deleted k

Certain are the writes that were answered, and those that somebody was shown. So a guess is wrong
that does more than is missing, or leaves more to be done than there are gaps; and where as much is
missing as there are gaps, they must write that key. This looks at each key alone: what is wrong for
one of them is wrong for all together.
Source: Herlihy and Wing (locality); Horn and Kroening 2015, "Faster linearizability checking via
P-compositionality".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from sim.check.case import puts_of
from sim.check.history import (
    Delete,
    DeleteResponse,
    Event,
    KeyValue,
    Operation,
    PutResponse,
    RangeResponse,
    Refused,
    Revoke,
    TxnResponse,
)
from sim.check.model import FIRST_REVISION, has_written, seen_kvs, within, written_keys
from sim.check.spans import Spans
from sim.check.v2_evidence import GONE, V2Evidence
from sim.check.v2_records import NOT_FOUND, V2Delete, V2Error, V2Response

_DELETED, _UNKNOWN = 0, -1


class _Write(NamedTuple):
    """A certain one. `version`: _DELETED, or _UNKNOWN of a put that nobody was shown; so may be
    its value."""

    revision: int
    version: int
    created: int = 0
    value: bytes | None = None


class _Need(NamedTuple):
    """`writes` gaps have to put a key, or else to delete it, up to `deadline`.

    `lease` is the one that may do it with its end, -1 when any may.
    """

    writes: int
    deadline: int
    lease: int = 0


_NOTHING = _Need(0, 0)
_ANY = -1


class _Several:
    """A request of unknown outcome that writes more than one key."""

    def __init__(self, request: Any, keys: set[bytes]) -> None:
        self.keys = keys
        puts = list(puts_of(request))
        self._values = {(put.key, put.value) for put in puts}
        self._copied = {put.key for put in puts if put.ignore_value}

    def may_do(self, certain: Mapping[bytes, _Write]) -> bool:
        """Whether it may have done what is certain of a revision."""
        return all(
            key in self.keys
            and (write.value is None or key in self._copied or (key, write.value) in self._values)
            for key, write in certain.items()
        )


class _Key:
    """What is certain of one key: its writes, and the revisions after which it was absent.

    `gaps` are the revisions that may have written it besides.
    """

    def __init__(
        self, writes: Mapping[int, _Write], absent: Collection[int], gaps: list[int]
    ) -> None:
        self.writes = writes
        self.absent = absent
        self._gaps = gaps
        self._absent = sorted(absent)
        self._revisions = sorted(writes)
        ordered = [writes[revision] for revision in self._revisions]
        self._puts = list(accumulate((write.version != _DELETED for write in ordered), initial=0))
        self._next_known: list[_Write | None] = [None]
        for write in reversed(ordered):
            is_known = write.version != _UNKNOWN
            self._next_known.append(write if is_known else self._next_known[-1])
        self._next_known.reverse()

    def room(self, first: int, last: int) -> int:
        """How many gaps may write the key between two revisions, both included."""
        return max(0, bisect_right(self._gaps, last) - bisect_left(self._gaps, first))

    def gaps_between(self, first: int, last: int) -> list[int]:
        """Those gaps."""
        return self._gaps[bisect_left(self._gaps, first) : bisect_right(self._gaps, last)]

    def need(self, first: int, kv: KeyValue | None) -> _Need | None:
        """What gaps have to do to a key from `first` on, when it is `kv` before; None when nothing
        they do can help."""
        place = bisect_left(self._revisions, first)
        known = self._next_known[place]
        absent = self._next_absent(first, known)
        if absent:
            return self._until_absent(place, absent, kv)
        if known is None:
            return _NOTHING
        puts = self._puts[bisect_left(self._revisions, known.revision)] - self._puts[place]
        if known.version == _DELETED:
            return _Need(int(kv is None and not puts), known.revision - 1)
        if known.created >= first:  # it is the first of its life
            lease = _ANY if kv is None or puts else kv.lease
            return _Need(int(kv is not None or puts > 0), known.revision - 1, lease)
        if kv is None or kv.create_revision != known.created:
            return None
        count = known.version - kv.version - puts - 1
        return _Need(count, known.revision - 1) if count >= 0 else None

    def _next_absent(self, first: int, known: _Write | None) -> int:
        """After which revision it was absent next, if before the next `known` write; or 0."""
        place = bisect_left(self._absent, first)
        if place == len(self._absent):
            return 0
        absent = self._absent[place]
        return absent if known is None or absent < known.revision else 0

    def _until_absent(self, place: int, absent: int, kv: KeyValue | None) -> _Need | None:
        last = bisect_right(self._revisions, absent) - 1
        if last < place:
            return _NOTHING if kv is None else _Need(1, absent, kv.lease)
        return _NOTHING if self.room(self._revisions[last] + 1, absent) else None


class Lineage:
    """All keys."""

    def __init__(
        self,
        operations: Sequence[Operation],
        seen: Mapping[int, Iterable[Event]],
        v2: V2Evidence | None = None,
    ) -> None:
        """The arguments are those of `linear.check`."""
        self._writes: dict[bytes, dict[int, _Write]] = defaultdict(dict)
        self._absent: dict[bytes, set[int]] = defaultdict(set)
        self._alone = Spans()
        answered = [op for op in operations if op.revision and type(op.response) is not Refused]
        for op in answered:
            self._note_answer(op)
        for event in (event for events in seen.values() for event in events):
            self._note_event(event)
        if v2 is not None:
            self._note_v2(v2)
        for op in answered:
            self._note_missing(op.request, op.response, op.revision)
        self._certain: dict[int, set[bytes]] = defaultdict(set)
        for key, writes in self._writes.items():
            for revision in writes:
                self._certain[revision].add(key)
        self._several: list[_Several] = []
        self._is_wild = False
        for op in operations:
            self._look_for_several(op)
        gaps = self._gaps(operations)
        self._keys = {
            key: _Key(writes, self._absent[key], gaps[key]) for key, writes in self._writes.items()
        }

    # ---- what is certain ----

    def _note(self, key: bytes, write: _Write) -> None:
        known = self._writes[key].get(write.revision)
        if known is None or _facts(write) > _facts(known):
            self._writes[key][write.revision] = write

    def _note_pair(self, kv: KeyValue) -> None:
        self._note(kv.key, _Write(kv.create_revision, 1, kv.create_revision))
        self._note(kv.key, _Write(kv.mod_revision, kv.version, kv.create_revision, kv.value))

    def _note_answer(self, op: Operation) -> None:
        until = getattr(op.request, "revision", 0) or op.revision
        for kv in seen_kvs(op.request, op.response):
            self._note_pair(kv)
            self._alone.add(kv.key, kv.mod_revision, until + (not has_written(op.response)))
        for request, response in _parts(op.request, op.response):
            if not has_written(response):
                continue
            is_delete = type(request) in (Delete, V2Delete)
            for key in written_keys(request) or ():
                self._note(key, _Write(op.revision, _DELETED if is_delete else _UNKNOWN))
            for kv in response.prevs if type(response) is DeleteResponse else ():
                self._note(kv.key, _Write(op.revision, _DELETED))

    def _note_event(self, event: Event) -> None:
        if event.prev is not None:
            self._note_pair(event.prev)
        if event.kind == "put":
            self._note_pair(event.kv)
        else:
            self._note(event.kv.key, _Write(event.kv.mod_revision, _DELETED))

    def _note_v2(self, v2: V2Evidence) -> None:
        for revision, nodes in v2.nodes.items():
            for key in nodes:
                self._note(key, _Write(revision, _UNKNOWN))
        for revision, events in v2.events.items():
            for key, event in events.items():
                self._note(key, _Write(revision, _DELETED if event.action in GONE else _UNKNOWN))

    def _note_missing(self, request: Any, response: Any, revision: int) -> None:
        """Keys of which an answer says that they were not there."""
        if type(response) is RangeResponse:
            if request.limit or request.count_only:
                return
            found = {kv.key for kv in response.kvs}
            every = self._writes if request.end else (request.key,)
            for key in every:
                if key not in found and within(key, request.key, request.end):
                    self._absent[key].add(request.revision or revision)
        elif type(response) is TxnResponse:
            if not has_written(response):
                for one, answer in _parts(request, response):
                    self._note_missing(one, answer, revision)
        elif _was_missing(request, response):
            self._absent[request.key].add(revision - has_written(response))

    def _look_for_several(self, op: Operation) -> None:
        """Note what may have written more than one key at once."""
        keys = written_keys(op.request)
        if keys is None:
            self._is_wild = self._is_wild or type(op.request) is not Revoke
        elif op.response is None and len(keys) > 1:
            self._several.append(_Several(op.request, keys))

    def _gaps(self, operations: Sequence[Operation]) -> dict[bytes, list[int]]:
        """By key: the revisions that may have written it, though this is not certain."""
        writers = {op.revision: op for op in operations if has_written(op.response)}
        every = list(self._writes)
        gaps: dict[bytes, list[int]] = {key: [] for key in every}
        last = max([FIRST_REVISION, *self._certain, *(op.revision for op in operations)])
        for revision in range(FIRST_REVISION + 1, last + 1):
            certain = {key: self._writes[key][revision] for key in self._certain.get(revision, ())}
            writer = writers.get(revision)
            if writer is not None:
                may_write = every if written_keys(writer.request) is None else []
            elif self._is_wild or all(write.version == _DELETED for write in certain.values()):
                may_write = every  # a lease takes many keys along
            else:
                several = [one for one in self._several if one.may_do(certain)]
                may_write = [key for key in every if any(key in one.keys for one in several)]
            for key in may_write:
                if key not in certain:
                    gaps[key].append(revision)
        return gaps

    # ---- what that rules out ----

    def denies(self, revision: int, changes: Sequence[Event]) -> bool:
        """Whether the changes are not what is certain of this revision, or leave no room for what
        is certain of later ones."""
        if not self._certain.get(revision, set()) <= {event.kv.key for event in changes}:
            return True
        return any(self._is_denied(revision, event) for event in changes)

    def _is_denied(self, revision: int, event: Event) -> bool:
        kv = event.kv
        if self._alone.cover(kv.key, revision):
            return True
        key = self._keys.get(kv.key)
        if key is None:
            return False
        if event.kind == "put" and revision in key.absent:
            return True
        certain = key.writes.get(revision)
        if (
            certain is not None
            and certain.version != _UNKNOWN
            and (kv.version, kv.create_revision) != (certain.version, certain.created)
        ):
            return True
        need = key.need(revision + 1, kv if event.kind == "put" else None)
        return need is None or need.writes > key.room(revision + 1, need.deadline)

    def due(self, revision: int, kvs: Mapping[bytes, KeyValue]) -> set[bytes] | None:
        """The keys that the gap `revision` has to write when `kvs` are the data before it; None
        when there is no way to make up for what is missing."""
        due = set(self._certain.get(revision, ()))
        needs: list[tuple[_Need, bytes]] = []
        for name, key in self._keys.items():
            need = key.need(revision, kvs.get(name))
            if need is None:
                return None
            if need.writes:
                room = key.room(revision, need.deadline)
                if need.writes > room:
                    return None
                if need.writes == room and key.room(revision, revision):
                    due.add(name)
                needs.append((need, name))
        return due if len(needs) < 2 or self._have_room(revision, needs) else None

    def _have_room(self, revision: int, needs: list[tuple[_Need, bytes]]) -> bool:
        """Whether there are gaps enough for the needs of all keys together."""
        if self._is_wild:
            return True
        names = {name for _, name in needs}
        both = [len(names & several.keys) for several in self._several]
        count = -sum(found - 1 for found in both if found > 1)
        gaps: set[int] = set()
        leases = {_ANY}
        for need, name in sorted(needs, key=lambda pair: pair[0].deadline):
            if need.lease not in leases:  # an end of a lease may do for all its keys
                count += need.writes
            if need.lease:
                leases.add(need.lease)
            gaps.update(self._keys[name].gaps_between(revision, need.deadline))
            if count > len(gaps):
                return False
        return True


def _parts(request: Any, response: Any) -> Iterator[tuple[Any, Any]]:
    """A request and its answer, or those of the branch of a transaction that was taken."""
    if type(response) is TxnResponse:
        branch = request.then if response.succeeded else request.otherwise
        for one, answer in zip(branch, response.responses, strict=False):
            yield from _parts(one, answer)
    else:
        yield request, response


def _facts(write: _Write) -> int:
    return (write.version != _UNKNOWN) + (write.value is not None)


def _was_missing(request: Any, response: Any) -> bool:
    """Whether an answer tells that its key was not there, when asked or written."""
    if type(response) is PutResponse:
        return bool(request.prev_kv) and response.prev is None
    if type(response) is DeleteResponse:
        return not response.deleted and not request.end
    if type(response) is V2Response:
        return response.action != "get" and response.prev is None
    return type(response) is V2Error and response.number == NOT_FOUND
