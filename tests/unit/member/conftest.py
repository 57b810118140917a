"""A member without a shell: effects are performed at once, in memory."""

from collections.abc import Callable

import pytest

from petcd.cluster import MemberInfo, Membership
from petcd.lease import Lessor
from petcd.member import Applier, Member
from petcd.member.alarms import AlarmStore
from petcd.member.meta import load_applied, load_conf_state
from petcd.member.quota import Quota
from petcd.mvcc.store import Store
from petcd.raft.config import Config
from petcd.raft.rawnode import RawNode
from petcd.raft.start import Peer
from petcd.raft.storage import MemoryStorage
from petcd.raft.types import Entry, HardState, Snapshot, SnapshotMetadata
from petcd.storage.memory import MemoryBackend
from petcd.wire.codec import Message
from petcd.wire.hot import internal_request

LOCAL = MemberInfo(7, ("http://localhost:2380",), "one")


class Rig:
    """One member of a group of one, its log and its backend."""

    def __init__(self, quota_bytes: int = -1) -> None:
        self.quota_bytes = quota_bytes
        self.backend = MemoryBackend()
        self.log: list[Entry] = []
        self.hard_state = HardState()
        self.now_s = 100.0
        self._next_id = 0
        self.member = self._make()
        self.member.node.bootstrap([Peer(LOCAL.id, LOCAL.to_json())])
        self.outcomes: dict[int, object] = {}
        self.settle()
        self.member.node.campaign()
        self.settle()

    def _make(self) -> Member:
        lessor = Lessor(self.backend)
        lessor.load()
        store = Store(self.backend, lessor)
        for _ in store.load():
            pass
        membership = Membership(self.backend, 77, LOCAL.id)
        membership.load()
        alarms = AlarmStore(self.backend)
        alarms.load()
        applied = load_applied(self.backend)
        storage = MemoryStorage()
        storage.apply_snapshot(Snapshot(b"", SnapshotMetadata(load_conf_state(self.backend))))
        storage.append(list(self.log))
        held = self.hard_state
        storage.set_hard_state(HardState(held.term, held.vote, max(held.commit, applied[0])))
        applier = Applier(store, lessor, membership, alarms, Quota(self.quota_bytes), self.backend)
        node = RawNode(
            Config(
                id=LOCAL.id,
                election_tick=10,
                heartbeat_tick=1,
                storage=storage,
                random=lambda n: 0,
                applied=applied[0],
                check_quorum=True,
                pre_vote=True,
            )
        )
        return Member(node, storage, applier, self.backend, applied, 1.0)

    def settle(self) -> None:
        """Perform effects until there are none."""
        while (ready := self.member.take_ready()) is not None:
            if ready.entries:
                self.log[ready.entries[0].index - 1 :] = ready.entries
            if ready.hard_state is not None:
                self.hard_state = ready.hard_state
            self.outcomes.update(self.member.complete(ready, self.now_s))

    def request(self, field_number: int, message: Message) -> object:
        """Take one request through the log; its outcome."""
        self._next_id += 1
        data = internal_request(self._next_id, field_number, message.encode())
        self.member.propose([data])
        self.settle()
        return self.outcomes.pop(self._next_id)

    def restart(self, committed: bool) -> None:
        """The process dies; with `committed` the backend's buffer had reached the disk before."""
        if committed:
            self.backend.commit()
        else:
            self.backend.drop_pending()
        self.member = self._make()
        self.settle()
        self.member.node.campaign()
        self.settle()


@pytest.fixture
def make_rig() -> Callable[..., Rig]:
    return Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()
