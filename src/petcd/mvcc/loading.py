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
# The same while others want to run: 2 to 3 ms.
GENTLE_ROWS = 1000


def read_mark(backend: Backend, name: bytes) -> int:
    """The revision in a mark of the meta bucket, -1 without one."""
    value = backend.get(META_BUCKET, name)
    return -1 if value is None else int(unpack_row(value)[0])


def load_steps(space: KeySpace, gently: bool = False) -> Generator[int, None, None]:
    """Fill an empty keyspace from its backend; yields the number of rows read so far.

    `gently`: others want to run meanwhile, so no step is long.
    """
    count = 0
    rows_max = GENTLE_ROWS if gently else CHUNK_ROWS
    for rows in space.backend.scan_chunks(KEY_BUCKET, b"", None, rows_max):
        _load_rows(space, rows)
        count += len(rows)
        yield count
    if gently:
        for _ in space.index.finish_load_steps():
            yield count
    else:
        space.index.finish_load()
    backend = space.backend
    space.compact_revision = max(
        read_mark(backend, FINISHED_COMPACT), read_mark(backend, SCHEDULED_COMPACT)
    )
    space.revision = max(space.revision, space.compact_revision)


def attach_leases(space: KeySpace) -> None:
    """Tell the lease book of the keys that were read."""
    for key, lease in space.lease_of.items():
        if space.leases.exists(lease):
            space.leases.attach(lease, key)


def _load_rows(space: KeySpace, rows: list[tuple[bytes, bytes]]) -> None:
    """Put one chunk of rows into the index."""
    index, lease_of = space.index, space.lease_of
    main = 0
    varint_bytes, bound = 1, 1 << 7  # main < bound, as long as its varint has so many bytes
    for row, kv in rows:
        main, sub = unpack_row(row)
        while main >= bound:
            varint_bytes, bound = varint_bytes + 1, bound << 7
        lease = 0
        key = created_key(kv, varint_bytes)
        if key:
            index.load_put(key, main, sub, main, 1)
        else:
            key, create, _, version, lease = decode_kv_key_meta(kv)
            if len(row) > ROW_BYTES:
                index.load_tombstone(key, main, sub)
            else:
                index.load_put(key, main, sub, create, version)
        if lease:
            lease_of[key] = lease
        elif lease_of:
            lease_of.pop(key, None)
    space.revision = main


def created_key(kv: bytes, varint_bytes: int) -> bytes:
    """The key of an encoded pair that its only put created and that has no lease, else b"".

    The short way for the most common row: create and mod revision are compared as bytes, and not
    decoded, as the row's key has the number.  ``varint_bytes`` is the length of the mod revision's
    varint.  b"" also for keys from 128 bytes and values from 16 KiB on.
    """
    # A create revision shorter than the mod revision does not pass by chance: 0x18 is then looked
    # for inside the mod revision's varint, where every byte but the last is above 127.
    create = kv[1] + 3  # field 1 is the key; where field 2's number stands if the key is short
    mod = create + varint_bytes + 1
    tail = mod + varint_bytes  # of field 4, the version
    size = len(kv)
    if (
        kv[1] > 127
        or size < tail + 2
        or kv[mod - 1] != 0x18
        or kv[create : mod - 1] != kv[mod:tail]
        or kv[tail] != 0x20
        or kv[tail + 1] != 1
    ):
        return b""
    end = tail + 2
    if size > end:
        if kv[end] != 0x2A:
            return b""
        end += 2
        length = kv[end - 1]
        if length > 127:
            length = length & 127 | kv[end] << 7
            end += 1
        if end + length != size:
            return b""
    return kv[2 : create - 1]
