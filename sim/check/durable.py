"""What the disks of all members certainly hold of the raft logs, for `invariants`.

    log.save(...)  ->  Durable.saved      from now on it may be there, and may be lost
    log.sync()     ->  Durable.synced     from now on it must survive everything

    Wal.open()     ->  Durable.resumed    what a new run has found, which is on the disk as well

`RecordingWal` is the production log and tells its `Durable` so. A member's `Durable` outlives its
runs; a disk that is replaced on purpose gets a new one.
"""

from __future__ import annotations

from itertools import takewhile

from petcd.raft.types import ConfState, Entry, HardState
from petcd.storage.wal import Wal
from petcd.storage.wal_reader import Replay


class Durable:
    """Term, vote and the terms of the entries that one disk holds for certain.

    `terms[i]` is the term of the entry `base + 1 + i`; up to `base` a snapshot stands in.
    """

    __slots__ = ("_pending", "base", "base_term", "forgotten", "term", "terms", "vote")

    def __init__(self) -> None:
        self.forgotten = ""
        """What was synced and not found again, for people."""
        self.term = 0
        self.vote = 0
        self.base = 0
        self.base_term = 0
        self.terms: list[int] = []
        self._pending: list[tuple[HardState | None, list[Entry]]] = []

    def saved(self, hard_state: HardState | None, entries: list[Entry]) -> None:
        """A batch is being written; if the process dies in that, all of it may be there."""
        self._pending.append((hard_state, entries))

    def synced(self) -> None:
        """All that was written is on the disk."""
        for hard_state, entries in self._pending:
            if hard_state is not None and not hard_state.is_empty():
                self.term, self.vote = hard_state.term, hard_state.vote
            if entries:
                self._append(entries)
        self._pending.clear()

    def resumed(self, start: tuple[int, int], replay: Replay) -> None:
        """A new run has opened the log at a snapshot record (index, term)."""
        self._take_what_survived(replay.entries)
        self._compare(start, replay)
        hard = replay.hard_state
        self.term, self.vote = hard.term, hard.vote
        if start[0] > self.last_index or start[0] < self.base:
            self.base, self.base_term = start
            self.terms = []
        del self.terms[start[0] - self.base :]
        self.terms += [entry.term for entry in replay.entries]

    def _take_what_survived(self, found: list[Entry]) -> None:
        """Of a write that was not synced the first entries may be there, and no others behind."""
        terms = {entry.index: entry.term for entry in found}
        for _, entries in self._pending:
            kept = list(takewhile(lambda entry: terms.get(entry.index) == entry.term, entries))
            if kept:
                self._append(kept)
        self._pending.clear()

    def _compare(self, start: tuple[int, int], replay: Replay) -> None:
        hard, entries = replay.hard_state, replay.entries
        if hard.term < self.term:
            self.forgotten = f"term {self.term}, found {hard.term}"
        elif hard.term == self.term and self.vote not in (0, hard.vote):
            self.forgotten = f"a vote for {self.vote:x} in {self.term}, found {hard.vote:x}"
        last = self.last_index
        if last > start[0]:
            found = entries[last - start[0] - 1].term if last <= start[0] + len(entries) else 0
            if found != self.term_at(last):
                self.forgotten = f"entry {last} of term {self.term_at(last)}, found {found}"

    def snapshot(self, index: int, term: int) -> None:
        """A snapshot record is on the disk; behind our entries it takes their place."""
        self.synced()
        if index > self.last_index:
            self.base, self.base_term = index, term
            self.terms = []

    def _append(self, entries: list[Entry]) -> None:
        first = entries[0].index
        if first <= self.base:
            entries = [entry for entry in entries if entry.index > self.base]
            first = self.base + 1
        keep = first - self.base - 1
        assert keep <= len(self.terms), f"entry {first} behind {self.last_index}"
        del self.terms[keep:]
        self.terms += [entry.term for entry in entries]

    @property
    def last_index(self) -> int:
        """Index of the last entry, or of the snapshot."""
        return self.base + len(self.terms)

    def holds(self, index: int, term: int) -> bool:
        """Whether the entry (index, term) is on the disk, or something that stands in for it."""
        if index <= self.base:
            return True
        place = index - self.base - 1
        return place < len(self.terms) and self.terms[place] == term

    def term_at(self, index: int) -> int:
        """The term of an entry that is here; 0 if a snapshot stands in for it."""
        return self.terms[index - self.base - 1] if index > self.base else 0


class RecordingWal:
    """The log, and a record of what of it is on the disk; see `petcd.server.opening.Log`.

    It wraps the production log, since a compiled one has no subclasses.
    """

    def __init__(self, wal: Wal, record: Durable) -> None:
        self.record = record
        self.prepare = wal.prepare
        self.release_to = wal.release_to
        self.purge = wal.purge
        self.close = wal.close
        self._wal = wal

    def save(self, hard_state: HardState | None, entries: list[Entry]) -> None:
        """See `Wal`."""
        if self._wal.owes_sync:
            self.sync()
        self.record.saved(hard_state, entries)
        self._wal.save(hard_state, entries)

    def sync(self) -> None:
        """See `Wal`."""
        self._wal.sync()
        self.record.synced()

    def save_snapshot(self, index: int, term: int, conf_state: ConfState | None) -> None:
        """See `Wal`."""
        self._wal.save_snapshot(index, term, conf_state)
        self.record.snapshot(index, term)
