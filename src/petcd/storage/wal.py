"""The write-ahead log: what Raft must not forget, in etcd's files.

::

    member/wal/0000000000000000-0000000000000000.wal      seq 0, entries from index 0
               0000000000000001-0000000000000c35.wal      seq 1, entries from index 0xc35
               0.tmp                                       a spare segment in preparation

    segment:   crc | metadata | snapshot (in the first) or state (in later ones) | entry ... state
    batch:     entry, entry, ..., state          one ``save``: one write; then one ``sync``

Invariants
* A batch with entries is synced before the next batch is written (``save`` sees to it).  The reader
  relies on that to tell a torn tail from damage; see ``wal_tail``.
* Behind the last record of the last segment there is nothing but zeros.
* A segment has been synced whole before its successor gets its name, and the successor's head is
  synced before it gets its name.  Names are synced before anything relies on them.
* After a failed write or sync the log refuses everything: what reached the disk is unknown.
* One caller at a time: no call may overlap another of the same log, ``sync`` included.

It does not do: deciding what to save or when (that is Raft's Ready), storing snapshots, locking
the directory (``datadir``), retrying.

Source: etcd's file format, so that its tools and servers read ours and we read theirs.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from google_crc32c import extend

from petcd.raft.types import ConfState, Entry, HardState
from petcd.storage.errors import StorageFailed, WalExists, WalNotFound
from petcd.storage.files import File, Files, OsFiles
from petcd.storage.wal_reader import LogReader, Replay
from petcd.storage.wal_record import (
    CRC,
    METADATA,
    SNAPSHOT,
    STATE,
    encode_entries,
    encode_hard_state,
    encode_record,
    encode_snapshot,
)
from petcd.storage.wal_segment import Segment, list_segments, select_segments
from petcd.storage.wal_space import FIRST_SEGMENT_BYTES, SpareSegment, SpareThread, write_zeros

# etcd's; a segment is left when it has reached this size, so the last batch may go beyond it.
SEGMENT_BYTES: Final = 64_000_000
# A spare is begun when this part (one in two) of the active segment's space is used.
_SPARE_AT: Final = 2
# How far a log without space of its own grows before it looks (and asks) for a spare again.
_LOOK_BYTES: Final = 1 << 20
_CUT_NAME: Final = "1.tmp"


class Wal:
    """A log open for appending.  Made by ``create`` or ``open``."""

    __slots__ = (
        "_crc",
        "_directory",
        "_failed",
        "_file",
        "_files",
        "_last_index",
        "_limit",
        "_look_at",
        "_metadata",
        "_offset",
        "_owes_sync",
        "_path",
        "_released",
        "_segment_bytes",
        "_segments",
        "_spare",
        "_state",
        "_worker",
        "bytes_written",
    )

    def __init__(
        self,
        files: Files,
        directory: str,
        metadata: bytes,
        segments: list[Segment],
        file: File,
        *,
        segment_bytes: int,
        background: bool,
    ) -> None:
        self._files = files
        self._directory = directory
        self._metadata = metadata
        self._segments = segments  # oldest first; the last one is active
        self._path = os.path.join(directory, segments[-1].name)
        self._file = file
        self._segment_bytes = segment_bytes
        self._spare = SpareSegment(files, directory, segment_bytes)
        self._worker = SpareThread(self._spare, lambda: self.bytes_written) if background else None
        self._crc = 0
        self._offset = 0  # end of the last record in the active segment
        self._limit = 0  # 0 <= limit: end of the active segment's zeros
        self._look_at = 0
        self._last_index = 0
        self._released = 0  # segments[:released] may be purged; 0 <= released < len(segments)
        self._state = HardState()
        self._owes_sync = False
        self._failed = ""
        self.bytes_written = 0

    @staticmethod
    def exists(directory: str, files: Files | None = None) -> bool:
        """True when the directory holds a log (at least one segment)."""
        return bool(list_segments(OsFiles() if files is None else files, directory))

    @classmethod
    def create(
        cls,
        directory: str,
        metadata: bytes,
        *,
        files: Files | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        background: bool = True,
    ) -> Wal:
        """Make a new log whose every segment starts with `metadata`.

        It is made beside its place, under ``<directory>.tmp``, and renamed when it is complete and
        synced: a log exists whole or not at all.  `background` False leaves the preparation of
        spare segments to calls of ``prepare``.  Raises WalExists, StorageFailed.
        """
        disk: Files = OsFiles() if files is None else files
        directory = directory.rstrip("/")
        for name in disk.names(directory):
            if not name.endswith(".tmp"):
                raise WalExists(directory, name)
        segment = Segment(0, 0)
        parent, temporary = os.path.dirname(directory) or ".", directory + ".tmp"
        try:
            disk.remove(temporary)
            disk.make_directory(temporary)
            file = disk.create(os.path.join(temporary, segment.name))
            limit = min(FIRST_SEGMENT_BYTES, segment_bytes)
            write_zeros(file, 0, limit)
            wal = cls(
                disk, directory, metadata, [segment], file,
                segment_bytes=segment_bytes, background=background,
            )  # fmt: skip
            wal._start_segment(file, limit, encode_snapshot(0, 0, None))
            disk.sync_dir(temporary)
            disk.remove(directory)
            disk.rename(temporary, directory)
            disk.sync_dir(parent)
        except OSError as error:
            raise _failure(directory, error) from error
        return wal

    @classmethod
    def open(
        cls,
        directory: str,
        snapshot: tuple[int, int] = (0, 0),
        *,
        files: Files | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        background: bool = True,
    ) -> tuple[Wal, Replay]:
        """Read the log behind `snapshot` (index, term), cut a torn tail, and be ready to append.

        What is read is on the disk: the last segment and the names are synced first, since a
        process that was killed may have left them in the system's cache only; and the last batch
        is read a second time past the cache, since after a failed sync the cache holds what the
        disk does not.  Raises WalNotFound, WalDamaged, WalSnapshotNotFound, StorageFailed.
        """
        disk: Files = OsFiles() if files is None else files
        directory = directory.rstrip("/")
        try:
            segments = list_segments(disk, directory)
            if not segments:
                raise WalNotFound(directory, "no segment")
            chosen = select_segments(segments, snapshot[0], directory)
            disk.sync_dir(os.path.dirname(directory) or ".")
            disk.sync_dir(directory)
            file = disk.open(os.path.join(directory, segments[-1].name))
            file.sync()
            reader = _read_from_disk(disk, directory, snapshot, chosen, file)
            for name in disk.names(directory):
                if name.endswith(".tmp"):
                    disk.remove(os.path.join(directory, name))
            if reader.replay.torn_bytes:
                file.truncate(reader.end)
                file.sync()
        except OSError as error:
            raise _failure(directory, error) from error
        replay = reader.replay
        wal = cls(
            disk, directory, replay.metadata, segments, file,
            segment_bytes=segment_bytes, background=background,
        )  # fmt: skip
        wal._resume(reader)
        return wal, replay

    @property
    def directory(self) -> str:
        """Where the segments are."""
        return self._directory

    @property
    def last_index(self) -> int:
        """The index of the last entry (or snapshot) written, synced or not."""
        return self._last_index

    @property
    def segment_names(self) -> list[str]:
        """The segments' file names, oldest first."""
        return [segment.name for segment in self._segments]

    @property
    def owes_sync(self) -> bool:
        """Whether a batch was saved that the next ``save`` may not follow without a ``sync``."""
        return self._owes_sync

    @property
    def spare_failure(self) -> str:
        """Why no spare segment could be made (a full disk, mostly); empty when all is well."""
        return self._spare.failure

    def save(self, hard_state: HardState | None, entries: list[Entry]) -> None:
        """Write a batch: one write, no sync.  Nothing counts as durable before ``sync`` returns.

        Entries must have rising indexes; one at or below an index written before replaces that
        entry and all behind it.  `hard_state` is None or empty when it did not change.  If the
        batch before had entries and was not synced, it is synced first.  Raises StorageFailed.
        """
        if self._owes_sync:
            self.sync()
        out: list[bytes] = []
        crc = encode_entries(entries, self._crc, out)
        if hard_state is not None and not hard_state.is_empty():
            data = encode_hard_state(hard_state)
            crc = extend(crc, data)
            out.append(encode_record(STATE, crc, data))
            if hard_state.term != self._state.term or hard_state.vote != self._state.vote:
                self._owes_sync = True
            self._state = hard_state
        if entries:
            self._owes_sync = True
            self._last_index = entries[-1].index
        self._write(b"".join(out), crc)

    def sync(self) -> None:
        """Put everything saved on the disk (fdatasync); goes on to a new segment when it is time.

        Raises StorageFailed.
        """
        if self._failed:
            raise StorageFailed(self._path, self._failed)
        try:
            self._file.sync()
            self._owes_sync = False
            if self._offset >= self._look_at:
                self._look_ahead()
        except OSError as error:
            raise self._fail(error) from error

    def save_snapshot(self, index: int, term: int, conf_state: ConfState | None) -> None:
        """Record that a snapshot of the log up to `index` is safely stored, and sync.

        From then on the log can be opened at (index, term).  `conf_state` is needed above index 0.
        Raises StorageFailed.
        """
        assert index == 0 or conf_state is not None, f"snapshot {index} without a configuration"
        data = encode_snapshot(index, term, conf_state)
        crc = extend(self._crc, data)
        self._last_index = max(self._last_index, index)
        self._write(encode_record(SNAPSHOT, crc, data), crc)
        self.sync()

    def release_to(self, index: int) -> None:
        """Allow purging what stands before `index`; the segment that holds `index` - 1 stays."""
        for place, segment in enumerate(self._segments):
            if segment.index >= index:
                self._released = max(self._released, place - 1)
                return
        self._released = max(self._released, len(self._segments) - 1)

    def purge(self, segments_max: int) -> list[str]:
        """Remove released segments, oldest first, while more than `segments_max` are there.

        May not run beside other calls, like all of them.  Returns the removed names; raises
        StorageFailed.
        """
        removed: list[str] = []
        try:
            while self._released > 0 and len(self._segments) > segments_max:
                name = self._segments[0].name
                self._files.remove(os.path.join(self._directory, name))
                del self._segments[0]
                self._released -= 1
                removed.append(name)
            if removed:
                self._files.sync_dir(self._directory)
        except OSError as error:
            raise self._fail(error) from error
        return removed

    def prepare(self) -> bool:
        """Work on the spare segment for one slice; False when there is nothing to do.

        Only for logs opened with `background` False.
        """
        return self._spare.step()

    def close(self) -> None:
        """Sync what is owed, stop the thread, close the file.  Raises StorageFailed."""
        if self._worker is not None:
            self._worker.stop()
        try:
            if not self._failed:
                self._file.sync()
            self._spare.drop()
        except OSError as error:
            raise self._fail(error) from error
        finally:
            self._file.close()
            self._failed = self._failed or "the log is closed"

    def _write(self, data: bytes, crc: int) -> None:
        if self._failed:
            raise StorageFailed(self._path, self._failed)
        try:
            self._file.write(self._offset, data)
        except OSError as error:
            raise self._fail(error) from error
        self._offset += len(data)
        self._crc = crc
        self.bytes_written += len(data)

    def _look_ahead(self) -> None:
        """Order a spare when the space gets short; move on when it is used up.

        Past the full size the log moves on in any case, before that only to a spare that is ready.
        """
        offset, limit = self._offset, self._limit
        if offset >= self._segment_bytes or (offset >= limit and self._spare.ready):
            self._cut()
            return
        if not self._spare.wanted:
            self._spare.wanted = True
            if self._worker is not None:
                self._worker.wake()
        again = limit if offset < limit else offset + _LOOK_BYTES
        self._look_at = min(again, self._segment_bytes)

    def _cut(self) -> None:
        """Leave the active segment, which is synced, for a new one."""
        self._file.truncate(self._offset)
        spare = self._spare.take()
        if spare is None:
            temporary = os.path.join(self._directory, _CUT_NAME)
            file, limit = self._files.create(temporary), 0
        else:
            file, limit, temporary = spare, self._segment_bytes, self._spare.path
        segment = Segment(self._segments[-1].sequence + 1, self._last_index + 1)
        path = os.path.join(self._directory, segment.name)
        state = None if self._state.is_empty() else encode_hard_state(self._state)
        self._file.close()
        self._start_segment(file, limit, None, state)
        self._files.rename(temporary, path)
        self._files.sync_dir(self._directory)
        self._segments.append(segment)
        self._path = path

    def _start_segment(
        self, file: File, limit: int, snapshot: bytes | None, state: bytes | None = None
    ) -> None:
        """Write and sync the head of a segment and make it the active one."""
        crc = extend(self._crc, self._metadata)
        head = encode_record(CRC, self._crc, None) + encode_record(METADATA, crc, self._metadata)
        if snapshot is not None:
            crc = extend(crc, snapshot)
            head += encode_record(SNAPSHOT, crc, snapshot)
        if state is not None:
            crc = extend(crc, state)
            head += encode_record(STATE, crc, state)
        file.write(0, head)
        file.sync()
        self._file, self._crc = file, crc
        self._offset, self._limit = len(head), limit
        self._look_at = limit // _SPARE_AT

    def _resume(self, reader: LogReader) -> None:
        """Stand where the reader stopped."""
        self._crc = reader.crc
        self._offset = reader.end
        self._limit = reader.end if reader.replay.torn_bytes else reader.last_size
        self._look_at = self._limit // _SPARE_AT
        self._last_index = reader.last_index
        self._state = reader.replay.hard_state

    def _fail(self, error: OSError) -> StorageFailed:
        failure = _failure(self._path, error)
        self._failed = failure.why
        return failure


def _read_from_disk(
    files: Files, directory: str, snapshot: tuple[int, int], segments: list[Segment], file: File
) -> LogReader:
    """Read the log until the disk agrees with what was read; `file` is the last segment."""
    for _ in range(3):
        reader = LogReader(files, directory, snapshot)
        reader.read(segments)
        if file.reread(reader.batch_start, reader.end) == reader.last_batch:
            return reader
    raise OSError(errno.EIO, "reads of the last segment differ", directory)


def _failure(path: str, error: OSError) -> StorageFailed:
    return StorageFailed(error.filename or path, error.strerror or str(error))
