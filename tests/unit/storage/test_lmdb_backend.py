"""What only the backend on LMDB has: a file, threads, failures of the disk, kills."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import petcd.storage.lmdb_backend
from petcd.storage.backend import KEY_BYTES_MAX
from petcd.storage.errors import BackendBusy, BackendDamaged, CopyFailed, StorageFailed
from petcd.storage.lmdb_backend import LmdbBackend


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "db")


@pytest.fixture
def backend(path: str) -> Iterator[LmdbBackend]:
    backend = LmdbBackend(path)
    yield backend
    backend.close()


def revision(main: int) -> bytes:
    return main.to_bytes(8, "big") + b"_" + bytes(8)


def fill(backend: LmdbBackend, first: int, last: int, size: int = 200) -> None:
    for main in range(first, last):
        backend.put(b"key", revision(main), bytes(size))
    backend.commit()


def test_the_file_is_private_and_no_leftovers_stay(backend: LmdbBackend, path: str) -> None:
    assert sorted(os.listdir(os.path.dirname(path))) == ["db", "db-lock"]
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert backend.size() == os.stat(path).st_size


def test_commits_are_synced_and_the_map_is_not_writable(backend: LmdbBackend) -> None:
    flags = backend._env.flags()
    assert flags["sync"]
    assert flags["metasync"]
    assert not flags["writemap"]
    assert not flags["map_async"]


def test_leftovers_of_a_crash_are_removed(path: str) -> None:
    backend = LmdbBackend(path)
    fill(backend, 1, 10)
    backend.close()
    for leftover in (".new", ".new-lock", ".defrag.tmp", "-lock"):
        Path(path + leftover).write_bytes(b"half of something")
    backend = LmdbBackend(path)
    assert len(list(backend.scan(b"key", b"", None))) == 9
    backend.close()
    assert sorted(os.listdir(os.path.dirname(path))) == ["db", "db-lock"]


def test_space_of_deleted_rows_is_used_again(backend: LmdbBackend) -> None:
    rows, sizes = 10_000, []
    fill(backend, 0, rows)
    in_use = backend.size_in_use()
    for round_ in range(6):
        for main in range(round_ * rows, (round_ + 1) * rows):
            backend.delete(b"key", revision(main))
        backend.commit()
        assert backend.size_in_use() < in_use // 10
        fill(backend, (round_ + 1) * rows, (round_ + 2) * rows)
        sizes.append(backend.size())
    # What a commit frees is used from the next but one on, so the first round adds some.
    assert sizes[-1] <= sizes[0] * 1.05 < 3 * in_use


def test_defragmentation_gives_the_space_back(backend: LmdbBackend, path: str) -> None:
    fill(backend, 1, 20_000)
    for main in range(1, 19_900):
        backend.delete(b"key", revision(main))
    backend.commit()
    backend.put(b"meta", b"pending", b"stays pending")
    before = os.stat(path).st_size
    backend.defragment()
    assert os.stat(path).st_size == backend.size() < before // 10
    assert backend.pending == 1
    assert len(list(backend.scan(b"key", b"", None))) == 100
    backend.commit()
    fill(backend, 20_000, 20_100)
    assert len(list(backend.scan(b"key", b"", None))) == 200


def test_a_view_outlives_commits_and_delays_the_swap(backend: LmdbBackend) -> None:
    fill(backend, 1, 1000)
    view = backend.snapshot_view()
    backend.begin_defragment()
    backend.write_defragment()
    with pytest.raises(BackendBusy, match="1 views"):
        backend.end_defragment()
    assert len(list(view.scan(b"key", b"", None))) == 999
    view.close()
    backend.end_defragment()
    view = backend.snapshot_view()
    for round_ in range(1, 30):  # rewriting everything cannot touch what the view sees
        for main in range(1, 1000):
            backend.put(b"key", revision(main), b"%d" % round_)
        backend.commit()
    assert {value for _, value in view.scan(b"key", b"", None)} == {bytes(200)}
    view.close()


def test_a_copy_that_fails_leaves_everything_as_it_was(backend: LmdbBackend, path: str) -> None:
    fill(backend, 1, 100)
    os.mkdir(path + ".defrag.tmp")  # no file can be made of that name
    with pytest.raises(CopyFailed, match="Is a directory"):
        try:
            backend.begin_defragment()
            backend.write_defragment()
        finally:
            os.rmdir(path + ".defrag.tmp")
            backend.cancel_defragment()
    fill(backend, 100, 200)
    assert len(list(backend.scan(b"key", b"", None))) == 199


def test_release_memory_maps_the_file_again(backend: LmdbBackend) -> None:
    fill(backend, 1, 1000)
    backend.put(b"meta", b"pending", b"x")
    backend.release_memory()
    assert backend.get(b"key", revision(500)) == bytes(200)
    assert backend.get(b"meta", b"pending") == b"x"
    view = backend.snapshot_view()
    with pytest.raises(BackendBusy):
        backend.release_memory()
    view.close()


def test_a_commit_in_a_thread_reads_right_at_every_moment(backend: LmdbBackend) -> None:
    fill(backend, 1, 3000)
    for main in range(3000, 6000):
        backend.put(b"key", revision(main), b"new")
    for main in range(1, 3000, 3):
        backend.delete(b"key", revision(main))
    expected = list(backend.scan(b"key", b"", None))
    batch = backend.begin_commit()
    assert batch is not None
    thread = threading.Thread(target=backend.write_commit, args=(batch,))
    thread.start()
    while thread.is_alive():
        assert list(backend.scan(b"key", b"", None)) == expected
        assert backend.get(b"key", revision(5999)) == b"new"
        assert backend.get(b"key", revision(4)) is None
    thread.join()
    backend.end_commit(batch)
    assert list(backend.scan(b"key", b"", None)) == expected


@pytest.mark.parametrize("content", [b"", b"not a database", bytes(8192), b"\xff" * 100_000])
def test_a_file_that_is_no_database_is_refused(path: str, content: bytes) -> None:
    Path(path).write_bytes(content)
    if content:
        with pytest.raises(BackendDamaged) as error:
            LmdbBackend(path)
        assert error.value.path == path
    else:  # LMDB takes an empty file for a new one
        LmdbBackend(path).close()


def test_a_file_that_was_cut_short_is_an_error_and_not_a_crash(path: str) -> None:
    backend = LmdbBackend(path)
    fill(backend, 1, 10_000)
    backend.close()
    os.truncate(path, os.stat(path).st_size // 2)
    with pytest.raises(BackendDamaged):
        backend = LmdbBackend(path)
        for _ in backend.scan(b"key", b"", None):
            pass


def test_pages_that_were_lost_are_an_error(path: str) -> None:
    backend = LmdbBackend(path)
    fill(backend, 1, 10_000)
    backend.close()
    size = os.stat(path).st_size
    with open(path, "r+b") as file:
        file.seek(size // 4 // 4096 * 4096)
        file.write(bytes(size // 8))
    backend = LmdbBackend(path)
    with pytest.raises(BackendDamaged):
        for main in range(1, 10_000):
            backend.get(b"key", revision(main))
    view = backend.snapshot_view()
    for rows in (backend.scan(b"key", b"", None), view.scan(b"key", b"", None)):
        with pytest.raises(BackendDamaged):
            for _ in rows:
                pass
    backend.close()


def test_limited_address_space_gets_a_smaller_map(path: str) -> None:
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
from petcd.storage.lmdb_backend import LmdbBackend
backend = LmdbBackend({path!r})
backend.put(b"meta", b"a", b"1")
backend.commit()
print(backend.get(b"meta", b"a"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "b'1'\n"


FULL = """
import resource
from petcd.storage.errors import StorageFailed
from petcd.storage.lmdb_backend import LmdbBackend
backend = LmdbBackend({path!r})
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, unlimited[1]))
done = 0
try:
    while True:
        for number in range(100):
            backend.put(b"key", (done * 100 + number).to_bytes(8, "big"), bytes(200))
        backend.put(b"meta", b"applied", b"%d" % (done + 1))
        backend.commit()
        done += 1
