"""Fixtures of the store's tests: a lease book, a store in memory, and a slow obvious model of it.

The model keeps the list of all changes ever made and answers each question by replaying it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import google_crc32c
import pytest

from petcd.mvcc.store import Store
from petcd.storage.memory import MemoryBackend, MemoryStore
from petcd.wire.header import ResponseHeader
from petcd.wire.kv import (
    Compare,
    DeleteRangeRequest,
    DeleteRangeResponse,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseOp,
    TxnRequest,
    TxnResponse,
)

LEASES = (7, 8)


class Leases:
    """A lease book that knows the leases 7 and 8 and notes what hangs on them."""

    def __init__(self) -> None:
        self.granted = set(LEASES)
        self.keys: dict[int, set[bytes]] = {7: set(), 8: set()}

    def exists(self, lease_id: int) -> bool:
        return lease_id in self.granted

    def attach(self, lease_id: int, key: bytes) -> None:
        self.keys[lease_id].add(key)

    def detach(self, lease_id: int, key: bytes) -> None:
        self.keys[lease_id].remove(key)


class OpenedStore(Store):
    """A loaded store over a backend in memory, with its parts at hand."""

    __slots__ = ("backend", "leases", "options")

    def __init__(self, disk: MemoryStore | None = None, **options: Any) -> None:
        self.backend = MemoryBackend(disk)
        self.leases = Leases()
        self.options = options
        super().__init__(self.backend, self.leases, **options)
        for _ in self.load():
            pass

    def rows(self) -> list[tuple[bytes, bytes]]:
        """All rows of the key bucket."""
        return list(self.backend.scan(b"key", b"", None))

    def compact_fully(self, revision: int) -> None:
        """Compact and drop the rows."""
        self.compact(revision)
        for _ in self.compaction_steps():
            pass

    def reopened(self) -> "OpenedStore":
        """A new store over what this one committed."""
        return OpenedStore(self.backend.store, **self.options)

    def restarted(self) -> "OpenedStore":
        """A new store over everything that this one wrote."""
        self.backend.commit()
        return self.reopened()

    def pairs(self, key: bytes, range_end: bytes = b"", **options: Any) -> list[KeyValue]:
        """The pairs of a range, decoded."""
        found = self.range(RangeRequest(key=key, range_end=range_end, **options))
        return [KeyValue.decode(kv) for kv in found.kvs]


class Failure(Exception):
    """A request that the model refuses; the text is the name of the store's error class."""


@dataclass
class Row:
    """One change: what the key bucket holds for it."""

    main: int
    sub: int
    kv: KeyValue
    is_delete: bool

    def encode(self) -> tuple[bytes, bytes]:
        key = self.main.to_bytes(8, "big") + b"_" + self.sub.to_bytes(8, "big")
        return key + b"t" * self.is_delete, self.kv.encode()


def in_range(key: bytes, start: bytes, end: bytes) -> bool:
    if not end:
        return key == start
    return start <= key and (end == b"\0" or key < end)


SORT_KEYS: list[Callable[[KeyValue], Any]] = [
    lambda kv: kv.key,
    lambda kv: kv.version,
    lambda kv: kv.create_revision,
    lambda kv: kv.mod_revision,
    lambda kv: kv.value,
]


