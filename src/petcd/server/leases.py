"""Renewing leases and telling what is left of them: the leader's business, asked for anywhere.

    client -> any member -> leader (peer port: /leases, /leases/internal) -> answer

Only the leader knows when a lease ends, and it must be sure that it still leads before it promises
a client more time: it confirms that as for a linearizable read. A member that is no leader, or not
sure, asks whom it takes for the leader, again and again until the request's time is over.
Source: etcd 3.5's lease server; the bodies on the peer port are its messages.
"""

from collections.abc import Callable
from typing import Any

from petcd.api.host import Finish
from petcd.lease import LeaseError, LeaseNotFound, NotPrimary, TimeToLive
from petcd.member.apply import LEASE_CHECKPOINT, LEASE_REVOKE
from petcd.member.errors import NoLeader, Stopped, TimedOut
from petcd.server.network import PeerCalls
from petcd.server.runtime import Runtime
from petcd.server.surroundings import Loop
from petcd.wire.codec import DecodeError
from petcd.wire.header import ResponseHeader
from petcd.wire.hot import internal_request
from petcd.wire.internal import LeaseInternalRequest, LeaseInternalResponse
from petcd.wire.lease import (
    LeaseCheckpoint,
    LeaseCheckpointRequest,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)

RENEW_PATH = "/leases"
TIME_TO_LIVE_PATH = "/leases/internal"
# Between two questions to the leader while it does not answer; etcd's.
RETRY_S = 0.05
NOT_FOUND = b"lease not found\n"

# Asks the leader once; told the status and body of its answer.
Ask = Callable[[int, float, Callable[[int, bytes], None]], None]


class Leases:
    """See `petcd.api.host.LeaseKeeping`."""

    def __init__(
        self, runtime: Runtime, loop: Loop, calls: PeerCalls, request_timeout_s: float
    ) -> None:
        self._runtime = runtime
        self._member = runtime.member
        self._lessor = runtime.member.lessor
        self._loop = loop
        self._calls = calls
        self._timeout_s = request_timeout_s

    # -- renewal ------------------------------------------------------------------------------

    def renew(self, lease_id: int, finish: Finish, context: Any) -> None:
        """Start the lease's time again; outcome: its time to live, 0 when it is gone."""

        def here(done: Finish) -> None:
            self.renew_as_leader(lease_id, done, None)

        def ask(leader_id: int, timeout_s: float, answered: Callable[[int, bytes], None]) -> None:
            body = LeaseKeepAliveRequest(ID=lease_id).encode()
            self._calls.ask(leader_id, RENEW_PATH, body, timeout_s, answered)

        until_s = self._loop.time() + self._timeout_s
        self._as_leader(here, ask, read_renewal, until_s, finish, context)

    def renew_as_leader(self, lease_id: int, finish: Finish, context: Any) -> None:
        """The same at the leader; NotPrimary anywhere else."""
        self._runtime.read(self._renew_now, (lease_id, finish, context))

    def _renew_now(self, renewal: tuple[int, Finish, Any], refusal: object) -> None:
        """Renew now, or after the log entry that the answer must wait for."""
        lease_id, finish, context = renewal
        if isinstance(refusal, Exception):
            finish(context, refusal)
            return
        lessor = self._lessor
        try:
            if lessor.expiring(lease_id, self._loop.time()):
                # Told before its keys are gone, the client could still find them.
                body = LeaseRevokeRequest(ID=lease_id).encode()
                self._propose(LEASE_REVOKE, body, self._expired, renewal)
            elif lessor.is_checkpointed(lease_id):
                self._take_checkpoint_back(self._taken_back, renewal)
            else:
                finish(context, lessor.renew(lease_id, self._loop.time()))
        except LeaseError as error:
            finish(context, error)

    def _propose(
        self, field_number: int, body: bytes, applied: Finish, renewal: tuple[int, Finish, Any]
    ) -> None:
        request_id = self._runtime.next_request_id()
        data = internal_request(request_id, field_number, body)
        self._runtime.propose(request_id, data, applied, renewal)

    def _take_checkpoint_back(self, applied: Finish, renewal: tuple[int, Finish, Any]) -> None:
        """The next leader would end the lease by it, before the time that is promised here."""
        checkpoints = [LeaseCheckpoint(ID=renewal[0], remaining_TTL=0)]
        body = LeaseCheckpointRequest(checkpoints=checkpoints).encode()
        self._propose(LEASE_CHECKPOINT, body, applied, renewal)

    def _expired(self, renewal: tuple[int, Finish, Any], outcome: object) -> None:
        _, finish, context = renewal
        is_refused = isinstance(outcome, Exception) and not isinstance(outcome, LeaseNotFound)
        finish(context, outcome if is_refused else 0)

    def _taken_back(self, renewal: tuple[int, Finish, Any], outcome: object) -> None:
        """Once more when another one may have got into the log behind this request, before it was
        applied. One that gets there now finds the lease renewed."""
        is_refused = isinstance(outcome, Exception)
        if not is_refused and self._lessor.is_checkpointed(renewal[0]):
            self._take_checkpoint_back(self._unmarked, renewal)
        else:
            self._unmarked(renewal, outcome)

    def _unmarked(self, renewal: tuple[int, Finish, Any], outcome: object) -> None:
        lease_id, finish, context = renewal
        if isinstance(outcome, Exception):
            finish(context, outcome)
            return
        try:
            finish(context, self._lessor.renew(lease_id, self._loop.time()))
        except LeaseError as error:
            finish(context, error)

    # -- what is left -------------------------------------------------------------------------

    def time_to_live(self, lease_id: int, keys: bool, finish: Finish, context: Any) -> None:
        """What is left of a lease; outcome: (TimeToLive, its keys) or LeaseNotFound."""

        def here(done: Finish) -> None:
            self.time_to_live_as_leader(lease_id, keys, done, None)

        def ask(leader_id: int, timeout_s: float, answered: Callable[[int, bytes], None]) -> None:
            request = LeaseTimeToLiveRequest(ID=lease_id, keys=keys)
            body = LeaseInternalRequest(LeaseTimeToLiveRequest=request).encode()
            self._calls.ask(leader_id, TIME_TO_LIVE_PATH, body, timeout_s, answered)

        def read(status: int, body: bytes) -> object | None:
            return read_time_to_live(lease_id, status, body)

        until_s = self._loop.time() + self._timeout_s
        self._as_leader(here, ask, read, until_s, finish, context)

    def time_to_live_as_leader(
        self, lease_id: int, keys: bool, finish: Finish, context: Any
    ) -> None:
        """The same at the leader; NotPrimary anywhere else."""

        def confirmed(context: Any, refusal: object) -> None:
            if isinstance(refusal, Exception):
                finish(context, refusal)
                return
            try:
                left = self._lessor.time_to_live(lease_id, self._loop.time())
            except LeaseError as error:
                finish(context, error)
            else:
                finish(context, (left, self._lessor.keys(lease_id) if keys else []))

        self._runtime.read(confirmed, context)

    # -- here or elsewhere --------------------------------------------------------------------

    def _as_leader(
        self,
        here: Callable[[Finish], None],
        ask: Ask,
        read: Callable[[int, bytes], object | None],
        until_s: float,
        finish: Finish,
        context: Any,
    ) -> None:
        """Do it here when we lead, else ask the leader, until `until_s`."""

        def answered(status: int, body: bytes) -> None:
            done(None, read(status, body))

        def done(_: object, outcome: object | None) -> None:
            if outcome is None or isinstance(outcome, NotPrimary):
                self._loop.call_later(RETRY_S, again)
            else:
                finish(context, outcome)

        def again() -> None:
            self._as_leader(here, ask, read, until_s, finish, context)

        left_s = until_s - self._loop.time()
        leader_id = self._member.leader_id
        if self._runtime.is_stopped:
            finish(context, Stopped())
        elif left_s <= 0:
            finish(context, TimedOut() if leader_id else NoLeader())
        elif self._member.is_leader:
            here(done)
        elif leader_id:
            ask(leader_id, left_s, answered)
        else:
            self._loop.call_later(RETRY_S, again)