except StorageFailed as error:
    assert error.path == {path!r}
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    try:
        backend.write_commit(backend._batch)
    except StorageFailed:
        print(done)
    else:
        print("goes on after a failure")
"""


def test_a_full_disk_fails_the_commit_and_loses_nothing(path: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL.format(path=path)], capture_output=True, text=True, check=True
    )
    commits = int(done.stdout)
    assert commits > 3
    backend = LmdbBackend(path)
    assert backend.get(b"meta", b"applied") == b"%d" % commits
    assert len(list(backend.scan(b"key", b"", None))) == commits * 100
    fill(backend, 1 << 40, (1 << 40) + 5000)
    backend.close()


KILLED = """
import sys, threading
from petcd.storage.lmdb_backend import LmdbBackend
backend = LmdbBackend({path!r})
done = int(backend.get(b"meta", b"applied") or 0)
while True:
    for number in range(300):
        backend.put(b"key", (done * 300 + number).to_bytes(8, "big"), bytes(150))
    for number in range(100):
        backend.delete(b"key", (done * 300 + number - 3000).to_bytes(8, "big", signed=True))
    done += 1
    backend.put(b"meta", b"applied", b"%d" % done)
    batch = backend.begin_commit()
    thread = threading.Thread(target=backend.write_commit, args=(batch,))
    thread.start()
    thread.join()
    backend.end_commit(batch)
    print(done, flush=True)