@dataclass
class Model:
    """What a store should answer.  ``rows`` holds every change ever; nothing is indexed."""

    rows: list[Row] = field(default_factory=list)
    revision: int = 1
    compactions: list[int] = field(default_factory=list)

    @property
    def compact_revision(self) -> int:
        return self.compactions[-1] if self.compactions else -1

    def pairs(self, revision: int) -> dict[bytes, KeyValue]:
        found: dict[bytes, KeyValue] = {}
        for row in self.rows:
            if row.main <= revision:
                found.pop(row.kv.key, None)
                if not row.is_delete:
                    found[row.kv.key] = row.kv
        return dict(sorted(found.items()))

    # ------------------------------------------------------------ reads

    def range(self, request: RangeRequest, current: int | None = None) -> RangeResponse:
        current = current or self.revision
        if request.revision > current:
            raise Failure("FutureRevision")
        revision = request.revision if request.revision > 0 else current
        if revision < self.compact_revision:
            raise Failure("Compacted")
        pairs = self.pairs(revision).values()
        kvs = [kv for kv in pairs if in_range(kv.key, request.key, request.range_end)]
        answer = RangeResponse(header=ResponseHeader(revision=current), count=len(kvs))
        if request.count_only:
            return answer
        low_mod, high_mod = request.min_mod_revision, request.max_mod_revision
        low_new, high_new = request.min_create_revision, request.max_create_revision
        if not (request.sort_order or low_mod or high_mod or low_new or high_new) and (
            request.limit > 0
        ):
            kvs = kvs[: request.limit + 1]
        kvs = [kv for kv in kvs if low_mod <= kv.mod_revision <= (high_mod or 1 << 62)]
        kvs = [kv for kv in kvs if low_new <= kv.create_revision <= (high_new or 1 << 62)]
        kvs.sort(key=SORT_KEYS[request.sort_target], reverse=request.sort_order == 2)
        if 0 < request.limit < len(kvs):
            answer.more = True
            kvs = kvs[: request.limit]
        if request.keys_only:
            kvs = [KeyValue.decode(kv.encode()) for kv in kvs]
            for kv in kvs:
                kv.value = b""
        answer.kvs = kvs
        return answer

    # ------------------------------------------------------------ writes

    def write(self, main: int, kv: KeyValue, is_delete: bool) -> None:
        sub = sum(row.main == main for row in self.rows)
        self.rows.append(Row(main, sub, kv, is_delete))

    def put(self, request: PutRequest, main: int) -> PutResponse:
        old = self.pairs(main).get(request.key)
        if old is None and (request.ignore_value or request.ignore_lease):
            raise Failure("KeyNotFound")
        kv = KeyValue(
            key=request.key,
            create_revision=old.create_revision if old else main,
            mod_revision=main,
            version=old.version + 1 if old else 1,
            value=old.value if old and request.ignore_value else request.value,
            lease=old.lease if old and request.ignore_lease else request.lease,
        )
        self.write(main, kv, False)
        answer = PutResponse(header=ResponseHeader(revision=main))
        if request.prev_kv:
            answer.prev_kv = old
        return answer

    def delete(self, request: DeleteRangeRequest, main: int) -> DeleteRangeResponse:
        pairs = self.pairs(main).values()
        kvs = [kv for kv in pairs if in_range(kv.key, request.key, request.range_end)]
        for kv in kvs:
            self.write(main, KeyValue(key=kv.key), True)
        answer = DeleteRangeResponse(deleted=len(kvs), prev_kvs=kvs if request.prev_kv else [])
        answer.header = ResponseHeader(revision=self.visible(main))
        return answer

    def visible(self, main: int) -> int:
        """The revision that a reader inside the request with revision ``main`` sees."""
        return main if any(row.main == main for row in self.rows) else main - 1

    def finish(self) -> None:
        """End a write request."""
        self.revision = self.visible(self.revision + 1)

    def apply(self, op: RequestOp) -> ResponseOp:
        """Apply a request outside of a transaction, or raise and change nothing."""
        if op.request_txn is not None:
            return ResponseOp(response_txn=self.txn(op.request_txn))
        if op.request_put is not None and op.request_put.lease not in (0, *LEASES):
            raise Failure("LeaseNotFound")
        answer = self.run(op, {}, self.revision + 1)
        self.finish()
        return answer

    def txn(self, request: TxnRequest) -> TxnResponse:
        path: dict[int, bool] = {}
        ops = self.decide(request, path)
        deleted: list[DeleteRangeRequest] = []
        before = self.pairs(self.revision)
        for op in ops:
            if op.request_delete_range is not None:
                deleted.append(op.request_delete_range)
            if op.request_put is not None:
                put = op.request_put
                gone = any(in_range(put.key, d.key, d.range_end) for d in deleted)
                if (put.ignore_value or put.ignore_lease) and (put.key not in before or gone):
                    raise Failure("KeyNotFound")
                if put.lease not in (0, *LEASES):
                    raise Failure("LeaseNotFound")
        for op in ops:
            if op.request_range is not None and op.request_range.revision:
                if op.request_range.revision > self.revision:
                    raise Failure("FutureRevision")
                if op.request_range.revision < self.compact_revision:
                    raise Failure("Compacted")
        answer = self.run(RequestOp(request_txn=request), path, self.revision + 1).response_txn
        assert answer is not None
        self.finish()
        answer.header = ResponseHeader(revision=self.revision)
        return answer

    def decide(self, request: TxnRequest, path: dict[int, bool]) -> list[RequestOp]:
        """Which operations run; ``path`` gets whether each transaction (by id) succeeded."""
        path[id(request)] = all(self.holds(compare) for compare in request.compare)
        taken = []
        for op in request.success if path[id(request)] else request.failure:
            if op.request_txn is not None:
                taken += self.decide(op.request_txn, path)
            else:
                taken.append(op)
        return taken

    def holds(self, compare: Compare) -> bool:
        pairs = self.pairs(self.revision).values()
        kvs = [kv for kv in pairs if in_range(kv.key, compare.key, compare.range_end)]
        if not kvs:
            if compare.target == 3:
                return False
            kvs = [KeyValue()]
        name = ["version", "create_revision", "mod_revision", "value", "lease"][compare.target]
        operand = getattr(compare, name) or (b"" if name == "value" else 0)
        for kv in kvs:
            value = getattr(kv, name)
            answers = [value == operand, value > operand, value < operand, value != operand]
            if not answers[compare.result]:
                return False
        return True

    def run(self, op: RequestOp, path: dict[int, bool], main: int) -> ResponseOp:
        if op.request_put is not None:
            return ResponseOp(response_put=self.put(op.request_put, main))
        if op.request_delete_range is not None:
            return ResponseOp(response_delete_range=self.delete(op.request_delete_range, main))
        if op.request_range is not None:
            return ResponseOp(response_range=self.range(op.request_range, self.visible(main)))
        txn = op.request_txn
        assert txn is not None
        succeeded = path[id(txn)]
        answers = [self.run(o, path, main) for o in (txn.success if succeeded else txn.failure)]
        header = ResponseHeader()
        return ResponseOp(
            response_txn=TxnResponse(header=header, succeeded=succeeded, responses=answers)
        )

    # ------------------------------------------------------------ compaction, hash

    def compact(self, revision: int) -> None:
        if revision <= self.compact_revision:
            raise Failure("Compacted")
        if revision > self.revision:
            raise Failure("FutureRevision")
        self.compactions.append(revision)

    def newest(self, rows: list[Row], revision: int) -> list[Row]:
        """For each key its last row at or below the revision."""
        return list({row.kv.key: row for row in rows if row.main <= revision}.values())

    def kept(self) -> list[Row]:
        """The rows that all compactions so far leave."""
        rows = self.rows
        for compacted in self.compactions:
            last = [id(r) for r in self.newest(rows, compacted)]
            rows = [
                row
                for row in rows
                if row.main > compacted
                or (id(row) in last and (not row.is_delete or row.main == compacted))
            ]
        return rows

    def hash(self, revision: int) -> int:
        """HashKV, when the compactions are finished and no compaction's hash is remembered."""
        revision = revision or self.revision
        alive = [id(r) for r in self.newest(self.rows, revision) if not r.is_delete]
        data = b"key"
        for row in self.kept():
            if row.main > revision:
                continue
            if row.main <= self.compact_revision and alive and id(row) not in alive:
                continue
            if row.is_delete and row.main == self.compact_revision:
                continue
            data += b"".join(row.encode())
        return int(google_crc32c.value(data))


@pytest.fixture(scope="session")
def new_store() -> type[OpenedStore]:
    return OpenedStore


@pytest.fixture(scope="session")
def new_model() -> type[Model]:
    return Model


@pytest.fixture(scope="session")
def failure() -> type[Failure]:
    return Failure


@pytest.fixture
def store() -> Iterator[OpenedStore]:
    yield OpenedStore()
