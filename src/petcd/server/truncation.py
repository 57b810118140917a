"""Cutting the log: entries that the backend certainly holds are no longer needed for a restart.

    applied - last cut >= --snapshot-count
        -> commit the backend and wait until it is synced (index X)
        -> snapshot record X in the log, synced
        -> note X in the backend, release segments before the cut before this one, keep some
           entries in memory for slow followers (all of them while one gets a snapshot and
           catches up), purge segments over --max-wals

The order is what makes it safe: a segment goes only when the backend on disk holds its entries and
the note of a later start. The note of X is synced by the commit of the next cut at the latest.
"""

from collections.abc import Callable
from typing import Any, Protocol

from petcd.member import Member
from petcd.member.apply import V2
from petcd.member.meta import MetaBackend, load_conf_state, save_log_start
from petcd.raft.storage import MemoryStorage
from petcd.raft.types import ConfState, EntryType
from petcd.server.committer import Committer
from petcd.wire.codec import DecodeError
from petcd.wire.hot import parse_internal


class CuttableLog(Protocol):
    """The write-ahead log as truncation uses it."""

    def save_snapshot(self, index: int, term: int, conf_state: ConfState | None) -> None: ...

    def release_to(self, index: int) -> None: ...

    def purge(self, segments_max: int) -> list[str]: ...


class Truncation:
    """Decides when to cut and carries it out between two turns."""

    def __init__(
        self,
        member: Member,
        log: CuttableLog,
        backend: MetaBackend,
        committer: Committer[Any],
        last_cut: int,
        entries_between: int,
        entries_kept: int,
        segments_max: int,
        save_hard_state: Callable[[], None],
        is_wanted: Callable[[int], bool],
        stopwatch_s: Callable[[], float],
    ) -> None:
        """`is_wanted`: whether entries up to an index are to stay in memory for somebody."""
        # Told how long a cut took, and its record in the log, synced, of that.
        self.durations_s: Callable[[float], None] = lambda duration_s: None
        self.sync_durations_s: Callable[[float], None] = lambda duration_s: None
        self._stopwatch_s = stopwatch_s
        self._member = member
        self._log = log
        self._backend = backend
        self._committer = committer
        self._last_cut = last_cut
        self._entries_between = max(1, entries_between)
        self._entries_kept = entries_kept
        self._segments_max = segments_max
        self._save_hard_state = save_hard_state
        self._is_wanted = is_wanted
        self._waiting = False
        self._cut_at = 0
        self._seen_changes = -1
        self._v2_until = 0

    def maybe_start(self) -> None:
        """Ask for a synced backend when enough entries were applied since the last cut."""
        if self._waiting:
            return
        gathered = self._member.applied_index - self._last_cut
        if gathered >= self._entries_between or self._may_etcd_join():
            self._waiting = True
            self._committer.when_synced(self._synced)

    def _may_etcd_join(self) -> bool:
        """Whether a member of etcd may join and the log holds what it does not understand.

        It is to get what v2 wrote with a snapshot: the entries themselves change nothing there.
        """
        membership = self._member.membership
        if membership.is_all_petcd or membership.changes == self._seen_changes:
            return False
        self._seen_changes = membership.changes
        self._v2_until = last_v2_entry(self._member.log, self._member.applied_index)
        return self._v2_until > 0

    def _synced(self) -> None:
        self._cut_at = self._committer.synced_index

    def maybe_finish(self) -> None:
        """Write the snapshot record. Only when no write of the log is under way.

        Raises StorageFailed.
        """
        if not self._cut_at:
            return
        index, self._cut_at, self._waiting = self._cut_at, 0, False
        raft_log = self._member.log
        if index <= self._last_cut or index < raft_log.first_index():
            return
        term = raft_log.term(index)
        # The configuration changes only with an applied entry, and the backend's record of it is
        # never behind the index that is cut at.
        conf_state = load_conf_state(self._backend)
        started_s = self._stopwatch_s()
        # Readers of the log believe a snapshot record only up to the commit index they find there.
        self._save_hard_state()
        syncing_s = self._stopwatch_s()
        self._log.save_snapshot(index, term, conf_state)
        self.sync_durations_s(self._stopwatch_s() - syncing_s)
        save_log_start(self._backend, index, term)
        before, self._last_cut = self._last_cut, index
        raft_log.create_snapshot(index, conf_state, b"")
        keep_from = max(index - self._entries_kept, self._v2_until)
        if keep_from >= raft_log.first_index() and not self._is_wanted(keep_from):
            raft_log.compact(keep_from)
        # That the log starts at `index` is only noted so far; the note of `before` is synced.
        self._log.release_to(before)
        if self._segments_max:
            self._log.purge(self._segments_max)
        self.durations_s(self._stopwatch_s() - started_s)

    def installed(self, index: int) -> None:
        """A snapshot took the place of log and backend, durably: nothing before it is needed."""
        self._last_cut = index
        self._log.release_to(index)


def last_v2_entry(log: MemoryStorage, applied_index: int) -> int:
    """Index of the last request of a v2 client up to there; 0 when the log holds none."""
    first = log.first_index()
    if applied_index < first:
        return 0
    for entry in reversed(log.entries(first, applied_index + 1)):
        if entry.type == EntryType.NORMAL and entry.data and is_v2(entry.data):
            return entry.index
    return 0


def is_v2(data: bytes) -> bool:
    """Whether an entry is a request of a v2 client, as petcd puts them into the log."""
    try:
        return parse_internal(data)[1] == V2
    except DecodeError:
        return False
