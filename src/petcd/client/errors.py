"""What can go wrong with a call: one tree of exceptions, a class per gRPC code.

```
ClientError
  Cancelled  Unknown  InvalidArgument  DeadlineExceeded  NotFound  AlreadyExists
  PermissionDenied  ResourceExhausted  FailedPrecondition  Aborted  OutOfRange
  Unimplemented  Internal  Unavailable  DataLoss  Unauthenticated
```

`str(error)` is what a user sees.  Texts of etcd itself ("etcdserver: ...") stand alone, since users
and scripts know them; anything else is shown with its code, as Go clients show it.
"""

from __future__ import annotations

from petcd.transport.grpc_status import CODE_NAMES

CONTEXT_DEADLINE = "context deadline exceeded"

# Texts that the client acts on.
NO_LEADER = "etcdserver: no leader"
LEASE_NOT_FOUND = "etcdserver: requested lease not found"
COMPACTED = "etcdserver: mvcc: required revision has been compacted"
PERMISSION_DENIED = "etcdserver: permission denied"
AUTH_NOT_ENABLED = "etcdserver: authentication is not enabled"
INVALID_AUTH_TOKEN = "etcdserver: invalid auth token"
AUTH_OLD_REVISION = "etcdserver: revision of auth store is old"
USER_EMPTY = "etcdserver: user name is empty"
NOT_SUPPORTED_FOR_LEARNER = "etcdserver: rpc not supported for learner"


class ClientError(Exception):
    """A call that failed.  `code` is the gRPC code, `message` the server's or transport's text.

    `unprocessed` tells that the server certainly did not act on the call.
    """

    code = 2

    def __init__(self, message: str, code: int | None = None, unprocessed: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.unprocessed = unprocessed
        if code is not None:
            self.code = code

    def describe(self) -> str:
        """Code and text, as gRPC's status prints them."""
        name = CODE_NAMES[self.code] if self.code < len(CODE_NAMES) else f"Code({self.code})"
        return f"rpc error: code = {name} desc = {self.message}"

    def __str__(self) -> str:
        return self.message if self.message.startswith("etcdserver: ") else self.describe()


class Cancelled(ClientError):
    """The call was given up by its caller."""

    code = 1


class Unknown(ClientError):
    """Anything else, also answers that are not gRPC."""


class InvalidArgument(ClientError):
    """The request makes no sense, whatever the state."""

    code = 3


class DeadlineExceeded(ClientError):
    """Not answered in time.  `local` when it was our own deadline that passed."""

    code = 4

    def __init__(self, message: str, code: int | None = None, local: bool = False) -> None:
        super().__init__(message, code)
        self.local = local

    def __str__(self) -> str:
        return CONTEXT_DEADLINE if self.local else super().__str__()


class NotFound(ClientError):
    """There is no such key, lease, member, ..."""

    code = 5


class AlreadyExists(ClientError):
    """What was to be made is there already."""

    code = 6


class PermissionDenied(ClientError):
    """The user may not do this."""

    code = 7


class ResourceExhausted(ClientError):
    """Out of space, or too large."""

    code = 8


class FailedPrecondition(ClientError):
    """Not in this state of the cluster."""

    code = 9


class Aborted(ClientError):
    """Interrupted; may be tried again."""

    code = 10


class OutOfRange(ClientError):
    """A revision that is compacted or in the future."""

    code = 11


class Unimplemented(ClientError):
    """The server does not know this call."""

    code = 12


class Internal(ClientError):
    """One side broke the protocol."""

    code = 13


class Unavailable(ClientError):
    """No connection, no leader, or the server is stopping; will often work again soon."""

    code = 14


class DataLoss(ClientError):
    """The server's data is damaged."""

    code = 15


class Unauthenticated(ClientError):
    """The token is missing or no longer valid."""

    code = 16


_CLASSES: list[type[ClientError]] = ClientError.__subclasses__()
_BY_CODE = {cls.code: cls for cls in _CLASSES}


def error_of(code: int, message: str, unprocessed: bool = False) -> ClientError:
    """The exception for a gRPC status that is not 0."""
    error = _BY_CODE.get(code, ClientError)(message, code)
    error.unprocessed = unprocessed
    return error
