"""A backup: what is copied, what is left out, and that it is a cluster of its own."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from petcd.cluster import MemberInfo
from petcd.cluster.v2_store import MemberRecords
from petcd.member.apply import CLUSTER_MEMBER_ATTR_SET, PUT, V2
from petcd.member.meta import (
    load_applied,
    load_conf_state,
    load_log_start,
    save_applied,
    save_conf_state,
)
from petcd.raft.types import ConfState, Entry, EntryType, HardState
from petcd.server.backup import BackupFailed, Places, back_up
from petcd.storage.datadir import DataDir
from petcd.storage.errors import WalExists
from petcd.storage.lmdb_backend import LmdbBackend
from petcd.storage.wal import Wal
from petcd.storage.wal_reader import Replay, read_log
from petcd.wire.hot import internal_request
from petcd.wire.internal import Metadata
from petcd.wire.membership import Attributes, ClusterMemberAttrSetRequest
from petcd.wire.v2request import Request

OLD, NEW_MEMBER, NEW_CLUSTER = 0xA1, 0xB2, 0xC3
APPLIED = 3

MakeSource = Callable[..., Places]


def put(index: int) -> Entry:
    return Entry(EntryType.NORMAL, 2, index, internal_request(index, PUT, b"\x0a\x01k"))


def entries() -> list[Entry]:
    attributes = ClusterMemberAttrSetRequest(
        member_ID=OLD, member_attributes=Attributes(name="a")
    ).encode()
    published = Request(Method="PUT", Path=f"/0/members/{OLD:x}/attributes", Val="{}").encode()
    return [
        Entry(EntryType.CONF_CHANGE, 1, 1, b"\x08\x01"),
        Entry(EntryType.NORMAL, 2, 2, b""),
        put(3),
        Entry(EntryType.NORMAL, 2, 4, internal_request(4, CLUSTER_MEMBER_ATTR_SET, attributes)),
        Entry(EntryType.NORMAL, 2, 5, internal_request(5, V2, published)),
        Entry(EntryType.CONF_CHANGE_V2, 2, 6, b""),
        put(7),
        put(8),
    ]


@pytest.fixture
def source(tmp_path: Path) -> MakeSource:
    """`source(voters)`: a stopped member that applied three of eight entries; seven committed."""

    def make(voters: tuple[int, ...] = (OLD,)) -> Places:
        data_dir = tmp_path / "data"
        with closing(DataDir(str(data_dir))) as made:
            metadata = Metadata(NodeID=OLD, ClusterID=1).encode()
            with closing(Wal.create(made.wal_path, metadata, background=False)) as wal:
                wal.save(HardState(2, OLD, 7), entries())
            with closing(LmdbBackend(made.db_path)) as backend:
                backend.put(b"key", b"0" * 17, b"kept")
                MemberRecords((MemberInfo(OLD, ("http://old:2380",), "a"),), (9,), "3.5.0").write(
                    backend
                )
                save_applied(backend, APPLIED, 2)
                save_conf_state(backend, ConfState(voters=list(voters)))
                backend.commit()
        return Places(str(data_dir), "", str(tmp_path / "backup"), "")

    return make


def made_backup(places: Places) -> list[str]:
    told: list[str] = []
    back_up(places, NEW_MEMBER, NEW_CLUSTER, told.append)
    return told


def replay_of(places: Places) -> Replay:
    return read_log(places.backup_wal_dir or f"{places.backup_dir}/member/wal", (APPLIED, 2))


def test_what_is_about_members_is_told_and_left_out(source: MakeSource) -> None:
    places = source()
    attributes = f"ignoring member attribute update on /0/members/{OLD:x}/attributes"
    change = "ignoring EntryConfChange raft entry"
    assert made_backup(places) == [change, attributes, attributes, change]
    assert [entry.data for entry in replay_of(places).entries[:3]] == [b"", b"", b""]
    assert {entry.type for entry in replay_of(places).entries} == {EntryType.NORMAL}


def test_entries_that_are_not_applied_yet_come_along_under_their_numbers(
    source: MakeSource,
) -> None:
    places = source()
    made_backup(places)
    assert [(entry.index, entry.term) for entry in replay_of(places).entries] == [
        (index, 2) for index in range(4, 9)
    ]
    assert replay_of(places).entries[3:] == [put(7), put(8)]


def test_a_member_alone_loses_nothing_that_is_in_its_log(source: MakeSource) -> None:
    places = source()
    made_backup(places)
    assert replay_of(places).hard_state == HardState(2, 0, 8)


def test_what_others_had_not_agreed_to_stays_open(source: MakeSource) -> None:
    places = source((OLD, 5, 6))
    made_backup(places)
    assert replay_of(places).hard_state == HardState(2, 0, 7)


def test_the_copy_is_a_cluster_of_one_new_member(source: MakeSource) -> None:
    places = source()
    made_backup(places)
    metadata = Metadata.decode(replay_of(places).metadata)
    assert (metadata.NodeID, metadata.ClusterID) == (NEW_MEMBER, NEW_CLUSTER)
    with closing(LmdbBackend(f"{places.backup_dir}/member/snap/db")) as backend:
        records = MemberRecords.read(backend)
        assert [member.id for member in records.members] == [NEW_MEMBER]
        assert (records.removed, records.version) == ((), "3.5.0")
        assert load_conf_state(backend).voters == [NEW_MEMBER]
        assert load_applied(backend) == load_log_start(backend) == (APPLIED, 2)
        assert backend.get(b"key", b"0" * 17) == b"kept"


def test_the_source_stays_as_it_was(source: MakeSource) -> None:
    places = source()
    log = Path(places.data_dir, "member/wal/0000000000000000-0000000000000000.wal")
    before = log.read_bytes(), Path(places.data_dir, "member/snap/db").read_bytes()
    made_backup(places)
    assert (log.read_bytes(), Path(places.data_dir, "member/snap/db").read_bytes()) == before


def test_a_member_that_runs_can_be_copied(source: MakeSource) -> None:
    places = source()
    with (
        closing(DataDir(places.data_dir)) as held,
        closing(LmdbBackend(held.db_path)) as backend,
    ):
        backend.put(b"key", b"1" * 17, b"committed")
        backend.commit()
        backend.put(b"key", b"2" * 17, b"not committed")
        # LMDB lets a process open a database once, and the member is another process anyway.
        words = ["--data-dir", places.data_dir, "--backup-dir", places.backup_dir]
        subprocess.run([sys.executable, "-m", "petcd.cli.etcdctl", "backup", *words], check=True)
    with closing(LmdbBackend(f"{places.backup_dir}/member/snap/db")) as copy:
        assert copy.get(b"key", b"1" * 17) == b"committed"
        assert copy.get(b"key", b"2" * 17) is None


def test_logs_may_lie_elsewhere(source: MakeSource, tmp_path: Path) -> None:
    places = source()
    elsewhere = tmp_path / "log"
    Path(places.data_dir, "member", "wal").rename(elsewhere)
    places = places._replace(wal_dir=str(elsewhere), backup_wal_dir=str(tmp_path / "copied-log"))
    made_backup(places)
    assert len(replay_of(places).entries) == 5


def test_a_backup_that_fails_leaves_nothing_that_starts(source: MakeSource, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "something").touch()
    places = source()._replace(backup_wal_dir=str(taken))
    with pytest.raises(WalExists):
        made_backup(places)
    assert list(Path(places.backup_dir).iterdir()) == []
    made_backup(places._replace(backup_wal_dir=""))


def test_a_place_that_is_taken_or_empty_is_refused(source: MakeSource, tmp_path: Path) -> None:
    places = source()
    made_backup(places)
    with pytest.raises(BackupFailed, match="holds a member already"):
        made_backup(places)
    with pytest.raises(BackupFailed, match="no data directory"):
        made_backup(places._replace(data_dir=str(tmp_path), backup_dir=str(tmp_path / "other")))
