"""Work in slices between other work of the loop."""

from collections import deque
from collections.abc import Callable
from typing import Any, cast

import pytest

from petcd.server.pump import Pump


class Turns:
    """A loop whose turns are taken by hand; it knows which callbacks came as timers."""

    def __init__(self) -> None:
        self.due: deque[Callable[[], None]] = deque()

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.due.append(callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.due.append(callback)

    def take(self) -> None:
        self.due.popleft()()


def pump_of(turns: Turns, step: Callable[[], bool]) -> Pump:
    return Pump(cast(Any, turns), step)


def test_a_step_is_called_once_a_turn_until_there_is_no_more() -> None:
    turns, left = Turns(), [True, True, False]
    pump = pump_of(turns, lambda: left.pop(0))
    pump.start()
    pump.start()
    taken = 0
    while turns.due:
        turns.take()
        taken += 1
    assert (taken, left) == (3, [])
    left.append(False)
    pump.start()
    turns.take()
    assert not left
    assert not turns.due


def test_a_step_that_fails_is_told_of_and_the_next_start_tries_again() -> None:
    turns, steps = Turns(), 0

    def step() -> bool:
        nonlocal steps
        steps += 1
        if steps == 1:
            raise RuntimeError("broken")
        return False

    pump = pump_of(turns, step)
    pump.start()
    with pytest.raises(RuntimeError):
        turns.take()
    assert not turns.due
    pump.start()
    turns.take()
    assert steps == 2
