"""Keeping a lease alive."""

import pytest

from petcd.client import errors as e
from petcd.client import methods
from petcd.client.renewal import RenewalSession, renew, renew_once
from petcd.wire.lease import LeaseKeepAliveRequest, LeaseKeepAliveResponse


def test_a_renewal_is_due_at_once_and_then_after_a_third_of_the_time() -> None:
    session = RenewalSession(7, now=100.0, first_answer_s=3.0)
    assert (session.due, session.deadline) == (100.0, 103.0)
    assert LeaseKeepAliveRequest.decode(session.request(100.0, 3.0)).ID == 7
    assert session.received(LeaseKeepAliveResponse(ID=7, TTL=30), 101.0)
    assert (session.due, session.deadline) == (111.0, 131.0)


def test_a_lease_that_is_gone_is_not_alive() -> None:
    session = RenewalSession(7, 0.0, 3.0)
    assert not session.received(LeaseKeepAliveResponse(ID=7, TTL=0), 1.0)
    assert not session.alive


def test_answers_for_other_leases_do_not_count() -> None:
    session = RenewalSession(7, 0.0, 3.0)
    assert not session.received(LeaseKeepAliveResponse(ID=8, TTL=0), 1.0)
    assert session.alive


def lease_server(*ttls: int | tuple[int, str]):
    """Answers each renewal with the next TTL, or ends the stream with a status."""
    given = list(ttls)

    def handler(call) -> None:
        def on_message(body: bytes) -> None:
            lease_id = LeaseKeepAliveRequest.decode(body).ID
            ttl = given.pop(0)
            if isinstance(ttl, tuple):
                call.finish(*ttl)
            else:
                call.send(LeaseKeepAliveResponse(ID=lease_id, TTL=ttl).encode())

        call.on_message = on_message

    return handler


def test_one_renewal_brings_one_answer(serve, open_channel) -> None:
    server = serve().stream(methods.LEASE_KEEP_ALIVE, lease_server(30)).start()
    assert renew_once(open_channel(server), 7) == LeaseKeepAliveResponse(ID=7, TTL=30)


def test_one_renewal_survives_a_broken_stream(serve, open_channel) -> None:
    server = serve().stream(methods.LEASE_KEEP_ALIVE, lease_server((14, "moving"), 30)).start()
    assert renew_once(open_channel(server), 7).TTL == 30


def test_one_renewal_of_a_lease_that_is_gone_says_so(serve, open_channel) -> None:
    server = serve().stream(methods.LEASE_KEEP_ALIVE, lease_server(0)).start()
    with pytest.raises(e.NotFound, match="requested lease not found"):
        renew_once(open_channel(server), 7)


def test_a_refused_renewal_is_raised(serve, open_channel) -> None:
    server = serve().stream(methods.LEASE_KEEP_ALIVE, lease_server((7, "denied"))).start()
    with pytest.raises(e.PermissionDenied):
        renew_once(open_channel(server), 7)


class FakeStream:
    """Answers each renewal with the next TTL, and lets time pass while it is waited for.

    A TTL of None is no answer at all."""

    def __init__(self, channel: "FakeChannel") -> None:
        self.channel = channel
        self.answers: list[int] = []

    def send(self, message: bytes) -> None:
        self.channel.sent_at.append(self.channel.now)
        ttl = self.channel.ttls.pop(0)
        if ttl is not None:
            self.answers.append(ttl)

    def receive(self, timeout_s: float) -> bytes:
        if self.answers:
            return LeaseKeepAliveResponse(ID=7, TTL=self.answers.pop()).encode()
        self.channel.now += timeout_s
        raise e.DeadlineExceeded("", local=True)


class FakeChannel:
    dial_timeout_s = 2.0

    def __init__(self, *ttls: int | None) -> None:
        self.ttls = list(ttls)
        self.now = 0.0
        self.sent_at: list[float] = []

    def clock(self) -> float:
        return self.now

    def connection(self, until: float) -> None:
        assert until > self.now

    def stream(self, path: bytes, metadata=()) -> FakeStream:
        return FakeStream(self)


def test_renewing_goes_on_until_the_lease_is_gone() -> None:
    channel = FakeChannel(30, 30, 0)
    assert [answer.TTL for answer in renew(channel, 7)] == [30, 30]
    assert channel.sent_at == [0.0, 10.0, 20.0]


def test_without_an_answer_the_lease_counts_as_lost_after_its_time() -> None:
    channel = FakeChannel(30, None)
    assert [answer.TTL for answer in renew(channel, 7)] == [30]
    assert channel.now == 30.0


def test_a_server_that_never_answers_is_given_the_dial_timeout_and_a_second() -> None:
    channel = FakeChannel(None)
    assert list(renew(channel, 7)) == []
    assert channel.now == 3.0


def test_without_a_leader_renewing_ends(serve, open_channel) -> None:
    server = serve().stream(methods.LEASE_KEEP_ALIVE, lease_server((14, e.NO_LEADER))).start()
    assert list(renew(open_channel(server), 7)) == []
