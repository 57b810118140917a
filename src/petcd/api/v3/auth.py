"""etcdserverpb.Auth, as far as a store without users goes: whether authentication is on, and no.

Clients that are given a name and a password log in before anything else, and take the refusal
below for leave to go on without. Users, roles and permissions are not served yet.
"""

from collections.abc import Callable

from petcd.api.errors import FAILED_PRECONDITION, status_of
from petcd.api.host import Host
from petcd.api.v3.header import header_message
from petcd.transport.call import Call
from petcd.transport.router import UNARY, Method, Router
from petcd.wire.auth import AuthenticateRequest, AuthStatusRequest, AuthStatusResponse
from petcd.wire.codec import DecodeError, Message

_SERVICE = b"/etcdserverpb.Auth/"
_NOT_ENABLED = "etcdserver: authentication is not enabled"
# Of a store whose users and roles were never changed.
_REVISION = 1


class AuthService:
    """Handlers of the Auth service."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def register(self, router: Router) -> None:
        """Add the methods to the router."""
        router.add(Method(_SERVICE + b"AuthStatus", UNARY, self.auth_status))
        router.add(Method(_SERVICE + b"Authenticate", UNARY, self.authenticate))

    def auth_status(self, call: Call, body: bytes) -> None:
        """AuthStatus: it is off."""
        self._confirmed(call, body, AuthStatusRequest, self._answer_status)

    def _answer_status(self, call: Call) -> None:
        header = header_message(self._host, self._host.member.store.revision)
        call.reply(AuthStatusResponse(header=header, authRevision=_REVISION).encode())

    def authenticate(self, call: Call, body: bytes) -> None:
        """Authenticate: there is nothing to log in to."""
        refusal = FAILED_PRECONDITION, _NOT_ENABLED
        self._confirmed(call, body, AuthenticateRequest, lambda call: call.fail(*refusal))

    def _confirmed(
        self, call: Call, body: bytes, kind: type[Message], answer: Callable[[Call], None]
    ) -> None:
        """Answer a well-formed request once the cluster has confirmed what this member knows."""

        def serve(call: Call, refusal: object) -> None:
            if isinstance(refusal, Exception):
                call.fail(*status_of(refusal))
            else:
                answer(call)

        try:
            kind.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
        else:
            self._host.read(serve, call)
