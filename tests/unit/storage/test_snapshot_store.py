"""From one backend into the place of another, with a crash at every step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from petcd.storage.backend import BUCKETS, Backend
from petcd.storage.bbolt_page import BoltDamaged
from petcd.storage.errors import BackendDamaged, CopyFailed
from petcd.storage.lmdb_backend import LmdbBackend
from petcd.storage.memory import MemoryBackend, MemoryStore
from petcd.storage.snapshot_store import MemorySnapshots, SnapshotFiles, settle, settle_memory

Rows = dict[bytes, list[tuple[bytes, bytes]]]


def content(backend: Any) -> Rows:
    return {name: list(backend.scan(name, b"", None)) for name in BUCKETS}


def fill(backend: Backend, value: bytes, index: int) -> Rows:
    for number in range(1, 50):
        backend.put(b"key", number.to_bytes(8, "big"), value)
    backend.put(b"meta", b"consistent_index", index.to_bytes(8, "big"))
    backend.commit()
    return content(backend)


def applied(backend: Backend) -> int:
    return int.from_bytes(backend.get(b"meta", b"consistent_index") or b"", "big")


def edit(backend: Backend) -> None:
    backend.put(b"members", b"1", b"new")


class Disk:
    """One kind of storage: a backend over it, and what a restart finds."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = str(directory / "db")

    def open(self) -> tuple[Any, Any]:
        backend = LmdbBackend(self.path)
        return backend, SnapshotFiles(str(self.directory), backend)

    def settle(self, is_recorded: Callable[[int], bool]) -> None:
        settle(str(self.directory), self.path, applied, is_recorded)


class MemoryDisk(Disk):
    def __init__(self, directory: Path) -> None:
        self.store = MemoryStore()

    def open(self) -> tuple[Any, Any]:
        backend = MemoryBackend(self.store)
        return backend, MemorySnapshots(backend)

    def settle(self, is_recorded: Callable[[int], bool]) -> None:
        settle_memory(self.store, applied, is_recorded)


@pytest.fixture(params=[Disk, MemoryDisk])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    yield request.param(tmp_path)


def body_of(disk: Disk, tmp_path: Path) -> tuple[Any, Rows]:
    """A body from another member, and what it holds."""
    (tmp_path / "sender").mkdir()
    source, snapshots = type(disk)(tmp_path / "sender").open()
    rows = fill(source, b"new" * 20, 77)
    view = source.snapshot_view()
    saved = snapshots.save(view)
    view.close()
    source.close()
    assert saved.size_bytes > 49 * 60
    return saved.body, rows


def test_what_was_staged_takes_the_place_of_the_backend(disk: Disk, tmp_path: Path) -> None:
    body, rows = body_of(disk, tmp_path)
    backend, snapshots = disk.open()
    before = fill(backend, b"old", 5)
    backend.put(b"key", b"pending", b"is dropped")
    staged = snapshots.stage(body, edit)
    backend.delete(b"key", b"pending")
    assert content(backend) == before
    view = backend.snapshot_view()
    backend.put(b"key", b"pending", b"is dropped")
    snapshots.install(staged)
    rows[b"members"] = [(b"1", b"new")]
    assert content(backend) == rows and backend.pending == 0
    assert content(view) == before  # a view shows what it showed
    view.close()
    backend.put(b"key", b"later", b"1")
    backend.commit()
    backend.close()
    backend, _ = disk.open()
    rows[b"key"].append((b"later", b"1"))
    assert content(backend) == rows
    backend.close()


@pytest.mark.parametrize("recorded", [False, True])
def test_a_crash_before_the_install_leaves_old_or_new(
    disk: Disk, tmp_path: Path, recorded: bool
) -> None:
    body, rows = body_of(disk, tmp_path)
    backend, snapshots = disk.open()
    before = fill(backend, b"old", 5)
    snapshots.stage(body, edit).close()
    backend.close()
    disk.settle(lambda index: recorded and index == 77)
    disk.settle(lambda index: True)  # once is enough
    backend, _ = disk.open()
    rows[b"members"] = [(b"1", b"new")]
    assert content(backend) == (rows if recorded else before)
    backend.close()


