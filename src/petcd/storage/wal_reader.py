"""Reading a log: from a snapshot's position to the end, in one pass.

The rules of a replay, all of them etcd's:
* an entry replaces the entry of the same index and everything behind it (a new leader overwrote an
  uncommitted tail); a hole between entries is damage;
* the last hard state wins; the metadata must be the same in every segment;
* the position to start from must have a snapshot record of the same index and term.

Reading changes nothing on the disk, so tools may read the log of a running member.

It does not do: repairing, writing, deciding where to start.
"""

from __future__ import annotations

import os
from typing import Final

from petcd.raft.types import Entry, HardState
from petcd.storage.errors import WalDamaged, WalNotFound, WalSnapshotNotFound
from petcd.storage.files import Files, OsFiles
from petcd.storage.wal_record import (
    ENTRY,
    METADATA,
    SNAPSHOT,
    STATE,
    SnapshotRecord,
    parse_hard_state,
    parse_snapshot,
)
from petcd.storage.wal_segment import (
    Segment,
    SegmentWalk,
    content_end,
    list_segments,
    select_segments,
)
from petcd.storage.wal_tail import damage_at
from petcd.wire.hot import DecodeError, parse_raft_entry

# Above every index, so that no entry is kept.
_BEYOND: Final = 1 << 64


class Replay:
    """What a log says from a position on.

    `entries` are those behind the start, in order and without holes; those above
    ``hard_state.commit`` may still be overwritten.  `snapshots` are all snapshot records met.
    `torn_bytes` is how much of a torn tail was left out, 0 for a clean end.
    """

    __slots__ = ("entries", "hard_state", "metadata", "snapshots", "torn_bytes")

    def __init__(self) -> None:
        self.metadata = b""
        self.hard_state = HardState()
        self.entries: list[Entry] = []
        self.snapshots: list[SnapshotRecord] = []
        self.torn_bytes = 0


class LogReader:
    """One pass over the segments; `replay` fills up, and the rest is what appending needs.

    `start` is the (index, term) of the snapshot to start behind; None keeps no entries at all.

    `last_index`: of the last entry or snapshot written; `crc`: the chain at the end; `end`: offset
    behind the last good record of the last segment; `last_size`: that segment's length.
    """

    __slots__ = (
        "_file",
        "_has_metadata",
        "crc",
        "directory",
        "end",
        "files",
        "last_index",
        "last_size",
        "matched",
        "replay",
        "start_index",
        "start_term",
    )

    def __init__(self, files: Files, directory: str, start: tuple[int, int] | None) -> None:
        self.files = files
        self.directory = directory
        self.start_index, self.start_term = start or (_BEYOND, 0)
        self.replay = Replay()
        self.crc = 0
        self.end = 0
        self.last_size = 0
        self.last_index = 0
        self.matched = start is None
        self._file = ""
        self._has_metadata = False

    def read(self, segments: list[Segment]) -> None:
        """Read `segments`, the last of which may have a torn tail.

        Raises WalDamaged, WalSnapshotNotFound, OSError.
        """
        for place, segment in enumerate(segments):
            self._file = os.path.join(self.directory, segment.name)
            data = self.files.read(self._file)
            walk = SegmentWalk(data, self.crc, place > 0)
            self._take(walk)
            self._judge(walk, place == len(segments) - 1)
            self.crc = walk.crc
        if not self.matched:
            raise WalSnapshotNotFound(self.directory, self.start_index, self.start_term)
        known = max(self.start_index, self.last_index)
        if self.replay.hard_state.commit > known:
            why = f"committed up to {self.replay.hard_state.commit}, but entries end at {known}"
            raise WalDamaged(self._file, self.end, why)

    def _judge(self, walk: SegmentWalk, last: bool) -> None:
        data, end = walk.data, walk.end
        content = content_end(data)
        damage = walk.fault
        if last and not walk.chain_broken:
            damage = damage_at(data, end, content, walk.fault)
        elif content > end:
            damage = damage or "zeros instead of a record"
        if damage or not walk.seeded:
            raise WalDamaged(self._file, end, damage or "the segment does not start with a crc")
        self.end, self.last_size = end, len(data)
        self.replay.torn_bytes = max(0, content - end)

    def _take(self, walk: SegmentWalk) -> None:
        offset = 0
        entries, start = self.replay.entries, self.start_index
        try:
            for offset, kind, data in walk.records():
                if kind == ENTRY:
                    entry_type, term, index, payload = parse_raft_entry(data)
                    if index > start:
                        place = index - start - 1
                        if place < len(entries):
                            del entries[place:]
                        elif place > len(entries):
                            why = f"entry {index} follows entry {start + len(entries)}"
                            raise WalDamaged(self._file, offset, why)
                        entries.append(Entry(entry_type, term, index, payload))
                    self.last_index = index
                elif kind == STATE:
                    self.replay.hard_state = parse_hard_state(data)
                elif kind == SNAPSHOT:
                    self._take_snapshot(parse_snapshot(data))
                elif kind == METADATA:
                    self._take_metadata(data, offset)
                else:
                    raise WalDamaged(self._file, offset, f"record of unknown type {kind}")
        except DecodeError as error:
            raise WalDamaged(self._file, offset, f"unreadable record: {error}") from None

    def _take_snapshot(self, snapshot: SnapshotRecord) -> None:
        self.replay.snapshots.append(snapshot)
        self.last_index = max(self.last_index, snapshot.index)
        if snapshot.index == self.start_index:
            if snapshot.term != self.start_term:
                raise WalSnapshotNotFound(self.directory, self.start_index, self.start_term)
            self.matched = True

    def _take_metadata(self, data: bytes, offset: int) -> None:
        if self._has_metadata and data != self.replay.metadata:
            raise WalDamaged(self._file, offset, "metadata differs from the segments before")
        self.replay.metadata, self._has_metadata = data, True


def read_log(
    directory: str, snapshot: tuple[int, int] = (0, 0), files: Files | None = None
) -> Replay:
    """Read the log behind `snapshot` (index, term) without touching it.

    Raises WalNotFound, WalDamaged, WalSnapshotNotFound, OSError.
    """
    disk = OsFiles() if files is None else files
    reader = LogReader(disk, directory, snapshot)
    reader.read(select_segments(list_segments(disk, directory), snapshot[0], directory))
    return reader.replay


def valid_snapshots(directory: str, files: Files | None = None) -> list[SnapshotRecord]:
    """The snapshot records that a member may start from: those at or below the commit index.

    Reads the segments that are there, from the oldest of the unbroken row at the end.  Raises
    WalNotFound, WalDamaged, OSError.
    """
    disk = OsFiles() if files is None else files
    segments = list_segments(disk, directory)
    if not segments:
        raise WalNotFound(directory, "no segment")
    first = len(segments) - 1
    while first and segments[first - 1].sequence == segments[first].sequence - 1:
        first -= 1
    reader = LogReader(disk, directory, None)
    reader.read(segments[first:])
    commit = reader.replay.hard_state.commit
    return [snapshot for snapshot in reader.replay.snapshots if snapshot.index <= commit]
