"""Backend commits off the request path.

Writes wait in the backend's buffer, where reads see them. Every 100 ms, or after 10,000 of them,
the buffer becomes one LMDB transaction, written and synced by a worker thread. The log is durable
already, so nothing is lost if the process dies first: the entries are applied again.

Law: `synced_index` is the applied index that the disk certainly holds; log segments may only be
released up to there. One commit runs at a time.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar

from petcd.server.surroundings import Surroundings

BatchT = TypeVar("BatchT")


class CommittingBackend(Protocol[BatchT]):
    """What a commit needs of the backend. `write_commit` runs in a worker thread."""

    @property
    def pending(self) -> int: ...

    def begin_commit(self) -> BatchT | None: ...

    def write_commit(self, batch: BatchT) -> None: ...

    def end_commit(self, batch: BatchT) -> None: ...


class Committer(Generic[BatchT]):
    """Decides when to commit and carries it out. Used from the loop thread only."""

    def __init__(
        self,
        surroundings: Surroundings,
        backend: CommittingBackend[BatchT],
        applied_index: Callable[[], int],
        on_failure: Callable[[BaseException], None],
        interval_s: float,
        operations_max: int,
    ) -> None:
        self.synced_index = applied_index()
        self.durations_s: Callable[[float], None] = lambda duration_s: None
        self._loop = loop = surroundings.loop
        self._stopwatch_s = surroundings.stopwatch_s
        self._worker = surroundings.backend_worker
        self._backend = backend
        self._applied_index = applied_index
        self._on_failure = on_failure
        self._interval_s = interval_s
        self._operations_max = operations_max
        self._running = False
        self._held = False
        self._holding: deque[Callable[[], None]] = deque()
        self._last_s = loop.time()
        self._waiting: list[tuple[int, Callable[[], None]]] = []

    def maybe_commit(self) -> None:
        """Commit when enough operations or enough time have gathered."""
        pending = self._backend.pending
        if not pending or self._running or self._held:
            return
        if pending >= self._operations_max or self._loop.time() - self._last_s >= self._interval_s:
            self._start()

    def when_synced(self, done: Callable[[], None]) -> None:
        """Call back once everything applied until now is on disk."""
        index = self._applied_index()
        if not self._backend.pending and not self._running:
            done()
            return
        self._waiting.append((index, done))
        if not self._running and not self._held:
            self._start()

    def hold(self, idle: Callable[[], None]) -> None:
        """Start no further commit and call back when none runs; `resume` ends it.

        One holds at a time: who comes meanwhile is called after the `resume` of those before.
        """
        if self._held:
            self._holding.append(idle)
            return
        self._held = True
        if self._running:
            self._waiting.append((-1, idle))
        else:
            idle()

    def resume(self) -> None:
        """Commits go on, unless somebody else waited to hold them."""
        self._held = False
        if self._holding:
            self.hold(self._holding.popleft())
            return
        if self._waiting and not self._running:
            self._start()

    def installed(self, index: int) -> None:
        """The backend was replaced by one that holds everything up to `index` on the disk.

        Commits are held, and none runs.
        """
        assert self._held and not self._running, (self._held, self._running)
        self._finish(index)

    def commit_now(self) -> None:
        """Commit on this thread, for a clean stop. No commit may be running."""
        assert not self._running
        batch = self._backend.begin_commit()
        if batch is not None:
            self._backend.write_commit(batch)
            self._backend.end_commit(batch)
        self.synced_index = self._applied_index()

    @property
    def is_running(self) -> bool:
        """Whether a commit is under way."""
        return self._running

    def _start(self) -> None:
        index = self._applied_index()
        batch = self._backend.begin_commit()
        if batch is None:
            self._finish(index)
            return
        self._running = True
        started_s = self._stopwatch_s()
        future = self._worker.submit(self._backend.write_commit, batch)

        def written(done: "Future[None]") -> None:
            self._loop.call_soon_threadsafe(self._written, done, batch, index, started_s)

        future.add_done_callback(written)

    def _written(self, future: "Future[None]", batch: BatchT, index: int, started_s: float) -> None:
        self._running = False
        error = future.exception()
        if error is not None:
            self._on_failure(error)
            return
        self._backend.end_commit(batch)
        self.durations_s(self._stopwatch_s() - started_s)
        self._finish(index)

    def _finish(self, index: int) -> None:
        self.synced_index = index
        self._last_s = self._loop.time()
        due = [done for wanted, done in self._waiting if wanted <= index]
        self._waiting = [item for item in self._waiting if item[0] > index]
        for done in due:
            done()
        if self._waiting and not self._held:
            self._start()
