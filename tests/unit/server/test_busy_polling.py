"""When the loop stays awake after a lone answer, and when it sleeps."""

from collections import deque
from collections.abc import Callable
from typing import Any, cast

import pytest

from petcd.server import busy_polling
from petcd.server.busy_polling import POLL_S, BusyPolling

ROUND_S = 0.00001


class Rounds:
    """A loop whose rounds take ten microseconds each; `call_soon` runs in the next one."""

    def __init__(self) -> None:
        self.now_s = 1.0
        self.due: deque[Callable[[], None]] = deque()

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.due.append(callback)

    def rounds_awake(self, most: int = 1000) -> int:
        """How many rounds pass before the loop would sleep."""
        for count in range(most):
            if not self.due:
                return count
            self.now_s += ROUND_S
            self.due.popleft()()
        return most


def made(alone: bool = True) -> tuple[Rounds, BusyPolling]:
    rounds = Rounds()
    return rounds, BusyPolling(cast(Any, rounds), lambda: rounds.now_s, lambda: alone)


def asks_again_after(rounds: Rounds, polling: BusyPolling, pause_s: float) -> None:
    rounds.now_s += pause_s
    polling.received()


def test_the_first_answer_is_not_followed_by_a_poll() -> None:
    rounds, polling = made()
    polling.received()
    polling.answered()
    assert rounds.rounds_awake() == 0


def test_a_client_that_asks_again_at_once_is_waited_for() -> None:
    rounds, polling = made()
    polling.answered()
    asks_again_after(rounds, polling, POLL_S / 2)
    polling.answered()
    assert rounds.rounds_awake() == pytest.approx(POLL_S / ROUND_S, abs=1)


def test_a_poll_that_found_nothing_is_not_repeated() -> None:
    rounds, polling = made()
    polling.answered()
    asks_again_after(rounds, polling, POLL_S / 2)
    polling.answered()
    assert rounds.rounds_awake() > 1
    asks_again_after(rounds, polling, 10 * POLL_S)
    polling.answered()
    assert rounds.rounds_awake() == 0


def test_a_client_that_thinks_is_not_waited_for() -> None:
    rounds, polling = made()
    for _ in range(5):
        polling.answered()
        assert rounds.rounds_awake() == 0
        asks_again_after(rounds, polling, 2 * POLL_S)


def test_one_poll_runs_at_a_time_and_ends_with_the_requests() -> None:
    rounds, polling = made()
    polling.answered()
    asks_again_after(rounds, polling, POLL_S / 2)
    polling.answered()
    for _ in range(5):  # each request comes while the loop still polls for it
        rounds.now_s += POLL_S / 2
        polling.received()
        polling.answered()
        assert len(rounds.due) == 1
    polling.received()  # one that shares its turn with many: no lone answer follows
    assert rounds.rounds_awake() == 1


def test_a_member_that_waits_for_others_sleeps() -> None:
    rounds, polling = made(alone=False)
    polling.answered()
    asks_again_after(rounds, polling, POLL_S / 2)
    polling.answered()
    assert rounds.rounds_awake() == 0


def test_the_only_processor_is_left_to_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy_polling.os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert not busy_polling.has_spare_processor()
    monkeypatch.setattr(busy_polling.os, "sched_getaffinity", lambda pid: {0, 3}, raising=False)
    assert busy_polling.has_spare_processor()
    monkeypatch.delattr(busy_polling.os, "sched_getaffinity")
    monkeypatch.setattr(busy_polling.os, "cpu_count", lambda: None)
    assert not busy_polling.has_spare_processor()
