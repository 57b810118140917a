"""From a data directory to a member: found a new one, or go on where the last process stopped.

    new       a log with the metadata; raft entries for the founders, if this member is one
    restart   backend (as of its applied index) + log entries behind it; flags of the founding are
              ignored, as in etcd

What is made of the opened files is in `opening`, who a new member is in `joining`; here the files
are made and opened.
"""

import os
import random
import struct
from collections.abc import Callable

from petcd.cluster import format_id
from petcd.member.meta import load_applied
from petcd.server.config import ServerConfig
from petcd.server.founding import founders_of
from petcd.server.joining import FirstStart
from petcd.server.log import Logger
from petcd.server.opening import DataUnusable as DataUnusable
from petcd.server.opening import Opened, Opening, log_start
from petcd.storage.datadir import DataDir
from petcd.storage.errors import BackendDamaged
from petcd.storage.files import OsFiles, UnsyncedFiles
from petcd.storage.lmdb_backend import LmdbBackend
from petcd.storage.lmdb_pages import check_pages
from petcd.storage.snapshot_store import settle
from petcd.storage.wal import Wal
from petcd.storage.wal_reader import valid_snapshots

# What comes of rows that are none of ours.
UNREADABLE = (ValueError, LookupError, AssertionError, struct.error)


def start_anew(
    config: ServerConfig,
    data_dir: DataDir,
    start: FirstStart,
    progress: Callable[[int], None] = lambda rows: None,
) -> Opened:
    """Make the files of a member that never ran. Raises DataUnusable and the storage room's
    errors."""
    opening = Opening(config, random.randrange, progress)
    identity = start.identity
    backend = LmdbBackend(data_dir.db_path)
    applied_index, _ = load_applied(backend)
    if applied_index:
        backend.close()
        raise DataUnusable(
            f"the store {data_dir.db_path} is there (index {applied_index}), but no log in "
            f"{data_dir.wal_path}: was another --wal-dir given before?"
        )
    wal = Wal.create(data_dir.wal_path, identity.encode(), files=_files(config))
    if start.founders:
        return opening.found(wal, backend, identity, start.founders)
    return opening.join(wal, backend, identity)


def has_run(data_dir: DataDir) -> bool:
    """Whether there is a log to go on with."""
    return Wal.exists(data_dir.wal_path)


def restart(
    config: ServerConfig, data_dir: DataDir, log: Logger, progress: Callable[[int], None]
) -> Opened:
    """Open the files of a member that ran. Raises DataUnusable and the storage room's errors.

    `progress` is called with the number of rows read while the index is built.
    """
    opening = Opening(config, random.randrange, progress)
    wal_dir = data_dir.wal_path
    if _settle_snapshot(data_dir):
        log.info("finished installing a snapshot")
    if os.path.exists(data_dir.db_path):
        check_pages(data_dir.db_path)
    backend = LmdbBackend(data_dir.db_path)
    start = log_start(backend, wal_dir)
    wal, replay = Wal.open(wal_dir, start, files=_files(config))
    if replay.torn_bytes:
        log.warn("cut a torn tail off the log", bytes=replay.torn_bytes, directory=wal_dir)
    try:
        opened = opening.reopen(
            wal, replay, start, backend, lambda identity: founders_of(config, identity)
        )
    except UNREADABLE as error:
        raise BackendDamaged(data_dir.db_path, f"{type(error).__name__}: {error}") from error
    backend.release_memory()  # the pages that the walk through everything left resident
    return opened


def _files(config: ServerConfig) -> OsFiles:
    return UnsyncedFiles() if config.unsafe_no_fsync else OsFiles()


def _settle_snapshot(data_dir: DataDir) -> bool:
    """Finish what a crash interrupted; see `storage.snapshot_store`."""
    return settle(
        data_dir.snap_path,
        data_dir.db_path,
        lambda staged: load_applied(staged)[0],
        lambda index: any(r.index == index for r in valid_snapshots(data_dir.wal_path)),
    )


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
