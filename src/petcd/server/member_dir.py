"""Makes the data directory of a member out of a state, for restored snapshots and for backups.

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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from petcd.cluster.v2_store import MemberRecords
from petcd.member.meta import save_applied, save_conf_state, save_log_start
from petcd.raft.types import ConfState, Entry, HardState
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


@dataclass(frozen=True, slots=True)
class Tail:
    """Entries behind a position, in order, and up to which index they are committed."""

    entries: Sequence[Entry] = ()
    commit: int = 0


NO_TAIL = Tail()


def write_member_dir(
    data_dir: str,
    wal_dir: str,
    buckets: Iterable[tuple[bytes, Iterator[list[Row]]]],
    identity: Metadata,
    records: MemberRecords,
    position: Position,
    tail: Tail = NO_TAIL,
) -> None:
    """Make `data_dir`, or fill it if it is empty; `wal_dir` "" keeps the log inside it.

    `buckets`: the rows by bucket (`storage.snapshot_file.read_buckets`); what they say of members
    and position is replaced. `identity`: NodeID and ClusterID of the member. `tail`: what the log
    holds behind the position. Raises StorageFailed, WalExists, DataDirUnusable and what `buckets`
    raises.
    """
    unfinished = os.path.join(data_dir, _UNFINISHED)
    try:
        make_directory(os.path.join(unfinished, "snap"))
        _write_database(os.path.join(unfinished, "snap", "db"), buckets, records, position)
        _write_log(wal_dir or os.path.join(unfinished, "wal"), identity, position, tail)
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


def _write_log(wal_dir: str, identity: Metadata, position: Position, tail: Tail) -> None:
    make_directory(os.path.dirname(wal_dir.rstrip("/")) or ".")
    wal = Wal.create(wal_dir, identity.encode(), background=False)
    try:
        if position.index:
            wal.save_snapshot(position.index, position.term, position.conf_state)
        term = tail.entries[-1].term if tail.entries else position.term
        commit = max(position.index, tail.commit)
        wal.save(HardState(term, 0, commit), list(tail.entries))
        wal.sync()
    finally:
        wal.close()
