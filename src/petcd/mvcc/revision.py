"""Revisions, the rows of the key bucket, and the record of one change.

A revision is a pair (main, sub): every request that changes something gets the next main number,
and the changes inside one request count sub from 0.  A row of the key bucket::

    main, 8 bytes big endian | "_" | sub, 8 bytes big endian | "t" if a tombstone
    -> encoded KeyValue (of a tombstone: the key alone)

so the bucket in key order is the history in order of time.  Marks of compaction in the meta
bucket are such row keys too.  Source: etcd's server/mvcc/revision.go and kvstore.go.
"""

from __future__ import annotations

from struct import Struct

from petcd.wire.varint import uvarint

KEY_BUCKET = b"key"
META_BUCKET = b"meta"

SUB_ZERO = b"_" + bytes(8)
# (main, sub) of a row key.
unpack_row = Struct(">QxQ").unpack_from
TOMBSTONE = b"t"
ROW_BYTES = 17  # a tombstone's row has one more

# Kinds of a change, as in mvccpb.Event.
PUT = 0
DELETE = 1


class Change:
    """One put or delete, as watchers get it.

    ``revision`` (main) and ``sub`` say when; ``kind`` is PUT or DELETE.  ``kv`` is the encoded
    KeyValue that an event carries: complete for a put, key and mod_revision for a delete.
    ``prev_revision`` is the (main, sub) under which the key's pair *before revision ``revision``*
    is stored, None when there was none: ``Store.prev_kv(change)`` reads it.
    """

    __slots__ = ("key", "kind", "kv", "prev_revision", "revision", "sub")

    def __init__(
        self,
        revision: int,
        sub: int,
        kind: int,
        key: bytes,
        kv: bytes,
        prev_revision: tuple[int, int] | None,
    ) -> None:
        self.revision = revision
        self.sub = sub
        self.kind = kind
        self.key = key
        self.kv = kv
        self.prev_revision = prev_revision

    def __repr__(self) -> str:
        kind = "DELETE" if self.kind else "PUT"
        return f"Change({self.revision}.{self.sub} {kind} {self.key!r} prev={self.prev_revision})"


def row_key(main: int, sub: int) -> bytes:
    """The key-bucket row of a put at (main, sub); a tombstone's has ``TOMBSTONE`` behind it."""
    if sub:
        return main.to_bytes(8, "big") + b"_" + sub.to_bytes(8, "big")
    return main.to_bytes(8, "big") + SUB_ZERO


def parse_row_key(row: bytes) -> tuple[int, int, bool]:
    """(main, sub, is a tombstone) of a row of the key bucket."""
    main, sub = unpack_row(row)
    return main, sub, len(row) > ROW_BYTES


def tombstone_value(key: bytes) -> bytes:
    """What the row of a tombstone holds: an encoded KeyValue with the key alone."""
    return b"\x0a" + uvarint(len(key)) + key


def mod_revision_field(main: int) -> bytes:
    """What a delete's event has behind a tombstone's value: the encoded mod revision."""
    return b"\x18" + uvarint(main)


def main_bound(main: int) -> bytes:
    """A scan bound: every row of revision ``main`` or later is >= it, every earlier one below."""
    return max(main, 0).to_bytes(8, "big")
