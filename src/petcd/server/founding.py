"""The first members of a cluster, as --initial-cluster names them.

Every founder is given the same flag and token, and so finds the same ids without asking anybody.
"""

from collections.abc import Sequence

from petcd.api.peer_urls import BadPeerUrls, read_peer_urls
from petcd.cluster import MemberInfo, cluster_id, member_id
from petcd.server.config import ConfigError, ServerConfig
from petcd.wire.internal import Metadata


def parse_initial_cluster(text: str) -> dict[str, tuple[str, ...]]:
    """Peer URLs by member name from name=URL,name=URL; a name may come several times.

    Raises ConfigError.
    """
    found: dict[str, list[str]] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, url = part.partition("=")
        if not equals or not name or not url:
            raise ConfigError(f'--initial-cluster: expected name=URL, not "{part}"')
        found.setdefault(name, []).append(_checked(url.removesuffix("/")))
    urls = [url for of_member in found.values() for url in of_member]
    if len(set(urls)) != len(urls):
        raise ConfigError(f"initial cluster {text} has duplicate url")
    return {name: tuple(sorted(of_member)) for name, of_member in found.items()}


def _checked(url: str) -> str:
    try:
        return read_peer_urls([url])[0]
    except BadPeerUrls as error:
        raise ConfigError(f"error setting up initial cluster: {error}") from None


def initial_members(config: ServerConfig) -> dict[str, tuple[str, ...]]:
    """Peer URLs by name as the flags have them, the local member among them. Raises ConfigError."""
    cluster = parse_initial_cluster(config.initial_cluster)
    if config.name not in cluster:
        raise ConfigError(
            f'couldn\'t find local name "{config.name}" in the initial cluster configuration'
        )
    return cluster


def founding_members(config: ServerConfig) -> list[MemberInfo]:
    """The first members of a new cluster. Raises ConfigError."""
    token = config.initial_cluster_token
    return [
        MemberInfo(member_id(urls, token), urls, name)
        for name, urls in initial_members(config).items()
    ]


def check_advertised(config: ServerConfig, local: Sequence[str]) -> None:
    """Raise ConfigError unless the advertised peer URLs are those of the initial cluster."""
    advertised = sorted(config.initial_advertise_peer_urls)
    missing = [f"{config.name}={url}" for url in local if url not in advertised]
    if missing:
        raise ConfigError(
            f"--initial-cluster has {','.join(missing)} but missing from "
            f"--initial-advertise-peer-urls={','.join(advertised)}"
        )
    missing = [url for url in advertised if url not in local]
    if missing:
        raise ConfigError(
            f"--initial-advertise-peer-urls has {','.join(missing)} but missing from "
            f"--initial-cluster={','.join(f'{config.name}={url}' for url in local)}"
        )


def identity_of(config: ServerConfig, members: Sequence[MemberInfo]) -> Metadata:
    """Who the local one of the founding members is, and in which cluster."""
    local = next(member.id for member in members if member.name == config.name)
    return Metadata(NodeID=local, ClusterID=cluster_id(member.id for member in members))


def founders_of(config: ServerConfig, identity: Metadata) -> list[MemberInfo]:
    """The founding members, if this member is one of them by its flags; else none."""
    if config.initial_cluster_state != "new":
        return []
    members = founding_members(config)
    return members if identity_of(config, members) == identity else []
