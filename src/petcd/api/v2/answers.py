"""Headers and bodies of answers of /v2/keys.

X-Etcd-Cluster-Id    always
X-Etcd-Index         the store's revision; of an error the one that it names
X-Raft-Index, -Term  only with success
"""

from collections.abc import Sequence

from petcd.api.host import Host
from petcd.api.v2.errors import KeysError
from petcd.cluster import format_id
from petcd.transport.http import Header, HttpResponder

JSON: Header = (b"content-type", b"application/json")
TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")
NOSNIFF: Header = (b"x-content-type-options", b"nosniff")


class Answers:
    """Writes answers; `more` are headers of the request's own, such as CORS."""

    __slots__ = ("_fixed", "_member")

    def __init__(self, host: Host) -> None:
        self._member = host.member
        self._fixed = [JSON, cluster_header(host)]

    def headers(self, index: int, more: Sequence[Header]) -> list[Header]:
        """Headers of a success."""
        member = self._member
        return [
            *self._fixed,
            (b"x-etcd-index", b"%d" % index),
            (b"x-raft-index", b"%d" % member.applied_index),
            (b"x-raft-term", b"%d" % member.node.raft.term),
            *more,
        ]

    def send(
        self, respond: HttpResponder, status: int, index: int, more: Sequence[Header], body: bytes
    ) -> None:
        """A success."""
        respond.send(status, self.headers(index, more), body)

    def fail(self, respond: HttpResponder, error: KeysError, more: Sequence[Header]) -> None:
        """An error."""
        headers = [*self._fixed, (b"x-etcd-index", b"%d" % error.index), *more]
        respond.send(error.status, headers, error.body())


def cluster_header(host: Host) -> Header:
    """Which cluster answers."""
    return (b"x-etcd-cluster-id", format_id(host.member.membership.cluster_id).encode())


def send_not_allowed(respond: HttpResponder, allowed: str, headers: Sequence[Header] = ()) -> None:
    """405 with the methods that are allowed, if any are named."""
    allow = [(b"allow", allowed.encode())] if allowed else []
    respond.send(405, [TEXT, NOSNIFF, *allow, *headers], b"Method Not Allowed\n")


def send_not_found(respond: HttpResponder, headers: Sequence[Header]) -> None:
    """Go's 404."""
    respond.send(404, [TEXT, NOSNIFF, *headers], b"404 page not found\n")
