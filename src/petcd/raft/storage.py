"""What raft asks of the stable log, and an in-memory log that answers.

`Storage` is read-only: raft reads entries back through it, the caller writes to it (step 1 of the
contract in `petcd.raft`). The position before the first entry keeps its term, so that an append
behind a compacted log can still be matched:

        snapshot        first_index                       last_index
    ------- s ] [ s+1 ....................................... n ]

`MemoryStorage` is both the log of the tests and, refilled from the WAL at start, the log of a
running member: entries behind the last snapshot stay in memory, where slow followers are served
from. It is not a place of safety: nothing here is durable.
"""

from __future__ import annotations

from typing import Protocol

from petcd.raft.errors import Compacted, SnapshotOutOfDate, Unavailable, broken
from petcd.raft.kinds import NO_LIMIT
from petcd.raft.sizes import limit_size
from petcd.raft.types import ConfState, Entry, HardState, Snapshot, SnapshotMetadata


class Storage(Protocol):
    """The stable log as raft reads it."""

    def initial_state(self) -> tuple[HardState, ConfState]:
        """The stored hard state (empty if none) and the configuration of the last snapshot."""
        ...

    def entries(self, lo: int, hi: int, max_size: int) -> list[Entry]:
        """Entries lo to hi - 1, at most `max_size` bytes of them but at least one.

        The list belongs to the caller, the entries do not. Raises `Compacted`, `Unavailable`.
        """
        ...

    def term(self, index: int) -> int:
        """The term of an entry in [first_index - 1, last_index]; `Compacted`, `Unavailable`."""
        ...

    def first_index(self) -> int:
        """Index of the first entry that `entries` can return."""
        ...

    def last_index(self) -> int:
        """Index of the last entry, or of the snapshot if there is none behind it."""
        ...

    def snapshot(self) -> Snapshot:
        """The latest snapshot; raises `SnapshotTemporarilyUnavailable` if it takes time."""
        ...


class MemoryStorage:
    """A log in memory. `_entries[i]` has index `_offset + 1 + i`."""

    def __init__(self) -> None:
        self._hard_state = HardState()
        self._snapshot = Snapshot()
        self._entries: list[Entry] = []
        self._offset = 0
        self._offset_term = 0

    def initial_state(self) -> tuple[HardState, ConfState]:
        """See `Storage`."""
        return self._hard_state, self._snapshot.metadata.conf_state

    def set_hard_state(self, state: HardState) -> None:
        """Replace the stored hard state."""
        self._hard_state = state

    def entries(self, lo: int, hi: int, max_size: int = NO_LIMIT) -> list[Entry]:
        """See `Storage`."""
        offset = self._offset
        if lo <= offset:
            raise Compacted
        if hi > offset + len(self._entries) + 1:
            broken(f"entries' hi({hi}) is out of bound lastindex({self.last_index()})")
        if not self._entries:
            raise Unavailable
        return limit_size(self._entries[lo - offset - 1 : hi - offset - 1], max_size)

    def term(self, index: int) -> int:
        """See `Storage`."""
        at = index - self._offset
        if at <= 0:
            if at < 0:
                raise Compacted
            return self._offset_term
        if at > len(self._entries):
            raise Unavailable
        return self._entries[at - 1].term

    def first_index(self) -> int:
        """See `Storage`."""
        return self._offset + 1

    def last_index(self) -> int:
        """See `Storage`."""
        return self._offset + len(self._entries)

    def snapshot(self) -> Snapshot:
        """See `Storage`."""
        return self._snapshot

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Replace everything by `snapshot`; raises `SnapshotOutOfDate` if ours is as new."""
        held = self._snapshot.metadata.index
        if held != 0 and held >= snapshot.metadata.index:
            raise SnapshotOutOfDate
        self._snapshot = snapshot
        self._entries = []
        self._offset = snapshot.metadata.index
        self._offset_term = snapshot.metadata.term

    def create_snapshot(self, index: int, conf_state: ConfState | None, data: bytes) -> Snapshot:
        """Make (and keep) the snapshot at `index`; entries stay until `compact`.

        `conf_state` None keeps the configuration of the previous snapshot. Raises
        `SnapshotOutOfDate`.
        """
        if index <= self._snapshot.metadata.index:
            raise SnapshotOutOfDate
        if index > self.last_index():
            broken(f"snapshot {index} is out of bound lastindex({self.last_index()})")
        conf = self._snapshot.metadata.conf_state if conf_state is None else conf_state
        self._snapshot = Snapshot(data, SnapshotMetadata(conf, index, self.term(index)))
        return self._snapshot

    def compact(self, index: int) -> None:
        """Drop the entries up to and including `index`; raises `Compacted` if they are gone.

        The caller must not compact beyond what is applied.
        """
        if index <= self._offset:
            raise Compacted
        if index > self.last_index():
            broken(f"compact {index} is out of bound lastindex({self.last_index()})")
        self._offset_term = self.term(index)
        self._entries = self._entries[index - self._offset :]
        self._offset = index

    def append(self, entries: list[Entry]) -> None:
        """Append; whatever the log held at and behind the first index is replaced.

        Entries before the log's first index are compacted already and skipped. A gap is a bug.
        """
        if not entries:
            return
        at = entries[0].index - self._offset - 1
        if at == len(self._entries):
            self._entries += entries
            return
        if at + len(entries) <= 0:
            return
        if at < 0:
            entries = entries[-at:]
            at = 0
        if at > len(self._entries):
            broken(f"missing log entry [last: {self.last_index()}, append at: {entries[0].index}]")
        self._entries = self._entries[:at] + entries
