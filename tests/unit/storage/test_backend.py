"""Both backends against a plain dictionary: any mix of writes, reads, commits and open scans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from petcd.storage.backend import BUCKETS, Batch, Row
from petcd.storage.errors import BackendBusy
from petcd.storage.lmdb_backend import LmdbBackend
from petcd.storage.memory import MemoryBackend, MemoryStore

Both = LmdbBackend | MemoryBackend
Make = Callable[[], Both]


@pytest.fixture(params=["lmdb", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Opens the backend; again on the same storage when called again."""
    if request.param == "memory":
        store = MemoryStore()
        return lambda: MemoryBackend(store)
    return lambda: LmdbBackend(str(tmp_path / "db"))


@pytest.fixture
def backend(make: Make) -> Iterator[Both]:
    backend = make()
    yield backend
    backend.close()


def revision(main: int, sub: int = 0) -> bytes:
    return main.to_bytes(8, "big") + b"_" + sub.to_bytes(8, "big")


class Model:
    """The backend under test and what it should hold."""

    def __init__(self, make: Make, seed: int) -> None:
        self.make = make
        self.backend = make()
        self.random = Random(seed)
        self.rows: dict[bytes, dict[bytes, bytes]] = {name: {} for name in BUCKETS}
        self.committed = {name: dict(rows) for name, rows in self.rows.items()}
        self.batch: Batch | None = None
        self.taken = self.committed
        self.next = 1

    def bucket(self) -> bytes:
        return self.random.choice([b"key", b"key", b"meta", b"lease"])

    def key(self, bucket: bytes) -> bytes:
        if bucket == b"key":
            return revision(self.random.randrange(1, self.next + 2))
        return bytes(self.random.choices(b"abc", k=self.random.randint(1, 3)))

    def append(self) -> None:
        value = self.random.randbytes(self.random.choice([0, 3, 100, 5000]))
        self.backend.put(b"key", revision(self.next), value)
        self.rows[b"key"][revision(self.next)] = value
        self.next += 1

    def put(self) -> None:
        bucket = self.bucket()
        key, value = self.key(bucket), self.random.randbytes(4)
        self.backend.put(bucket, key, value)
        self.rows[bucket][key] = value

    def delete(self) -> None:
        bucket = self.bucket()
        key = self.key(bucket)
        self.backend.delete(bucket, key)
        self.rows[bucket].pop(key, None)

    def get(self) -> None:
        bucket = self.bucket()
        key = self.key(bucket)
        assert self.backend.get(bucket, key) == self.rows[bucket].get(key)

    def wanted(self, bucket: bytes, start: bytes, end: bytes | None) -> list[Row]:
        rows = self.rows[bucket].items()
        return sorted(r for r in rows if r[0] >= start and (end is None or r[0] < end))

    def scan(self) -> None:
        bucket = self.bucket()
        start = self.random.choice([b"", self.key(bucket)])
        end = self.random.choice([None, self.key(bucket)])
        limit = self.random.choice([0, 1, 2, 7, 100])
        found = list(self.backend.scan(bucket, start, end, limit))
        assert found == self.wanted(bucket, start, end)[: limit or None]
        rows = self.random.choice([1, 2, 5, 64])
        chunks = list(self.backend.scan_chunks(bucket, start, end, rows))
        assert [row for chunk in chunks for row in chunk] == self.wanted(bucket, start, end)

    def commit_step(self) -> None:
        if self.batch is None:
            self.batch = self.backend.begin_commit()
            if self.batch is not None:
                self.taken = {name: dict(rows) for name, rows in self.rows.items()}
        elif not self.batch.written:
            self.backend.write_commit(self.batch)
            self.committed = self.taken
        else:
            self.backend.end_commit(self.batch)
            self.batch = None

    def view(self) -> None:
        if self.batch is None:
            view = self.backend.snapshot_view()
            self.append()
            for bucket in (b"key", b"meta"):
                assert list(view.scan(bucket, b"", None)) == sorted(self.committed[bucket].items())
                end = self.key(bucket)
                rows = [row for chunk in view.scan_chunks(bucket, b"b", end, 3) for row in chunk]
                held = self.committed[bucket].items()
                assert rows == sorted(row for row in held if b"b" <= row[0] < end)
            view.close()
            view.close()

    def crash(self) -> None:
        self.backend.close()
        self.backend = self.make()
        self.rows = {name: dict(rows) for name, rows in self.committed.items()}
        self.batch = None
        self.next = 1 + max((int.from_bytes(k[:8], "big") for k in self.rows[b"key"]), default=0)
        for bucket in BUCKETS:
            assert list(self.backend.scan(bucket, b"", None)) == sorted(self.rows[bucket].items())


