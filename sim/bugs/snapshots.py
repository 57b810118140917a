"""Defects of snapshots between members, of compaction, and of a disk that comes back empty."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import accumulate
from typing import Any

from petcd.mvcc import loading
from petcd.mvcc.index import RECORD_BYTES, KeyIndex
from petcd.mvcc.keyspace import KeySpace
from petcd.mvcc.loading import load_steps
from petcd.mvcc.revision import KEY_BUCKET, unpack_row
from petcd.mvcc.watch_groups import WatcherGroup
from petcd.mvcc.watch_hub import WatchHub
from petcd.raft.types import Snapshot, SnapshotMetadata
from petcd.server import snapshot_sender
from petcd.server.snapshot_receiver import SnapshotReceiver
from petcd.server.snapshot_sender import snapshot_of
from petcd.storage.backend import Backend, View
from petcd.storage.memory import MemoryStore
from sim import cluster, workload
from sim.bugs.exhibit import DIVERGED, Exhibit
from sim.bugs.switch import Patch, everywhere
from sim.check.history import Compact, Delete
from sim.disk import Disk

_install = SnapshotReceiver.install
_trim = KeyIndex.trim
_crash = Disk.crash
_skip_to = WatchHub.skip_to


def _snapshot_says_less_than_it_holds() -> list[Patch]:
    """Its index is read before its data; entries in between are applied a second time."""

    def earlier(view: View) -> Snapshot:
        found = snapshot_of(view)
        meta = found.metadata
        index = max(1, meta.index - 5)
        return Snapshot(found.data, SnapshotMetadata(meta.conf_state, index, meta.term))

    return [Patch(snapshot_sender, "snapshot_of", earlier)]


def _install_not_finished() -> list[Patch]:
    def settle(
        store: MemoryStore,
        applied: Callable[[Backend], int],
        is_recorded: Callable[[int], bool],
    ) -> None:
        store.staged = None

    return [Patch(cluster, "settle_memory", settle)]


def _crashes_during_installs() -> list[Patch]:
    """Every other install dies in the middle of one of its calls of the disk."""

    def install(self: SnapshotReceiver, snapshot: Snapshot) -> None:
        log: Any = self._log
        disk = log._wal._files
        if disk.random.random() < 0.5:
            disk.crash_in = disk.random.randint(1, 5)
        _install(self, snapshot)

    return [Patch(SnapshotReceiver, "install", install)]


def _watch_goes_back() -> list[Patch]:
    """After an install watchers begin again somewhat before the place where they stood."""

    def skip_to(self: WatchHub, revision: int) -> None:
        oldest = max(1, self._store.compact_revision)
        if revision > self._notified:
            self._notified = max(oldest, self._notified - 10)
        _skip_to(self, revision)

    return [Patch(WatchHub, "skip_to", skip_to)]


def _install_tells_no_watcher() -> list[Patch]:
    def skip_to(self: WatchHub, revision: int) -> None:
        if revision > self._notified:
            synced, self._synced = self._synced, WatcherGroup(0)
            _skip_to(self, revision)
            self._synced = synced

    return [Patch(WatchHub, "skip_to", skip_to)]


def _tombstone_dropped_at_the_compaction() -> list[Patch]:
    """A delete at the very revision of a compaction goes with it."""

    def trim(self: KeyIndex, key: bytes, revision: int, limit: int) -> list[tuple[int, int, bool]]:
        dropped = _trim(self, key, revision, limit)
        records = self.history.get(key)
        if records is not None and len(records) == RECORD_BYTES and key not in self.live:
            main, mark = (int.from_bytes(records[at : at + 8], "big") for at in (0, 8))
            if main == revision and mark & 1:
                del self.history[key]
                self.dead.remove(key)
                dropped.append((main, mark >> 1, True))
        return dropped

    return [Patch(KeyIndex, "trim", trim)]


def _revision_of_the_last_row() -> list[Patch]:
    """At a start, the revision is that of the last row, whatever was compacted behind it."""

    def load(space: KeySpace, gently: bool = False) -> Generator[int, None, None]:
        yield from load_steps(space, gently)
        last = b""
        for rows in space.backend.scan_chunks(KEY_BUCKET, b"", None, 1000):
            last = rows[-1][0]
        if last:
            space.revision = unpack_row(last)[0]

    return [*everywhere(loading, "load_steps", load), *_tombstone_dropped_at_the_compaction()]


def _wiped_disk_under_the_old_id() -> list[Patch]:
    """Nobody refuses a member that comes back without its memory."""

    def crash(self: Disk) -> None:
        _crash(self)
        if self.random.random() < 0.5:
            self.wipe()

    return [Patch(Disk, "crash", crash)]


def _compactions_at_the_present() -> list[Patch]:
    """Much is deleted, and the history is compacted up to its end again and again."""
    mix = [(0.5 * weight, make) for weight, make in workload.MIX]
    mix.append((20.0, lambda client: Delete(client.key())))
    mix.append((15.0, lambda client: Compact(max(1, client.known_revision))))
    return [
        Patch(workload, "MAKERS", [make for _, make in mix]),
        Patch(workload, "WEIGHTS", list(accumulate(weight for weight, _ in mix))),
    ]


_FALLING_BEHIND = {
    "kinds": "leader-isolated,split,one-way-links,pause",
    "interval_s": 2.0,
    "snapshot_count": 20,
    "catchup_entries": 5,
    "watchers": 8,
}
_COMPACTING = {"kinds": "kill,clean-stop,power-cut", "interval_s": 0.7, "watchers": 10}

EXHIBITS = (
    Exhibit(
        "snapshot says less than it holds",
        "etcd's post-mortem of 3.5: snapshots against the consistent index",
        "A member that installed it applies some entries twice.",
        (*DIVERGED, "ended itself"),
        _snapshot_says_less_than_it_holds,
        options=_FALLING_BEHIND,
    ),
    Exhibit(
        "install not finished after a crash",
        "etcd-io/etcd#11613, #14685",
        "The log begins at a snapshot whose data never took its place.",
        ("InvariantBroken", "DataUnusable", "WalSnapshotNotFound", *DIVERGED),
        _install_not_finished,
        options=_FALLING_BEHIND,
        stage=_crashes_during_installs,
    ),
    Exhibit(
        "watch goes back after an install",
        "etcd-io/etcd#15271",
        "Watchers of a member that installs a snapshot are told old events again.",
        ("a watch repeated an event", "a watch went back"),
        _watch_goes_back,
        options=_FALLING_BEHIND,
    ),
    Exhibit(
        "install tells no watcher",
        "etcd-io/etcd#16839",
        "Watchers of a member that installs a snapshot miss what came with it.",
        ("a watch left out an event", "a watcher was left in silence"),
        _install_tells_no_watcher,
        options=_FALLING_BEHIND,
    ),
    Exhibit(
        "tombstone dropped at the compaction",
        "etcd-io/etcd#18089, #19179",
        "A watcher that begins at the compacted revision misses a delete there.",
        ("a watch left out an event", "a watcher was left in silence"),
        _tombstone_dropped_at_the_compaction,
        options=_COMPACTING,
        stage=_compactions_at_the_present,
    ),
    Exhibit(
        "revision falls after a compaction",
        "etcd-io/etcd#17780",
        "A restart behind a compaction gives revisions a second time.",
        (*DIVERGED, "a member goes back", "ended itself"),
        _revision_of_the_last_row,
        options={
            "kinds": "power-cut,power-cut-of-all",
            "interval_s": 0.7,
            "watchers": 0,
            "clients": 2,
            "operations_per_s": 20.0,
        },
        stage=_compactions_at_the_present,
    ),
    Exhibit(
        "wiped disk under the old id",
        "etcd's --initial-cluster-state=new on a lost disk",
        "A member without its memory votes a second time and forgets what it acknowledged.",
        (
            "a term went back",
            "what was synced is forgotten",
            "two votes in one term",
            "a leader lacks a committed entry",
        ),
        _wiped_disk_under_the_old_id,
        options={"kinds": "power-cut,leader-isolated", "interval_s": 1.0},
    ),
)