# -- answers over the peer port ---------------------------------------------------------------


def read_renewal(status: int, body: bytes) -> object | None:
    """The time to live that the leader gave, 0 when the lease is gone, None to ask again."""
    if status == 404:
        return 0
    try:
        return LeaseKeepAliveResponse.decode(body).TTL if status == 200 else None
    except DecodeError:
        return None


def say_renewal(lease_id: int, outcome: object) -> tuple[int, bytes]:
    """(status, body) for the member that asked for a renewal."""
    if outcome == 0:
        return 404, NOT_FOUND
    if isinstance(outcome, Exception):
        return _say_refusal(outcome)
    assert isinstance(outcome, int), outcome
    return 200, LeaseKeepAliveResponse(ID=lease_id, TTL=outcome).encode()


def read_time_to_live(lease_id: int, status: int, body: bytes) -> object | None:
    """What the leader said is left of a lease, LeaseNotFound, or None to ask again."""
    if status == 404:
        return LeaseNotFound(lease_id)
    try:
        answer = LeaseInternalResponse.decode(body).LeaseTimeToLiveResponse
    except DecodeError:
        return None
    if status != 200 or answer is None:
        return None
    return TimeToLive(answer.TTL, answer.grantedTTL), answer.keys


def say_time_to_live(lease_id: int, outcome: object) -> tuple[int, bytes]:
    """(status, body) for the member that asked what is left of a lease."""
    if isinstance(outcome, LeaseNotFound):
        return 404, NOT_FOUND
    if isinstance(outcome, Exception):
        return _say_refusal(outcome)
    assert isinstance(outcome, tuple), outcome
    left, keys = outcome
    answer = LeaseTimeToLiveResponse(
        header=ResponseHeader(),
        ID=lease_id,
        TTL=left.remaining_s,
        grantedTTL=left.granted_s,
        keys=keys,
    )
    return 200, LeaseInternalResponse(LeaseTimeToLiveResponse=answer).encode()


def _say_refusal(refusal: Exception) -> tuple[int, bytes]:
    if isinstance(refusal, NotPrimary):
        return 400, b"not a primary lessor\n"
    if isinstance(refusal, TimedOut):
        return 408, b"waiting for node to catch up its applied index has timed out\n"
    return 500, b"Internal Server Error\n"
