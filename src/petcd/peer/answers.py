"""What a peer's answer to a request of ours means."""

from __future__ import annotations

from petcd.peer.errors import (
    ClusterIdMismatch,
    IncompatibleVersion,
    MemberRemoved,
    PeerError,
    PeerRefused,
)


def refusal(status: int, body: bytes) -> PeerError:
    """The error behind an answer that is not the one we hoped for."""
    text = body[:200].decode("utf-8", "replace").rstrip("\n")
    if status in (403, 410):  # etcd says 403 to a message, 410 to who wants a stream
        return MemberRemoved()
    if status == 412:
        for known in (IncompatibleVersion(), ClusterIdMismatch()):
            if text == str(known):
                return known
    return PeerRefused(status, text)
