"""Long work, one piece at a time."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from petcd.server.long_jobs import LongJobs


class Worker:
    """Does nothing by itself; `finish` does the oldest call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Future[Any]]] = []

    def submit(self, work: Any, /, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.calls.append((work, future))
        return future

    def finish(self) -> None:
        work, future = self.calls.pop(0)
        try:
            result = work()
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)


class Loop:
    def call_soon_threadsafe(self, callback: Any, *arguments: Any) -> None:
        callback(*arguments)


class Surroundings:
    def __init__(self) -> None:
        self.loop = Loop()
        self.backend_worker = Worker()


@pytest.fixture
def worker_and_jobs() -> tuple[Worker, LongJobs]:
    surroundings: Any = Surroundings()
    return surroundings.backend_worker, LongJobs(surroundings)


def test_one_piece_runs_at_a_time_and_is_prepared_when_its_turn_comes(
    worker_and_jobs: tuple[Worker, LongJobs],
) -> None:
    worker, jobs = worker_and_jobs
    seen: list[object] = []

    def add(name: str) -> None:
        def prepare() -> Any:
            seen.append(f"prepare {name}")
            return lambda: name

        jobs.run(prepare, lambda future: seen.append(future.result()))

    add("a")
    add("b")
    assert seen == ["prepare a"] and len(worker.calls) == 1
    worker.finish()
    assert seen == ["prepare a", "prepare b", "a"]
    worker.finish()
    assert seen[-1] == "b" and not worker.calls
    add("c")
    assert len(worker.calls) == 1


def test_a_piece_that_fails_tells_and_the_next_runs(
    worker_and_jobs: tuple[Worker, LongJobs],
) -> None:
    worker, jobs = worker_and_jobs
    errors: list[BaseException | None] = []

    def fail() -> None:
        raise OSError("full")

    jobs.run(lambda: fail, lambda future: errors.append(future.exception()))
    done: list[int] = []
    jobs.clean_up(lambda: done.append(1))
    worker.finish()
    worker.finish()
    assert isinstance(errors[0], OSError) and done == [1]


def test_after_the_end_nothing_begins(worker_and_jobs: tuple[Worker, LongJobs]) -> None:
    worker, jobs = worker_and_jobs
    done: list[int] = []
    jobs.clean_up(lambda: done.append(1))
    jobs.clean_up(lambda: done.append(2))
    jobs.stop()
    jobs.clean_up(lambda: done.append(3))
    worker.finish()
    assert done == [1] and not worker.calls
