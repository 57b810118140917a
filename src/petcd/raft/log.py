"""The replicated log as raft sees it: stable storage and the unstable end as one sequence.

    first_index ............................................... last_index
        applied <= applying <= committed <= last_index
        [ ---------- storage ---------- ][ -------- unstable -------- ]

* committed: known to be on a quorum. It never falls.
* applying: handed to the application; applied: reported back by it.
* a term lookup may also ask for first_index - 1, the position a snapshot replaced.

The bytes handed out for applying but not yet reported back are limited (`max_applying_size`); at
the limit, no further entries are handed out. Only the log decides what matches and what conflicts;
who may append, and what counts as committed, is decided above it.

Source: Raft section 5.3; dissertation section 3.5 and 10.2.1.
"""

from __future__ import annotations

from petcd.raft.errors import Compacted, Unavailable, broken
from petcd.raft.kinds import NO_LIMIT, EntryType
from petcd.raft.logger import INFO, Logger
from petcd.raft.sizes import entries_size, limit_size
from petcd.raft.storage import Storage
from petcd.raft.types import Entry, Snapshot
from petcd.raft.unstable import Unstable


class RaftLog:
    """See the module."""

    __slots__ = (
        "applied",
        "applying",
        "applying_paused",
        "applying_size",
        "committed",
        "logger",
        "max_applying_size",
        "storage",
        "unstable",
    )

    def __init__(self, storage: Storage, logger: Logger, max_applying_size: int = NO_LIMIT) -> None:
        first = storage.first_index()
        self.storage = storage
        self.logger = logger
        self.unstable = Unstable(storage.last_index() + 1, logger)
        self.max_applying_size = max_applying_size
        self.applying_size = 0
        self.applying_paused = False
        self.committed = first - 1
        self.applying = first - 1
        self.applied = first - 1

    def __str__(self) -> str:
        unstable = self.unstable
        return (
            f"committed={self.committed}, applied={self.applied}, applying={self.applying}, "
            f"unstable.offset={unstable.offset}, "
            f"unstable.offsetInProgress={unstable.offset_in_progress}, "
            f"len(unstable.Entries)={len(unstable.entries)}"
        )

    # ---- reading ----

    def first_index(self) -> int:
        """Index of the first entry still held."""
        snapshot = self.unstable.snapshot
        if snapshot is not None:
            return snapshot.metadata.index + 1
        return self.storage.first_index()

    def last_index(self) -> int:
        """Index of the last entry (or of the snapshot, if nothing follows it)."""
        unstable = self.unstable
        return unstable.offset + len(unstable.entries) - 1

    def last_term(self) -> int:
        """Term of the last entry."""
        return self.term(self.last_index())

    def term(self, index: int) -> int:
        """Term of the entry at `index`; raises `Compacted` or `Unavailable`."""
        unstable = self.unstable
        term = unstable.maybe_term(index)
        if term >= 0:
            return term
        if index >= unstable.offset:
            raise Unavailable
        if index + 1 < self.first_index():
            raise Compacted
        return self.storage.term(index)

    def maybe_term(self, index: int) -> int:
        """Term of the entry at `index`, or -1 if the log does not hold it."""
        try:
            return self.term(index)
        except (Compacted, Unavailable):
            return -1

    def term_or_zero(self, index: int) -> int:
        """Term of the entry at `index`, or 0 if the log does not hold it (for log lines)."""
        return max(self.maybe_term(index), 0)

    def match_term(self, index: int, term: int) -> bool:
        """Does the log hold an entry (index, term)?"""
        return self.maybe_term(index) == term

    def is_up_to_date(self, index: int, term: int) -> bool:
        """Is a log that ends with (index, term) at least as up to date as ours? (Raft 5.4.1)"""
        last_term = self.last_term()
        return term > last_term or (term == last_term and index >= self.last_index())

    def entries(self, lo: int, max_size: int) -> list[Entry]:
        """Entries from lo to the end, at most `max_size` bytes; raises `Compacted`."""
        last = self.last_index()
        return self.slice(lo, last + 1, max_size) if lo <= last else []

    def all_entries(self) -> list[Entry]:
        """Every entry the log holds."""
        return self.entries(self.first_index(), NO_LIMIT)

    def slice(self, lo: int, hi: int, max_size: int) -> list[Entry]:
        """Entries lo to hi - 1, at most `max_size` bytes but at least one; raises `Compacted`."""
        unstable = self.unstable
        if lo > hi:
            broken(f"invalid slice {lo} > {hi}")
        if hi > unstable.offset + len(unstable.entries):
            broken(f"slice[{lo},{hi}) out of bound [{self.first_index()},{self.last_index()}]")
        if lo >= unstable.offset:
            return limit_size(unstable.slice(lo, hi), max_size)
        if lo < self.first_index():
            raise Compacted
        if lo == hi:
            return []
        cut = min(hi, unstable.offset)
        entries = self.storage.entries(lo, cut, max_size)
        if hi <= cut or len(entries) < cut - lo:
            return entries
        return self._extend(entries, hi, max_size)

    def _extend(self, entries: list[Entry], hi: int, max_size: int) -> list[Entry]:
        """Stable `entries` reach up to the unstable ones: add as many as the limit allows."""
        unstable = self.unstable.slice(self.unstable.offset, hi)
        if max_size >= NO_LIMIT:
            return entries + unstable
        size = entries_size(entries)
        if size >= max_size:
            return entries
        more = limit_size(unstable, max_size - size)
        if len(more) == 1 and size + entries_size(more) > max_size:
            return entries
        return entries + more

    def has_conf_change(self, lo: int, hi: int) -> bool:
        """Is there a configuration change among entries lo to hi - 1? Reads page by page."""
        while lo < hi:
            page = self.slice(lo, hi, self.max_applying_size)
            if not page:
                broken(f"got 0 entries in [{lo}, {hi})")
            for entry in page:
                if entry.type != EntryType.NORMAL:
                    return True
            lo += len(page)
        return False

    def snapshot(self) -> Snapshot:
        """The latest snapshot; raises `SnapshotTemporarilyUnavailable`."""
        snapshot = self.unstable.snapshot
        return self.storage.snapshot() if snapshot is None else snapshot

    # ---- appending ----

    def append(self, entries: list[Entry]) -> int:
        """Append, replacing what follows the first new index; returns the last index."""
        if entries:
            if entries[0].index <= self.committed:
                broken(
                    f"after({entries[0].index - 1}) is out of range [committed({self.committed})]"
                )
            self.unstable.truncate_and_append(entries)
        return self.last_index()

    def maybe_append(self, index: int, term: int, entries: list[Entry], committed: int) -> int:
        """Append what a leader sent behind (index, term), and learn its commit index.

        Returns the last index that now equals the leader's log, or -1 if ours does not hold
        (index, term). Entries we hold already are left alone, so a delayed message never cuts
        the log short.
        """
        if not self.match_term(index, term):
            return -1
        last_new = index + len(entries)
        conflict = self._find_conflict(entries)
        if conflict:
            if conflict <= self.committed:
                broken(
                    f"entry {conflict} conflict with committed entry [committed({self.committed})]"
                )
            self.append(entries[conflict - index - 1 :] if conflict > index + 1 else entries)
        self.commit_to(min(committed, last_new))
        return last_new

    def _find_conflict(self, entries: list[Entry]) -> int:
        """Index of the first of `entries` that we lack or hold with another term; 0 if none."""
        last = self.last_index()
        for entry in entries:
            if entry.index > last:
                return entry.index
            if not self.match_term(entry.index, entry.term):
                if self.logger.level <= INFO:
                    self.logger.info(
                        f"found conflict at index {entry.index} [existing term: "
                        f"{self.term_or_zero(entry.index)}, conflicting term: {entry.term}]"
                    )
                return entry.index
        return 0

    def find_conflict_by_term(self, index: int, term: int) -> tuple[int, int]:
        """The largest (index', term') of our log with index' <= index and term' <= term.

        A best guess where another log, known only by its entry (index, term), agrees with ours.
        term' is 0 where our term is not known; that index then counts as a possible match.
        """
        while index > 0:
            ours = self.maybe_term(index)
            if ours < 0:
                return index, 0
            if ours <= term:
                return index, ours
            index -= 1
        return 0, 0

    def restore(self, snapshot: Snapshot) -> None:
        """Replace the log by a snapshot."""
        if self.logger.level <= INFO:
            meta = snapshot.metadata
            self.logger.info(
                f"log [{self}] starts to restore snapshot [index: {meta.index}, term: {meta.term}]"
            )
        self.committed = snapshot.metadata.index
        self.unstable.restore(snapshot)

    # ---- committing and applying ----

    def commit_to(self, index: int) -> None:
        """The log is committed up to `index` at least."""
        if self.committed < index:
            if self.last_index() < index:
                broken(
                    f"tocommit({index}) is out of range [lastIndex({self.last_index()})]. "
                    "Was the raft log corrupted, truncated, or lost?"
                )
            self.committed = index

    def maybe_commit(self, index: int, term: int) -> bool:
        """Commit up to `index` if that is news and the entry there is of `term` (Raft 5.4.2)."""
        if index > self.committed and term != 0 and self.match_term(index, term):
            self.commit_to(index)
            return True
        return False

    def max_appliable_index(self, allow_unstable: bool) -> int:
        """The last committed index that may be handed out for applying."""
        if allow_unstable or self.committed < self.unstable.offset:
            return self.committed
        return self.unstable.offset - 1

    def has_next_committed(self, allow_unstable: bool) -> bool:
        """Are there entries to apply? Never beside a snapshot: that must be applied first."""
        return (
            self.committed > self.applying
            and not self.applying_paused
            and self.unstable.snapshot is None
            and self.max_appliable_index(allow_unstable) > self.applying
        )

    def next_committed(self, allow_unstable: bool) -> list[Entry]:
        """The entries to apply next, within the size limit."""
        if not self.has_next_committed(allow_unstable):
            return []
        room = self.max_applying_size
        if room < NO_LIMIT:
            room -= self.applying_size
            if room <= 0:
                broken(
                    f"applying entry size ({self.max_applying_size}-{self.applying_size})="
                    f"{room} not positive"
                )
        return self.slice(self.applying + 1, self.max_appliable_index(allow_unstable) + 1, room)

    def accept_applying(self, index: int, size: int, allow_unstable: bool) -> None:
        """Entries up to `index`, `size` bytes of them, were handed out for applying.

        Handing out pauses at the size limit, or if the limit has cut this batch short.
        """
        if self.committed < index:
            broken(
                f"applying({index}) is out of range "
                f"[prevApplying({self.applying}), committed({self.committed})]"
            )
        self.applying = index
        self.applying_size += size
        self.applying_paused = (
            self.applying_size >= self.max_applying_size
            or index < self.max_appliable_index(allow_unstable)
        )

    def applied_to(self, index: int, size: int) -> None:
        """The application has applied everything up to `index`, `size` bytes of it just now."""
        if self.committed < index or index < self.applied:
            broken(
                f"applied({index}) is out of range "
                f"[prevApplied({self.applied}), committed({self.committed})]"
            )
        self.applied = index
        if self.applying < index:
            self.applying = index
        self.applying_size = self.applying_size - size if self.applying_size > size else 0
        self.applying_paused = self.applying_size >= self.max_applying_size

    def applying_bytes(self, entries: list[Entry]) -> int:
        """What `entries` count against the limit (0 when there is none)."""
        return 0 if self.max_applying_size >= NO_LIMIT else entries_size(entries)
