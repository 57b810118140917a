"""Rounds of linearizable reads."""

import itertools

import pytest

from petcd.member.errors import TimedOut
from petcd.server.reads import RETRY_S, ReadQueue


class FakeNode:
    def __init__(self):
        self.asked = []

    def read_index(self, context):
        self.asked.append(context)


class FakeMember:
    def __init__(self):
        self.node = FakeNode()
        self.applied_index = 10
        self.leader_id = 1


class FakeSlowness:
    apply_s = 0.1

    def __init__(self):
        self.told = []

    def read_index_late(self, took_s, contexts, refusal):
        self.told.append(("late", took_s, contexts, type(refusal)))

    def read_index_retried(self, request_id, after_s):
        self.told.append(("retried", request_id, after_s))

    def read_index_failed(self, timeout_s):
        self.told.append(("failed", timeout_s))


class Rig:
    def __init__(self):
        self.slowness = FakeSlowness()
        self.member = FakeMember()
        self.queue = ReadQueue(self.member, itertools.count(1).__next__, 7.0, self.slowness)
        self.served = []

    def add(self, name):
        self.queue.add(lambda context, refusal: self.served.append((context, refusal)), name)

    @property
    def asked(self):
        return self.member.node.asked


@pytest.fixture
def rig():
    return Rig()


def test_reads_of_one_turn_share_one_round(rig):
    rig.add("a")
    rig.add("b")
    rig.queue.pump(0)
    assert len(rig.asked) == 1 and rig.served == []
    rig.queue.confirmed(rig.asked[0], 10)
    rig.queue.pump(0)
    assert rig.served == [("a", None), ("b", None)]
    assert rig.queue.is_idle


def test_a_read_that_comes_during_a_round_waits_for_the_next(rig):
    rig.add("a")
    rig.queue.pump(0)
    rig.add("late")
    rig.queue.confirmed(rig.asked[0], 10)
    rig.queue.pump(0)
    assert rig.served == [("a", None)]
    assert len(rig.asked) == 2
    rig.queue.confirmed(rig.asked[1], 10)
    rig.queue.pump(0)
    assert rig.served[1:] == [("late", None)]


def test_an_answer_to_an_earlier_round_confirms_nothing(rig):
    rig.add("a")
    rig.queue.pump(0)
    first = rig.asked[0]
    rig.queue.confirmed(first, 10)
    rig.queue.pump(0)
    rig.add("b")
    rig.queue.pump(0)
    rig.queue.confirmed(first, 10)
    rig.queue.pump(0)
    assert rig.served == [("a", None)]


def test_a_read_waits_until_the_index_is_applied(rig):
    rig.add("a")
    rig.queue.pump(0)
    rig.queue.confirmed(rig.asked[0], 12)
    rig.queue.pump(0)
    assert rig.served == []
    rig.member.applied_index = 12
    rig.queue.pump(0)
    assert rig.served == [("a", None)]


def test_a_round_is_asked_again_under_a_new_id(rig):
    rig.add("a")
    rig.queue.pump(0)
    rig.queue.pump(RETRY_S)
    assert len(set(rig.asked)) == 2
    rig.queue.confirmed(rig.asked[0], 10)
    rig.queue.pump(RETRY_S)
    assert rig.served == [("a", None)]


def test_a_new_leader_is_asked_at_once(rig):
    rig.add("a")
    rig.queue.pump(0)
    rig.member.leader_id = 0
    rig.queue.pump(0.1)
    assert len(rig.asked) == 1
    rig.member.leader_id = 2
    rig.queue.pump(0.2)
    assert len(set(rig.asked)) == 2 and rig.served == []
    rig.queue.confirmed(rig.asked[1], 10)
    rig.queue.pump(0.2)
    assert rig.served == [("a", None)]


def test_without_an_answer_the_reads_time_out(rig):
    rig.add("a")
    rig.queue.pump(0)
    for step in range(16):
        rig.queue.pump(step * RETRY_S)
    assert isinstance(rig.served[0][1], TimedOut)
    assert rig.queue.failed_total == rig.queue.slow_total == 1
    assert rig.slowness.told[-2:] == [("failed", 7.0), ("late", 7.5, ["a"], TimedOut)]


def test_when_the_index_is_not_reached_the_reads_time_out(rig):
    rig.add("a")
    rig.queue.pump(0)
    rig.queue.confirmed(rig.asked[0], 11)
    rig.queue.pump(7.0)
    assert len(rig.asked) == 1 and rig.served == []
    rig.queue.pump(7.1)
    assert [(name, type(refusal)) for name, refusal in rig.served] == [("a", TimedOut)]
    assert rig.queue.failed_total == 0  # it was confirmed
    rig.add("b")
    rig.queue.pump(7.2)
    assert len(rig.asked) == 2


def test_it_is_told_when_nobody_answers_for_a_while_but_not_when_a_new_leader_is_asked(rig):
    rig.add("a")
    rig.queue.pump(0)
    rig.member.leader_id = 2
    rig.queue.pump(0.25)
    assert rig.slowness.told == []
    rig.queue.pump(0.25 + RETRY_S)
    assert rig.slowness.told == [("retried", 2, RETRY_S)]
    assert rig.queue.slow_total == 0


def test_reads_that_waited_long_are_told_of_when_they_are_served(rig):
    rig.add("a")
    rig.queue.pump(0)
    rig.queue.confirmed(rig.asked[0], 10)
    rig.queue.pump(0.09)
    rig.add("b")
    rig.queue.pump(1.0)
    rig.queue.confirmed(rig.asked[1], 10)
    rig.queue.pump(1.25)
    assert rig.slowness.told == [("late", 0.25, ["b"], type(None))]


def test_an_answer_that_comes_too_late_for_its_round_counts_as_slow(rig):
    rig.add("a")
    rig.queue.pump(0)
    rig.queue.confirmed(rig.asked[0], 10)
    rig.queue.pump(0)
    rig.queue.confirmed(rig.asked[0], 10)
    assert rig.queue.slow_total == 0  # nobody waits for another one
    rig.add("b")
    rig.queue.pump(0)
    rig.queue.confirmed(rig.asked[0], 10)
    assert rig.queue.slow_total == 1
