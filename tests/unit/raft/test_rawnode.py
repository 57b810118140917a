"""The contract of `RawNode`: settings, errors, Readies, and asynchronous storage writes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from petcd.raft import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    ConfChange,
    ConfChangeDamaged,
    ConfChangeType,
    Config,
    ConfState,
    Entry,
    EntryType,
    HardState,
    InvariantBroken,
    MemoryStorage,
    Message,
    MessageType,
    Peer,
    ProposalDropped,
    RawNode,
    ReadOnlyOption,
    Snapshot,
    SnapshotMetadata,
    SnapshotStatus,
    SnapshotTemporarilyUnavailable,
    StateType,
    StepLocalMessage,
    StepPeerNotFound,
    decode_conf_change,
)


def settings(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": 1,
        "election_tick": 10,
        "heartbeat_tick": 1,
        "storage": MemoryStorage(),
        "random": random.Random(1).randrange,
    }
    return {**made, **changes}


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"id": 0}, "cannot use none as id"),
        ({"id": LOCAL_APPEND_THREAD}, "cannot use local target as id"),
        ({"heartbeat_tick": 0}, "heartbeat tick must be greater than 0"),
        ({"election_tick": 1}, "election tick must be greater than heartbeat tick"),
        ({"max_inflight_msgs": 0}, "max inflight messages must be greater than 0"),
        ({"max_inflight_bytes": 5, "max_size_per_msg": 6}, "max inflight bytes must be >="),
        ({"max_inflight_bytes": 5, "max_size_per_msg": 1 << 64}, "max inflight bytes must be >="),
        ({"read_only_option": ReadOnlyOption.LEASE_BASED}, "CheckQuorum must be enabled"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        RawNode(Config(**settings(**wrong)))


# ---- starting ----


def test_a_group_is_founded_by_its_first_entries() -> None:
    storage = MemoryStorage()
    node = RawNode(Config(**settings(storage=storage)))
    node.bootstrap([Peer(1, b"one"), Peer(2, b"two")])
    ready = node.ready()
    storage.append(ready.entries)
    changes = [decode_conf_change(entry) for entry in ready.entries]
    assert changes == [ConfChange(0, 1, b"one"), ConfChange(0, 2, b"two")]
    assert ready.committed_entries == ready.entries
    assert ready.hard_state == HardState(1, 0, 2)
    assert ready.must_sync
    assert str(node.raft.tracker.config) == "voters=(1 2)"
    for change in changes:
        assert change is not None
        node.apply_conf_change(change)
    node.advance()
    assert str(node.raft.tracker.config) == "voters=(1 2)"
    node.campaign()
    assert node.raft.state == StateType.CANDIDATE


def test_a_group_is_founded_once_and_by_somebody() -> None:
    node = RawNode(Config(**settings()))
    with pytest.raises(ValueError, match="at least one peer"):
        node.bootstrap([])
    node.raft.raft_log.storage.append([Entry(0, 1, 1)])  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="nonempty Storage"):
        node.bootstrap([Peer(1)])


def test_a_restarted_node_knows_what_was_stored(make_member: Any) -> None:
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(b"", SnapshotMetadata(ConfState([1, 2]), 5, 2)))
    storage.append([Entry(0, 3, 6), Entry(0, 3, 7), Entry(0, 3, 8)])
    storage.set_hard_state(HardState(4, 2, 7))
    node = RawNode(Config(**settings(storage=storage, applied=6)))
    r = node.raft
    assert (r.term, r.vote, r.raft_log.committed, r.raft_log.applied) == (4, 2, 7, 6)
    assert [entry.index for entry in node.ready().committed_entries] == [7]


@pytest.mark.parametrize(("commit", "applied"), [(2, 5), (3, 7), (7, 7), (7, 6)])
def test_what_was_applied_was_committed_whatever_the_stored_commit_index(
    commit: int, applied: int
) -> None:
    """The commit index is written without a sync, so after a crash it may be older than the
    snapshot and than what the state machine holds."""
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(b"", SnapshotMetadata(ConfState([1]), 5, 2)))
    storage.append([Entry(0, 3, 6), Entry(0, 3, 7)])
    storage.set_hard_state(HardState(4, 1, commit))
    log = RawNode(Config(**settings(storage=storage, applied=applied))).raft.raft_log
    assert (log.committed, log.applied) == (max(commit, applied), applied)


def test_a_log_that_lost_committed_entries_is_refused() -> None:
    storage = MemoryStorage()
    storage.append([Entry(0, 1, 1)])
    storage.set_hard_state(HardState(1, 1, 3))
    with pytest.raises(InvariantBroken, match=r"state.commit 3 is out of range \[0, 1\]"):
        RawNode(Config(**settings(storage=storage)))
    storage.set_hard_state(HardState(1, 1, 1))
    with pytest.raises(InvariantBroken, match="corrupted, truncated, or lost"):
        RawNode(Config(**settings(storage=storage, applied=3)))


# ---- errors ----


@pytest.mark.parametrize(
    "kind",
    [
        MessageType.HUP,
        MessageType.BEAT,
        MessageType.UNREACHABLE,
        MessageType.SNAP_STATUS,
        MessageType.CHECK_QUORUM,
        MessageType.STORAGE_APPEND_RESP,
    ],
)
def test_local_messages_are_not_taken_from_the_network(make_member: Any, kind: int) -> None:
    with pytest.raises(StepLocalMessage, match="cannot step raft local message"):
        make_member().raw.step(Message(kind, 1, 2))


@pytest.mark.parametrize("kind", [MessageType.APP_RESP, MessageType.VOTE_RESP])
def test_answers_of_strangers_are_not_taken(make_member: Any, kind: int) -> None:
    with pytest.raises(StepPeerNotFound, match="peer not found") as refused:
        make_member().raw.step(Message(kind, 1, 9, 1))
    assert refused.value.peer == 9


def test_proposals_need_a_leader(make_group: Any) -> None:
    group = make_group()
    with pytest.raises(ProposalDropped, match="raft proposal dropped"):
        group.propose(1, b"x")
    group[1].raw.campaign()
    with pytest.raises(ProposalDropped):
        group.propose(1, b"x")


def test_followers_forward_proposals_unless_told_not_to(make_group: Any) -> None:
    group = make_group()
    group.elect(1)
    group.propose(2, b"a", b"b")
    group.settle()
    assert group[3].data == [b"a", b"b"]
    group = make_group(disable_proposal_forwarding=True)
    group.elect(1)
    with pytest.raises(ProposalDropped):
        group.propose(2, b"a")


def test_a_batch_is_appended_as_a_whole_and_sent_in_one_message(
    make_group: Any, of_kind: Any
) -> None:
    group = make_group()
    leader = group.elect(1)
    group.propose(1, *[b"%d" % n for n in range(100)])
    ready = leader.raw.ready()
    assert len(ready.entries) == 100
    appends = of_kind(ready.messages, MessageType.APP)
    assert [len(m.entries) for m in appends] == [100, 100]
    with pytest.raises(InvariantBroken, match="empty MsgProp"):
        leader.raw.propose_batch([])


def test_uncommitted_proposals_are_limited_by_their_bytes(make_group: Any) -> None:
    group = make_group(max_uncommitted_size=10)
    leader = group.elect(1)
    group.propose(1, b"x" * 20)  # the first one may be of any size
    with pytest.raises(ProposalDropped):
        group.propose(1, b"x")
    group.propose(1, b"")  # and empty ones are always taken
    group.settle()
    assert leader.raft.uncommitted_size == 0
    group.propose(1, b"x" * 6)
    with pytest.raises(ProposalDropped):
        group.propose(1, b"x" * 6)
    group.propose(1, b"x" * 4)


def test_a_dropped_change_does_not_block_the_next(make_group: Any) -> None:
    group = make_group(max_uncommitted_size=1)
    leader = group.elect(1)
    group.propose(1, b"xx")
    with pytest.raises(ProposalDropped):
        leader.raw.propose_conf_change(ConfChange(ConfChangeType.ADD_NODE, 4))
    group.settle()
    leader.raw.propose_conf_change(ConfChange(ConfChangeType.ADD_NODE, 4))
    group.settle()
    assert str(leader.raft.tracker.config) == "voters=(1 2 3 4)"


def test_a_damaged_change_is_refused_before_it_enters_the_log(make_group: Any) -> None:
    group = make_group()
    leader = group.elect(1)
    damaged = [Entry(EntryType.CONF_CHANGE, data=b"\x18")]
    before = leader.log()
    with pytest.raises(ConfChangeDamaged):
        leader.raw.step(Message(MessageType.PROP, 1, 2, entries=damaged))
    assert leader.log() == before


def test_a_change_that_cannot_be_applied_ends_the_node(make_group: Any) -> None:
    group = make_group([1], disable_conf_change_validation=True)
    leader = group.elect(1)
    leader.raw.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 1))
    with pytest.raises(InvariantBroken, match="removed all voters"):
        group.settle()


# ---- Readies ----


def test_an_idle_node_has_nothing_ready(make_group: Any) -> None:
    group = make_group()
    group.elect(1)
    for member in group.members.values():
        assert not member.raw.has_ready()
        ready = member.raw.ready()
        assert (ready.entries, ready.committed_entries, ready.messages) == ([], [], [])
        assert (ready.hard_state, ready.soft_state, ready.snapshot) == (None, None, None)
        assert not ready.must_sync
        member.raw.advance()


def test_a_ready_must_be_advanced_before_the_next(make_group: Any) -> None:
    group = make_group([1])
    group.elect(1)
    group.propose(1, b"x")
    group[1].raw.ready()
    with pytest.raises(InvariantBroken, match="without call to Advance"):
        group[1].raw.ready()


def test_what_arrives_between_ready_and_advance_is_not_lost(make_group: Any) -> None:
    group = make_group([1])
    member = group.elect(1)
    group.propose(1, b"a")
    ready = member.raw.ready()
    group.propose(1, b"b")
    member.storage.append(ready.entries)
    member.raw.advance()
    second = member.raw.ready()
    assert [entry.data for entry in second.entries] == [b"b"]
    assert [entry.data for entry in second.committed_entries] == [b"a"]
    member.storage.append(second.entries)
    member.raw.advance()
    assert [entry.data for entry in member.raw.ready().committed_entries] == [b"b"]


def test_applied_entries_come_in_pages(make_group: Any) -> None:
    group = make_group([1], max_committed_size_per_ready=1)
    member = group.elect(1)
    group.propose(1, b"a", b"b", b"c")
    before = len(member.history)
    group.settle()
    pages = [len(ready.committed_entries) for ready in member.history[before:]]
    assert [count for count in pages if count] == [1, 1, 1]
    assert member.data == [b"a", b"b", b"c"]


def test_messages_are_limited_by_size_but_always_carry_an_entry(
    make_group: Any, of_kind: Any
) -> None:
    group = make_group([1, 2], max_size_per_msg=0)
    group.elect(1)
    group.propose(1, b"a", b"b", b"c")
    appends = of_kind(group.run(1), MessageType.APP)
    assert [len(m.entries) for m in appends] == [1]
    group.settle()
    assert group[2].data == [b"a", b"b", b"c"]


def test_the_window_may_be_limited_by_bytes(make_group: Any, of_kind: Any) -> None:
    group = make_group([1, 2], max_size_per_msg=10, max_inflight_bytes=10)
    group.elect(1)
    for _ in range(5):
        group.propose(1, b"123456")
    assert len(of_kind(group.run(1), MessageType.APP)) == 2
    group.settle()
    assert len(group[2].data) == 5


# ---- snapshots ----


def lagging(make_group: Any) -> Any:
    """A group whose node 3 needs entries that the leader has compacted."""
    group = make_group()
    leader = group.elect(1)
    group.isolate(3)
    group.propose(1, b"a", b"b")
    group.settle()
    leader.snapshot_at(5)
    group.heal()
    leader.raw.report_unreachable(3)
    return group


def test_no_snapshot_goes_to_a_node_that_is_not_heard(make_group: Any, of_kind: Any) -> None:
    group = lagging(make_group)
    leader = group[1]
    leader.raft.tracker.progress[3].recent_active = False
    group.propose(1, b"c")
    assert of_kind(group.run(1), MessageType.SNAP) == []


def test_a_snapshot_that_takes_time_is_asked_for_again(
    make_group: Any, of_kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = lagging(make_group)

    def not_yet() -> Snapshot:
        raise SnapshotTemporarilyUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(group[1].storage, "snapshot", not_yet)
        group.propose(1, b"c")
        assert of_kind(group.run(1), MessageType.SNAP) == []
    group.tick(1)
    group.settle()
    assert group[3].raft.raft_log.first_index() == 6


def test_a_storage_without_a_snapshot_is_our_own_mistake(
    make_group: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = lagging(make_group)
    monkeypatch.setattr(group[1].storage, "snapshot", Snapshot)
    with pytest.raises(InvariantBroken, match="need non-empty snapshot"):
        group.propose(1, b"c")


@pytest.mark.parametrize("status", [SnapshotStatus.FINISH, SnapshotStatus.FAILURE])
def test_after_a_snapshot_the_follower_is_probed_when_it_is_heard(
    make_group: Any, of_kind: Any, status: int
) -> None:
    group = lagging(make_group)
    leader = group[1]
    group.propose(1, b"c")
    assert len(of_kind(group.run(1), MessageType.SNAP)) == 1
    progress = leader.raft.tracker.progress[3]
    group.drop()
    leader.raw.report_snapshot(3, status)
    assert progress.is_paused()
    assert progress.next == (6 if status == SnapshotStatus.FINISH else 4)
    group.tick(1)
    group.settle()
    assert group[3].log() == leader.log()


def test_a_node_that_waits_for_a_snapshot_does_not_campaign(make_member: Any) -> None:
    member = make_member()
    meta = SnapshotMetadata(ConfState([1, 2, 3]), 9, 1)
    member.raw.step(Message(MessageType.SNAP, 1, 2, 1, snapshot=Snapshot(b"s", meta)))
    member.raw.campaign()
    assert member.state == StateType.FOLLOWER
    member.carry_out()
    member.raw.campaign()
    assert member.state == StateType.CANDIDATE


def test_a_snapshot_without_us_in_it_is_ignored(make_member: Any) -> None:
    member = make_member()
    meta = SnapshotMetadata(ConfState([2, 3], [4], [5], [5]), 9, 1)
    member.raw.step(Message(MessageType.SNAP, 1, 2, 1, snapshot=Snapshot(b"s", meta)))
    (answer,) = member.carry_out()
    assert (answer.index, answer.reject) == (2, False)


def test_a_node_with_unapplied_changes_does_not_campaign(make_member: Any) -> None:
    """Its configuration may be behind; with the one it knows it might win where it must not."""
    member = make_member()
    change = Entry(EntryType.CONF_CHANGE_V2, 1, 3)
    member.raw.step(Message(MessageType.APP, 1, 2, 1, 1, 2, [change], 3))
    member.raw.campaign()
    assert member.state == StateType.FOLLOWER


# ---- asynchronous storage writes ----


def test_storage_work_comes_as_messages_with_the_promises_attached(make_group: Any) -> None:
    group = make_group([1, 2])
    for member in group.members.values():
        member.raw._async = True
    raw = group[1].raw
    raw.campaign()
    ready = raw.ready()
    vote, append = ready.messages
    assert (vote.type, vote.to) == (MessageType.VOTE, 2)
    assert (append.type, append.to) == (MessageType.STORAGE_APPEND, LOCAL_APPEND_THREAD)
    assert (append.term, append.vote, append.commit) == (1, 1, 2)
    assert [m.type for m in append.responses] == [MessageType.VOTE_RESP]
    assert append.responses[0].to == 1
    with pytest.raises(InvariantBroken, match="Advance must not be called"):
        raw.advance()


def test_entries_are_applied_only_from_the_own_stable_log(make_member: Any, app: Any) -> None:
    member = make_member(async_storage_writes=True)
    message = app(1, 2, 1, 2, 1, 1)
    message.commit = 3
    member.raw.step(message)
    (append,) = member.raw.ready().messages
    assert not member.raw.has_ready()
    member.storage.append(append.entries)
    for response in append.responses:
        if response.to == 1:
            member.raw.step(response)
    (apply,) = member.raw.ready().messages
    assert (apply.type, apply.to) == (MessageType.STORAGE_APPLY, LOCAL_APPLY_THREAD)
    assert [entry.index for entry in apply.entries] == [3]
    member.raw.step(apply.responses[0])
    assert member.raft.raft_log.applied == 3


def test_an_older_change_does_not_touch_the_configuration_of_a_newer_snapshot(
    make_member: Any,
) -> None:
    """Entries are being applied when a snapshot arrives that is beyond them."""
    member = make_member(async_storage_writes=True)
    meta = SnapshotMetadata(ConfState([1, 2, 3, 4]), 9, 1)
    member.raw.step(Message(MessageType.SNAP, 1, 2, 1, snapshot=Snapshot(b"s", meta)))
    conf = member.raw.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    assert conf == ConfState([1, 2, 3, 4])
    assert str(member.raft.tracker.config) == "voters=(1 2 3 4)"


# ---- looking at a node ----


def test_a_status_is_a_copy(make_group: Any) -> None:
    group = make_group()
    leader = group.elect(1)
    status = leader.raw.status()
    assert (status.id, status.lead, status.state) == (1, 1, StateType.LEADER)
    assert (status.hard_state, status.applied) == (HardState(1, 1, 3), 3)
    assert {one: each.match for one, each in status.progress.items()} == {1: 3, 2: 3, 3: 3}
    group.propose(1, b"x")
    group.settle()
    assert status.progress[2].match == 3
    assert group[2].raw.status().progress == {}
