"""From a data directory to a member: found a new one, or go on where the last process stopped.

    new       ids from --initial-cluster; a log with the metadata; raft entries for the members
    restart   backend (as of its applied index) + log entries behind it; flags of the founding are
              ignored, as in etcd

Order on restart: leases before keys, since a key attaches itself to its lease while the index is
built; then raft, which hands out again what the backend has not seen.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass

from petcd.cluster import MemberInfo, Membership, cluster_id, format_id, member_id
from petcd.lease import Lessor, ttl_s_min
from petcd.member import Applier, Member
from petcd.member.alarms import AlarmStore
from petcd.member.meta import load_applied, load_conf_state, load_log_start
from petcd.member.quota import Quota
from petcd.mvcc.store import Store
from petcd.raft.config import Config
from petcd.raft.rawnode import RawNode
from petcd.raft.start import Peer
from petcd.raft.storage import MemoryStorage
from petcd.raft.types import HardState, Snapshot, SnapshotMetadata
from petcd.server.config import ConfigError, ServerConfig
from petcd.server.log import Logger
from petcd.storage.datadir import DataDir
from petcd.storage.files import OsFiles, UnsyncedFiles
from petcd.storage.lmdb_backend import LmdbBackend
from petcd.storage.wal import Wal
from petcd.storage.wal_reader import valid_snapshots
from petcd.wire.internal import Metadata

HEARTBEAT_TICKS = 1
# Bytes of entries in one append, and appends under way to one follower: etcd's values.
MESSAGE_BYTES_MAX = 1024 * 1024
INFLIGHT_MESSAGES_MAX = 512
# Bytes of committed entries handed out for applying at once; bounds the work of one turn.
COMMITTED_BYTES_MAX = 64 * 1024 * 1024


class DataUnusable(Exception):
    """What is in the data directory cannot be started from; the message says why."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Everything that was opened for one member."""

    member: Member
    log: Wal
    backend: LmdbBackend
    data_dir: DataDir
    quota: Quota
    snapshot_index: int
    is_new: bool


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


def open_member(config: ServerConfig, log: Logger, progress: Callable[[int], None]) -> Opened:
    """Open or found the member. Raises ConfigError, DataUnusable and the storage room's errors.

    `progress` is called with the number of rows read while the index is built.
    """
    data_dir = DataDir(config.data_dir, config.wal_dir)
    try:
        wal_dir = data_dir.wal_path
        if Wal.exists(wal_dir):
            return _restart(config, log, data_dir, wal_dir, progress)
        return _found(config, data_dir, wal_dir, progress)
    except BaseException:
        data_dir.close()
        raise


def _found(
    config: ServerConfig, data_dir: DataDir, wal_dir: str, progress: Callable[[int], None]
) -> Opened:
    members = founding_members(config)
    cluster = cluster_id(member.id for member in members)
    local = next(member.id for member in members if member.name == config.name)
    metadata = Metadata(NodeID=local, ClusterID=cluster).encode()
    wal = Wal.create(wal_dir, metadata, files=_files(config))
    backend = LmdbBackend(data_dir.db_path)
    storage = MemoryStorage()
    member, quota = _assemble(config, backend, storage, local, cluster, progress)
    _bootstrap(member, members)
    return Opened(member, wal, backend, data_dir, quota, 0, True)


def _restart(
    config: ServerConfig,
    log: Logger,
    data_dir: DataDir,
    wal_dir: str,
    progress: Callable[[int], None],
) -> Opened:
    backend = LmdbBackend(data_dir.db_path)
    applied_index, _ = load_applied(backend)
    start = _log_start(backend, wal_dir, applied_index)
    wal, replay = Wal.open(wal_dir, start, files=_files(config))
    if replay.torn_bytes:
        log.warn("cut a torn tail off the log", bytes=replay.torn_bytes, directory=wal_dir)
    metadata = Metadata.decode(replay.metadata)
    if applied_index > wal.last_index:
        raise DataUnusable(
            f"the store is ahead of the log (index {applied_index} > {wal.last_index}): "
            f"{wal_dir} does not belong to {data_dir.db_path}"
        )
    storage = MemoryStorage()
    conf_state = load_conf_state(backend)
    storage.apply_snapshot(Snapshot(b"", SnapshotMetadata(conf_state, *start)))
    storage.append(replay.entries)
    # The commit index is not synced for its own sake, so the disk may know less of it than the
    # store; what is applied was committed.
    held = replay.hard_state
    storage.set_hard_state(HardState(held.term, held.vote, max(held.commit, applied_index)))
    member, quota = _assemble(
        config, backend, storage, metadata.NodeID, metadata.ClusterID, progress
    )
    is_new = not replay.entries and not conf_state.voters
    if is_new:
        # The process died between making the log and writing its first entries.
        _bootstrap(member, founding_members(config))
    return Opened(member, wal, backend, data_dir, quota, start[0], is_new)


def _files(config: ServerConfig) -> OsFiles:
    return UnsyncedFiles() if config.unsafe_no_fsync else OsFiles()


def _log_start(backend: LmdbBackend, wal_dir: str, applied_index: int) -> tuple[int, int]:
    """(index, term) of the newest snapshot record that the backend has seen."""
    noted = load_log_start(backend)
    if noted is not None:
        return noted
    records = [r for r in valid_snapshots(wal_dir) if r.index <= applied_index]
    return (records[-1].index, records[-1].term) if records else (0, 0)


def _assemble(
    config: ServerConfig,
    backend: LmdbBackend,
    storage: MemoryStorage,
    local_id: int,
    cluster: int,
    progress: Callable[[int], None],
) -> tuple[Member, Quota]:
    """Load the state machines and put the raft node on top."""
    election_ticks = config.election_ms // config.heartbeat_ms
    lessor = Lessor(backend, ttl_s_min(election_ticks, config.heartbeat_ms))
    lessor.load()
    store = Store(backend, lessor)
    for rows in store.load():
        progress(rows)
    backend.release_memory()  # the pages that the walk through everything left resident
    membership = Membership(backend, cluster, local_id)
    membership.load()
    alarms = AlarmStore(backend)
    alarms.load()
    quota = Quota(config.quota_backend_bytes)
    applier = Applier(store, lessor, membership, alarms, quota, backend)
    applied = load_applied(backend)
    node = RawNode(
        Config(
            id=local_id,
            election_tick=election_ticks,
            heartbeat_tick=HEARTBEAT_TICKS,
            storage=storage,
            random=random.randrange,
            applied=applied[0],
            max_size_per_msg=MESSAGE_BYTES_MAX,
            max_committed_size_per_ready=COMMITTED_BYTES_MAX,
            max_inflight_msgs=INFLIGHT_MESSAGES_MAX,
            check_quorum=True,
            pre_vote=config.pre_vote,
        )
    )
    member = Member(node, storage, applier, backend, applied, config.election_ms / 1000)
    return member, quota


def _bootstrap(member: Member, members: list[MemberInfo]) -> None:
    """Put the founding members into the raft log, each as an entry of its own."""
    member.node.bootstrap([Peer(info.id, info.to_json()) for info in members])


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
