"""HashKV: one number that two members, or petcd and etcd, share exactly when their histories agree.

CRC-32C over the name of the key bucket and then, in order, row key and value of every row up to
the asked-for revision R, as they are on disk.  With C the compacted revision, two things are left
out, so that a member that has compacted and one that is still at it get the same number:

* rows at or below C that a compaction at R would drop, that is whose key was written again up to
  R, unless no key at all exists at R (then nothing is left out: etcd's rule);
* a tombstone exactly at C, which older etcd drops and newer keeps.

A pure function over a view of the key bucket, in slices; it may run on a snapshot in another
thread.  The view must hold all rows up to R, and the rows that compacting at C drops must be gone.
It is read twice: first the rows above C for the keys that were written again, then all.

Does not do: the Hash RPC (all buckets).
Source: etcd's server/mvcc/hash.go (3.5.33).
"""

from __future__ import annotations

from collections.abc import Generator

import google_crc32c

from petcd.mvcc.revision import KEY_BUCKET, ROW_BYTES, main_bound
from petcd.mvcc.seams import ReadView
from petcd.wire.hot import decode_kv_key_meta

# Rows between two yields; a row costs up to 2 us.
SLICE_ROWS = 500


class HashKV:
    """A hash of the history up to ``revision``, with ``compact_revision`` as it was."""

    __slots__ = ("compact_revision", "hash", "revision")

    def __init__(self, hash: int, compact_revision: int, revision: int) -> None:
        self.hash = hash
        self.compact_revision = compact_revision
        self.revision = revision

    def __repr__(self) -> str:
        return f"HashKV({self.hash}, {self.compact_revision}, {self.revision})"


class HashJob:
    """What to hash; ``keeps_any``: whether a compaction at ``revision`` would keep any row."""

    __slots__ = ("compact_revision", "keeps_any", "revision")

    def __init__(self, compact_revision: int, revision: int, keeps_any: bool) -> None:
        self.compact_revision = compact_revision
        self.revision = revision
        self.keeps_any = keeps_any


def hash_steps(view: ReadView, job: HashJob) -> Generator[None, None, int]:
    """The CRC-32C of the job's rows; yields after every ``SLICE_ROWS``."""
    compacted, revision = job.compact_revision, job.revision
    crc: int = google_crc32c.extend(0, KEY_BUCKET)
    middle, high = main_bound(compacted + 1), main_bound(revision + 1)
    rewritten: set[bytes] = set()
    if compacted > 0 and job.keeps_any:
        for rows in view.scan_chunks(KEY_BUCKET, middle, high, SLICE_ROWS):
            rewritten.update(_rewritten(rows, compacted))
            yield
    tombstone_at_compacted = main_bound(compacted)
    for rows in view.scan_chunks(KEY_BUCKET, b"", min(middle, high), SLICE_ROWS):
        parts: list[bytes] = []
        for row, kv in rows:
            if len(row) > ROW_BYTES and (job.keeps_any or row[:8] == tombstone_at_compacted):
                continue
            if rewritten and decode_kv_key_meta(kv)[0] in rewritten:
                continue
            parts += (row, kv)
        crc = google_crc32c.extend(crc, b"".join(parts))
        yield
    for rows in view.scan_chunks(KEY_BUCKET, middle, high, SLICE_ROWS):
        crc = google_crc32c.extend(crc, b"".join([part for row in rows for part in row]))
        yield
    return crc


def _rewritten(rows: list[tuple[bytes, bytes]], compacted: int) -> list[bytes]:
    """Keys of those rows that supersede one at or below ``compacted``.

    A put whose key was created above it cannot; a tombstone (create revision 0) may.
    """
    metas = [decode_kv_key_meta(kv) for _, kv in rows]
    return [meta[0] for meta in metas if meta[1] <= compacted]