@pytest.mark.parametrize("seed", range(8))
def test_any_history_reads_like_a_dictionary(make: Make, seed: int) -> None:
    model = Model(make, seed)
    often = [model.append, model.append, model.put, model.delete, model.get, model.commit_step]
    seldom = [model.scan, model.view]
    for _ in range(500):
        step = model.random.choice(often if model.random.random() < 0.75 else seldom)
        step()
        if model.random.random() < 0.01:
            model.crash()
    model.backend.close()


def test_a_scan_may_be_held_over_writes_and_commits(backend: Both) -> None:
    for main in range(1, 5001):
        backend.put(b"key", revision(main), b"%d" % main)
    backend.commit()
    seen = []
    written = 5000
    for _, value in backend.scan(b"key", b"", None):
        seen.append(int(value))
        if len(seen) % 500 == 0 and written < 5500:
            written += 100
            for main in range(written - 99, written + 1):
                backend.put(b"key", revision(main), b"%d" % main)
            backend.delete(b"key", revision(len(seen) - 10))
            backend.commit()
    assert seen == list(range(1, written + 1))


def test_begin_commit_is_none_without_writes_and_while_one_is_under_way(backend: Both) -> None:
    assert backend.begin_commit() is None
    backend.put(b"meta", b"a", b"1")
    assert backend.pending == 1
    batch = backend.begin_commit()
    assert batch is not None
    assert batch.operations == 1
    assert backend.pending == 0
    backend.put(b"meta", b"b", b"2")
    assert backend.begin_commit() is None
    backend.write_commit(batch)
    backend.end_commit(batch)
    assert backend.begin_commit() is not None


def test_a_deleted_and_written_key_holds_the_last_of_both(backend: Both) -> None:
    backend.put(b"meta", b"k", b"1")
    backend.commit()
    backend.delete(b"meta", b"k")
    backend.put(b"meta", b"k", b"2")
    batch = backend.begin_commit()
    backend.delete(b"meta", b"k")
    assert backend.get(b"meta", b"k") is None
    assert list(backend.scan(b"meta", b"", None)) == []
    assert batch is not None
    backend.write_commit(batch)
    backend.end_commit(batch)
    assert backend.get(b"meta", b"k") is None
    backend.commit()
    assert list(backend.scan(b"meta", b"", None)) == []


def test_size_in_use_counts_what_is_pending(backend: Both) -> None:
    before = backend.size_in_use()
    for main in range(1, 101):
        backend.put(b"key", revision(main), bytes(10_000))
    pending = backend.size_in_use()
    assert before + 1_000_000 <= pending < before + 1_100_000
    backend.commit()
    assert abs(backend.size_in_use() - pending) < 300_000
    assert backend.size() >= backend.size_in_use()


def test_commits_wait_for_a_defragmentation(backend: Both) -> None:
    backend.put(b"meta", b"a", b"1")
    backend.commit()
    backend.begin_defragment()
    with pytest.raises(BackendBusy):
        backend.begin_defragment()
    backend.put(b"meta", b"b", b"2")
    assert backend.begin_commit() is None
    backend.write_defragment()
    assert backend.get(b"meta", b"b") == b"2"
    backend.end_defragment()
    assert [value for _, value in backend.scan(b"meta", b"", None)] == [b"1", b"2"]
    assert backend.begin_commit() is not None


def test_a_cancelled_defragmentation_lets_commits_go_on(backend: Both) -> None:
    backend.put(b"meta", b"a", b"1")
    backend.begin_defragment()
    backend.cancel_defragment()
    backend.commit()
    assert backend.pending == 0


def test_no_defragmentation_begins_while_a_commit_is_under_way(backend: Both) -> None:
    backend.put(b"meta", b"a", b"1")
    backend.begin_commit()
    with pytest.raises(BackendBusy):
        backend.begin_defragment()


def test_a_batch_is_in_order_before_another_thread_gets_it(backend: Both) -> None:
    for main in (3, 1, 2):
        backend.put(b"key", revision(main), b"")
    batch = backend.begin_commit()
    assert batch is not None
    assert batch.overlays[b"key"]._keys == [revision(main) for main in (1, 2, 3)]
