"""The store: a multi-version key-value store as etcd defines it.

::

    Store (this face)
      |-- txn        decide, check, execute
      |-- range      what a read sees; sliced reading
      |-- compaction what is forgotten; sliced trimming
      |-- hashing    HashKV
      '-- KeySpace   index + rows + leases + changes, kept in step
            |-- KeyIndex   key -> revisions, in memory
            '-- backend    revision -> encoded KeyValue, on disk

Each write request gets the next revision if it changes anything.  Old revisions stay readable
until compacted.  Values are never held in memory.

Invariants
* One entry of the replicated log is one call of ``put``, ``delete_range``, ``delete_keys``,
  ``txn`` or ``compact``.  Outcomes and errors depend on the log alone: equal on all members.
* After a call that raises, nothing has changed.
* Rows of one call are handed to the backend in one go, so one commit holds all or none of them.
* ``take_changes`` hands out each change exactly once, in order.

Does not do: durability (the log's and the backend's business), the clock, leases' lifetimes,
permissions, watches, response headers.
Source: etcd's server/mvcc and server/etcdserver/apply.go.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from petcd.mvcc import txn
from petcd.mvcc.compaction import Compactor, exists_any_steps
from petcd.mvcc.errors import Compacted, FutureRevision, KeyNotFound, LeaseNotFound, StoreReplaced
from petcd.mvcc.hashing import HashJob, HashKV, hash_steps
from petcd.mvcc.history import prev_kv, read_history
from petcd.mvcc.keyspace import Counts, KeySpace
from petcd.mvcc.loading import attach_leases, load_steps
from petcd.mvcc.range import RangeResult, Steps, range_now, range_steps
from petcd.mvcc.revision import KEY_BUCKET, SUB_ZERO, Change, row_key
from petcd.mvcc.seams import Backend, LeaseBook
from petcd.wire.hot import decode_kv_meta, kv_value
from petcd.wire.kv import DeleteRangeRequest, RangeRequest, TxnRequest

_T = TypeVar("_T")


class PutOutcome:
    """``revision`` of the put; ``prev``: the encoded pair before it if asked for and present."""

    __slots__ = ("prev", "revision")

    def __init__(self, revision: int, prev: bytes | None) -> None:
        self.revision = revision
        self.prev = prev


class DeleteOutcome:
    """``revision``: the store's after it; ``prevs``: the encoded pairs deleted, if asked for."""

    __slots__ = ("deleted", "prevs", "revision")

    def __init__(self, revision: int, deleted: int, prevs: list[bytes]) -> None:
        self.revision = revision
        self.deleted = deleted
        self.prevs = prevs


