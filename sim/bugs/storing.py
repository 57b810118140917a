"""Defects of the log and of the backend on disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google_crc32c import extend

from petcd.raft.ready import Ready
from petcd.server.effects import Effects
from petcd.server.truncation import Truncation
from petcd.storage import wal, wal_reader
from petcd.storage.backend import Batch
from petcd.storage.errors import StorageFailed
from petcd.storage.files import File, Files
from petcd.storage.memory import MemoryBackend
from petcd.storage.pending import PendingWrites
from petcd.storage.wal import Wal
from petcd.storage.wal_reader import LogReader
from petcd.storage.wal_record import FRAME_BYTES
from petcd.storage.wal_segment import Segment, SegmentWalk, frame_at
from petcd.wire.hot import DecodeError, parse_wal_record
from sim.bugs.exhibit import DIVERGED, Exhibit
from sim.bugs.switch import Patch

_begin_commit = PendingWrites.begin_commit
_sync_log = Wal.sync
_records = SegmentWalk.records
_maybe_finish = Truncation.maybe_finish
META = b"meta"


def _in_two_transactions(meta_first: bool) -> list[Patch]:
    """Every other commit takes the bucket of the applied index, the others take the rest."""

    def begin_commit(self: Any) -> Batch | None:
        batch = _begin_commit(self)
        if batch is None or META not in batch.overlays or len(batch.overlays) == 1:
            return batch
        assert isinstance(self, MemoryBackend)
        takes_meta = (self.store.commits % 2 == 0) == meta_first
        for name in list(batch.overlays):
            if (name == META) != takes_meta:
                self._active[name] = batch.overlays.pop(name)
                self.pending += 1
        return batch

    return [Patch(PendingWrites, "begin_commit", begin_commit)]


def _index_before_data() -> list[Patch]:
    return _in_two_transactions(meta_first=True)


def _index_after_data() -> list[Patch]:
    return _in_two_transactions(meta_first=False)


def _acknowledged_before_sync() -> list[Patch]:
    def sync(self: Effects, ready: Ready) -> bool:
        self._loop.call_later(0.02, self._log.sync)
        return True

    return [Patch(Effects, "_sync", sync)]


def _failed_sync_retried() -> list[Patch]:
    def sync(self: Wal) -> None:
        try:
            _sync_log(self)
        except StorageFailed:
            self._failed = ""
            _sync_log(self)

    return [Patch(Wal, "sync", sync)]


def _cache_trusted_after_failed_sync() -> list[Patch]:
    def read(
        files: Files, directory: str, snapshot: tuple[int, int], segments: list[Segment], file: File
    ) -> LogReader:
        reader = LogReader(files, directory, snapshot)
        reader.read(segments)
        return reader

    def forget_cached(disk: Files, path: str) -> None:
        return

    return [
        Patch(wal, "_read_from_disk", read),
        Patch(wal_reader, "_forget_cached", forget_cached),
    ]


def _torn_tail_accepted() -> list[Patch]:
    """A record whose frame arrived counts, whatever its checksum says."""

    def records(self: SegmentWalk) -> Iterator[tuple[int, int, bytes]]:
        yield from _records(self)
        while "crc is" in self.fault:
            start = self.end + FRAME_BYTES
            size, padding = frame_at(self.data, self.end)
            try:
                kind, _, body = parse_wal_record(self.data[start : start + size])
            except DecodeError:
                return
            assert self.crc is not None
            yield self.end, kind, body
            self.crc, self.end = extend(self.crc, body), start + size + padding
            self.fault = ""

    return [Patch(SegmentWalk, "records", records)]


def _log_purged_before_the_backend_is_synced() -> list[Patch]:
    def maybe_finish(self: Truncation) -> None:
        if self._cut_at:
            self._cut_at = self._member.applied_index
        _maybe_finish(self)
        self._log.release_to(self._last_cut)
        self._log.purge(1)

    return [Patch(Truncation, "maybe_finish", maybe_finish)]


_POWER = {"kinds": "power-cut,power-cut-of-all,crash-in-a-disk-call", "interval_s": 1.0}
_FORGOTTEN = (
    "what was synced is forgotten",
    "WalDamaged",
    "WalSnapshotNotFound",
    "DataUnusable",
    "ended itself",
)

EXHIBITS = (
    Exhibit(
        "applied index before the data",
        "etcd-io/etcd#13766",
        "A crash between the two loses what was applied.",
        (*DIVERGED, "ended itself"),
        _index_before_data,
        options=_POWER,
    ),
    Exhibit(
        "applied index after the data",
        "etcd-io/etcd#13514, #13922, #13937",
        "A crash between the two applies entries twice.",
        (*DIVERGED, "ended itself"),
        _index_after_data,
        options=_POWER,
    ),
    Exhibit(
        "one member acknowledges before its sync",
        "etcd-io/etcd#14370",
        "A power cut takes back what was acknowledged.",
        ("committed without a majority", *DIVERGED),
        _acknowledged_before_sync,
        options={**_POWER, "members": 1},
    ),
    Exhibit(
        "failed sync tried again",
        "PostgreSQL's fsync errors of 2018, etcd-io/etcd#14143",
        "The second sync succeeds without writing what the first has dropped.",
        _FORGOTTEN,
        _failed_sync_retried,
        options={"kinds": "failed-sync,power-cut,kill", "interval_s": 1.0},
    ),
    Exhibit(
        "cache trusted after a failed sync",
        "etcd-io/etcd#14143",
        "After a restart the log is read from a cache that the disk does not agree with.",
        _FORGOTTEN,
        _cache_trusted_after_failed_sync,
        options={"kinds": "failed-sync,power-cut,kill", "interval_s": 1.0},
    ),
    Exhibit(
        "torn tail accepted",
        "etcd-io/etcd#14098",
        "What a power cut left of an unsynced write counts as an entry.",
        ("logs do not match", "a log out of order", "WalDamaged", "forgotten"),
        _torn_tail_accepted,
        options=_POWER,
    ),
    Exhibit(
        "log purged before the backend is synced",
        "bakwc/PySyncObj#197",
        "After a power cut neither the log nor the backend has what was applied last.",
        ("WalNotFound", "WalSnapshotNotFound", "DataUnusable"),
        _log_purged_before_the_backend_is_synced,
        options={
            **_POWER,
            "operations_per_s": 200.0,
            "clients": 30,
            "snapshot_count": 10,
            "segment_bytes": 2048,
        },
    ),
)
