"""What can go wrong between members. Texts that travel or are logged are etcd's."""

from __future__ import annotations

from petcd.transport.http1_answer import ExchangeFailed


class PeerError(ExchangeFailed):
    """Something between two members failed; the text is for the log."""


class MalformedPeerData(PeerError):
    """Bytes of a peer that are not what the protocol says: the connection is of no more use."""


class PeerRefused(PeerError):
    """A peer answered with a status that says no; `status` is it, the text what it said."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}" if text else f"unexpected http status {status}")
        self.status = status
        self.text = text


class IncompatibleVersion(PeerError):
    """One side is too old for the other."""

    def __init__(self) -> None:
        super().__init__("incompatible version")


class ClusterIdMismatch(PeerError):
    """The peer belongs to another cluster."""

    def __init__(self) -> None:
        super().__init__("cluster ID mismatch")


class MemberRemoved(PeerError):
    """The peer says that this member is none any more, and never will be again."""

    def __init__(self) -> None:
        super().__init__("the member has been permanently removed from the cluster")