class Store:
    """See the module's text.  Call ``load`` before anything else."""

    __slots__ = ("_backend_get", "_compactor", "_hash_compactions", "_live", "_space")

    def __init__(self, backend: Backend, leases: LeaseBook, hash_compactions: bool = True) -> None:
        self._hash_compactions = hash_compactions
        self._attach(KeySpace(backend, leases))

    def _attach(self, space: KeySpace) -> None:
        self._space = space
        self._compactor = Compactor(space, self._hash_compactions)
        self._live = space.index.live
        self._backend_get = space.backend.get

    # ------------------------------------------------------------ state

    @property
    def revision(self) -> int:
        """The newest revision; 1 in an empty store."""
        return self._space.revision

    @property
    def compact_revision(self) -> int:
        """The newest compacted revision, still readable itself; -1 before the first compaction."""
        return self._space.compact_revision

    def __len__(self) -> int:
        """How many keys there are now."""
        return len(self._live)

    def load(self) -> Generator[int, None, None]:
        """Rebuild everything from the backend; yields the number of rows read so far.

        The lease book must be loaded before.  Afterwards an interrupted compaction is
        ``compacting`` again.
        """
        space = KeySpace(self._space.backend, self._space.leases)
        yield from load_steps(space)
        self.adopt(space)

    def read_steps(self, source: Backend) -> Generator[int, None, KeySpace]:
        """Read what another backend holds, for `adopt`, in steps of a few milliseconds; yields the
        number of rows read so far.

        This store stays as it is.
        """
        space = KeySpace(source, self._space.leases)
        yield from load_steps(space, gently=True)
        return space

    def adopt(self, space: KeySpace) -> None:
        """Become what `read_steps` read; our backend and lease book hold the same by now.

        Whoever reads in slices is told StoreReplaced.
        """
        space.backend = self._space.backend
        space.counts = self._space.counts
        attach_leases(space)
        self._attach(space)

    def _while_current(self, steps: Generator[None, None, _T]) -> Generator[None, None, _T]:
        """The steps, until another state is adopted between two of them."""
        space = self._space
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: _T = end.value
                return result
            yield
            if self._space is not space:
                steps.close()
                raise StoreReplaced

    @property
    def counts(self) -> Counts:
        """What was asked of it since the process began."""
        return self._space.counts

    def take_changes(self) -> list[Change]:
        """The changes since the last call, in order of revision."""
        space = self._space
        changes = space.changes
        if changes:
            space.changes = []
        return changes

    # ------------------------------------------------------------ reads

    def get(self, key: bytes) -> bytes | None:
        """The key's encoded KeyValue at the current revision."""
        entry = self._live.get(key)
        if entry is None:
            return None
        sub = entry[3]
        row = entry[2].to_bytes(8, "big") + SUB_ZERO if sub == 0 else row_key(entry[2], sub)
        return self._backend_get(KEY_BUCKET, row)

    def has(self, key: bytes) -> bool:
        """Whether there is such a key now."""
        return key in self._live

    def any_below(self, prefix: bytes) -> bool:
        """Whether a key begins with ``prefix`` (not empty)."""
        first = next(self._space.index.ordered.irange(prefix, None), None)
        return first is not None and first.startswith(prefix)

    def keys_below(self, prefix: bytes) -> list[bytes]:
        """The keys that begin with ``prefix``, which ends below byte 255, ascending."""
        return self._space.index.live_keys(prefix, prefix[:-1] + bytes((prefix[-1] + 1,)))

    def keys_from(self, start: bytes, end: bytes, limit: int) -> list[bytes]:
        """The first ``limit`` keys in [start, end), ascending."""
        return list(islice(self._space.index.ordered.irange(start, end, (True, False)), limit))

    def first_level(self, prefix: bytes, start: bytes, limit: int) -> list[bytes]:
        """The first ``limit`` keys of one level of a tree, from ``start`` on.

        Those are the keys that begin with ``prefix`` (which ends with a slash) and have no other
        slash, and of all that share the part up to the next slash the first one.
        """
        ordered, size = self._space.index.ordered, len(prefix)
        found: list[bytes] = []
        end = prefix[:-1] + b"0"
        while start and len(found) < limit:
            keys = ordered.irange(start, end, (True, False))
            start = b""
            for key in keys:
                found.append(key)
                slash = key.find(b"/", size)
                if slash >= 0:
                    start = key[:slash] + b"0"
                    break
                if len(found) == limit:
                    break
        return found

    def range(self, request: RangeRequest) -> RangeResult:
        """Answer a range at once.  FutureRevision, Compacted."""
        return range_now(self._space, request, self._space.revision)

    def range_steps(self, request: RangeRequest, framed: bool = False) -> Steps:
        """The same as a generator that yields about every 2 ms and returns the RangeResult.

        ``framed``: the pairs come as they lie in a RangeResponse, see ``RangeResult``; for big
        answers, so that nobody has to go over a million pairs in one go.

        The answer is that of the moment of the first ``next``, whatever is applied in between.
        The errors come with the first ``next``; a small range ends there.
        """
        return self._while_current(range_steps(self._space, request, self._space.revision, framed))

    def kv_at(self, main: int, sub: int) -> bytes | None:
        """The encoded KeyValue put at exactly this revision; None when it is compacted away."""
        return self._backend_get(KEY_BUCKET, row_key(main, sub))

    def prev_kv(self, change: Change) -> bytes | None:
        """The key's pair before a change; None when there was none or it is compacted."""
        return prev_kv(self._space, change)

    def prev_revision(self, change: Change) -> tuple[int, int] | None:
        """The ``prev_revision`` of a change whose history was read without."""
        return self._space.index.at(change.key, change.revision - 1)

    def history(
        self, start_revision: int, end_revision: int, with_prev: bool = True
    ) -> Iterator[Change]:
        """The changes with ``start_revision <= revision < end_revision``, in order.

        Reads in chunks, so that writes may come between two ``next``.  Complete only from
        ``compact_revision`` on: the caller checks that before it trusts each batch.  Without
        ``with_prev`` every ``prev_revision`` is None, which is cheaper.
        """
        return read_history(self._space, start_revision, end_revision, with_prev)

    # ------------------------------------------------------------ writes

    def put_plain(self, key: bytes, value: bytes) -> int:
        """A put without lease and options, the hot path; returns its revision."""
        space = self._space
        main = space.revision + 1
        space.put(key, value, 0, main, 0)
        space.revision = main
        return main

    def put(
        self,
        key: bytes,
        value: bytes,
        lease: int = 0,
        prev_kv: bool = False,
        ignore_value: bool = False,
        ignore_lease: bool = False,
    ) -> PutOutcome:
        """Apply a put (already checked by ``validation``).  LeaseNotFound, KeyNotFound."""
        space = self._space
        if lease and not space.leases.exists(lease):
            raise LeaseNotFound(lease)
        prev = None
        if prev_kv or ignore_value or ignore_lease:
            prev = space.current(key)
            if prev is None and (ignore_value or ignore_lease):
                raise KeyNotFound(key)
            if prev is not None and ignore_value:
                value = kv_value(prev)
            if prev is not None and ignore_lease:
                lease = decode_kv_meta(prev)[3]
        main = space.revision + 1
        space.put(key, value, lease, main, 0)
        space.revision = main
        return PutOutcome(main, prev if prev_kv else None)

    def delete_range(self, request: DeleteRangeRequest) -> DeleteOutcome:
        """Apply a delete; without a key to delete the revision stays."""
        space = self._space
        keys = txn.deleted_keys(space, request.key, request.range_end)
        prevs = [space.current(key) or b"" for key in keys] if request.prev_kv else []
        space.counts.deletes += 1
        self._delete(keys)
        return DeleteOutcome(space.revision, len(keys), prevs)

    def delete_keys(self, keys: Iterable[bytes]) -> int:
        """Delete the keys that exist, in key order and under one revision (a lease's revoke).

        Returns the store's revision after it.
        """
        found = sorted(key for key in set(keys) if key in self._live)
        self._space.counts.deletes += len(found)
        self._delete(found)
        return self._space.revision

    def _delete(self, keys: list[bytes]) -> None:
        space = self._space
        if keys:
            space.delete(keys, space.revision + 1, 0)
            space.revision += 1

    def txn(self, request: TxnRequest) -> txn.TxnResult:
        """Apply a transaction (already checked by ``validation``), or answer a read-only one.

        KeyNotFound, LeaseNotFound, FutureRevision, Compacted: nothing was done.
        """
        return txn.execute(self._space, request)

    # ------------------------------------------------------------ compaction and hash

    def compact(self, revision: int) -> int:
        """Apply a compaction; returns the store's revision.  Compacted, FutureRevision.

        Reads below ``revision`` are refused from now on; ``compact_step`` drops the rows.
        """
        self._compactor.schedule(revision)
        return self._space.revision

    @property
    def compacting(self) -> bool:
        """Whether rows of an applied compaction are still to be dropped."""
        return self._compactor.running

    @property
    def finished_compact_revision(self) -> int:
        """The last compaction whose rows are all gone (from the backend's buffers on)."""
        return self._compactor.finished

    @property
    def compacted_rows(self) -> int:
        """How many rows compactions dropped since the start."""
        return self._compactor.rows_dropped

    @property
    def compaction_hashes(self) -> list[HashKV]:
        """The hashes of the last compactions, ascending by revision."""
        return self._compactor.hashes

    def compact_step(self) -> bool:
        """Drop rows for about 2 ms; False when all are gone.

        True without progress while a sliced read needs them.
        """
        return self._compactor.step()

    def compaction_steps(self) -> Generator[None, None, None]:
        """``compact_step`` until there is nothing left to do."""
        while self._compactor.step():
            yield

    def hash_kv_steps(self, revision: int) -> Generator[None, None, tuple[HashKV, int]]:
        """HashKV of the history up to ``revision`` (0: the current one), in slices.

        Returns it and the store's revision at the call.  The hash of a compaction at exactly
        ``revision`` is answered from memory, with the compacted revision before it.
        Compacted, FutureRevision at the first ``next``.
        """
        return self._while_current(self._hash_kv_steps(revision))

    def _hash_kv_steps(self, revision: int) -> Generator[None, None, tuple[HashKV, int]]:
        space = self._space
        current = space.revision
        for known in self._compactor.hashes:
            if known.revision == revision:
                return known, current
        compacted = space.compact_revision
        space.pin(compacted)
        try:
            job = yield from self.hash_job_steps(revision)
            crc = yield from hash_steps(space.backend, job)
        finally:
            space.unpin(compacted)
        return HashKV(crc, job.compact_revision, job.revision), current

    def hash_job_steps(self, revision: int) -> Generator[None, None, HashJob]:
        """Prepare ``hashing.hash_steps`` on a snapshot view taken right after this returns.

        Finishes a running compaction first.  Compacted, FutureRevision at the first ``next``.
        """
        space = self._space
        current, compacted = space.revision, space.compact_revision
        if revision > current:
            raise FutureRevision(revision, current)
        if 0 < revision < compacted:
            raise Compacted(revision, compacted)
        revision = revision or current
        space.pin(compacted)
        try:
            while not self._compactor.is_trimmed(compacted):
                if not self._compactor.step():
                    break  # it is finished: these rows are damage, and the hash will tell
                yield
            exists_any = yield from exists_any_steps(space, revision)
        finally:
            space.unpin(compacted)
        return HashJob(compacted, revision, exists_any)

    def hash_kv(self, revision: int) -> tuple[HashKV, int]:
        """``hash_kv_steps`` at once."""
        steps = self.hash_kv_steps(revision)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                result: tuple[HashKV, int] = done.value
                return result