"""


def test_a_killed_process_leaves_whole_commits(path: str) -> None:
    acknowledged = 0
    for lines in (1, 2, 3, 5):
        code = KILLED.format(path=path)
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(lines):
            acknowledged = int(child.stdout.readline())
        child.kill()
        child.wait()
        child.stdout.close()
        backend = LmdbBackend(path)
        applied = int(backend.get(b"meta", b"applied") or 0)
        assert applied >= acknowledged
        keys = [int.from_bytes(key, "big") for key, _ in backend.scan(b"key", b"", None)]
        assert keys[-1] == applied * 300 - 1
        assert len(keys) == applied * 300 - 100 * max(0, applied - 10)
        backend.close()


def test_slices_bound_what_is_written_between_two_sleeps(
    backend: LmdbBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeps: list[float] = []
    monkeypatch.setattr(petcd.storage.lmdb_backend.time, "sleep", sleeps.append)
    for main in range(1, 10_001):
        backend.put(b"key", revision(main), b"x")
    batch = backend.begin_commit()
    assert batch is not None
    backend.write_commit(batch)
    assert len(sleeps) == 16
    backend.end_commit(batch)
    sleeps.clear()
    backend.delete(b"key", revision(1))
    backend.commit()
    assert not any(sleeps)


def test_keys_beyond_the_limits_are_not_found(backend: LmdbBackend) -> None:
    longest = b"k" * KEY_BYTES_MAX
    backend.put(b"meta", longest, b"v")
    backend.commit()
    assert backend.get(b"meta", longest) == b"v"
    assert backend.get(b"meta", b"") is None
    assert backend.get(b"meta", longest + b"k") is None


def test_a_view_sleeps_between_chunks_in_a_worker_only(
    backend: LmdbBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(backend, 0, 3500)
    sleeps: list[float] = []
    monkeypatch.setattr(petcd.storage.lmdb_backend.time, "sleep", sleeps.append)
    view = backend.snapshot_view()
    assert len(list(view.scan(b"key", b"", None))) == 3500
    assert not any(sleeps)
    sleeps.clear()
    thread = threading.Thread(target=lambda: list(view.scan(b"key", b"", None)))
    thread.start()
    thread.join()
    assert len(sleeps) == 3
    assert all(sleeps)
    view.close()


def test_nothing_is_committed_after_a_failure(backend: LmdbBackend) -> None:
    backend.put(b"meta", b"a" * 600, b"LMDB takes keys of 511 bytes at most")
    with pytest.raises(StorageFailed):
        backend.commit()
