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
from petcd.mvcc.revision import KEY_BUCKET, META_BUCKET, ROW_BYTES, unpack_row
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
    return -1 if value is None else int(unpack_row(value)[0])


def load_steps(space: KeySpace) -> Generator[int, None, None]:
    """Fill an empty keyspace from its backend; yields the number of rows read so far."""
    count = 0
    for rows in space.backend.scan_chunks(KEY_BUCKET, b"", None, CHUNK_ROWS):
        _load_rows(space, rows)
        count += len(rows)
        yield count
    space.index.finish_load()
    backend = space.backend
    space.compact_revision = max(
        read_mark(backend, FINISHED_COMPACT), read_mark(backend, SCHEDULED_COMPACT)
    )
    space.revision = max(space.revision, space.compact_revision)
    for key, lease in space.lease_of.items():
        if space.leases.exists(lease):
            space.leases.attach(lease, key)


def _load_rows(space: KeySpace, rows: list[tuple[bytes, bytes]]) -> None:
    """Put one chunk of rows into the index."""
    index, lease_of = space.index, space.lease_of
    main = 0
    for row, kv in rows:
        main, sub = unpack_row(row)
        key, create, _, version, lease = decode_kv_key_meta(kv)
        if len(row) > ROW_BYTES:
            index.load_tombstone(key, main, sub)
            lease = 0
        else:
            index.load_put(key, main, sub, create, version)
        if lease:
            lease_of[key] = lease
        elif lease_of:
            lease_of.pop(key, None)
    space.revision = main
