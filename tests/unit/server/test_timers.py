"""The clock's duties: what is told of a loop that comes late."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from petcd.server.timers import Timers

HEARTBEAT_S = 0.1


class FakeLoop:
    """A clock set by hand; the heartbeat is called, nothing else."""

    def __init__(self):
        self.now_s = 50.0
        self.due = []

    def time(self):
        return self.now_s

    def call_at(self, time_s, callback):
        self.due.append((time_s, callback))
        return Mock()

    def beat(self, late_s):
        """The heartbeat's time comes, and the loop is late for it."""
        time_s, callback = min(self.due, key=lambda due: due[0])
        self.due.remove((time_s, callback))
        self.now_s = time_s + late_s
        callback()


@pytest.fixture
def loop():
    return FakeLoop()


@pytest.fixture
def timers(loop):
    surroundings = SimpleNamespace(loop=loop, wall_ns=lambda: 0)
    none = Mock()
    timers = Timers(
        surroundings, none, none, none, None, none, HEARTBEAT_S, 9e9, none, False, 9e9, none
    )
    timers.start()
    loop.due = loop.due[:1]
    return timers


def test_each_heartbeat_tells_how_late_it_is(loop, timers):
    told = []
    timers.delays_s = told.append
    for late_s in (0.0, 0.25, 0.01):
        loop.beat(late_s)
    assert told == pytest.approx([0.0, 0.25, 0.01])
    assert timers.latest_s == pytest.approx(0.25)


def test_what_was_missed_is_not_made_up_for(loop, timers):
    loop.beat(5.0)
    assert len(loop.due) == 1 and loop.due[0][0] >= loop.now_s
