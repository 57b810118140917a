"""The keyspace: index and rows kept in step, and the primitive reads and writes on them.

One object holds the replicated state of the key-value store; range, txn, compaction and hash work
on it, ``Store`` is its face.  A write touches, in this order: the row in the backend, the index,
the lease book, the list of changes for watchers.  It never fails: whatever can be wrong with a
request was checked before.

Invariants
* Each index entry has its row: (main, sub) of a live entry or of a record is a row of the bucket.
* ``lease_of[key]`` is the lease in the live pair of the key; keys without lease are not in it.
* ``revision`` is the newest finished revision.  Writes in progress carry main = revision + 1.
* The index is trimmed up to ``compact_revision`` at most, and while there are ``pins`` not above
  the lowest of them: whoever reads in slices pins the revision that it reads at, and finds each
  key's pair of that revision, and its row, whatever is written or compacted in between.

Does not do: revisions' bookkeeping across a request (its caller), checks, transactions.
"""

from __future__ import annotations

from struct import Struct

from petcd.mvcc.index import Entry, KeyIndex
from petcd.mvcc.revision import (
    DELETE,
    KEY_BUCKET,
    PUT,
    SUB_ZERO,
    TOMBSTONE,
    Change,
    mod_revision_field,
    row_key,
    tombstone_value,
)
from petcd.mvcc.seams import Backend, LeaseBook
from petcd.wire.hot import encode_kv

_pack_row = Struct(">Q9s").pack


class Counts:
    """What was asked of the store since the process began, for the metrics; plain numbers.

    ``puts``, ``deletes`` and ``ranges`` are operations, those inside of transactions too (ranges
    only those); ``txns`` are transactions with more than one of them; ``put_bytes`` are the keys
    and values put.
    """

    __slots__ = ("deletes", "put_bytes", "puts", "ranges", "txns")

    def __init__(self) -> None:
        self.puts = 0
        self.put_bytes = 0
        self.deletes = 0
        self.ranges = 0
        self.txns = 0


class KeySpace:
    """See the module's text."""

    __slots__ = (
        "backend",
        "changes",
        "compact_revision",
        "counts",
        "index",
        "lease_of",
        "leases",
        "pins",
        "revision",
    )

    def __init__(self, backend: Backend, leases: LeaseBook) -> None:
        self.backend = backend
        self.leases = leases
        self.index = KeyIndex()
        self.revision = 1  # of an empty store
        self.compact_revision = -1  # nothing compacted yet; clients see this number in HashKV
        self.lease_of: dict[bytes, int] = {}
        self.changes: list[Change] = []
        self.pins: list[int] = []
        self.counts = Counts()

    # ------------------------------------------------------------ writing

    def put(self, key: bytes, value: bytes, lease: int, main: int, sub: int) -> None:
        """Set a key at (main, sub); the lease exists (0: none)."""
        index = self.index
        counts = self.counts
        counts.puts += 1
        counts.put_bytes += len(key) + len(value)
        entry = index.live.get(key)
        prev: tuple[int, int] | None
        if entry is None:
            kv = encode_kv(key, main, main, 1, value, lease)
            index.add(key, main, sub)
            prev = None
        else:
            create, version, prev_main, prev_sub, key = entry
            version += 1
            kv = encode_kv(key, create, main, version, value, lease)
            index.supersede(entry, main)
            index.live[key] = (create, version, main, sub, key)
            prev = (prev_main, prev_sub) if prev_main < main else index.at(key, main - 1)
        row = _pack_row(main, SUB_ZERO) if sub == 0 else row_key(main, sub)
        self.backend.put(KEY_BUCKET, row, kv)
        if lease or self.lease_of:
            self._move_to_lease(key, lease)
        self.changes.append(Change(main, sub, PUT, key, kv, prev))

    def delete(self, keys: list[bytes], main: int, sub: int) -> None:
        """Delete live keys, ascending, at (main, sub), (main, sub + 1) ..."""
        index = self.index
        put_row = self.backend.put
        changes = self.changes
        row_start, mod_revision = main.to_bytes(8, "big") + b"_", mod_revision_field(main)
        for key in keys:
            entry: Entry = index.live[key]
            index.bury(entry, main, sub)
            stone = tombstone_value(key)
            put_row(KEY_BUCKET, row_start + sub.to_bytes(8, "big") + TOMBSTONE, stone)
            if self.lease_of:
                self._move_to_lease(key, 0)
            prev_main = entry[2]
            prev = (prev_main, entry[3]) if prev_main < main else index.at(key, main - 1)
            changes.append(Change(main, sub, DELETE, key, stone + mod_revision, prev))
            sub += 1
        index.unlist(keys)

    def _move_to_lease(self, key: bytes, lease: int) -> None:
        """Note that the key's pair now has this lease (0: none) and tell the book."""
        old = self.lease_of.pop(key, 0)
        book = self.leases
        if old and book.exists(old):
            book.detach(old, key)
        if lease:
            self.lease_of[key] = lease
            book.attach(lease, key)

    # ------------------------------------------------------------ reading

    def row(self, main: int, sub: int) -> bytes:
        """The encoded KeyValue stored under a revision that the index knows."""
        kv = self.backend.get(KEY_BUCKET, row_key(main, sub))
        assert kv is not None, f"no row for revision {main}.{sub} of the index"
        return kv

    def current(self, key: bytes) -> bytes | None:
        """The key's pair as of now (inside a txn: with what the txn wrote), None without one."""
        entry = self.index.live.get(key)
        return None if entry is None else self.row(entry[2], entry[3])

    def pin(self, revision: int) -> None:
        """Keep what is readable at ``revision`` (>= compact_revision) until ``unpin``."""
        self.pins.append(revision)

    def unpin(self, revision: int) -> None:
        """Undo one ``pin``."""
        self.pins.remove(revision)

    def trim_revision(self) -> int:
        """Up to where the index and the rows may be trimmed now."""
        return min([self.compact_revision, *self.pins])
