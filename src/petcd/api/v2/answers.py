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
# A longer body is not put together: it goes out in portions, as its client takes them.
WHOLE_BYTES_MAX = 2 << 20
PORTION_BYTES = 256 << 10


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

    def send_parts(
        self,
        respond: HttpResponder,
        status: int,
        index: int,
        more: Sequence[Header],
        parts: Sequence[bytes],
    ) -> None:
        """A success whose body comes in parts."""
        headers = self.headers(index, more)
        if sum([len(part) for part in parts]) <= WHOLE_BYTES_MAX:
            respond.send(status, headers, b"".join(parts))
            return
        respond.start(status, headers)
        portions = Portions(respond, parts)
        respond.on_drain = portions.write
        portions.write()

    def fail(self, respond: HttpResponder, error: KeysError, more: Sequence[Header]) -> None:
        """An error."""
        headers = [*self._fixed, (b"x-etcd-index", b"%d" % error.index), *more]
        respond.send(error.status, headers, error.body())


class Portions:
    """A long body on its way to a client; nothing of it is copied before its turn comes."""

    __slots__ = ("_next", "_parts", "_respond")

    def __init__(self, respond: HttpResponder, parts: Sequence[bytes]) -> None:
        self._respond = respond
        self._parts = parts
        self._next = 0

    def write(self) -> None:
        """Write until enough waits for the client, or to the end of the body."""
        respond, parts = self._respond, self._parts
        while self._next < len(parts) and not respond.closed:
            if respond.queued_bytes >= PORTION_BYTES:
                return
            start, size_bytes = self._next, 0
            while self._next < len(parts) and size_bytes < PORTION_BYTES:
                size_bytes += len(parts[self._next])
                self._next += 1
            respond.write(b"".join(parts[start : self._next]))
        if parts:
            self._parts = ()
            respond.end()


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
