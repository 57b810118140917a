"""Long work of one member: compaction in slices; beside the loop what reads or copies it all.

A slice of compaction only reads the backend and fills its buffer, so a full disk does not stop it;
what fails there is a database that cannot be read, or our own mistake, and rows that the index
knows no more would stay behind. It ends the process, as a failed commit does; the next start finds
by the marks that a compaction is not finished, and goes on with it.
"""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import google_crc32c

from petcd.api.host import Export, Finish
from petcd.member import Member
from petcd.member.errors import TooManyRequests
from petcd.server.committer import Committer
from petcd.server.long_jobs import LongJobs
from petcd.server.surroundings import Surroundings
from petcd.storage.backend import BUCKETS, Backend, View
from petcd.storage.errors import BackendBusy
from petcd.storage.snapshot_store import SnapshotStore

# Between two slices of compaction the loop serves others at least this long.
COMPACTION_PAUSE_S = 0.001
# How long to wait before asking again when the backend is in use.
BUSY_RETRY_S = 0.01
# Each takes the disk space of a whole database until its client has it. etcd has no bound.
EXPORTS_MAX = 16


class Operations:
    """What runs for longer than a turn. All methods belong to the loop thread."""

    def __init__(
        self,
        surroundings: Surroundings,
        member: Member,
        backend: Backend,
        committer: Committer[Any],
        jobs: LongJobs,
        snapshots: SnapshotStore,
        die: Callable[[BaseException], None],
    ) -> None:
        # Who wants to know how long things take.
        self.defrag_durations_s: Callable[[float], None] = _ignore
        self.export_durations_s: Callable[[float], None] = _ignore
        self.hash_durations_s: Callable[[float], None] = _ignore
        self.compaction_pauses_ms: Callable[[float], None] = _ignore
        self.compaction_durations_ms: Callable[[float], None] = _ignore
        self.compacted_unix_s = 0  # when the last compaction ended; 0: none since the start
        self._compaction_started_s = 0.0
        self._wall_ns = surroundings.wall_ns
        self._loop = surroundings.loop
        self._stopwatch_s = surroundings.stopwatch_s
        self._store = member.store
        self._v2 = member.applier.v2
        self._backend = backend
        self._committer = committer
        self._jobs = jobs
        self._snapshots = snapshots
        self._die = die
        self._worker = surroundings.backend_worker
        self._compaction_runs = False
        self._defragmenting = False
        self._exports = 0  # files that clients are being sent; 0 <= exports <= EXPORTS_MAX
        self._compacted_waiters: list[tuple[int, Callable[[], None]]] = []

    @property
    def is_defragmenting(self) -> bool:
        """Whether a defragmentation is under way."""
        return self._defragmenting

    def in_use_bytes(self) -> int:
        """Bytes in use in the backend, pending writes included."""
        return self._backend.size_in_use()

    def file_bytes(self) -> int:
        """Size of the backend's file."""
        return self._backend.size()

    # -- compaction ---------------------------------------------------------------------------

    def maybe_compact(self) -> None:
        """Start removing rows when an applied compaction left some."""
        if not self._compaction_runs and self._store.compacting:
            self._compaction_runs = True
            self._compaction_started_s = self._stopwatch_s()
            self._loop.call_soon(self._compaction_slice)

    def when_compacted(self, revision: int, done: Callable[[], None]) -> None:
        """See `petcd.api.host.Host`."""
        self._compacted_waiters.append((revision, done))
        self.maybe_compact()
        if not self._compaction_runs:
            self._tell_compacted()

    def _compaction_slice(self) -> None:
        started_s = self._stopwatch_s()
        try:
            is_unfinished = self._store.compact_step() or self._v2.trim_step()
        except Exception as error:
            self._die(error)
            return
        now_s = self._stopwatch_s()
        self.compaction_pauses_ms(1000 * (now_s - started_s))
        if is_unfinished:
            self._committer.maybe_commit()
            self._loop.call_later(COMPACTION_PAUSE_S, self._compaction_slice)
        else:
            self._compaction_runs = False
            self.compaction_durations_ms(1000 * (now_s - self._compaction_started_s))
            self.compacted_unix_s = self._wall_ns() // 10**9
            self._tell_compacted()

    def _tell_compacted(self) -> None:
        finished = self._store.finished_compact_revision
        due = [done for revision, done in self._compacted_waiters if revision <= finished]
        self._compacted_waiters = [w for w in self._compacted_waiters if w[0] > finished]
        for done in due:
            self._committer.when_synced(done)

    # -- defragmentation ----------------------------------------------------------------------

    def defragment(self, finish: Finish, context: Any) -> None:
        """Copy the pages in use to a new file while serving goes on, then swap the files."""
        if self._defragmenting:
            self._loop.call_later(BUSY_RETRY_S, self.defragment, finish, context)
            return
        self._defragmenting = True
        started_s = self._stopwatch_s()

        def end(outcome: object) -> None:
            self._defragmenting = False
            self._committer.resume()
            self.defrag_durations_s(self._stopwatch_s() - started_s)
            finish(context, outcome)

        def copied(future: "Future[None]") -> None:
            error = future.exception()
            if error is not None:
                self._backend.cancel_defragment()
                end(error)
                return
            swap()

        def swap() -> None:
            try:
                self._backend.end_defragment()
            except BackendBusy:
                self._loop.call_later(BUSY_RETRY_S, swap)
            except Exception as error:  # there is no database any more
                self._die(error)
            else:
                end(None)

        def copy() -> None:
            self._backend.begin_defragment()
            future = self._worker.submit(self._backend.write_defragment)
            future.add_done_callback(lambda done: self._loop.call_soon_threadsafe(copied, done))

        self._committer.when_synced(lambda: self._committer.hold(copy))

    # -- hash of everything -------------------------------------------------------------------

    def hash_all(self, finish: Finish, context: Any) -> None:
        """See `petcd.api.host.Host`."""

        started_s = self._stopwatch_s()

        def hashed(outcome: object, revision: int) -> None:
            self.hash_durations_s(self._stopwatch_s() - started_s)
            finish(context, outcome if isinstance(outcome, Exception) else (outcome, revision))

        self._with_view(_hash_view, hashed)

    # -- snapshot for a client ----------------------------------------------------------------

    def export(self, finish: Finish, context: Any) -> None:
        """See `petcd.api.host.LongWork`."""
        if self._exports == EXPORTS_MAX:
            finish(context, TooManyRequests())
            return
        self._exports += 1
        started_s = self._stopwatch_s()

        def made(outcome: object, revision: int) -> None:
            self.export_durations_s(self._stopwatch_s() - started_s)
            self._exports -= isinstance(outcome, Exception)
            finish(context, outcome)

        self._with_view(self._snapshots.export, made)

    def end_export(self, export: Export) -> None:
        """See `petcd.api.host.LongWork`. To give hundreds of megabytes back takes a while."""
        self._exports -= 1
        self._jobs.clean_up(export.close)

    def _with_view(
        self, work: Callable[[View], object], finish: Callable[[object, int], None]
    ) -> None:
        """Do work in a worker on a view of everything applied until now, or of later.

        `finish` gets its result or the error, and the store's revision as of when it began.
        """
        view: View
        revision = 0

        def prepare() -> Callable[[], object]:
            nonlocal view, revision
            view, revision = self._backend.snapshot_view(), self._store.revision
            return partial(work, view)

        def done(future: "Future[object]") -> None:
            view.close()
            error = future.exception()
            finish(error if error is not None else future.result(), revision)

        self._committer.when_synced(lambda: self._jobs.run(prepare, done))


def _ignore(duration: float) -> None:
    """Nobody wants to know."""


def _hash_view(view: View) -> int:
    """CRC-32C over the names, keys and values of all buckets, buckets by name."""
    crc = 0
    for bucket in sorted(BUCKETS):
        crc = google_crc32c.extend(crc, bucket)
        for rows in view.scan_chunks(bucket, b"", None):
            crc = google_crc32c.extend(crc, b"".join([part for row in rows for part in row]))
    return crc
