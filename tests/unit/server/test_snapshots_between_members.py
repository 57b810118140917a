"""A member that was away too long gets a snapshot, and is as good as the others afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from petcd.member.users import UsersAreOn
from petcd.raft.types import Message, MessageType, Snapshot
from petcd.server.snapshot_sender import CATCH_UP_S
from petcd.storage.backend import BUCKETS
from petcd.storage.errors import StorageFailed
from petcd.storage.snapshot_store import MemorySnapshots
from petcd.wire.hot import decode_kv, internal_request
from petcd.wire.lease import LeaseGrantRequest
from petcd.wire.v2request import Request
from petcd.wire.watch import WatchCreateRequest, WatchRequest, WatchResponse
from tests.support.lagging import lose_one, put_many

LEASE_GRANT = 8
V2 = 2
LOCAL = (b"petcdLogStart",)


@pytest.fixture
def trio(in_memory_cluster: Callable[..., Any]) -> Any:
    cluster = in_memory_cluster("a", "b", "c", snapshot_count=20, snapshot_catchup_entries=5)
    cluster.run_until(cluster.leader)
    cluster.run(1.0)
    return cluster


def propose(cluster: Any, kind: int, body: bytes) -> Any:
    """A request of another kind at the leader; its outcome."""
    outcome: list[Any] = []
    runtime = cluster[cluster.leader()].engine.runtime
    request_id = runtime.next_request_id()
    data = internal_request(request_id, kind, body)
    runtime.propose(request_id, data, lambda context, what: outcome.append(what), None)
    cluster.run_until(lambda: outcome)
    return outcome[0]


def state_of(node: Any) -> dict[bytes, list[tuple[bytes, bytes]]]:
    backend = node.engine.opened.backend
    return {
        name: [row for row in backend.scan(name, b"", None) if row[0] not in LOCAL]
        for name in BUCKETS
    }


def agree(cluster: Any) -> None:
    """All state is equal on all members, what is kept in memory too."""
    cluster.run(2.0)
    nodes = [cluster[name] for name in "abc"]
    states = [state_of(node) for node in nodes]
    assert states[0] == states[1] == states[2]
    for read in (
        lambda member: member.store.revision,
        lambda member: [member.store.get(b"key%d" % number) for number in range(17)],
        lambda member: sorted(member.lessor.leases()),
        lambda member: member.membership.members(),
        lambda member: member.store.hash_kv(0)[0].hash,
        lambda member: member.applied_index,
        lambda member: member.node.raft.tracker.config.conf_state(),
    ):
        found = [read(node.member) for node in nodes]
        assert found[0] == found[1] == found[2]


def installs(cluster: Any) -> list[tuple[str, int]]:
    """Who installed which index; fills as it happens."""
    seen: list[tuple[str, int]] = []
    for node in cluster.nodes.values():
        truncation, name = node.engine.truncation, node.name
        plain = truncation.installed

        def installed(index: int, plain: Any = plain, name: str = name) -> None:
            seen.append((name, index))
            plain(index)

        truncation.installed = installed
    return seen


def test_who_was_away_too_long_gets_a_snapshot(trio: Any) -> None:
    name = lose_one(trio)
    assert propose(trio, LEASE_GRANT, LeaseGrantRequest(ID=7, TTL=500).encode())
    v2 = Request(Method="PUT", Path="/1/dir/file", Val="x", ID=1)
    propose(trio, V2, v2.encode())
    seen = installs(trio)
    trio.net.heal()
    trio.run(5.0)
    assert [who for who, _ in seen] == [name]
    agree(trio)
    assert trio[name].member.applier.v2.node(b"/dir/file").value == b"x"
    put_many(trio, 30, b"after")
    agree(trio)
    trio.crash(name)
    trio.start(name)
    put_many(trio, 3, b"again")
    agree(trio)


def test_one_snapshot_is_enough_however_long_it_takes_to_get_it_ready(trio: Any) -> None:
    name = lose_one(trio)
    receiver = trio[name].engine._receiver
    plain = receiver._drive
    receiver._drive = lambda *arguments: trio.loop.call_later(5.0, plain, *arguments)
    sent: list[int] = []
    post = trio.net.post_snapshot

    def count(sender: str, message: Message, body: Any) -> None:
        sent.append(message.snapshot.metadata.index)
        post(sender, message, body)

    trio.net.post_snapshot = count
    trio.net.heal()
    for _ in range(8):
        put_many(trio, 1)
        trio.run(1.0)
    assert len(sent) == 1
    agree(trio)


def test_a_member_with_a_snapshot_may_lead(trio: Any) -> None:
    name = lose_one(trio)
    trio.net.heal()
    trio.run(5.0)
    others = [other for other in "abc" if other != name]
    trio.stop(trio.leader())
    trio.run_until(lambda: trio.leader() is not None, 10.0)
    put_many(trio, 10)
    for other in others:
        if not trio[other].running:
            trio.start(other)
    agree(trio)


def test_who_was_published_in_a_snapshot_need_not_wait_for_its_entry(trio: Any) -> None:
    """The entry that says its name is among those that the snapshot stands for."""
    name = lose_one(trio)
    trio.stop(name)
    trio.net.heal()
    trio.start(name)
    node = trio[name]
    receiver = node.engine._receiver
    plain = receiver._drive
    receiver._drive = lambda *arguments: trio.loop.call_later(0.5, plain, *arguments)
    trio.run_until(lambda: node.member.applied_index > 50)
    assert node.published


def test_requests_go_on_while_a_snapshot_travels(trio: Any) -> None:
    name = lose_one(trio)
    seen = installs(trio)
    trio.net.heal()
    put_many(trio, 300)
    trio.run(3.0)
    assert [who for who, _ in seen] == [name]
    agree(trio)


def test_the_log_is_not_cut_until_who_got_a_snapshot_has_caught_up(trio: Any) -> None:
    name = lose_one(trio)
    leader = trio[trio.leader()]
    seen = installs(trio)
    trio.net.heal()
    trio.run_until(lambda: leader.engine._sender.wants(1))
    first = leader.member.log.first_index()
    while not seen:
        put_many(trio, 5)
        assert leader.member.log.first_index() == first
    put_many(trio, 60)
    assert leader.member.log.first_index() > first
    assert trio[name].member.applied_index > first


def test_under_load_one_snapshot_is_enough(trio: Any) -> None:
    """To read it takes longer than the leader keeps entries otherwise."""
    name = lose_one(trio)
    node, leader = trio[name], trio.leader()
    plain = node.engine._receiver._drive
    node.engine._receiver._drive = lambda *arguments: trio.loop.call_later(2.0, plain, *arguments)
    seen = installs(trio)
    trio.net.heal()
    until_s = trio.loop.now_s + 10.0
    while trio.loop.now_s < until_s:
        trio.put(leader, b"key1", b"under load")
        trio.run(0.02)
    assert [who for who, _ in seen] == [name]
    agree(trio)


def test_who_got_a_snapshot_and_stays_away_does_not_keep_the_log_for_ever(trio: Any) -> None:
    name = lose_one(trio)
    sender = trio[trio.leader()].engine._sender
    delivered = []
    plain = trio.net._deliver_snapshot

    def deliver(*arguments: Any) -> None:
        plain(*arguments)
        delivered.append(arguments)
        trio.net.cut(name)

    trio.net._deliver_snapshot = deliver
    trio.net.heal()
    trio.run_until(lambda: delivered)
    trio.run(CATCH_UP_S - 1.0)
    assert sender.wants(trio[trio.leader()].member.applied_index)
    trio.run(2.0)
    assert not sender.wants(trio[trio.leader()].member.applied_index)


def watch(node: Any, key: bytes, since: int) -> list[WatchResponse]:
    """What a watcher hears, as it comes."""
    heard: list[WatchResponse] = []

    class Sink:
        def ready(self) -> bool:
            return True

        def send(self, response: bytes) -> None:
            heard.append(WatchResponse.decode(response))

        def send_many(self, responses: list[bytes]) -> None:
            for response in responses:
                self.send(response)

    stream = node.engine.hub.open(Sink())
    stream.receive(WatchRequest(create_request=WatchCreateRequest(key=key, start_revision=since)))
    return heard


def test_watchers_hear_of_everything_that_the_snapshot_brought(trio: Any) -> None:
    name = trio.followers()[0]
    heard = watch(trio[name], b"key3", 0)
    trio.net.cut(name)
    put_many(trio, 120)
    trio.net.heal()
    trio.run(5.0)
    events = [event for response in heard for event in response.events]
    versions = [event.kv.version for event in events if event.kv is not None]
    assert versions == list(range(1, 8))


def test_a_snapshot_that_is_older_or_known_changes_nothing(trio: Any) -> None:
    name = lose_one(trio)
    leader, node = trio[trio.leader()], trio[name]
    taken: list[tuple[Message, Any]] = []
    plain = trio.net.post_snapshot

    def post(sender: str, message: Message, body: Any) -> None:
        taken.append((message, body))
        plain(sender, message, body)

    trio.net.post_snapshot = post
    trio.net.heal()
    trio.run(5.0)
    assert len(taken) == 1
    seen = installs(trio)
    for _ in range(2):
        node.engine.mailbox.snapshot_received(*taken[0])
        trio.run(1.0)
    put_many(trio, 5)
    node.engine.mailbox.snapshot_received(*taken[0])
    trio.run(1.0)
    assert seen == []
    assert node.store.staged is None and not node.engine.committer._held
    agree(trio)
    assert leader.running


def test_entries_that_arrive_while_it_is_prepared_make_a_snapshot_superfluous(trio: Any) -> None:
    """Raft has the last word: commits go on, and what was staged goes."""
    name = trio.followers()[0]
    node, leader = trio[name], trio[trio.leader()]
    put_many(trio, 30)
    trio.run(1.0)
    trio.net.cut(name)
    put_many(trio, 3)
    taken: list[tuple[Message, Any]] = []
    trio.net.post_snapshot = lambda sender, message, body: taken.append((message, body))
    term = leader.member.term
    wish = Message(MessageType.SNAP, node.id, leader.id, term, snapshot=Snapshot())
    leader.engine._sender.send(wish)
    trio.run(0.5)
    ((message, body),) = taken
    assert message.snapshot.metadata.index > node.member.applied_index
    receiver = node.engine._receiver
    plain = receiver._drive
    receiver._drive = lambda *arguments: trio.loop.call_later(3.0, plain, *arguments)
    receiver.is_coming = lambda index: False
    seen = installs(trio)
    node.engine.mailbox.snapshot_received(message, body)
    trio.net.heal()
    trio.run(2.0)
    assert node.store.staged is not None
    assert message.snapshot.metadata.index <= node.member.applied_index
    trio.run(3.0)
    assert node.store.staged is None and not node.engine.committer._held
    assert seen == []
    agree(trio)


class Crash(BaseException):
    """The process ends here."""


def crash_at(node: Any, step: str) -> None:
    """Make the run of a member end before or after one step of an install."""
    engine = node.engine
    where, _, call = step.partition(" ")
    owner = {
        "stage": engine._snapshots,
        "save_snapshot": node.log,
        "sync": node.log,
        "install": engine._snapshots,
        "installed": engine.truncation,
    }[call]
    plain = getattr(type(owner), call)

    def crash(*arguments: Any) -> Any:
        if where == "after":
            plain(owner, *arguments)
        raise Crash

    if call == "sync":

        def arm(*arguments: Any) -> None:
            type(owner).save_snapshot(owner, *arguments)
            owner.sync = crash

        owner.save_snapshot = arm
    elif isinstance(owner, MemorySnapshots):
        engine._receiver._store = _Crashing(owner, call, crash)
    else:
        setattr(owner, call, crash)


class _Crashing:
    def __init__(self, plain: Any, call: str, crash: Callable[..., Any]) -> None:
        self._plain = plain
        setattr(self, call, crash)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


@pytest.mark.parametrize(
    "step",
    [
        f"{where} {call}"
        for call in ("stage", "save_snapshot", "sync", "install", "installed")
        for where in ("before", "after")
    ],
)
def test_a_crash_at_any_step_leaves_the_old_or_the_new_state(trio: Any, step: str) -> None:
    name = lose_one(trio)
    node = trio[name]
    old = node.member.applied_index
    crash_at(node, step)
    trio.net.heal()
    with pytest.raises(Crash):
        trio.run(10.0)
    node.log.__dict__.pop("sync", None)
    node.log.__dict__.pop("save_snapshot", None)
    trio.crash(name)
    trio.start(name)
    started = node.member.applied_index
    new = step in ("after save_snapshot", "before sync", "after sync") or "install" in step
    assert (started > old) == new
    trio.run(8.0)
    put_many(trio, 3, b"after the crash")
    agree(trio)


def test_a_failed_write_during_an_install_ends_the_member(trio: Any) -> None:
    name = lose_one(trio)

    def fail(*arguments: Any) -> None:
        raise StorageFailed("wal", "no space")

    trio[name].log.save_snapshot = fail
    trio.net.heal()
    with pytest.raises(StorageFailed):
        trio.run(10.0)


def test_a_snapshot_without_a_body_is_not_listened_to(trio: Any) -> None:
    name = trio.followers()[0]
    leader, node = trio[trio.leader()].member, trio[name]
    message = Message(MessageType.SNAP, node.id, leader.id, leader.term)
    node.engine.mailbox.received(message)
    trio.run(1.0)
    put_many(trio, 3)
    agree(trio)


def test_a_body_that_cannot_be_used_is_asked_for_again(trio: Any) -> None:
    name = lose_one(trio)
    plain = trio.net.post_snapshot
    bodies: list[Any] = []

    def spoil(sender: str, message: Message, body: Any) -> None:
        bodies.append(body)
        if len(bodies) == 1:
            message.snapshot.data = b"{}"
        plain(sender, message, body)

    trio.net.post_snapshot = spoil
    seen = installs(trio)
    trio.net.heal()
    trio.run(20.0)
    assert len(bodies) >= 2 and [who for who, _ in seen] == [name]
    agree(trio)


def test_who_gets_a_snapshot_in_which_users_and_roles_are_on_ends(trio: Any) -> None:
    node = trio[lose_one(trio)]
    trio[trio.leader()].engine.opened.backend.put(b"auth", b"authEnabled", b"\1")
    before = node.member.store.revision
    trio.net.heal()
    with pytest.raises(UsersAreOn):
        trio.run(5.0)
    assert node.member.store.revision == before


def test_who_is_removed_while_a_snapshot_travels_holds_nothing_up(trio: Any) -> None:
    name = lose_one(trio)
    leader = trio[trio.leader()]
    sender = leader.engine._sender
    trio.net.heal()
    trio.run_until(lambda: sender.wants(1))
    leader.member.membership.remove(trio[name].id)
    assert not sender.wants(1)


def test_the_value_of_a_key_is_the_snapshots(trio: Any) -> None:
    name = lose_one(trio)
    put_many(trio, 17, b"newest")
    trio.net.heal()
    trio.run(5.0)
    kv = trio[name].member.store.get(b"key16")
    assert decode_kv(kv)[4] == b"newest"
