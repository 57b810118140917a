"""The first start of a member: a founder of a new cluster, or one that a running cluster added.

    new       ids follow from --initial-cluster and its token; the others are asked whether this
              member ran before, since one that lost its disk may have forgotten a vote
    existing  the others are asked who they are; the ids are theirs, found by the peer URLs. One
              that they know to have run is refused, too. (etcd lets it in: then it panics, or
              votes again with what it forgot.)

    restored  by `snapshot restore` and not run since: as a founder, for it begins a new cluster.
              Ids follow from URLs and token, so they may be those of a cluster that runs: then
              the log of that one would be applied on top of the backup

Names in peer URLs are looked up before they are compared, as in etcd.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from petcd.cluster import MemberInfo, format_id
from petcd.member.meta import load_conf_state, load_log_start
from petcd.peer.remote_requests import (
    ClusterUnknown,
    RemoteCluster,
    Versions,
    get_cluster_from_remote_peers,
    get_versions,
)
from petcd.server.config import ConfigError, ServerConfig
from petcd.server.founding import (
    check_advertised,
    founding_members,
    identity_of,
    initial_members,
)
from petcd.server.log import LogLines
from petcd.server.opening import Opened
from petcd.server.versions import CLUSTER_VERSION_MIN, is_joinable
from petcd.transport.http_client import HttpClient
from petcd.wire.internal import Metadata

# How long each peer may take to say whether a founder ran before; etcd's.
BOOTSTRAP_TIMEOUT_S = 1.0
# How long names in URLs may take to be looked up; etcd's.
RESOLVE_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class FirstStart:
    """Who this member is, and with whom it starts.

    founders: all first members of a new cluster; empty when this member joins one.
    hosts: the members of the cluster that it joins.
    """

    identity: Metadata
    founders: tuple[MemberInfo, ...]
    hosts: tuple[MemberInfo, ...]


async def first_start(config: ServerConfig, client: HttpClient, log: LogLines) -> FirstStart:
    """What a member without a log starts as. Raises ConfigError."""
    if config.initial_cluster_state == "existing":
        return await _join(config, client)
    members = founding_members(config)
    local = next(member for member in members if member.name == config.name)
    await _check_advertised(config, local.peer_urls)
    urls = remote_urls(members, config.name)
    if urls:
        with suppress(ClusterUnknown):
            running = await get_cluster_from_remote_peers(client, urls, BOOTSTRAP_TIMEOUT_S)
            check_never_ran(running, local.id)
    return FirstStart(identity_of(config, members), tuple(members), ())


def remote_urls(members: Sequence[MemberInfo], local_name: str) -> list[str]:
    """The peer URLs of all others, sorted."""
    return sorted(url for m in members if m.name != local_name for url in m.peer_urls)


async def check_restored(opened: Opened, client: HttpClient) -> None:
    """Raise ConfigError when a member stands where a restore put it, and the others, asked for a
    moment, say that it ran in their cluster."""
    backend, membership = opened.backend, opened.member.membership
    voters = load_conf_state(backend).voters
    last_index = opened.member.node.raft.raft_log.last_index()
    if load_log_start(backend) != (len(voters), 1) or last_index != len(voters):
        return
    others = [member for member in membership.members() if member.id != membership.local_id]
    urls = sorted(url for member in others for url in member.peer_urls)
    with suppress(ClusterUnknown):
        running = await get_cluster_from_remote_peers(client, urls, BOOTSTRAP_TIMEOUT_S)
        if running.cluster_id == membership.cluster_id:
            check_never_ran(running, membership.local_id)


def check_never_ran(cluster: RemoteCluster, member_id: int) -> None:
    """Raise ConfigError when a running cluster knows a member of this id that has started."""
    if any(member.id == member_id and member.client_urls for member in cluster.members):
        raise ConfigError(f"member {format_id(member_id)} has already been bootstrapped")


async def _check_advertised(config: ServerConfig, local: Sequence[str]) -> None:
    if not await are_same_urls(config.initial_advertise_peer_urls, local):
        check_advertised(config, local)


# -- joining ----------------------------------------------------------------------------------


async def _join(config: ServerConfig, client: HttpClient) -> FirstStart:
    cluster = initial_members(config)
    urls = sorted(url for name, of in cluster.items() if name != config.name for url in of)
    try:
        existing = await get_cluster_from_remote_peers(client, urls)
    except ClusterUnknown as error:
        raise ConfigError(f"cannot fetch cluster info from peer urls: {error}") from None
    ids = await match_members(cluster, existing)
    local_id = ids[config.name]
    check_never_ran(existing, local_id)
    others = [member for member in existing.members if member.id != local_id]
    check_versions(await get_versions(client, others))
    identity = Metadata(NodeID=local_id, ClusterID=existing.cluster_id)
    return FirstStart(identity, (), existing.members)


async def match_members(
    cluster: dict[str, tuple[str, ...]], existing: RemoteCluster
) -> dict[str, int]:
    """Member ids by name: that of the existing member with the same peer URLs.

    Raises ConfigError unless the flags name exactly the members there are.
    """
    where = ",".join(url for member in existing.members for url in member.peer_urls)
    if len(cluster) != len(existing.members):
        raise ConfigError(f"error validating peerURLs {where}: member count is unequal")
    ids: dict[str, int] = {}
    for member in existing.members:
        for name, urls in cluster.items():
            if name not in ids and await are_same_urls(member.peer_urls, urls):
                ids[name] = member.id
                break
        else:
            raise ConfigError(
                f"error validating peerURLs {where}: PeerURLs: no match found for existing "
                f"member ({format_id(member.id)}, {list(member.peer_urls)})"
            )
    return ids


def check_versions(found: dict[int, Versions | None]) -> None:
    """Raise ConfigError when a member says that its cluster is of a version that we cannot join,
    or none of them says anything."""
    clusters = [versions.cluster for versions in found.values() if versions is not None]
    decided = [version for version in clusters if version != "not_decided"]
    if not decided or not all(is_joinable(version) for version in decided):
        raise ConfigError(
            "incompatible with current running cluster "
            f"(it is of version {', '.join(sorted(set(clusters))) or 'unknown'}; "
            f"this member needs {CLUSTER_VERSION_MIN} or later, up to its own)"
        )


# -- URLs -------------------------------------------------------------------------------------


async def are_same_urls(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether both lead to the same places: equal as text, or once their names are looked up."""
    if sorted(ours) == sorted(theirs):
        return True
    if len(ours) != len(theirs):
        return False
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            resolved = [sorted([await _resolved(url) for url in urls]) for urls in (ours, theirs)]
    except (OSError, TimeoutError, ValueError):
        return False
    return resolved[0] == resolved[1]


async def _resolved(url: str) -> str:
    """The URL with its host's first address in the place of its name. `localhost` stays: it is
    another place on each machine."""
    parts = urlsplit(url)
    if not parts.hostname or parts.hostname == "localhost" or parts.port is None:
        return url
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    return f"{parts.scheme}://{sorted(entry[4][0] for entry in found)[0]}:{parts.port}"
