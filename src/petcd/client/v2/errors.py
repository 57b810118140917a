"""What can go wrong with a request; `str(error)` is what etcd's v2 client says.

```
V2Failure
  NoEndpoints  DeadlinePassed  BadUrl  UnexpectedStatus  InvalidAnswer  Refused
  EndpointFailure      one endpoint did not answer
  ClusterUnavailable   none of them did
  KeysError            an answer of the keys API: number, message, cause, index
```
"""

from __future__ import annotations

from collections.abc import Sequence


class V2Failure(Exception):
    """A request that brought nothing."""


class NoEndpoints(V2Failure):
    def __init__(self) -> None:
        super().__init__("client: no endpoints available")


class DeadlinePassed(V2Failure):
    """The time for the whole command is over."""

    def __init__(self) -> None:
        super().__init__("context deadline exceeded")


class BadUrl(V2Failure):
    """A URL that the user gave and that makes no sense."""


class UnexpectedStatus(V2Failure):
    def __init__(self, status: int) -> None:
        super().__init__(f"unexpected status code {status}")


class InvalidAnswer(V2Failure):
    """An answer that is not the JSON of etcd."""

    def __init__(self) -> None:
        super().__init__(
            "client: response is invalid json. The endpoint is probably not valid etcd cluster "
            "endpoint"
        )


class Refused(V2Failure):
    """The members' or access control's API said no, in the server's words."""


class EndpointFailure(V2Failure):
    """One endpoint failed.  `connecting`: there was no connection, or it broke or fell silent."""

    def __init__(self, text: str, connecting: bool = False) -> None:
        super().__init__(text)
        self.connecting = connecting


class ClusterUnavailable(V2Failure):
    """Every endpoint failed."""

    def __init__(self, failures: Sequence[EndpointFailure]) -> None:
        self.failures = tuple(failures)
        listed = "".join([f"; error #{n}: {failure}\n" for n, failure in enumerate(failures)])
        super().__init__("client: etcd cluster is unavailable or misconfigured" + listed)

    def detail(self) -> str:
        """A line for each failure."""
        return "".join([f"error #{n}: {failure}\n" for n, failure in enumerate(self.failures)])


class KeysError(V2Failure):
    """The keys API's own error.  `index` is the store's."""

    def __init__(self, code: int, message: str, cause: str, index: int) -> None:
        super().__init__(f"{code}: {message} ({cause}) [{index}]")
        self.code = code


def is_connecting(error: V2Failure) -> bool:
    """Whether nothing but connections failed, so that the cluster was not reached at all."""
    if isinstance(error, ClusterUnavailable):
        return all(failure.connecting for failure in error.failures)
    if isinstance(error, EndpointFailure):
        return error.connecting
    return isinstance(error, DeadlinePassed)
