"""A member names itself in the log, again and again until it is there, and not after it stops."""

from typing import Any, cast

from petcd.member import Member
from petcd.member.errors import Stopped, TimedOut
from petcd.server.publication import Publication
from petcd.version import CLUSTER_VERSION


class FakeMembership:
    version = CLUSTER_VERSION


class FakeMember:
    id = 7
    membership = FakeMembership()


class Log:
    """Gives each proposal the next outcome."""

    def __init__(self, outcomes: list[object]) -> None:
        self.outcomes = outcomes
        self.proposed = 0

    def propose(self, request_id: int, data: bytes, finish: Any, context: None) -> None:
        self.proposed += 1
        finish(context, self.outcomes.pop(0))


def publish(log: Log) -> list[str]:
    done: list[str] = []
    member = cast(Member, FakeMember())
    Publication(
        member, log.propose, lambda: 1, "m", ("http://h:1",), lambda: done.append("done")
    ).start()
    return done


def test_a_publication_that_timed_out_is_repeated() -> None:
    log = Log([TimedOut(), TimedOut(), None])
    assert publish(log) == ["done"]
    assert log.proposed == 3


def test_a_member_that_stops_publishes_nothing_more() -> None:
    log = Log([Stopped()])
    assert publish(log) == []
    assert log.proposed == 1
