"""etcdserverpb.Cluster: the list of members and its changes."""

from petcd.api.errors import INVALID_ARGUMENT, status_of
from petcd.api.host import Host
from petcd.api.peer_urls import BadPeerUrls, read_peer_urls
from petcd.api.v3.header import header_message
from petcd.cluster import MemberInfo
from petcd.transport.call import Call
from petcd.transport.router import UNARY, Method, Router
from petcd.wire.cluster import (
    Member,
    MemberAddRequest,
    MemberAddResponse,
    MemberListRequest,
    MemberListResponse,
    MemberPromoteRequest,
    MemberPromoteResponse,
    MemberRemoveRequest,
    MemberRemoveResponse,
    MemberUpdateRequest,
    MemberUpdateResponse,
)
from petcd.wire.codec import DecodeError

_SERVICE = b"/etcdserverpb.Cluster/"
_BAD_URLS = "etcdserver: given member URLs are invalid"


def member_message(member: MemberInfo) -> Member:
    """A member as clients see it."""
    return Member(
        ID=member.id,
        name=member.name,
        peerURLs=list(member.peer_urls),
        clientURLs=list(member.client_urls),
        isLearner=member.is_learner,
    )


class ClusterService:
    """Handlers of the Cluster service."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def register(self, router: Router) -> None:
        """Add the methods to the router."""
        for name, handler in (
            (b"MemberList", self.member_list),
            (b"MemberAdd", self.member_add),
            (b"MemberRemove", self.member_remove),
            (b"MemberUpdate", self.member_update),
            (b"MemberPromote", self.member_promote),
        ):
            router.add(Method(_SERVICE + name, UNARY, handler))

    def member_list(self, call: Call, body: bytes) -> None:
        """MemberList; linearizable when asked."""
        try:
            request = MemberListRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        if request.linearizable:
            self._host.read(self._answer_list, call)
        else:
            self._answer_list(call, None)

    def _answer_list(self, call: Call, refusal: object) -> None:
        outcome = self._host.member.membership.members() if refusal is None else refusal
        self._answer((call, MemberListResponse), outcome)

    def member_add(self, call: Call, body: bytes) -> None:
        """MemberAdd; answers with the new member, which is to be started now, and all of them."""
        try:
            request = MemberAddRequest.decode(body)
            urls = read_peer_urls(request.peerURLs)
        except DecodeError as error:
            call.fail(*status_of(error))
        except BadPeerUrls:
            call.fail(INVALID_ARGUMENT, _BAD_URLS)
        else:
            self._host.reconfiguration.add(urls, request.isLearner, self._answer_add, call)

    def _answer_add(self, call: Call, outcome: object) -> None:
        if isinstance(outcome, Exception):
            call.fail(*status_of(outcome))
            return
        assert isinstance(outcome, tuple), outcome
        added, members = outcome
        response = MemberAddResponse(
            header=header_message(self._host, 0),
            member=member_message(added),
            members=[member_message(member) for member in members],
        )
        call.reply(response.encode())

    def member_remove(self, call: Call, body: bytes) -> None:
        """MemberRemove; the id never comes back."""
        try:
            request = MemberRemoveRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        context = (call, MemberRemoveResponse)
        self._host.reconfiguration.remove(request.ID, self._answer, context)

    def member_update(self, call: Call, body: bytes) -> None:
        """MemberUpdate: other peer URLs. etcd does not look into them here, and then the other
        members end when they cannot use them."""
        try:
            request = MemberUpdateRequest.decode(body)
            read_peer_urls(request.peerURLs)
        except DecodeError as error:
            call.fail(*status_of(error))
        except BadPeerUrls:
            call.fail(INVALID_ARGUMENT, _BAD_URLS)
        else:
            context = (call, MemberUpdateResponse)
            self._host.reconfiguration.update(request.ID, request.peerURLs, self._answer, context)

    def member_promote(self, call: Call, body: bytes) -> None:
        """MemberPromote: a learner that is in sync becomes a voter."""
        try:
            request = MemberPromoteRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        context = (call, MemberPromoteResponse)
        self._host.reconfiguration.promote(request.ID, self._answer, context)

    def _answer(self, context: tuple[Call, type[MemberListResponse]], outcome: object) -> None:
        """All answers but MemberAdd's have the same two fields."""
        call, kind = context
        if isinstance(outcome, Exception):
            call.fail(*status_of(outcome))
            return
        assert isinstance(outcome, list), outcome
        # As in etcd the header of the Cluster service has revision 0.
        members = [member_message(member) for member in outcome]
        call.reply(kind(header=header_message(self._host, 0), members=members).encode())
