"""Copy a data directory, of a stopped member or of a running one, for a cluster of its own.

::

    log behind the database's start --> entries, those about members emptied --+
    database, in one read transaction --> a copy with one member of a new id --+--> backup

The log is read first, so between them nothing is missing that was acknowledged before the backup
began: what the database does not hold yet, the entries do.  The result has new ids for member and
cluster; so a server that is started on it cannot be taken for one of the old cluster.

A running member is not disturbed: the log is only read, and the read transaction is registered in
the database's lock file.  A stopped one cannot be started meanwhile, for we hold its lock.

v2 and v3 keys share one store and are both in the backup.

It does not do: membership of the new cluster (`--force-new-cluster` takes it from there).
Source: etcdutl 3.5's backup; its progress lines are those of 3.3.
"""

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import NamedTuple

from petcd.cluster import MemberInfo, format_id
from petcd.cluster.v2_store import MemberRecords
from petcd.member.apply import CLUSTER_MEMBER_ATTR_SET, V2
from petcd.member.meta import (
    load_applied,
    load_conf_state,
    load_log_start,
    save_conf_state,
    save_log_start,
)
from petcd.raft.types import ConfState, Entry, EntryType, HardState
from petcd.storage.backend import Backend
from petcd.storage.datadir import DataDir
from petcd.storage.lmdb_backend import LmdbBackend
from petcd.storage.lmdb_reader import LmdbReader
from petcd.storage.wal import Wal
from petcd.storage.wal_reader import Replay, read_log, valid_snapshots
from petcd.wire.codec import DecodeError
from petcd.wire.hot import parse_internal
from petcd.wire.internal import Metadata
from petcd.wire.membership import ClusterMemberAttrSetRequest
from petcd.wire.v2request import Request

# What the only member of the backup is called until its cluster is forced, as in etcd.
MEMBER_NAME = "etcdctl-v2-backup"
PEER_URL = "http://use-flag--force-new-cluster:2080"
MEMBER_ATTRIBUTES = re.compile("/0/members/[0-9a-fA-F]{1,16}/attributes")
# Above every index.
LAST = 1 << 64

Tell = Callable[[str], None]


class BackupFailed(Exception):
    """There is nothing to copy, or no place for the copy; the text is one line."""


class Places(NamedTuple):
    """Directories; an empty one for a log means: in the data directory."""

    data_dir: str
    wal_dir: str
    backup_dir: str
    backup_wal_dir: str


def back_up(places: Places, member_id: int, cluster_id: int, tell: Tell) -> None:
    """Make the backup; `tell` gets a line for each entry that is left out.

    Raises BackupFailed, StorageError, OSError.
    """
    database = os.path.join(places.data_dir, "member", "snap", "db")
    wal_dir = places.wal_dir or os.path.join(places.data_dir, "member", "wal")
    if not os.path.exists(database):
        raise BackupFailed(f"{places.data_dir} is no data directory of petcd: no {database}")
    if os.path.exists(os.path.join(places.backup_dir, "member")):
        raise BackupFailed(f"{places.backup_dir} holds a member already")
    with ExitStack() as stack:
        stack.enter_context(_kept_from_starting(places.data_dir))
        source = stack.enter_context(closing(LmdbReader(database)))
        replay = _read_log(source, wal_dir)
        target = stack.enter_context(closing(DataDir(places.backup_dir, places.backup_wal_dir)))
        source.copy(target.db_path)
        backend = stack.enter_context(closing(LmdbBackend(target.db_path)))
        index, term = load_applied(backend)
        entries = [entry for entry in _kept(replay.entries, tell) if entry.index > index]
        _found(backend, index, term, member_id)
        metadata = Metadata(NodeID=member_id, ClusterID=cluster_id).encode()
        with closing(Wal.create(target.wal_path, metadata, background=False)) as wal:
            if index:
                wal.save_snapshot(index, term, ConfState(voters=[member_id]))
            last = entries[-1] if entries else Entry(EntryType.NORMAL, term, index, b"")
            commit = max(index, min(last.index, _committed(replay, source)))
            wal.save(HardState(last.term, 0, commit), entries)


@contextmanager
def _kept_from_starting(data_dir: str) -> Iterator[None]:
    """Hold the lock of a stopped member; of one that runs it cannot be had, nor need it be."""
    try:
        fd = os.open(os.path.join(data_dir, "member", "lock"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    try:
        yield
    finally:
        os.close(fd)


def _read_log(source: LmdbReader, wal_dir: str) -> Replay:
    """The log behind the newest snapshot that the database knows of."""
    start = load_log_start(source)
    if start is None:
        applied = load_applied(source)[0]
        known = [record for record in valid_snapshots(wal_dir) if record.index <= applied]
        start = (known[-1].index, known[-1].term) if known else (0, 0)
    return read_log(wal_dir, start)


def _kept(entries: list[Entry], tell: Tell) -> Iterator[Entry]:
    """The entries; those about members of the old cluster are empty ones now."""
    for entry in entries:
        why = _reason_to_leave_out(entry)
        if why:
            tell(f"ignoring {why}")
            entry = Entry(EntryType.NORMAL, entry.term, entry.index, b"")
        yield entry


def _reason_to_leave_out(entry: Entry) -> str:
    """What an entry is that belongs to the old cluster alone; "" for the others."""
    if entry.type != EntryType.NORMAL:
        return "EntryConfChange raft entry"
    if not entry.data:
        return ""
    try:
        _, field_number, body = parse_internal(entry.data)
        if field_number == CLUSTER_MEMBER_ATTR_SET:
            member_id = ClusterMemberAttrSetRequest.decode(body).member_ID
            return f"member attribute update on /0/members/{format_id(member_id)}/attributes"
        if field_number == V2:
            request = Request.decode(body)
            if request.Method == "PUT" and MEMBER_ATTRIBUTES.fullmatch(request.Path):
                return f"member attribute update on {request.Path}"
    except DecodeError:
        pass  # whoever applies it will refuse it
    return ""


def _found(backend: Backend, index: int, term: int, member_id: int) -> None:
    """Make the copy the store of a cluster with one member."""
    member = MemberInfo(member_id, (PEER_URL,), MEMBER_NAME)
    MemberRecords((member,), (), "").write(backend)
    save_conf_state(backend, ConfState(voters=[member_id]))
    save_log_start(backend, index, term)
    backend.commit()


def _committed(replay: Replay, source: LmdbReader) -> int:
    """Up to where the log is sure to stay: all of it where no other member has a say."""
    if len(load_conf_state(source).voters) <= 1:
        return LAST
    return replay.hard_state.commit
