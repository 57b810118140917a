"""The snapshot file: the backend's buckets as a bbolt database, as etcd saves and restores it.

::

    backend --write_snapshot--> bbolt database --(saved by a client: 32 bytes of SHA-256 behind it)
    bbolt database --read_buckets--> rows for ``lmdb_backend.write_database``

All of etcd's buckets are in it, empty ones too, since etcd expects them.  Our own bucket goes in
when it has rows: etcd leaves alone what it does not know, and so nothing of the v2 API is lost on
the way there and back.  What a member notes for itself (where its log starts) stays out.

It does not do: naming and syncing files, changing membership (whoever restores does).

Source: etcd's snapshots, etcdutl 3.5 for the status and the rules of the hash.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

import google_crc32c

from petcd.storage.backend import BUCKETS, CHUNK_ROWS, KEY, KEY_BYTES_MAX, Row, View
from petcd.storage.bbolt_page import BoltDamaged
from petcd.storage.bbolt_reader import BoltFile
from petcd.storage.bbolt_writer import write_bolt

META: Final = b"meta"
# Where the log of one member starts; of no meaning to another. (`member.meta` knows more of it.)
LOCAL_KEYS: Final = frozenset((b"petcdLogStart",))
ETCD_BUCKETS: Final = frozenset(BUCKETS) - {b"v2"}

DIGEST_BYTES: Final = hashlib.sha256().digest_size
# A database is a multiple of this, so a file that is longer by a digest has one.
_SECTOR_BYTES: Final = 512
_READ_BYTES: Final = 1 << 20
# A chunk of rows ends behind this many bytes of values.
_CHUNK_BYTES: Final = 1 << 20

Bucket = tuple[bytes, Iterator[list[Row]]]


class Status(NamedTuple):
    """What `snapshot status` shows; `size` in bytes, without the digest."""

    hash: int
    revision: int
    total_keys: int
    size: int


class DigestMissing(BoltDamaged):
    """The file does not end in a digest."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "snapshot missing hash but --skip-hash-check=false")


class DigestWrong(BoltDamaged):
    """The digest at the end, `wanted`, is not that of the rest, `found`."""

    def __init__(self, path: str, wanted: bytes, found: bytes) -> None:
        super().__init__(path, f"expected sha256 {_go_bytes(wanted)}, got {_go_bytes(found)}")
        self.wanted = wanted
        self.found = found


def write_snapshot(view: View, file: BinaryIO) -> int:
    """Write what `view` shows into an empty file; returns the size in bytes.

    For a worker thread: it works in slices, as the view does.  Raises OSError.
    """
    return write_bolt(file, _exported(view))


def _exported(view: View) -> Iterator[Bucket]:
    for name in sorted(BUCKETS):
        if name in ETCD_BUCKETS or any(True for _ in view.scan(name, b"", None)):
            chunks = view.scan_chunks(name, b"", None)
            yield name, _without_local(chunks) if name == META else chunks


def _without_local(chunks: Iterator[list[Row]]) -> Iterator[list[Row]]:
    for rows in chunks:
        yield [row for row in rows if row[0] not in LOCAL_KEYS]


def read_buckets(file: BoltFile) -> Iterator[Bucket]:
    """The buckets that a member keeps, each with its rows in chunks.  Raises BoltDamaged."""
    for name in file.names:
        if name in BUCKETS:
            chunks = _checked(file, name)
            yield name, _without_local(chunks) if name == META else chunks


def _checked(file: BoltFile, bucket: bytes) -> Iterator[list[Row]]:
    """Rows with keys that the backend can hold, in chunks worth handing on."""
    chunk: list[Row] = []
    size = 0
    for rows in file.scan_chunks(bucket):
        for key, value in rows:
            if len(key) > KEY_BYTES_MAX:
                raise BoltDamaged(file.path, f"a key of {len(key)} bytes in {bucket.decode()}")
            size += len(value)
        chunk += rows
        if len(chunk) >= CHUNK_ROWS or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def read_status(path: str) -> Status:
    """Check every page and count.  Raises BoltDamaged, OSError."""
    with BoltFile(path) as file:
        try:
            file.check()
        except BoltDamaged as error:
            text = f"snapshot file integrity check failed. 1 errors found.\n{error.why}"
            raise BoltDamaged(path, text) from None
        crc = revision = total = 0
        for name in file.names:
            crc = google_crc32c.extend(crc, name)
            for rows in file.scan_chunks(name):
                crc = google_crc32c.extend(crc, b"".join([part for row in rows for part in row]))
                total += len(rows)
                if name == KEY and rows:
                    revision = int.from_bytes(rows[-1][0][:8], "big")
        return Status(crc, revision, total, file.size)


def has_digest(size: int) -> bool:
    """Whether a file of this size ends in a digest."""
    return size % _SECTOR_BYTES == DIGEST_BYTES


def check_digest(path: str) -> None:
    """Compare the file with the digest at its end.  Raises DigestMissing, DigestWrong, OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not has_digest(size):
            raise DigestMissing(path)
        left = size - DIGEST_BYTES
        while left:
            data = file.read(min(left, _READ_BYTES))
            if not data:
                break
            digest.update(data)
            left -= len(data)
        wanted = file.read(DIGEST_BYTES)
    if digest.digest() != wanted:
        raise DigestWrong(path, wanted, digest.digest())


def _go_bytes(data: bytes) -> str:
    return "[" + " ".join([str(byte) for byte in data]) + "]"
