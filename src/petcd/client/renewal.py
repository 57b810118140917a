"""Keep a lease alive: when to send, when to give up, and the blocking loop that does it.

`RenewalSession` is sans-IO with time passed in (monotonic seconds): a renewal is due at once, then
after each third of the TTL; without an answer within the TTL the lease counts as lost.
Source: the behaviour of etcd's client/v3 lessor.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from petcd.client import errors as e
from petcd.client import methods
from petcd.client.channel import Channel
from petcd.client.connection import ClientStream
from petcd.wire.lease import LeaseKeepAliveRequest, LeaseKeepAliveResponse

RETRY_S = 0.5
"""Pause before a broken stream is opened again, as etcd's client."""
FIRST_ANSWER_EXTRA_S = 1.0
"""The first answer may take the dial timeout and this."""


class RenewalSession:
    """One lease.  `due` and `deadline` are times; the lease is lost once `deadline` has passed."""

    __slots__ = ("alive", "deadline", "due", "lease_id")

    def __init__(self, lease_id: int, now: float, first_answer_s: float) -> None:
        self.lease_id = lease_id
        self.due = now
        self.deadline = now + first_answer_s
        self.alive = True

    def request(self, now: float, patience_s: float) -> bytes:
        """The message to send at `due`; the next is due after `patience_s` unless answered."""
        self.due = now + patience_s
        return LeaseKeepAliveRequest(ID=self.lease_id).encode()

    def received(self, answer: LeaseKeepAliveResponse, now: float) -> bool:
        """Take an answer; False when it is for another lease or says that ours is gone."""
        if self.lease_id != answer.ID:
            return False
        if answer.TTL <= 0:
            self.alive = False
            return False
        self.due = now + answer.TTL / 3.0
        self.deadline = now + answer.TTL
        return True


def renew_once(channel: Channel, lease_id: int) -> LeaseKeepAliveResponse:
    """Renew a lease once.  Raises NotFound when there is none, ClientError otherwise; a broken
    connection is tried again for ever."""
    request = LeaseKeepAliveRequest(ID=lease_id).encode()
    while True:
        stream = channel.stream(methods.LEASE_KEEP_ALIVE)
        stream.send(request, last=True)
        try:
            message = stream.receive()
        except (e.Unavailable, e.Internal):
            channel.next_endpoint()
            continue
        answer = LeaseKeepAliveResponse.decode(message or b"")
        if answer.TTL <= 0:
            raise e.NotFound(e.LEASE_NOT_FOUND)
        return answer


def renew(channel: Channel, lease_id: int) -> Iterator[LeaseKeepAliveResponse]:
    """Keep a lease alive: one answer for each renewal, until the lease is gone."""
    clock = channel.clock
    session = RenewalSession(lease_id, clock(), channel.dial_timeout_s + FIRST_ANSWER_EXTRA_S)
    stream: ClientStream | None = None
    while session.alive and clock() < session.deadline:
        try:
            if stream is None:
                channel.connection(session.deadline)
                stream = channel.stream(methods.LEASE_KEEP_ALIVE, methods.REQUIRE_LEADER)
                session.due = clock()
            answer = _exchange(session, stream, clock())
        except e.ClientError as error:
            if error.message == e.NO_LEADER:
                return
            stream = None
            _sleep_until(channel, min(clock() + RETRY_S, session.deadline))
            continue
        if answer is not None and session.received(answer, clock()):
            yield answer


def _exchange(
    session: RenewalSession, stream: ClientStream, now: float
) -> LeaseKeepAliveResponse | None:
    """Send what is due, wait for an answer or for what is due next."""
    if now >= session.due:
        stream.send(session.request(now, session.deadline - now))
    patience = min(session.due, session.deadline) - now
    try:
        message = stream.receive(max(patience, 0.0))
    except e.DeadlineExceeded as error:
        if error.local:
            return None
        raise
    if message is None:
        raise e.Unavailable("the server ended the keepalive stream")
    return LeaseKeepAliveResponse.decode(message)


def _sleep_until(channel: Channel, when: float) -> None:
    time.sleep(max(when - channel.clock(), 0.0))
