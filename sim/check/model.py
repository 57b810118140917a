"""What etcd's key-value store does with one request after the other: the sequential specification.

    model = Model()                      # empty, at revision 1
    response, changes = model.apply(Put(b"k", b"v"))     # a write raises the revision by one
    mark = model.mark() ... model.undo(mark)             # back again, for a search

Every state since the start can be read (`revision` of a Range). Leases are known only by what is
attached to keys: whether a lease exists is not this model's business, so `Revoke` deletes the keys
of any lease. What API 2 does to the same keys is in `v2_model`. It is written for clarity and
shares nothing with petcd's store, which it judges.
Source: the semantics of etcd's v3 KV service.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable
from typing import Any

from sim.check.history import (
    COMPACTED,
    FUTURE_REVISION,
    KEY_NOT_FOUND,
    Compare,
    Delete,
    DeleteResponse,
    Done,
    Event,
    KeyValue,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Refused,
    Revoke,
    Txn,
    TxnResponse,
)
from sim.check.v2_model import V2_REQUESTS
from sim.check.v2_model import run as run_v2
from sim.check.v2_records import V2Delete, V2Expire, V2Response, V2Set

FIRST_REVISION = 1
NOTHING = KeyValue(b"", b"", 0, 0, 0)
_UNSEEN = b"unseen"
_FINGERPRINT_MASK = (1 << 64) - 1


class _Refusal(Exception):
    """A transaction is refused as a whole, whatever it did already."""

    def __init__(self, response: Refused) -> None:
        self.response = response


class Model:
    """Keys and values, with everything they ever were.

    `fingerprint` is equal for equal data (revision included through the keys' own revisions); all
    `unseen` values count as one.
    """

    def __init__(self, unseen: Collection[bytes] = frozenset()) -> None:
        self._unseen = unseen
        self.revision = FIRST_REVISION
        self.compact_revision = 0
        self.fingerprint = 0
        self.kvs: dict[bytes, KeyValue] = {}
        self._keys: list[bytes] = []
        self._attached: dict[int, set[bytes]] = {}
        self._past: dict[bytes, list[tuple[int, KeyValue | None]]] = {}
        self._journal: list[tuple[bytes, KeyValue | None]] = []
        self._changes: list[Event] = []
        self._newest_readable = FIRST_REVISION
        # Of pairs that API 2 rewrote: modified index -> created index, and the former in order.
        self._created: dict[int, int] = {}
        self._rewritten: list[int] = []

    # ---- going back ----

    def mark(self) -> tuple[int, int]:
        """A place to come back to."""
        return len(self._journal), self.revision

    def undo(self, mark: tuple[int, int]) -> None:
        """Back to a mark; later marks are void."""
        length, self.revision = mark
        while len(self._journal) > length:
            key, before = self._journal.pop()
            self._past[key].pop()
            self._replace(key, before)
        while self._rewritten and self._rewritten[-1] > self.revision:
            del self._created[self._rewritten.pop()]

    # ---- requests ----

    def apply(self, request: Any) -> tuple[Any, list[Event]]:
        """Carry out a request; returns its response and what it changed, in order."""
        mark = self.mark()
        self._changes = []
        self._newest_readable = self.revision
        self.revision += 1
        try:
            response = self._run(request)
        except _Refusal as refusal:
            self.undo(mark)
            return refusal.response, []
        if not self._changes:
            self.revision -= 1
        return response, self._changes

    def read(self, request: Any) -> Any:
        """The response to a request that changes nothing."""
        self._newest_readable = self.revision
        try:
            return self._run(request)
        except _Refusal as refusal:
            return refusal.response

    def _run(self, request: Any) -> Any:
        if type(request) is Put:
            return self._put(request)
        if type(request) is Range:
            return self._range(request)
        if type(request) is Delete:
            return self._delete(request)
        if type(request) is Txn:
            succeeded = all(self.holds(compare) for compare in request.compares)
            branch = request.then if succeeded else request.otherwise
            return TxnResponse(succeeded, tuple([self._run(one) for one in branch]))
        if type(request) in V2_REQUESTS:
            return run_v2(self, request)
        assert type(request) is Revoke, request
        for key in self.keys_of_lease(request.id):
            self.remove(key)
        return Done()

    def _put(self, request: Put) -> PutResponse:
        before = self.kvs.get(request.key)
        if before is None and (request.ignore_value or request.ignore_lease):
            raise _Refusal(Refused(KEY_NOT_FOUND))
        value, lease = request.value, request.lease
        if before is None:
            after = KeyValue(request.key, value, self.revision, self.revision, 1, lease)
        else:
            if request.ignore_value:
                value = before.value
            if request.ignore_lease:
                lease = before.lease
            version = before.version + 1
            created = before.create_revision
            after = KeyValue(request.key, value, created, self.revision, version, lease)
        self._change(request.key, before, after)
        self._changes.append(Event("put", after, before))
        return PutResponse(before if request.prev_kv else None)

    def _delete(self, request: Delete) -> DeleteResponse:
        removed = [self.remove(key) for key in self._between(request.key, request.end)]
        return DeleteResponse(len(removed), tuple(removed) if request.prev_kv else ())

    def write(self, key: bytes, value: bytes, lease: int, created: int) -> None:
        """Put a pair for API 2, which keeps a created index of its own."""
        if created != self.revision:
            self._created[self.revision] = created
            self._rewritten.append(self.revision)
        self._put(Put(key, value, lease))

    def created_of(self, kv: KeyValue) -> int:
        """The created index of a pair."""
        return self._created.get(kv.mod_revision, kv.mod_revision)

    def remove(self, key: bytes) -> KeyValue:
        """Delete a key that is there; returns what it was."""
        before = self.kvs[key]
        self._change(key, before, None)
        tombstone = KeyValue(key, b"", 0, self.revision, 0)
        self._changes.append(Event("delete", tombstone, before))
        return before

    def _range(self, request: Range) -> RangeResponse:
        if request.revision and request.revision < self.compact_revision:
            raise _Refusal(Refused(COMPACTED))
        if request.revision > self._newest_readable:
            raise _Refusal(Refused(FUTURE_REVISION))
        if request.revision:
            found = self.at(request.key, request.end, request.revision)
        else:
            found = [self.kvs[key] for key in self._between(request.key, request.end)]
        if request.count_only:
            return RangeResponse((), len(found))
        more = 0 < request.limit < len(found)
        kvs = found[: request.limit] if more else found
        if request.keys_only:
            kvs = [kv._replace(value=b"") for kv in kvs]
        return RangeResponse(tuple(kvs), len(found), more)

    def holds(self, compare: Compare) -> bool:
        """Whether a compare is true now."""
        keys = self._between(compare.key, compare.end)
        if not keys:
            return compare.target != "value" and _holds(compare, NOTHING)
        return all(_holds(compare, self.kvs[key]) for key in keys)

    # ---- state ----

    def leases(self) -> Iterable[int]:
        """The leases that have keys now."""
        return self._attached.keys()

    def keys_of_lease(self, lease: int) -> list[bytes]:
        """The keys attached to a lease now, ascending."""
        return sorted(self._attached.get(lease, ()))

    def at(self, key: bytes, end: bytes, revision: int) -> list[KeyValue]:
        """The keys of a range as they were after `revision`, ascending."""
        found = []
        for one in sorted(one for one in self._past if within(one, key, end)):
            versions = self._past[one]
            place = bisect_left(versions, revision + 1, key=lambda version: version[0]) - 1
            kv = versions[place][1] if place >= 0 else None
            if kv is not None:
                found.append(kv)
        return found

    def _between(self, key: bytes, end: bytes) -> list[bytes]:
        if not end:
            return [key] if key in self.kvs else []
        first = bisect_left(self._keys, key)
        last = len(self._keys) if end == b"\0" else bisect_left(self._keys, end)
        return self._keys[first:last]

    def _change(self, key: bytes, before: KeyValue | None, after: KeyValue | None) -> None:
        self._journal.append((key, before))
        self._past.setdefault(key, []).append((self.revision, after))
        self._replace(key, after)

    def _replace(self, key: bytes, after: KeyValue | None) -> None:
        before = self.kvs.get(key)
        if before is not None:
            self.fingerprint -= self._print_of(before)
            if before.lease:
                attached = self._attached[before.lease]
                attached.discard(key)
                if not attached:
                    del self._attached[before.lease]
        if after is not None:
            self.fingerprint += self._print_of(after)
            if after.lease:
                self._attached.setdefault(after.lease, set()).add(key)
            if before is None:
                insort(self._keys, key)
            self.kvs[key] = after
        elif before is not None:
            del self.kvs[key]
            del self._keys[bisect_left(self._keys, key)]
        self.fingerprint &= _FINGERPRINT_MASK

    def _print_of(self, kv: KeyValue) -> int:
        if kv.value in self._unseen:
            kv = kv._replace(value=_UNSEEN)
        return hash((kv, self._created.get(kv.mod_revision)))


def within(key: bytes, first: bytes, end: bytes) -> bool:
    """Whether a key lies in a range as requests write it."""
    if not end:
        return key == first
    return key >= first and (end == b"\0" or key < end)


def _holds(compare: Compare, kv: KeyValue) -> bool:
    actual: Any = {
        "version": kv.version,
        "create": kv.create_revision,
        "mod": kv.mod_revision,
        "lease": kv.lease,
        "value": kv.value,
    }[compare.target]
    wanted: Any = compare.operand
    if compare.result == "equal":
        return bool(actual == wanted)
    if compare.result == "not_equal":
        return bool(actual != wanted)
    if compare.result == "greater":
        return bool(actual > wanted)
    assert compare.result == "less", compare
    return bool(actual < wanted)


def may_write(request: Any) -> bool:
    """Whether a request can change keys at all."""
    if type(request) is Txn:
        return any(may_write(one) for one in request.then + request.otherwise)
    return type(request) in (Put, Delete, Revoke, V2Set, V2Delete, V2Expire)


def written_keys(request: Any) -> set[bytes] | None:
    """The keys that a request can change; None: any."""
    if type(request) is Txn:
        keys: set[bytes] = set()
        for one in request.then + request.otherwise:
            more = written_keys(one)
            if more is None:
                return None
            keys |= more
        return keys
    if type(request) in (Put, V2Set, V2Delete, V2Expire):
        return {request.key}
    if type(request) is Delete and not request.end:
        return {request.key}
    return None if may_write(request) else set()


def has_written(response: Any) -> bool:
    """Whether a response of a KV request says that keys were changed."""
    if type(response) is TxnResponse:
        return any(has_written(one) for one in response.responses)
    if type(response) is DeleteResponse:
        return response.deleted > 0
    if type(response) is V2Response:
        return response.action != "get"
    return type(response) is PutResponse


def seen_kvs(request: Any, response: Any) -> list[KeyValue]:
    """All key-values that a response shows whole."""
    if type(response) is RangeResponse:
        return [] if request.keys_only else list(response.kvs)
    if type(response) is DeleteResponse:
        return list(response.prevs)
    if type(response) is PutResponse:
        return [] if response.prev is None else [response.prev]
    if type(response) is TxnResponse:
        branch = request.then if response.succeeded else request.otherwise
        pairs = zip(branch, response.responses, strict=False)
        return [kv for one, answer in pairs for kv in seen_kvs(one, answer)]
    return []
