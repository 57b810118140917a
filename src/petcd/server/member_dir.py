"""Makes the data directory of a member out of a state, for restored snapshots.

::

    buckets + members + position in the log  -->  <data dir>/member/snap/db    rows, who is a member
                                                  <data dir>/member/wal        identity, snapshot
                                                                               record
    then:  etcd --data-dir <data dir>            starts from it, whatever its founding flags say

The directory ``member`` gets its name when everything in it is complete and synced, so a member
never starts from a half of it. Members that are made from the same buckets, members and position
are one cluster.

It does not do: reading snapshots or other directories (see `restore`), serving.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from petcd.cluster.v2_store import MemberRecords
from petcd.member.meta import save_applied, save_conf_state, save_log_start
from petcd.raft.types import ConfState, HardState
from petcd.storage.backend import Row
from petcd.storage.datadir import make_directory
from petcd.storage.errors import DataDirUnusable
from petcd.storage.files import sync_directory
from petcd.storage.lmdb_backend import LmdbBackend, write_database
from petcd.storage.wal import Wal
from petcd.wire.internal import Metadata

_UNFINISHED = ".member.part"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a state stands in the log: the last entry applied to it, and raft's configuration."""

    index: int
    term: int
    conf_state: ConfState


def write_member_dir(
    data_dir: str,
    wal_dir: str,
    buckets: Iterable[tuple[bytes, Iterator[list[Row]]]],
    identity: Metadata,
    records: MemberRecords,
    position: Position,
) -> None:
    """Make `data_dir`, or fill it if it is empty; `wal_dir` "" keeps the log inside it.

    `buckets`: the rows by bucket (`storage.snapshot_file.read_buckets`); what they say of members
    and position is replaced. `identity`: NodeID and ClusterID of the member. Raises StorageFailed,
    WalExists, DataDirUnusable and what `buckets` raises.
    """
    unfinished = os.path.join(data_dir, _UNFINISHED)
    try:
        make_directory(os.path.join(unfinished, "snap"))
        _write_database(os.path.join(unfinished, "snap", "db"), buckets, records, position)
        _write_log(wal_dir or os.path.join(unfinished, "wal"), identity, position)
        os.rename(unfinished, os.path.join(data_dir, "member"))
        sync_directory(data_dir)
    except OSError as error:
        raise DataDirUnusable(data_dir, error.strerror or str(error)) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_database(
    path: str,
    buckets: Iterable[tuple[bytes, Iterator[list[Row]]]],
    records: MemberRecords,
    position: Position,
) -> None:
    write_database(path, buckets)
    backend = LmdbBackend(path)
    try:
        records.write(backend)
        save_applied(backend, position.index, position.term)
        save_conf_state(backend, position.conf_state)
        save_log_start(backend, position.index, position.term)
        backend.commit()
    finally:
        backend.close()


def _write_log(wal_dir: str, identity: Metadata, position: Position) -> None:
    make_directory(os.path.dirname(wal_dir.rstrip("/")) or ".")
    wal = Wal.create(wal_dir, identity.encode(), background=False)
    try:
        wal.save_snapshot(position.index, position.term, position.conf_state)
        wal.save(HardState(position.term, 0, position.index), [])
        wal.sync()
    finally:
        wal.close()