def test_a_staged_one_that_is_not_wanted_goes(disk: Disk, tmp_path: Path) -> None:
    body, _ = body_of(disk, tmp_path)
    backend, snapshots = disk.open()
    before = fill(backend, b"old", 5)
    snapshots.unstage(snapshots.stage(body, edit))
    backend.close()
    disk.settle(lambda index: True)
    backend, _ = disk.open()
    assert content(backend) == before
    backend.close()


def test_staging_again_replaces_what_was_staged(disk: Disk, tmp_path: Path) -> None:
    body, rows = body_of(disk, tmp_path)
    backend, snapshots = disk.open()
    snapshots.unstage(snapshots.stage(body, edit))
    snapshots.install(snapshots.stage(body, lambda staged: None))
    assert content(backend) == rows
    backend.close()


def test_a_damaged_body_leaves_everything_as_it_was(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    body, _ = body_of(disk, tmp_path)
    backend, snapshots = disk.open()
    before = fill(backend, b"old", 5)
    with open(body, "r+b") as file:
        file.truncate(os.path.getsize(body) - 1)
    with pytest.raises(BoltDamaged):
        snapshots.stage(body, edit)
    assert content(backend) == before
    backend.close()


def test_an_edit_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    body, _ = body_of(disk, tmp_path)
    backend, snapshots = disk.open()

    def refuse(staged: Backend) -> None:
        raise ValueError("no tree of members")

    before = sorted(os.listdir(tmp_path))
    with pytest.raises(ValueError, match="no tree"):
        snapshots.stage(body, refuse)
    assert sorted(os.listdir(tmp_path)) == before
    snapshots.unstage(snapshots.stage(body, edit))
    backend.close()


def test_only_the_database_is_left_after_a_start(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    body, _ = body_of(disk, tmp_path)
    backend, snapshots = disk.open()
    view = backend.snapshot_view()
    snapshots.save(view)
    view.close()
    snapshots.stage(body, edit).close()
    (tmp_path / "0000000000000007.snap.db").write_bytes(b"arrived")
    backend.close()
    disk.settle(lambda index: False)
    assert [name for name in sorted(os.listdir(tmp_path)) if name != "sender"] == ["db", "db-lock"]


def test_a_body_is_private_and_goes_when_it_is_discarded(tmp_path: Path) -> None:
    backend, snapshots = Disk(tmp_path).open()
    view = backend.snapshot_view()
    body = snapshots.save(view).body
    view.close()
    assert os.stat(body).st_mode & 0o777 == 0o600
    snapshots.discard(body)
    snapshots.discard(body)
    assert sorted(os.listdir(tmp_path)) == ["db", "db-lock"]
    backend.close()


def test_a_body_that_cannot_be_made_leaves_no_file(tmp_path: Path) -> None:
    backend, snapshots = Disk(tmp_path).open()
    fill(backend, b"v", 7)
    view = backend.snapshot_view()
    names = os.listdir(tmp_path)

    class Damaged:
        def scan(self, *of: Any) -> Iterator[Any]:
            return iter(())

        def scan_chunks(self, bucket: bytes, *of: Any) -> Iterator[Any]:
            if bucket == b"meta":
                raise BackendDamaged("db", "a page")
            yield from view.scan_chunks(bucket, *of)

    with pytest.raises(BackendDamaged):
        snapshots.save(Damaged())
    assert sorted(os.listdir(tmp_path)) == sorted(names)
    view.close()
    backend.close()


def test_no_place_for_a_body_is_told(tmp_path: Path) -> None:
    backend, _ = Disk(tmp_path).open()
    view = backend.snapshot_view()
    with pytest.raises(CopyFailed):
        SnapshotFiles(str(tmp_path / "nowhere"), backend).save(view)
    backend.close()
