"""Who speaks: the headers of every request between members, and what they must agree on.

    X-Server-From          the sender's id              X-Etcd-Cluster-ID   must be the same
    X-Server-Version       not older than the minimum   X-PeerURLs          where the sender is
    X-Min-Cluster-Version  not newer than this member   X-Raft-To           streams: who is meant

Ids are lower-case hexadecimal. Pure. Source: etcd's rafthttp package.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from petcd.cluster import format_id
from petcd.peer.errors import ClusterIdMismatch, IncompatibleVersion
from petcd.transport.http import Header
from petcd.version import ETCD_VERSION

MIN_CLUSTER_VERSION = "3.0.0"
"""The oldest cluster that a member of this version can work in, as etcd 3.5 says of itself."""
_UNSAID_VERSION = b"2.0.0"
_VERSION = re.compile(rb"(\d{1,9})\.(\d{1,9})\.\d{1,9}(?:[-+].{0,64})?")


class Headers(Protocol):
    """A request or an answer."""

    def header(self, name: bytes) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """This member, as it introduces itself to the others."""

    member_id: int
    cluster_id: int
    peer_urls: Sequence[str] = ()
    version: str = ETCD_VERSION

    def headers(self, to: int | None = None) -> list[Header]:
        """The headers of a request; with `to`, of a stream from that member."""
        headers = [
            (b"x-server-from", format_id(self.member_id).encode()),
            (b"x-server-version", self.version.encode()),
            (b"x-min-cluster-version", MIN_CLUSTER_VERSION.encode()),
            (b"x-etcd-cluster-id", format_id(self.cluster_id).encode()),
        ]
        if to is not None:
            headers.append((b"x-raft-to", format_id(to).encode()))
        if self.peer_urls:
            headers.append((b"x-peerurls", ",".join(self.peer_urls).encode()))
        return headers

    def check(self, other: Headers) -> None:
        """Raise `IncompatibleVersion` or `ClusterIdMismatch` when the two cannot work together."""
        theirs = _major_minor(other.header(b"x-server-version"))
        their_minimum = _major_minor(other.header(b"x-min-cluster-version"))
        ours = _major_minor(self.version.encode())
        if theirs < _major_minor(MIN_CLUSTER_VERSION.encode()) or their_minimum > ours:
            raise IncompatibleVersion
        if other.header(b"x-etcd-cluster-id") != format_id(self.cluster_id).encode():
            raise ClusterIdMismatch


def sender_of(other: Headers) -> tuple[int, list[str]] | None:
    """Id and peer URLs that a request's sender gave, when it gave both."""
    urls = (other.header(b"x-peerurls") or b"").decode("latin-1")
    sender = parse_member_id((other.header(b"x-server-from") or b"").decode("latin-1"))
    if sender is None or not urls:
        return None
    return sender, urls.split(",")


def parse_member_id(text: str) -> int | None:
    """An id as etcd reads it: 1 to 16 hexadecimal digits; None for anything else."""
    if re.fullmatch("0*[0-9a-fA-F]{1,16}", text) is None:
        return None
    return int(text, 16)


def _major_minor(version: bytes | None) -> tuple[int, int]:
    """What counts of a version. etcd before 2.1 did not say; an unreadable one is as old."""
    match = _VERSION.fullmatch(version or _UNSAID_VERSION)
    return (int(match[1]), int(match[2])) if match is not None else (0, 0)
