"""From a data directory to a member: found a new one, or go on where the last process stopped.

    new       ids from --initial-cluster; a log with the metadata; raft entries for the members
    restart   backend (as of its applied index) + log entries behind it; flags of the founding are
              ignored, as in etcd

What is made of the opened files is in `opening`; here they are found, made and opened.
"""

import os
import random
from collections.abc import Callable, Sequence

from petcd.cluster import MemberInfo, cluster_id, format_id, member_id
from petcd.member.meta import load_applied, load_log_start
from petcd.server.config import ConfigError, ServerConfig
from petcd.server.log import Logger
from petcd.server.opening import DataUnusable as DataUnusable
from petcd.server.opening import Opened, Opening
from petcd.storage.datadir import DataDir
from petcd.storage.files import OsFiles, UnsyncedFiles
from petcd.storage.lmdb_backend import LmdbBackend
from petcd.storage.wal import Wal
from petcd.storage.wal_reader import valid_snapshots
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
        found.setdefault(name, []).append(url.removesuffix("/"))
    urls = [url for of_member in found.values() for url in of_member]
    if len(set(urls)) != len(urls):
        raise ConfigError(f"initial cluster {text} has duplicate url")
    return {name: tuple(sorted(of_member)) for name, of_member in found.items()}


def founding_members(config: ServerConfig) -> list[MemberInfo]:
    """The first members of a new cluster; the local one is checked against the flags.

    Raises ConfigError.
    """
    if config.initial_cluster_state == "existing":
        raise ConfigError("--initial-cluster-state=existing: joining a cluster is not served yet")
    cluster = parse_initial_cluster(config.initial_cluster)
    local = cluster.get(config.name)
    if local is None:
        raise ConfigError(
            f'couldn\'t find local name "{config.name}" in the initial cluster configuration'
        )
    advertised = tuple(sorted(config.initial_advertise_peer_urls))
    if local != advertised:
        raise ConfigError(
            f"--initial-cluster has {config.name}={','.join(local)} but missing from "
            f"--initial-advertise-peer-urls={','.join(advertised)}"
        )
    if len(cluster) > 1:
        raise ConfigError("--initial-cluster names several members: clusters are not served yet")
    token = config.initial_cluster_token
    return [MemberInfo(member_id(urls, token), urls, name) for name, urls in cluster.items()]


def open_member(
    config: ServerConfig, data_dir: DataDir, log: Logger, progress: Callable[[int], None]
) -> Opened:
    """Open or found the member. Raises ConfigError, DataUnusable and the storage room's errors.

    `progress` is called with the number of rows read while the index is built.
    """
    opening = Opening(config, random.randrange, progress)
    if Wal.exists(data_dir.wal_path):
        return _restart(config, log, data_dir, opening)
    return _found(config, data_dir, opening)


def _found(config: ServerConfig, data_dir: DataDir, opening: Opening) -> Opened:
    members = founding_members(config)
    identity = identity_of(config, members)
    wal = Wal.create(data_dir.wal_path, identity.encode(), files=_files(config))
    backend = LmdbBackend(data_dir.db_path)
    return opening.found(wal, backend, identity, members)


def identity_of(config: ServerConfig, members: Sequence[MemberInfo]) -> Metadata:
    """Who the local one of the founding members is, and in which cluster."""
    local = next(member.id for member in members if member.name == config.name)
    return Metadata(NodeID=local, ClusterID=cluster_id(member.id for member in members))


def _restart(config: ServerConfig, log: Logger, data_dir: DataDir, opening: Opening) -> Opened:
    wal_dir = data_dir.wal_path
    backend = LmdbBackend(data_dir.db_path)
    applied_index, _ = load_applied(backend)
    start = _log_start(backend, wal_dir, applied_index)
    wal, replay = Wal.open(wal_dir, start, files=_files(config))
    if replay.torn_bytes:
        log.warn("cut a torn tail off the log", bytes=replay.torn_bytes, directory=wal_dir)
    opened = opening.reopen(
        wal, replay, start, backend, lambda identity: founders(config, identity)
    )
    backend.release_memory()  # the pages that the walk through everything left resident
    return opened


def founders(config: ServerConfig, identity: Metadata) -> list[MemberInfo]:
    """The founding members, if this member is one of them by its flags; else none."""
    members = founding_members(config)
    return members if identity_of(config, members) == identity else []


def _files(config: ServerConfig) -> OsFiles:
    return UnsyncedFiles() if config.unsafe_no_fsync else OsFiles()


def _log_start(backend: LmdbBackend, wal_dir: str, applied_index: int) -> tuple[int, int]:
    """(index, term) of the newest snapshot record that the backend has seen."""
    noted = load_log_start(backend)
    if noted is not None:
        return noted
    records = [r for r in valid_snapshots(wal_dir) if r.index <= applied_index]
    return (records[-1].index, records[-1].term) if records else (0, 0)


def describe(opened: Opened, config: ServerConfig) -> dict[str, object]:
    """What an operator wants to read in the first log line."""
    membership = opened.member.membership
    return {
        "name": config.name,
        "member_id": format_id(membership.local_id),
        "cluster_id": format_id(membership.cluster_id),
        "data_dir": os.path.abspath(config.data_dir),
        "applied_index": opened.member.applied_index,
        "revision": opened.member.store.revision,
        "keys": len(opened.member.store),
        "heartbeat_interval_ms": config.heartbeat_ms,
        "election_timeout_ms": config.election_ms,
        "quota_bytes": opened.quota.bytes_max,
        "auto_compaction": f"{config.auto_compaction_mode} {config.auto_compaction_retention}",
    }
