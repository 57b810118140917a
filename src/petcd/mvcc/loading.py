"""Start: the index, the leases' keys and the revisions are rebuilt by one walk over the rows.

The rows come in order of revisions, so each is seen after all that it supersedes.  Of a value only
the key, create revision, version and lease are decoded.

The store's revision is that of the last row, but never below a compaction that was started: the
rows of the newest revisions may be gone (compacted tombstones), and revisions must not repeat.

Does not do: resuming an interrupted compaction (its caller, by the marks read here).
"""

from __future__ import annotations

from collections.abc import Generator

from petcd.mvcc.keyspace import KeySpace
from petcd.mvcc.revision import KEY_BUCKET, META_BUCKET, ROW_BYTES, parse_row_key
from petcd.mvcc.seams import Backend
from petcd.wire.hot import decode_kv_key_meta

# Names in the meta bucket; the values are row keys with sub 0.  As in etcd.
SCHEDULED_COMPACT = b"scheduledCompactRev"
FINISHED_COMPACT = b"finishedCompactRev"

# Rows read in one go between two reports of progress.
CHUNK_ROWS = 5000


def read_mark(backend: Backend, name: bytes) -> int:
    """The revision in a mark of the meta bucket, -1 without one."""
    value = backend.get(META_BUCKET, name)
    return -1 if value is None else parse_row_key(value)[0]


def load_steps(space: KeySpace) -> Generator[int, None, None]:
    """Fill an empty keyspace from its backend; yields the number of rows read so far."""
    rows = 0
    low = b""
    while True:
        count, last = _load_chunk(space, low)
        rows += count
        if count < CHUNK_ROWS:
            break
        yield rows
        low = last + b"\0"
    space.index.finish_load()
    space.compact_revision = max(
        read_mark(space.backend, FINISHED_COMPACT), read_mark(space.backend, SCHEDULED_COMPACT)
    )
    space.revision = max(space.revision, space.compact_revision)
    for key, lease in space.lease_of.items():
        if space.leases.exists(lease):
            space.leases.attach(lease, key)


def _load_chunk(space: KeySpace, low: bytes) -> tuple[int, bytes]:
    """Read one chunk of rows from ``low`` on: (their number, the last row's key)."""
    index, lease_of = space.index, space.lease_of
    from_bytes = int.from_bytes
    row = low
    count = main = 0
    for row, kv in space.backend.scan(KEY_BUCKET, low, None, CHUNK_ROWS):
        count += 1
        main = from_bytes(row[:8], "big")
        sub = from_bytes(row[9:17], "big")
        key, create, _, version, lease = decode_kv_key_meta(kv)
        if len(row) > ROW_BYTES:
            index.load_tombstone(key, main, sub)
            lease_of.pop(key, None)
            continue
        index.load_put(key, main, sub, create, version)
        if lease:
            lease_of[key] = lease
        elif lease_of:
            lease_of.pop(key, None)
    if count:
        space.revision = main
    return count, row
