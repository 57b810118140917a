"""Compaction: forgetting what no reader at or above the compacted revision C can see.

For each key the newest revision at or below C is kept, unless it is a tombstone below C; all
that is older goes, rows and index records alike::

    C = 7      2 put   4 put   7 put   9 put          keeps 7, 9
               2 put   5 tombstone                    keeps nothing
               2 put   7 tombstone                    keeps the tombstone, until the next compaction
               3 put   4 tombstone   9 put            keeps 9

From the moment a compaction is applied reads below C are refused; the rows go afterwards, in
slices.  Two marks in the meta bucket say how far it got: ``scheduledCompactRev`` is written when
the compaction is applied, ``finishedCompactRev`` when the last row is gone.  They differ after a
crash in between, and the next start goes on.  A compaction that comes while one is running moves
the goal.

The work list is the index's two queues, so the cost is that of what is dropped, not of all keys.
The rows of one key go in ascending order: after a crash no old pair lacks its tombstone.

When the compaction before it was finished, a compaction first computes the hash of what lies
between the two (as etcd's members do, to compare themselves with each other); ``hashes`` keeps
the last ten.  That reads every row up to C once, and ``hash_compactions=False`` turns it off.

Invariant: trimming never passes ``space.trim_revision()``, so pinned readers are safe; they stop
a compaction only as long as they live.

A slice that fails leaves rows that the index knows no more.  So whoever steps after it gets the
same error: it must not be lost with a request for a hash, say, that happened to step.

Does not do: deciding when (the caller drives ``step``), giving disk space back.
Source: etcd's server/mvcc/kvstore_compaction.go, key_index.go (3.5.33).  etcd 3.5.15 and older
also drop a tombstone exactly at C; HashKV leaves it out, so hashes agree with both.
"""

from __future__ import annotations

from collections.abc import Generator

from petcd.mvcc.errors import Compacted, FutureRevision
from petcd.mvcc.hashing import SLICE_ROWS, HashJob, HashKV, hash_steps
from petcd.mvcc.keyspace import KeySpace
from petcd.mvcc.loading import FINISHED_COMPACT, SCHEDULED_COMPACT, read_mark
from petcd.mvcc.range import walk
from petcd.mvcc.revision import (
    KEY_BUCKET,
    META_BUCKET,
    ROW_BYTES,
    TOMBSTONE,
    main_bound,
    row_key,
)

# Work between two yields: entries of the queues plus rows, 2 to 4 us each.
SLICE_WORK = 400
# Rows of one key dropped by one entry of a queue; there are as many entries as rows.
KEY_ROWS_MAX = 64
# As many hashes as etcd keeps.
HASHES_MAX = 10


class Compactor:
    """Owns the marks, the trimming and the hashes of compactions."""

    __slots__ = (
        "_failure", "_hashes_on", "_hashing", "_space", "finished", "hashes", "rows_dropped",
    )  # fmt: skip

    def __init__(self, space: KeySpace, hash_compactions: bool) -> None:
        self._space = space
        self._hashes_on = hash_compactions
        self._hashing: Generator[None, None, HashKV] | None = None
        self._failure: Exception | None = None
        # The last compaction whose rows are gone; running while it is below compact_revision.
        self.finished = read_mark(space.backend, FINISHED_COMPACT)
        self.hashes: list[HashKV] = []  # ascending by revision
        self.rows_dropped = 0

    @property
    def running(self) -> bool:
        """Whether rows of an applied compaction are still there."""
        return self.finished < self._space.compact_revision

    def schedule(self, revision: int) -> None:
        """Apply a compaction: from now on ``revision`` is the oldest readable.

        Compacted when it is not above the last one, FutureRevision when above the store's.
        """
        space = self._space
        before = space.compact_revision
        if revision <= before:
            raise Compacted(revision, before)
        if revision > space.revision:
            raise FutureRevision(revision, space.revision)
        if self._hashes_on and not self.running:
            self._hashing = _hash_steps(space, before, revision)
        space.backend.put(META_BUCKET, SCHEDULED_COMPACT, row_key(revision, 0))
        space.compact_revision = revision

    def step(self) -> bool:
        """Do one slice of work; False when there is none left.

        True may also mean that a reader's pin is in the way just now.  Raises what the backend
        raises, and goes on raising it: only the next start may try again.
        """
        if self._failure is not None:
            raise self._failure
        try:
            return self._slice()
        except Exception as error:
            self._failure = error
            raise

    def _slice(self) -> bool:
        if not self.running:
            return False
        if self._hashing is not None:
            self._hash_slice(self._hashing)
            return True
        self._trim_slice()
        space = self._space
        if not self.is_trimmed(space.compact_revision):
            return True
        space.backend.put(META_BUCKET, FINISHED_COMPACT, row_key(space.compact_revision, 0))
        self.finished = space.compact_revision
        return False

    def is_trimmed(self, revision: int) -> bool:
        """Whether nothing is left that a compaction at ``revision`` drops."""
        index = self._space.index
        return not (
            (index.superseded and index.superseded.first() <= revision)
            or (index.buried and index.buried.first() < revision)
        )

    def _hash_slice(self, hashing: Generator[None, None, HashKV]) -> None:
        try:
            next(hashing)
        except StopIteration as done:
            self._hashing = None
            found: HashKV = done.value
            if found.revision > 0:
                self.hashes = [*self.hashes, found][-HASHES_MAX:]

    def _trim_slice(self) -> None:
        index = self._space.index
        until = self._space.trim_revision()
        work = 0
        superseded = index.superseded
        while work < SLICE_WORK and superseded and superseded.first() <= until:
            work += 1 + self._drop(superseded.pop(), until)
        buried = index.buried
        while work < SLICE_WORK and buried and buried.first() < until:
            work += 1 + self._drop(buried.pop(), until)

    def _drop(self, key: bytes, until: int) -> int:
        """Drop some of the key's oldest rows; their number."""
        delete = self._space.backend.delete
        dropped = self._space.index.trim(key, until, KEY_ROWS_MAX)
        for main, sub, is_tombstone in dropped:
            row = row_key(main, sub)
            delete(KEY_BUCKET, row + TOMBSTONE if is_tombstone else row)
        self.rows_dropped += len(dropped)
        return len(dropped)


def _hash_steps(space: KeySpace, before: int, revision: int) -> Generator[None, None, HashKV]:
    """The hash that goes with a compaction: of everything from the one before it on."""
    keeps_any = yield from exists_any_steps(space, revision)
    if not keeps_any:
        low, high = main_bound(revision), main_bound(revision + 1)
        for rows in space.backend.scan_chunks(KEY_BUCKET, low, high, SLICE_ROWS):
            keeps_any = keeps_any or any(len(row) > ROW_BYTES for row, _ in rows)
            yield
    job = HashJob(before, revision, keeps_any)
    return HashKV((yield from hash_steps(space.backend, job)), before, revision)


def exists_any_steps(space: KeySpace, revision: int) -> Generator[None, None, bool]:
    """Whether any key has a pair at ``revision``."""
    for entries in walk(space, b"", b"", revision):
        if entries:
            return True
        yield
    return False
