"""Reading the history back: changes out of the key bucket, and the pair before a change.

Rows are never changed and only appended, so a walk may pause for as long as it likes: it goes on
behind the last row it read.  What it cannot see is a compaction that took rows before it got
there; who needs the complete history compares ``compact_revision`` with where it stands.

Does not do: deciding what a watcher gets.
"""

from __future__ import annotations

from collections.abc import Iterator

from petcd.mvcc.keyspace import KeySpace
from petcd.mvcc.revision import (
    DELETE,
    KEY_BUCKET,
    PUT,
    Change,
    main_bound,
    mod_revision_field,
    parse_row_key,
    row_key,
)
from petcd.wire.hot import decode_kv_key_meta

# Rows read from the backend in one go.
CHUNK_ROWS = 500


def read_history(space: KeySpace, start: int, end: int, with_prev: bool) -> Iterator[Change]:
    """The changes with start <= revision < end, see ``Store.history``."""
    low, high = main_bound(start), main_bound(end)
    for rows in space.backend.scan_chunks(KEY_BUCKET, low, high, CHUNK_ROWS):
        for row, kv in rows:
            yield _change(space, row, kv, with_prev)


def _change(space: KeySpace, row: bytes, kv: bytes, with_prev: bool) -> Change:
    main, sub, is_tombstone = parse_row_key(row)
    key, create, _, _, _ = decode_kv_key_meta(kv)
    prev = None
    if with_prev and create != main:
        prev = space.index.at(key, main - 1)
    if is_tombstone:
        return Change(main, sub, DELETE, key, kv + mod_revision_field(main), prev)
    return Change(main, sub, PUT, key, kv, prev)


def prev_kv(space: KeySpace, change: Change) -> bytes | None:
    """The encoded pair before a change; None when there was none or it is compacted."""
    prev = change.prev_revision
    if prev is None or change.revision - 1 < space.compact_revision:
        return None
    return space.backend.get(KEY_BUCKET, row_key(prev[0], prev[1]))
