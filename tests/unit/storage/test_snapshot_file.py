"""Snapshot files: what goes in, what comes out, and what the status says."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import google_crc32c
import pytest

from petcd.storage.backend import BUCKETS
from petcd.storage.bbolt_page import BoltDamaged
from petcd.storage.bbolt_reader import BoltFile
from petcd.storage.bbolt_writer import write_bolt
from petcd.storage.errors import BackendDamaged
from petcd.storage.lmdb_backend import LmdbBackend, write_database
from petcd.storage.memory import MemoryBackend
from petcd.storage.snapshot_file import (
    ETCD_BUCKETS,
    DigestMissing,
    DigestWrong,
    Status,
    check_digest,
    read_buckets,
    read_status,
    write_snapshot,
)


def filled() -> MemoryBackend:
    backend = MemoryBackend()
    for number in range(1, 3000):
        backend.put(b"key", number.to_bytes(8, "big") + b"_" + bytes(8), b"value" * 9)
    backend.put(b"meta", b"consistent_index", bytes(8))
    backend.put(b"meta", b"petcdLogStart", bytes(16))
    backend.put(b"members", b"8e9e05c52164694d", b"{}")
    backend.commit()
    return backend


def save(backend: MemoryBackend | LmdbBackend, path: Path) -> Path:
    view = backend.snapshot_view()
    with path.open("wb") as file:
        write_snapshot(view, file)
    view.close()
    return path


def test_all_of_etcds_buckets_are_there_and_local_notes_are_not(tmp_path: Path) -> None:
    with BoltFile(str(save(filled(), tmp_path / "s"))) as file:
        assert set(file.names) == ETCD_BUCKETS and file.names == sorted(file.names)
        assert list(file.scan_chunks(b"meta")) == [[(b"consistent_index", bytes(8))]]


def test_the_v2_bucket_is_there_when_it_has_rows(tmp_path: Path) -> None:
    backend = filled()
    backend.put(b"v2", bytes(8), b"note")
    backend.commit()
    with BoltFile(str(save(backend, tmp_path / "s"))) as file:
        assert list(file.scan_chunks(b"v2")) == [[(bytes(8), b"note")]]


def test_a_snapshot_makes_an_equal_database(tmp_path: Path) -> None:
    source = filled()
    source.put(b"v2", bytes(8), b"note")
    source.commit()
    with BoltFile(str(save(source, tmp_path / "s"))) as file:
        write_database(str(tmp_path / "db"), read_buckets(file))
    made = LmdbBackend(str(tmp_path / "db"))
    source.delete(b"meta", b"petcdLogStart")
    for bucket in BUCKETS:
        assert list(made.scan(bucket, b"", None)) == list(source.scan(bucket, b"", None))
    assert save(made, tmp_path / "again").read_bytes() == (tmp_path / "s").read_bytes()
    made.close()


def test_a_database_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "db"

    def broken() -> object:
        yield [(b"a", b"")]
        raise BoltDamaged("s", "cut off")

    with pytest.raises(BoltDamaged):
        write_database(str(path), [(b"key", broken())])  # type: ignore[list-item]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BackendDamaged):
        write_database(str(tmp_path / "no" / "db"), [])


def test_status_counts_the_rows_of_all_buckets(tmp_path: Path) -> None:
    path = save(filled(), tmp_path / "s")
    crc = 0
    with BoltFile(str(path)) as file:
        for name in file.names:
            parts = [part for rows in file.scan_chunks(name) for row in rows for part in row]
            crc = google_crc32c.extend(crc, name + b"".join(parts))
        size = file.size
    assert read_status(str(path)) == Status(crc, 2999, 3001, size)


def test_status_of_a_damaged_file_says_so(tmp_path: Path) -> None:
    path = save(filled(), tmp_path / "s")
    data = bytearray(path.read_bytes())
    data[2 * 4096 + 8] = 2
    path.write_bytes(data)
    with pytest.raises(BoltDamaged, match=r"integrity check failed\. 1 errors found"):
        read_status(str(path))


def test_keys_too_long_for_the_backend_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with path.open("wb") as out:
        write_bolt(out, [(b"authUsers", [[(b"u" * 600, b"")]])])
    with BoltFile(str(path)) as file, pytest.raises(BoltDamaged, match="600 bytes in authUsers"):
        write_database(str(tmp_path / "db"), read_buckets(file))


def test_buckets_that_are_nobodys_are_left_out(tmp_path: Path) -> None:
    out = io.BytesIO()
    write_bolt(out, [(b"key", []), (b"test", [[(b"a", b"")]])])
    path = tmp_path / "s"
    path.write_bytes(out.getvalue())
    with BoltFile(str(path)) as file:
        assert [name for name, _ in read_buckets(file)] == [b"key"]


def test_the_digest_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "s"
    data = bytes(4096)
    path.write_bytes(data)
    with pytest.raises(DigestMissing, match="snapshot missing hash but --skip-hash-check=false"):
        check_digest(str(path))
    digest = hashlib.sha256(data).digest()
    path.write_bytes(data + digest)
    check_digest(str(path))
    path.write_bytes(b"x" + data[1:] + digest)
    with pytest.raises(DigestWrong, match=r"expected sha256 \[173 .*\], got \[\d+ "):
        check_digest(str(path))
