"""The end of the log that is not known to be on stable storage yet.

    stable storage            unstable.entries
    ... ............ ]  [ in progress ......... | not handed out yet ]
                         ^ offset                ^ offset_in_progress

Entries stay here from the moment they are appended until the storage write that carries them is
acknowledged; until then they are served from here. `offset` may lie before the end of what storage
holds: then the next write replaces that tail. Invariants:
* `entries[i].index == offset + i`; `offset <= offset_in_progress <= offset + len(entries)`.
* the last index of the whole log is `offset + len(entries) - 1`, always.
* a snapshot, if there is one, has index < offset and precedes the entries.

It does not know what is committed, and never talks to storage.
"""

from __future__ import annotations

from petcd.raft.errors import broken
from petcd.raft.logger import INFO, Logger
from petcd.raft.types import Entry, Snapshot


class Unstable:
    """Entries and a snapshot waiting for storage."""

    __slots__ = (
        "entries",
        "logger",
        "offset",
        "offset_in_progress",
        "snapshot",
        "snapshot_in_progress",
    )

    def __init__(self, offset: int, logger: Logger) -> None:
        self.snapshot: Snapshot | None = None
        self.snapshot_in_progress = False
        self.entries: list[Entry] = []
        self.offset = offset
        self.offset_in_progress = offset
        self.logger = logger

    def maybe_term(self, index: int) -> int:
        """The term of the entry or snapshot at `index`, -1 if it is not here."""
        at = index - self.offset
        if at >= 0:
            return self.entries[at].term if at < len(self.entries) else -1
        snapshot = self.snapshot
        if snapshot is not None and snapshot.metadata.index == index:
            return snapshot.metadata.term
        return -1

    def has_next_entries(self) -> bool:
        """Are there entries that were not handed out for writing?"""
        return len(self.entries) > self.offset_in_progress - self.offset

    def next_entries(self) -> list[Entry]:
        """The entries that were not handed out for writing yet (a list of the caller's own)."""
        return self.entries[self.offset_in_progress - self.offset :]

    def next_snapshot(self) -> Snapshot | None:
        """The snapshot, unless it was handed out for writing already."""
        return None if self.snapshot_in_progress else self.snapshot

    def accept_in_progress(self) -> None:
        """Everything here was handed out for writing."""
        self.offset_in_progress = self.offset + len(self.entries)
        if self.snapshot is not None:
            self.snapshot_in_progress = True

    def stable_to(self, index: int, term: int) -> None:
        """Entries up to (index, term) are on stable storage and no write under way replaces them.

        Ignored when the entry there is another one by now: it was replaced after the write began.
        """
        known = self.maybe_term(index)
        if known < 0 or index < self.offset or known != term:
            if self.logger.level <= INFO:
                self.logger.info(self._why_not_stable(index, term, known))
            return
        count = index + 1 - self.offset
        if count == len(self.entries):
            self.entries = []
        else:
            del self.entries[:count]
        self.offset = index + 1
        if self.offset_in_progress < self.offset:
            self.offset_in_progress = self.offset

    def _why_not_stable(self, index: int, term: int, known: int) -> str:
        if known < 0:
            return f"entry at index {index} missing from unstable log; ignoring"
        if index < self.offset:
            return f"entry at index {index} matched unstable snapshot; ignoring"
        return (
            f"entry at (index,term)=({index},{term}) mismatched with "
            f"entry at ({index},{known}) in unstable log; ignoring"
        )

    def stable_snapshot_to(self, index: int) -> None:
        """The snapshot at `index` is on stable storage; another one is left alone."""
        if self.snapshot is not None and self.snapshot.metadata.index == index:
            self.snapshot = None
            self.snapshot_in_progress = False

    def restore(self, snapshot: Snapshot) -> None:
        """Replace the whole log by a snapshot."""
        self.offset = snapshot.metadata.index + 1
        self.offset_in_progress = self.offset
        self.entries = []
        self.snapshot = snapshot
        self.snapshot_in_progress = False

    def truncate_and_append(self, entries: list[Entry]) -> None:
        """Append `entries` (never empty); what the log held from the first of them on is gone."""
        first = entries[0].index
        keep = first - self.offset
        if keep == len(self.entries):
            self.entries += entries
        elif keep <= 0:
            if self.logger.level <= INFO:
                self.logger.info(f"replace the unstable entries from index {first}")
            self.entries = list(entries)
            self.offset = first
            self.offset_in_progress = first
        else:
            if self.logger.level <= INFO:
                self.logger.info(f"truncate the unstable entries before index {first}")
            if keep > len(self.entries):
                broken(f"unstable.slice[{self.offset},{first}) out of bound")
            del self.entries[keep:]
            self.entries += entries
            if self.offset_in_progress > first:
                self.offset_in_progress = first

    def slice(self, lo: int, hi: int) -> list[Entry]:
        """Entries lo to hi - 1, all of which must be here."""
        offset = self.offset
        if lo < offset or lo > hi or hi > offset + len(self.entries):
            broken(
                f"unstable.slice[{lo},{hi}) out of bound [{offset},{offset + len(self.entries)}]"
            )
        return self.entries[lo - offset : hi - offset]
