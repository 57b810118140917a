"""Reading a log: from a snapshot's position to the end, in one pass.

The rules of a replay, all of them etcd's:
* an entry replaces the entry of the same index and everything behind it (a new leader overwrote an
  uncommitted tail); a hole between entries is damage.  This holds for entries up to the start as
  well (a rule of ours): the tail that one of them replaced is not what follows the snapshot;
* the last hard state wins; the metadata must be the same in every segment;
* the position to start from must have a snapshot record of the same index and term;
* if the log had another entry there, the snapshot came from a leader in the place of everything
  before: entries that were written before it are not entries behind it (a rule of ours).

The CRC covers the data of a record, not its type, and an entry without data has the shape of a hard
state, and the other way round.  So what one flipped bit in a type would make of a record is told by
Raft's own laws: terms begin at 1, do not fall along the log nor leap, hard states never go back.

Reading changes nothing on the disk, so tools may read the log of a running member.

It does not do: repairing, writing, deciding where to start.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from petcd.raft.types import Entry, EntryType, HardState
from petcd.storage.errors import WalDamaged, WalNotFound, WalSnapshotNotFound
from petcd.storage.files import Files, OsFiles
from petcd.storage.wal_record import (
    ENTRY,
    METADATA,
    SNAPSHOT,
    STATE,
    SnapshotRecord,
    encode_hard_state,
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

# Terms count elections, member ids are 64-bit hashes: a step of this size is a mistaken id.
_TERM_JUMP: Final = 1 << 32
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
    behind the last good record of the last segment; `last_size`: that segment's length;
    `last_batch`: its bytes from `batch_start` to the end, where the last batch of entries starts.
    """

    __slots__ = (
        "_file",
        "_has_metadata",
        "_term_there",
        "batch_start",
        "crc",
        "directory",
        "end",
        "files",
        "last_batch",
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
        self.last_batch = b""
        self.batch_start = 0
        self.last_index = 0
        self.matched = start is None
        self._file = ""
        self._has_metadata = False
        self._term_there = 0  # of the log's entry at the start, as long as none was met

    def read(self, segments: list[Segment]) -> None:
        """Read `segments`, the last of which may have a torn tail.

        Raises WalDamaged, WalSnapshotNotFound, OSError.
        """
        for place, segment in enumerate(segments):
            self._file = os.path.join(self.directory, segment.name)
            data = self.files.read(self._file)
            walk = SegmentWalk(data, self.crc if place else None)
            headed = self._take(walk)
            self._judge(walk, headed, place == len(segments) - 1)
            self.crc = walk.crc or 0
        if not self.matched:
            raise WalSnapshotNotFound(self.directory, self.start_index, self.start_term)
        known = max(self.start_index, self.last_index)
        if self.replay.hard_state.commit > known:
            why = f"committed up to {self.replay.hard_state.commit}, but entries end at {known}"
            raise WalDamaged(self._file, self.end, why)

    def _judge(self, walk: SegmentWalk, headed: bool, last: bool) -> None:
        """Refuse damage behind the last good record.  A segment's head is never torn."""
        content = content_end(walk.data)
        damage = walk.fault
        if last and headed:
            damage = damage_at(walk.data, walk.end, content, walk.fault)
        elif content > walk.end or not headed:
            damage = damage or "zeros instead of a record"
        if damage:
            raise self._damaged(walk.end, damage)
        self.end, self.last_size = walk.end, len(walk.data)
        if last:
            self.last_batch = walk.data[self.batch_start : walk.end]
        self.replay.torn_bytes = max(0, content - walk.end)

    def _take(self, walk: SegmentWalk) -> bool:
        """Put the segment's records into the replay; False when its head is not complete."""
        offset = self.batch_start = 0
        headed = closed = False
        entries, start = self.replay.entries, self.start_index
        try:
            for offset, kind, data in walk.records():
                if kind == ENTRY:
                    if closed:
                        self.batch_start, closed = offset, False
                    entry_type, term, index, payload = parse_raft_entry(data)
                    limit = self.replay.hard_state.term + _TERM_JUMP
                    if entry_type > EntryType.CONF_CHANGE_V2 or not 0 < term <= limit:
                        raise self._damaged(offset, f"an entry of type {entry_type}, term {term}")
                    if index > start:
                        self._make_place(offset, term, index)
                        entries.append(Entry(entry_type, term, index, payload))
                    else:
                        entries.clear()
                        self._term_there = term if index == start else 0
                    self.last_index = index
                elif kind == STATE:
                    closed = True
                    self._take_state(data, offset)
                elif kind == SNAPSHOT:
                    self._take_snapshot(parse_snapshot(data))
                elif kind == METADATA:
                    self._take_metadata(data, offset)
                    headed = True
                else:
                    raise self._damaged(offset, f"record of unknown type {kind}")
                if not headed:
                    raise self._damaged(offset, "the segment does not start with metadata")
        except DecodeError as error:
            raise self._damaged(offset, f"unreadable record: {error}") from None
        return headed

    def _make_place(self, offset: int, term: int, index: int) -> None:
        """Drop the entries that the one of `term` and `index` replaces; check what it follows."""
        entries = self.replay.entries
        place = index - self.start_index - 1
        if place < len(entries):
            del entries[place:]
        elif place > len(entries):
            before = self.start_index + len(entries)
            raise self._damaged(offset, f"entry {index} follows entry {before}")
        term_before = entries[-1].term if entries else 0
        if term < term_before:
            raise self._damaged(offset, f"entry {index} of term {term} follows term {term_before}")

    def _take_state(self, data: bytes, offset: int) -> None:
        before, state = self.replay.hard_state, parse_hard_state(data)
        if state.term < before.term or state.commit < before.commit:
            raise self._damaged(offset, f"{state} follows {before}")
        if encode_hard_state(state) != data:
            raise self._damaged(offset, "a hard state with more fields")
        self.replay.hard_state = state

    def _take_snapshot(self, snapshot: SnapshotRecord) -> None:
        self.replay.snapshots.append(snapshot)
        self.last_index = max(self.last_index, snapshot.index)
        if snapshot.index == self.start_index:
            if snapshot.term != self.start_term:
                raise WalSnapshotNotFound(self.directory, self.start_index, self.start_term)
            if not self.matched and self._term_there not in (0, snapshot.term):
                self.replay.entries.clear()
            self.matched = True

    def _take_metadata(self, data: bytes, offset: int) -> None:
        if self._has_metadata and data != self.replay.metadata:
            raise self._damaged(offset, "metadata differs from the segments before")
        self.replay.metadata, self._has_metadata = data, True

    def _damaged(self, offset: int, why: str) -> WalDamaged:
        return WalDamaged(self._file, offset, why)


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

    Reads the segments that are there, from the oldest of the unbroken row at the end; the last one
    past the system's cache, which after a failed sync holds what the disk does not.  Raises
    WalNotFound, WalDamaged, OSError.
    """
    disk = OsFiles() if files is None else files
    segments = list_segments(disk, directory)
    if not segments:
        raise WalNotFound(directory, "no segment")
    _forget_cached(disk, os.path.join(directory, segments[-1].name))
    first = len(segments) - 1
    while first and segments[first - 1].sequence == segments[first].sequence - 1:
        first -= 1
    reader = LogReader(disk, directory, None)
    reader.read(segments[first:])
    commit = reader.replay.hard_state.commit
    return [snapshot for snapshot in reader.replay.snapshots if snapshot.index <= commit]


def _forget_cached(disk: Files, path: str) -> None:
    """Have the next read of a file come from the disk; not where we may only read."""
    try:
        file = disk.open(path)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return
        raise
    try:
        file.sync()
        file.reread(0, len(disk.read(path)))
    finally:
        file.close()
