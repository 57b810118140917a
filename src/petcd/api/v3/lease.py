"""etcdserverpb.Lease: grant and revoke go through the log, keep-alive and queries to the leader."""

from petcd.api.errors import status_of
from petcd.api.host import Host
from petcd.api.v3.header import header_message
from petcd.api.v3.proposing import propose_body
from petcd.lease import LeaseNotFound
from petcd.member.apply import LEASE_GRANT, LEASE_REVOKE
from petcd.member.errors import NoSpace
from petcd.member.quota import LEASE_OVERHEAD_BYTES
from petcd.transport.call import Call
from petcd.transport.router import BIDI, UNARY, Method, Router
from petcd.wire.codec import DecodeError
from petcd.wire.header import ResponseHeader
from petcd.wire.lease import (
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
            self._host.leases.renew(request.ID, self._renewed, (call, request.ID, header))

        call.on_message = on_message
        call.on_half_close = call.finish

    def _renewed(self, context: _Renewal, outcome: object) -> None:
        call, lease_id, header = context
        if isinstance(outcome, Exception):
            call.finish(*status_of(outcome))
            return
        assert isinstance(outcome, int), outcome
        call.send(LeaseKeepAliveResponse(header=header, ID=lease_id, TTL=outcome).encode())

    def time_to_live(self, call: Call, body: bytes) -> None:
        """LeaseTimeToLive; an unknown lease is no error but TTL -1."""
        try:
            request = LeaseTimeToLiveRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        context = (call, request.ID)
        leases = self._host.leases
        leases.time_to_live(request.ID, request.keys, self._answer_time_to_live, context)

    def _answer_time_to_live(self, context: tuple[Call, int], outcome: object) -> None:
        call, lease_id = context
        response = LeaseTimeToLiveResponse(
            header=header_message(self._host, self._host.member.store.revision), ID=lease_id
        )
        if isinstance(outcome, LeaseNotFound):
            response.TTL = -1
        elif isinstance(outcome, Exception):
            call.fail(*status_of(outcome))
            return
        else:
            assert isinstance(outcome, tuple), outcome
            (response.TTL, response.grantedTTL), response.keys = outcome
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
