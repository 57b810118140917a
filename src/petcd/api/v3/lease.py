"""etcdserverpb.Lease: grant and revoke go through the log, keep-alive and queries to the leader."""

from petcd.api.errors import status_of
from petcd.api.host import Host
from petcd.api.v3.header import header_message
from petcd.api.v3.proposing import propose_body
from petcd.lease import LeaseError, LeaseNotFound
from petcd.member.apply import LEASE_CHECKPOINT, LEASE_GRANT, LEASE_REVOKE
from petcd.member.errors import NoSpace
from petcd.member.quota import LEASE_OVERHEAD_BYTES
from petcd.transport.call import Call
from petcd.transport.router import BIDI, UNARY, Method, Router
from petcd.wire.codec import DecodeError
from petcd.wire.header import ResponseHeader
from petcd.wire.lease import (
    LeaseCheckpoint,
    LeaseCheckpointRequest,
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseStatus,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)

_SERVICE = b"/etcdserverpb.Lease/"
_POSITIVE_IDS = (1 << 63) - 1


# A renewal under way: the stream, the lease, the header that was taken before it.
_Renewal = tuple[Call, int, ResponseHeader]


class LeaseService:
    """Handlers of the Lease service."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lessor = host.member.lessor

    def register(self, router: Router) -> None:
        """Add the methods to the router."""
        for name, handler in (
            (b"LeaseGrant", self.grant),
            (b"LeaseRevoke", self.revoke),
            (b"LeaseTimeToLive", self.time_to_live),
            (b"LeaseLeases", self.leases),
        ):
            router.add(Method(_SERVICE + name, UNARY, handler))
        router.add(Method(_SERVICE + b"LeaseKeepAlive", BIDI, self.keep_alive))

    def grant(self, call: Call, body: bytes) -> None:
        """LeaseGrant; id 0 lets the server choose a positive id."""
        host = self._host
        try:
            request = LeaseGrantRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        if host.room_bytes <= LEASE_OVERHEAD_BYTES:
            host.raise_nospace()
            call.fail(*status_of(NoSpace()))
            return
        while request.ID == 0:
            request.ID = host.next_request_id() & _POSITIVE_IDS
        propose_body(host, call, LEASE_GRANT, request.encode(), self._answer_grant, call)

    def _answer_grant(self, call: Call, outcome: object) -> None:
        if isinstance(outcome, Exception):
            if isinstance(outcome, NoSpace):
                self._host.raise_nospace()
            call.fail(*status_of(outcome))
            return
        assert isinstance(outcome, tuple), outcome
        lease_id, ttl_s, revision = outcome
        header = header_message(self._host, revision)
        call.reply(LeaseGrantResponse(header=header, ID=lease_id, TTL=ttl_s).encode())

    def revoke(self, call: Call, body: bytes) -> None:
        """LeaseRevoke; the lease's keys are deleted in one revision."""
        try:
            LeaseRevokeRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        propose_body(self._host, call, LEASE_REVOKE, body, self._answer_revoke, call)

    def _answer_revoke(self, call: Call, outcome: object) -> None:
        if isinstance(outcome, Exception):
            call.fail(*status_of(outcome))
            return
        assert isinstance(outcome, int), outcome
        header = header_message(self._host, outcome)
        call.reply(LeaseRevokeResponse(header=header).encode())

    def keep_alive(self, call: Call) -> None:
        """LeaseKeepAlive: one answer for each request; TTL 0 says that the lease is gone."""

        def on_message(body: bytes) -> None:
            try:
                request = LeaseKeepAliveRequest.decode(body)
            except DecodeError as error:
                call.finish(*status_of(error))
                return
            # The header is taken before the renewal, so that its revision is never above the one
            # at which a lease that expires now is revoked.
            header = header_message(self._host, self._host.member.store.revision)
            self._host.read(self._renew, (call, request.ID, header))

        call.on_message = on_message
        call.on_half_close = call.finish

    def _renew(self, context: _Renewal, refusal: object) -> None:
        """Renew now, or after the log entry that the answer must wait for."""
        call, lease_id, _ = context
        if isinstance(refusal, Exception):
            call.finish(*status_of(refusal))
            return
        lessor = self._lessor
        try:
            if lessor.expiring(lease_id, self._host.monotonic_s()):
                # Told before its keys are gone, the client could still find them.
                body = LeaseRevokeRequest(ID=lease_id).encode()
                propose_body(self._host, call, LEASE_REVOKE, body, self._expired, context)
            elif lessor.remainder(lease_id):
                # The next leader would end the lease by the old checkpoint, before the time that
                # is promised here.
                checkpoints = [LeaseCheckpoint(ID=lease_id, remaining_TTL=0)]
                body = LeaseCheckpointRequest(checkpoints=checkpoints).encode()
                propose_body(self._host, call, LEASE_CHECKPOINT, body, self._unmarked, context)
            else:
                self._answer_renewal(context)
        except LeaseError as error:
            call.finish(*status_of(error))

    def _answer_renewal(self, context: _Renewal) -> None:
        call, lease_id, header = context
        ttl_s = self._lessor.renew(lease_id, self._host.monotonic_s())
        call.send(LeaseKeepAliveResponse(header=header, ID=lease_id, TTL=ttl_s).encode())

    def _expired(self, context: _Renewal, outcome: object) -> None:
        call, lease_id, header = context
        if isinstance(outcome, Exception) and not isinstance(outcome, LeaseNotFound):
            call.finish(*status_of(outcome))
        else:
            call.send(LeaseKeepAliveResponse(header=header, ID=lease_id, TTL=0).encode())

    def _unmarked(self, context: _Renewal, outcome: object) -> None:
        call = context[0]
        try:
            if isinstance(outcome, Exception):
                raise outcome
            self._answer_renewal(context)
        except Exception as error:  # the refusal of the checkpoint or of the renewal
            call.finish(*status_of(error))

    def time_to_live(self, call: Call, body: bytes) -> None:
        """LeaseTimeToLive; an unknown lease is no error but TTL -1."""
        try:
            request = LeaseTimeToLiveRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        self._host.read(self._answer_time_to_live, (call, request))

    def _answer_time_to_live(
        self, context: tuple[Call, LeaseTimeToLiveRequest], refusal: object
    ) -> None:
        call, request = context
        if isinstance(refusal, Exception):
            call.fail(*status_of(refusal))
            return
        response = LeaseTimeToLiveResponse(
            header=header_message(self._host, self._host.member.store.revision), ID=request.ID
        )
        try:
            left = self._lessor.time_to_live(request.ID, self._host.monotonic_s())
        except LeaseNotFound:
            response.TTL = -1
        except LeaseError as error:
            call.fail(*status_of(error))
            return
        else:
            response.TTL, response.grantedTTL = left
            if request.keys:
                response.keys = self._lessor.keys(request.ID)
        call.reply(response.encode())

    def leases(self, call: Call, body: bytes) -> None:
        """LeaseLeases: all ids, the next to expire first."""
        try:
            LeaseLeasesRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        header = header_message(self._host, self._host.member.store.revision)
        leases = [LeaseStatus(ID=lease_id) for lease_id in self._lessor.leases()]
        call.reply(LeaseLeasesResponse(header=header, leases=leases).encode())
