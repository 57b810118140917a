"""Questions to members before, or beside, the network of peers: who they are, what they run.

Used by a member that joins a running cluster and by the leader that decides the cluster's version.
Each URL is asked in turn until one answers. Source: etcd's cluster_util.go.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from petcd.cluster.membership import MemberInfo
from petcd.peer.errors import PeerError
from petcd.peer.identity import parse_member_id
from petcd.transport.http1_answer import ExchangeFailed
from petcd.transport.http_client import HttpClient, Response

MEMBERS_TIMEOUT_S = 10.0
"""For each URL, as in etcd."""
VERSION_TIMEOUT_S = 5.0
"""For each URL. etcd has none of its own here."""


class ClusterUnknown(PeerError):
    """None of the URLs told who is in the cluster."""

    def __init__(self) -> None:
        super().__init__("could not retrieve cluster information from the given URLs")


@dataclass(frozen=True, slots=True)
class RemoteCluster:
    """A running cluster, as one of its members describes it."""

    cluster_id: int
    members: tuple[MemberInfo, ...]


@dataclass(frozen=True, slots=True)
class Versions:
    """What a member runs, and the version that its cluster agreed on (`not_decided` before)."""

    server: str
    cluster: str


@dataclass(frozen=True, slots=True)
class PeerHash:
    """A member's HashKV at the revision that it was asked for; `revision` is its newest."""

    revision: int
    hash: int
    compact_revision: int


async def get_cluster_from_remote_peers(
    client: HttpClient, urls: Iterable[str], timeout_s: float = MEMBERS_TIMEOUT_S
) -> RemoteCluster:
    """The cluster that the first answering peer URL describes. Raises `ClusterUnknown`."""
    for url in urls:
        answer = await _get(client, url, "/members", timeout_s)
        found = None if answer is None else parse_members(answer)
        if found is not None:
            return found
    raise ClusterUnknown


async def get_versions(
    client: HttpClient, members: Iterable[MemberInfo], timeout_s: float = VERSION_TIMEOUT_S
) -> dict[int, Versions | None]:
    """What each member runs, None for those that did not say. All are asked at once."""
    listed = list(members)
    found = await asyncio.gather(
        *[_get_version(client, member.peer_urls, timeout_s) for member in listed]
    )
    return {member.id: versions for member, versions in zip(listed, found, strict=True)}


async def _get_version(
    client: HttpClient, urls: Sequence[str], timeout_s: float
) -> Versions | None:
    for url in urls:
        answer = await _get(client, url, "/version", timeout_s)
        found = None if answer is None else parse_versions(answer.body)
        if found is not None:
            return found
    return None


async def get_hashes(
    client: HttpClient, members: Iterable[MemberInfo], revision: int, timeout_s: float
) -> dict[int, PeerHash | None]:
    """HashKV of each member at a revision, None for those that have none or did not say."""
    listed = list(members)
    body = json.dumps({"revision": revision}).encode()
    found = await asyncio.gather(
        *[_get_hash(client, member.peer_urls, body, timeout_s) for member in listed]
    )
    return {member.id: each for member, each in zip(listed, found, strict=True)}


async def _get_hash(
    client: HttpClient, urls: Sequence[str], body: bytes, timeout_s: float
) -> PeerHash | None:
    for url in urls:
        answer = await _get(client, url, "/members/hashkv", timeout_s, body)
        found = None if answer is None else parse_hash(answer.body)
        if found is not None:
            return found
    return None


async def _get(
    client: HttpClient, url: str, path: str, timeout_s: float, body: bytes = b""
) -> Response | None:
    try:
        answer = await client.fetch(url, "GET", path, body=body, timeout_s=timeout_s)
    except (ExchangeFailed, OSError):
        return None
    return answer if answer.status == 200 else None


def parse_members(answer: Response) -> RemoteCluster | None:
    """The cluster behind an answer of `/members`; None when it is no such answer, or is empty."""
    text = (answer.header(b"x-etcd-cluster-id") or b"").decode("latin-1")
    cluster_id = parse_member_id(text)
    try:
        listed = json.loads(answer.body)
        members = tuple(MemberInfo.from_json(json.dumps(fields).encode()) for fields in listed)
    except (ValueError, TypeError, RecursionError):
        return None
    if cluster_id is None or not members:
        return None
    return RemoteCluster(cluster_id, members)


def parse_versions(body: bytes) -> Versions | None:
    """The versions in an answer of `/version`; None when it is no such answer."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    server, cluster = fields.get("etcdserver"), fields.get("etcdcluster")
    if not isinstance(server, str) or not isinstance(cluster, str):
        return None
    return Versions(server, cluster)


def parse_hash(body: bytes) -> PeerHash | None:
    """The hash in an answer of `/members/hashkv`; None when it is no such answer."""
    try:
        fields = json.loads(body)
    except ValueError:
        return None
    header = fields.get("header") if isinstance(fields, dict) else None
    if not isinstance(header, dict):
        return None
    numbers = (header.get("revision", 0), fields.get("hash", 0), fields.get("compact_revision", 0))
    if not all(isinstance(number, int) for number in numbers):
        return None
    return PeerHash(*numbers)
