"""Simulated time: the order of events, the clocks of processes, pauses, ends, workers."""

from random import Random

import pytest

from sim.loop import Executor, Process, ProcessKilled, Schedule


@pytest.fixture
def schedule() -> Schedule:
    return Schedule()


def test_what_is_due_runs_in_order_and_the_time_is_right(schedule: Schedule) -> None:
    process = Process(schedule, 1)
    seen: list[tuple[str, float]] = []
    process.call_later(2.0, lambda: seen.append(("late", schedule.now_s)))
    process.call_later(1.0, lambda: seen.append(("early", schedule.now_s)))
    process.call_soon(lambda: seen.append(("now", schedule.now_s)))
    schedule.run(3.0)
    assert seen == [("now", 0.0), ("early", 1.0), ("late", 2.0)]
    assert schedule.now_s == 3.0


def test_all_that_is_due_at_one_moment_comes_before_what_follows_from_it(
    schedule: Schedule,
) -> None:
    process = Process(schedule, 1)
    seen: list[str] = []
    process.call_later(1.0, lambda: process.call_soon(seen.append, "follows"))
    process.call_later(1.0, seen.append, "second")
    schedule.run(2.0)
    assert seen == ["second", "follows"]


def test_a_cancelled_event_does_not_happen(schedule: Schedule) -> None:
    process = Process(schedule, 1)
    seen: list[str] = []
    handle = process.call_later(1.0, seen.append, "never")
    handle.cancel()
    handle.cancel()
    schedule.run(2.0)
    assert seen == [] and handle.cancelled()


def test_a_fast_clock_shows_more_and_its_timers_come_early(schedule: Schedule) -> None:
    process = Process(schedule, 1, rate=2.0, started_s=100.0)
    seen: list[float] = []
    process.call_later(4.0, lambda: seen.append(schedule.now_s))
    process.call_at(106.0, lambda: seen.append(schedule.now_s))
    schedule.run(10.0)
    assert seen == [2.0, 3.0]
    assert process.time() == 120.0


def test_a_paused_process_catches_up_afterwards_in_order(schedule: Schedule) -> None:
    process = Process(schedule, 1)
    seen: list[tuple[int, float]] = []
    for number in (1, 2, 3):
        process.call_later(number, lambda n=number: seen.append((n, schedule.now_s)))
    process.pause(2.5)
    schedule.run(10.0)
    assert seen == [(1, 2.5), (2, 2.5), (3, 3.0)]


def test_a_pause_that_grows_holds_everything_until_its_end(schedule: Schedule) -> None:
    process, other = Process(schedule, 1), Process(schedule, 2)
    seen: list[float] = []
    process.call_later(1.0, lambda: seen.append(schedule.now_s))
    process.pause(2.0)
    other.call_later(1.5, process.pause, 5.0)
    schedule.run(10.0)
    assert seen == [6.5]


def test_a_pause_may_be_ended(schedule: Schedule) -> None:
    process, other = Process(schedule, 1), Process(schedule, 2)
    seen: list[float] = []
    process.call_later(1.0, lambda: seen.append(schedule.now_s))
    process.pause(100.0)
    other.call_later(3.0, process.resume)
    schedule.run(10.0)
    assert seen == [3.0]


def test_what_stalls_a_process_delays_what_comes_next(schedule: Schedule) -> None:
    process = Process(schedule, 1)
    seen: list[float] = []

    def slow() -> None:
        process.stall(0.5)
        seen.append(process.time())

    process.call_soon(slow)
    process.call_soon(lambda: seen.append(schedule.now_s))
    schedule.run(1.0)
    assert seen == [0.5, 0.5]


def test_a_process_that_ended_runs_nothing_more(schedule: Schedule) -> None:
    process = Process(schedule, 1)
    seen: list[str] = []
    killed: list[Process] = []
    schedule.killed = killed.append

    def die() -> None:
        process.end()
        raise ProcessKilled

    process.call_soon(die)
    process.call_soon(seen.append, "ghost")
    process.call_later(1.0, seen.append, "ghost")
    schedule.run(2.0)
    assert seen == [] and killed == [process]


def test_a_worker_ends_its_work_after_a_while_and_one_after_the_other(schedule: Schedule) -> None:
    process = Process(schedule, 1)
    worker = Executor(process, Random(1), 1, lambda: 1.0)
    seen: list[tuple[str, float]] = []
    for name in ("a", "b"):
        future = worker.submit(lambda: schedule.now_s)
        future.add_done_callback(lambda done, name=name: seen.append((name, done.result())))
    assert worker.is_busy
    schedule.run(3.0)
    assert seen == [("a", 1.0), ("b", 2.0)]
    assert not worker.is_busy


def test_work_that_fails_says_so_to_whoever_asked(schedule: Schedule) -> None:
    process = Process(schedule, 1)
    worker = Executor(process, Random(1), 2, lambda: 0.1)

    def fail() -> None:
        raise OSError("full")

    future = worker.submit(fail)
    schedule.run(1.0)
    assert isinstance(future.exception(), OSError)


def test_work_under_way_at_a_crash_is_done_or_never_done(schedule: Schedule) -> None:
    fates = set()
    for seed in range(20):
        process = Process(schedule, 1)
        done: list[int] = []
        worker = Executor(process, Random(seed), 1, lambda: 1.0)
        worker.submit(done.append, 1)
        process.end()
        worker.crash()
        schedule.run(schedule.now_s + 2.0)
        fates.add(len(done))
    assert fates == {0, 1}


def test_who_never_waits_is_found_out(schedule: Schedule) -> None:
    process = Process(schedule, 1)

    def again() -> None:
        process.call_soon(again)

    again()
    with pytest.raises(AssertionError, match="time stands still"):
        schedule.run(1.0)
