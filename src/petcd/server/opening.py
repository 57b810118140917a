"""From an open log and backend to a member: founded, joined, or as it was when it stopped.

    found     raft entries for all first members, the same on each of them
    join      an empty log: what the member needs to know comes from the leader
    reopen    backend (as of its applied index) + log entries behind it

Order on a restart: leases before keys, since a key attaches itself to its lease while the index is
built; then raft, which hands out again what the backend has not seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from petcd.cluster import MemberInfo, Membership
from petcd.lease import Lessor, ttl_s_min
from petcd.member import Applier, Member
from petcd.member.alarms import AlarmStore
from petcd.member.meta import load_applied, load_conf_state, load_log_start
from petcd.member.quota import Quota
from petcd.member.users import UsersAreOn, check_users_are_off
from petcd.mvcc.store import Store
from petcd.raft.config import Config
from petcd.raft.rawnode import RawNode
from petcd.raft.start import Peer
from petcd.raft.storage import MemoryStorage
from petcd.raft.types import ConfState, Entry, HardState, Snapshot, SnapshotMetadata
from petcd.server.config import ServerConfig
from petcd.server.standalone import leave_alone
from petcd.storage.backend import Backend
from petcd.storage.files import Files
from petcd.storage.wal_reader import Replay, valid_snapshots
from petcd.wire.internal import Metadata

HEARTBEAT_TICKS = 1
# Bytes of entries in one append, and appends under way to one follower: etcd's values.
MESSAGE_BYTES_MAX = 1024 * 1024
INFLIGHT_MESSAGES_MAX = 512
# Bytes of committed entries handed out for applying at once; bounds the work of one turn.
COMMITTED_BYTES_MAX = 64 * 1024 * 1024


class DataUnusable(Exception):
    """What is in the data directory cannot be started from; the message says why."""


class Log(Protocol):
    """The write-ahead log as a member uses it; `petcd.storage.wal.Wal` is one."""

    def save(self, hard_state: HardState | None, entries: list[Entry]) -> None: ...

    def sync(self) -> None: ...

    def save_snapshot(self, index: int, term: int, conf_state: ConfState | None) -> None: ...

    def release_to(self, index: int) -> None: ...

    def purge(self, segments_max: int) -> list[str]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A member that is ready to run, and what it stands on."""

    member: Member
    log: Log
    backend: Backend
    quota: Quota
    snapshot_index: int
    is_new: bool


class Opening:
    """Puts members together. `progress` is told the rows read while the index is built."""

    def __init__(
        self,
        config: ServerConfig,
        randrange: Callable[[int], int],
        progress: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._config = config
        self._randrange = randrange
        self._progress = progress

    def found(
        self, log: Log, backend: Backend, identity: Metadata, members: Sequence[MemberInfo]
    ) -> Opened:
        """A first member of a new cluster; every one of them is given the same members."""
        member, quota = self._assemble(backend, MemoryStorage(), identity)
        bootstrap(member, members)
        return Opened(member, log, backend, quota, 0, True)

    def join(self, log: Log, backend: Backend, identity: Metadata) -> Opened:
        """A member that a running cluster has added."""
        member, quota = self._assemble(backend, MemoryStorage(), identity)
        return Opened(member, log, backend, quota, 0, True)

    def reopen(
        self,
        log: Log,
        replay: Replay,
        start: tuple[int, int],
        backend: Backend,
        members: Callable[[Metadata], Sequence[MemberInfo]],
    ) -> Opened:
        """A member that ran before; `start` is (index, term) of the snapshot record that the
        replay begins at. `members` gives the founders in case that the process died before it
        wrote its first entries; none when it did not found the cluster.

        Raises DataUnusable.
        """
        try:
            check_users_are_off(backend)
        except UsersAreOn as error:
            raise DataUnusable(str(error)) from None
        applied_index, _ = load_applied(backend)
        last_index = replay.entries[-1].index if replay.entries else start[0]
        if applied_index > last_index:
            raise DataUnusable(
                f"the store is ahead of the log (index {applied_index} > {last_index}): "
                "the log does not belong to the store"
            )
        storage = MemoryStorage()
        conf_state = load_conf_state(backend)
        identity = Metadata.decode(replay.metadata)
        # The commit index is not synced for its own sake, so the disk may know less of it than
        # the store; what is applied was committed.
        held = replay.hard_state
        commit = max(held.commit, applied_index)
        entries, hard_state = replay.entries, _of_its_entries(held, replay.entries, commit)
        if self._config.force_new_cluster:
            urls = self._config.initial_advertise_peer_urls
            applied = applied_index, conf_state
            entries, added, hard_state = leave_alone(
                entries, hard_state, applied, identity.NodeID, urls
            )
            log.save(hard_state, added)
            log.sync()
        storage.apply_snapshot(Snapshot(b"", SnapshotMetadata(conf_state, *start)))
        storage.append(entries)
        storage.set_hard_state(hard_state)
        member, quota = self._assemble(backend, storage, identity)
        is_new = not replay.entries and not conf_state.voters and held.is_empty()
        founders = members(identity) if is_new else ()
        if founders:
            bootstrap(member, founders)
        return Opened(member, log, backend, quota, start[0], is_new)

    def _assemble(
        self, backend: Backend, storage: MemoryStorage, identity: Metadata
    ) -> tuple[Member, Quota]:
        """Load the state machines and put the raft node on top."""
        config = self._config
        election_ticks = config.election_ms // config.heartbeat_ms
        lessor = Lessor(backend, ttl_s_min(election_ticks, config.heartbeat_ms))
        lessor.load()
        store = Store(backend, lessor)
        for rows in store.load():
            self._progress(rows)
        membership = Membership(backend, identity.ClusterID, identity.NodeID, config.max_learners)
        membership.load()
        alarms = AlarmStore(backend)
        alarms.load()
        quota = Quota(config.quota_backend_bytes)
        applier = Applier(store, lessor, membership, alarms, quota, backend)
        applied = load_applied(backend)
        node = RawNode(
            Config(
                id=identity.NodeID,
                election_tick=election_ticks,
                heartbeat_tick=HEARTBEAT_TICKS,
                storage=storage,
                random=self._randrange,
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


def _of_its_entries(held: HardState, entries: Sequence[Entry], commit: int) -> HardState:
    """The hard state, in the term of the last entry at least.

    A torn write may have left entries of a new term without the hard state behind them. Nothing
    was promised in that term yet, no vote either: that would have been synced before.
    """
    if entries and entries[-1].term > held.term:
        return HardState(entries[-1].term, 0, commit)
    return HardState(held.term, held.vote, commit)


def log_start(backend: Backend, directory: str, files: Files | None = None) -> tuple[int, int]:
    """(index, term) of the newest snapshot record of the log that the backend has seen.

    Raises what `valid_snapshots` raises.
    """
    noted = load_log_start(backend)
    if noted is not None:
        return noted
    applied, _ = load_applied(backend)
    records = [record for record in valid_snapshots(directory, files) if record.index <= applied]
    return (records[-1].index, records[-1].term) if records else (0, 0)


def bootstrap(member: Member, members: Sequence[MemberInfo]) -> None:
    """Put the founding members into the raft log, each as an entry of its own."""
    by_id = sorted(members, key=lambda info: info.id)
    member.node.bootstrap([Peer(info.id, info.to_json()) for info in by_id])
