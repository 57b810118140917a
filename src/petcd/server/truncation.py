"""Cutting the log: entries that the backend certainly holds are no longer needed for a restart.

    applied - last cut >= --snapshot-count
        -> commit the backend and wait until it is synced (index X)
        -> snapshot record X in the log, synced
        -> note X in the backend, release segments before the cut before this one, keep some
           entries in memory for slow followers (all of them while a snapshot is on its way to
           one), purge segments over --max-wals

The order is what makes it safe: a segment goes only when the backend on disk holds its entries and
the note of a later start. The note of X is synced by the commit of the next cut at the latest.
"""

from collections.abc import Callable
from typing import Any, Protocol

from petcd.member import Member
from petcd.member.meta import MetaBackend, load_conf_state, save_log_start
from petcd.raft.types import ConfState
from petcd.server.committer import Committer


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
        snapshot_in_flight: Callable[[], bool],
    ) -> None:
        self._member = member
        self._log = log
        self._backend = backend
        self._committer = committer
        self._last_cut = last_cut
        self._entries_between = max(1, entries_between)
        self._entries_kept = entries_kept
        self._segments_max = segments_max
        self._save_hard_state = save_hard_state
        self._snapshot_in_flight = snapshot_in_flight
        self._waiting = False
        self._cut_at = 0

    def maybe_start(self) -> None:
        """Ask for a synced backend when enough entries were applied since the last cut."""
        applied = self._member.applied_index
        if self._waiting or applied - self._last_cut < self._entries_between:
            return
        self._waiting = True
        self._committer.when_synced(self._synced)

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
        # Readers of the log believe a snapshot record only up to the commit index they find there.
        self._save_hard_state()
        self._log.save_snapshot(index, term, conf_state)
        save_log_start(self._backend, index, term)
        before, self._last_cut = self._last_cut, index
        raft_log.create_snapshot(index, conf_state, b"")
        keep_from = index - self._entries_kept
        if keep_from >= raft_log.first_index() and not self._snapshot_in_flight():
            raft_log.compact(keep_from)
        # That the log starts at `index` is only noted so far; the note of `before` is synced.
        self._log.release_to(before)
        if self._segments_max:
            self._log.purge(self._segments_max)

    def installed(self, index: int) -> None:
        """A snapshot took the place of log and backend, durably: nothing before it is needed."""
        self._last_cut = index
        self._log.release_to(index)
