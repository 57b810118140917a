"""Copy a data directory, of a stopped member or of a running one, for a cluster of its own.

::

    database, in one read transaction --> its rows, with one member of a new id --+
    log behind that state --> entries, those about members emptied ---------------+--> backup

So nothing is missing that was acknowledged before the backup began: what the database does not
hold yet, the entries do.  The result has new ids for member and cluster; so a server that is
started on it cannot be taken for one of the old cluster.

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
from contextlib import closing, contextmanager
from typing import NamedTuple

from petcd.cluster import MemberInfo, format_id
from petcd.cluster.v2_store import MemberRecords
from petcd.member.apply import CLUSTER_MEMBER_ATTR_SET, V2
from petcd.member.meta import load_applied, load_conf_state, load_log_start
from petcd.raft.types import ConfState, Entry, EntryType
from petcd.server.member_dir import Position, Tail, write_member_dir
from petcd.storage.lmdb_reader import LmdbReader
from petcd.storage.wal_reader import Replay, read_log
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
    with _kept_from_starting(places.data_dir), closing(LmdbReader(database)) as source:
        index, term = load_applied(source)
        replay = _read_log(source, wal_dir)
        entries = [entry for entry in _kept(replay.entries, tell) if entry.index > index]
        last = entries[-1].index if entries else index
        write_member_dir(
            places.backup_dir,
            places.backup_wal_dir,
            source.buckets(),
            Metadata(NodeID=member_id, ClusterID=cluster_id),
            MemberRecords((MemberInfo(member_id, (PEER_URL,), MEMBER_NAME),), (), ""),
            Position(index, term, ConfState(voters=[member_id])),
            Tail(entries, min(last, _committed(replay, source))),
        )


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
    """The log behind the newest snapshot that the database knows of.

    Where it knows of none, nothing was purged: the note of a cut is on disk before the next cut.
    """
    return read_log(wal_dir, load_log_start(source) or (0, 0))


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


def _committed(replay: Replay, source: LmdbReader) -> int:
    """Up to where the log is sure to stay: all of it where no other member has a say."""
    if len(load_conf_state(source).voters) <= 1:
        return LAST
    return replay.hard_state.commit
