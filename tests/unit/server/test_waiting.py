"""Who waits for an outcome, and when waiting ends without one."""

import pytest

from petcd.member.errors import Stopped, TimedOut, TimedOutByLeaderFailure
from petcd.server.waiting import Waiting


@pytest.fixture
def given_up():
    return []


@pytest.fixture
def waiting(given_up):
    return Waiting(7.0, lambda asked_s: TimedOut(), lambda *told: given_up.append(told))


@pytest.fixture
def ask(waiting):
    answers = {}

    def ask(request_id, asked_s=0.0):
        def finish(context, outcome):
            answers[context] = outcome

        waiting.by_id[request_id] = (finish, request_id, asked_s)
        return answers

    return ask


def test_who_waited_too_long_is_refused_in_order(waiting, ask, given_up):
    ask(1, 0.0)
    ask(2, 1.0)
    answers = ask(3, 5.0)
    assert waiting.expire(7.5) == [1]
    assert waiting.expire(8.0) == [2]
    assert list(answers) == [1, 2] and isinstance(answers[1], TimedOut)
    assert waiting.failed_total == 2 and list(waiting.by_id) == [3]
    assert given_up == [(7.5, 1), (8.0, 2)]


def test_what_was_handed_to_the_last_leader_is_refused_once_the_next_one_has_an_entry(waiting, ask):
    ask(1)
    ask(2)
    waiting.leader_changed([2])
    answers = ask(3)
    assert waiting.has_orphans and answers == {}
    waiting.term_applied()
    assert list(answers) == [1] and isinstance(answers[1], TimedOutByLeaderFailure)
    assert list(waiting.by_id) == [2, 3] and not waiting.has_orphans


def test_what_was_applied_meanwhile_is_not_refused(waiting, ask):
    answers = ask(1)
    waiting.leader_changed([])
    del waiting.by_id[1]
    waiting.term_applied()
    assert answers == {} and waiting.failed_total == 0


def test_two_changes_of_the_leader_add_up(waiting, ask):
    ask(1)
    waiting.leader_changed([])
    answers = ask(2)
    waiting.leader_changed([])
    waiting.term_applied()
    assert sorted(answers) == [1, 2]


def test_the_end_refuses_everybody(waiting, ask):
    answers = ask(1)
    waiting.stop()
    assert isinstance(answers[1], Stopped) and not waiting.by_id
