"""etcdserverpb.Cluster: the list of members. Changes of the list come with clusters of several."""

from petcd.api.errors import status_of
from petcd.api.host import Host
from petcd.api.v3.header import header_message
from petcd.cluster import MemberInfo
from petcd.transport.call import Call
from petcd.transport.router import UNARY, Method, Router
from petcd.wire.cluster import Member, MemberListRequest, MemberListResponse
from petcd.wire.codec import DecodeError

_SERVICE = b"/etcdserverpb.Cluster/"


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
        router.add(Method(_SERVICE + b"MemberList", UNARY, self.member_list))

    def member_list(self, call: Call, body: bytes) -> None:
        """MemberList; linearizable when asked."""
        try:
            request = MemberListRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        if request.linearizable:
            self._host.read(self._answer, call)
        else:
            self._answer(call, None)

    def _answer(self, call: Call, refusal: object) -> None:
        if isinstance(refusal, Exception):
            call.fail(*status_of(refusal))
            return
        members = [member_message(m) for m in self._host.member.membership.members()]
        # As in etcd the header of the Cluster service has revision 0.
        response = MemberListResponse(header=header_message(self._host, 0), members=members)
        call.reply(response.encode())
