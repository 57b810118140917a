"""Long work beside the loop, one piece at a time.

A snapshot or a hash of a large store takes seconds of a worker. Commits of the backend use the same
workers, and must always find one that is free.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from petcd.server.surroundings import Surroundings

Prepare = Callable[[], Callable[[], Any]]
Done = Callable[["Future[Any]"], None]


class LongJobs:
    """A queue in front of a worker. All methods belong to the loop thread."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._loop = surroundings.loop
        self._worker = surroundings.backend_worker
        self._waiting: deque[tuple[Prepare, Done]] = deque()
        self._running = False
        self._stopped = False

    def run(self, prepare: Prepare, done: Done) -> None:
        """Once it is its turn: `prepare` on the loop, what it returns in a worker, `done` on the
        loop with the outcome."""
        if self._stopped:
            return
        self._waiting.append((prepare, done))
        if not self._running:
            self._start()

    def clean_up(self, work: Callable[[], Any]) -> None:
        """Do in a worker what nobody waits for."""
        self.run(lambda: work, lambda future: None)

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped = True
        self._waiting.clear()

    def _start(self) -> None:
        prepare, done = self._waiting.popleft()
        self._running = True
        self._worker.submit(prepare()).add_done_callback(
            lambda future: self._loop.call_soon_threadsafe(self._ended, future, done)
        )

    def _ended(self, future: "Future[Any]", done: Done) -> None:
        self._running = False
        if self._waiting:
            self._start()
        done(future)
