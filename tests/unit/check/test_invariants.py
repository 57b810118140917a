"""Raft's laws: each is told when it is broken, in worlds of bare raft nodes and by hand."""

from __future__ import annotations

from typing import Any

import pytest
from raft_world import Violation, World

from petcd.cluster import MemberInfo
from petcd.raft import Config, ConfState, MemoryStorage, RawNode, Snapshot, SnapshotMetadata
from petcd.raft.log import RaftLog
from petcd.raft.types import Entry, HardState, Message, MessageType
from petcd.storage.wal_reader import Replay
from sim.bugs import EXHIBITS, switched
from sim.check.durable import Durable
from sim.check.invariants import Broken, Invariants

# Exhibits whose defect shows without clients, backends and disks, and what helps to meet it.
RAFT_EXHIBITS: dict[str, dict[str, Any]] = {
    "seen vote counts as granted": {"hurry": 0.1},
    "stale log wins": {"hurry": 0.1, "conf_changes": False},
    "old entries committed by counting": {
        "hurry": 0.1, "max_size_per_msg": 0, "max_inflight_msgs": 1, "loss": 0.05,
        "check_quorum": False, "pre_vote": False,
    },
    "conflicts not truncated": {"hurry": 0.1},
    "leader counts itself before its own sync": {"async_storage_writes": True},
    "snapshot keeps stale membership": {"conf_changes": True},
    "two changes of members at once": {"conf_changes": True},
    "learner counts for the majority": {"conf_changes": True},
}  # fmt: skip


@pytest.mark.parametrize("name", RAFT_EXHIBITS)
def test_a_defect_of_raft_breaks_its_law(name: str) -> None:
    found = []
    with switched(name):
        for seed in range(100):
            try:
                World(seed, **RAFT_EXHIBITS[name]).run(8_000)
            except Broken as broken:
                if any(law in str(broken) for law in EXHIBITS[name].laws):
                    return
                found.append(str(broken))
            except (Violation, AssertionError) as other:
                found.append(str(other))
    raise AssertionError(f"not found in 100 worlds, but {found[:5]}")


def test_a_look_reads_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """The laws are looked at after every step, so what did not change must not be read."""
    read: list[int] = []

    def slice_of(self: RaftLog, lo: int, hi: int, max_size: int) -> list[Entry]:
        read.extend(range(lo, hi))
        return whole_slice(self, lo, hi, max_size)

    whole_slice = RaftLog.slice
    monkeypatch.setattr(RaftLog, "slice", slice_of)
    invariants = Invariants()
    raw = node(3, 0, tuple(Entry(0, 2, index) for index in range(2, 50)))
    for _ in range(10):
        invariants.look(1, raw.raft)
    assert read == list(range(2, 50))
    raw.raft.raft_log.append([Entry(0, 3, 40), Entry(0, 3, 41)])
    invariants.look(1, raw.raft)
    assert read[48:] == [40, 41]


def node(term: int = 1, vote: int = 0, entries: tuple[Entry, ...] = ()) -> RawNode:
    """One of three voters, with a log behind a snapshot at index 1."""
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(b"", SnapshotMetadata(ConfState([1, 2, 3]), 1, 1)))
    storage.append(list(entries))
    storage.set_hard_state(HardState(term, vote, 1))
    return RawNode(Config(id=1, election_tick=10, heartbeat_tick=1, storage=storage, random=int))


def lawbreaker(invariants: Invariants, raw: RawNode) -> str:
    with pytest.raises(Broken) as caught:
        invariants.look(1, raw.raft)
    return caught.value.violation.law


def synced(hard: HardState, *entries: Entry) -> Invariants:
    invariants = Invariants()
    durable = invariants.durable(1)
    durable.snapshot(1, 1)
    durable.saved(hard, list(entries))
    durable.synced()
    return invariants


def test_a_run_must_remember_what_was_synced() -> None:
    invariants = synced(HardState(5, 2, 1), Entry(0, 4, 2), Entry(0, 5, 3))
    entries = (Entry(0, 4, 2), Entry(0, 5, 3))
    invariants.look(1, node(5, 2, entries).raft)
    assert lawbreaker(invariants, node(4, 2, entries)) == "a term went back"
    assert lawbreaker(invariants, node(5, 3, entries)) == "a vote was changed"
    assert lawbreaker(invariants, node(5, 2, entries[:1])) == "what was synced is forgotten"
    invariants.look(1, node(6, 3, entries).raft)


def test_what_was_not_synced_may_be_forgotten() -> None:
    invariants = synced(HardState(5, 2, 1), Entry(0, 4, 2))
    invariants.durable(1).saved(HardState(6, 3, 1), [Entry(0, 5, 3)])
    invariants.look(1, node(5, 2, (Entry(0, 4, 2),)).raft)


def test_term_vote_and_commit_index_do_not_go_back_within_a_run() -> None:
    for field, law in (("term", "a term went back"), ("vote", "a vote was changed")):
        invariants, raw = Invariants(), node(5, 2)
        invariants.look(1, raw.raft)
        setattr(raw.raft, field, 3)
        assert lawbreaker(invariants, raw) == law
    entries = (Entry(0, 1, 2), Entry(0, 1, 3))
    invariants, raw = Invariants(), node(1, 0, entries)
    raw.raft.raft_log.commit_to(3)
    invariants.look(1, raw.raft)
    raw.raft.raft_log.committed = 2
    assert lawbreaker(invariants, raw) == "a commit index out of order"


def test_an_entry_is_the_same_on_every_member() -> None:
    invariants = Invariants()
    invariants.look(1, node(3, 0, (Entry(0, 2, 2, b"a"), Entry(0, 3, 3, b"b"))).raft)
    invariants.look(2, node(3, 0, (Entry(0, 2, 2, b"a"),)).raft)
    for other in ((Entry(0, 2, 2, b"x"),), (Entry(0, 1, 2, b"y"), Entry(0, 3, 3, b"b"))):
        with pytest.raises(Broken, match="logs do not match"):
            invariants.look(3, node(3, 0, other).raft)


def test_promises_are_looked_at_before_they_leave() -> None:
    invariants = synced(HardState(5, 2, 1), Entry(0, 4, 2))
    vote = Message(MessageType.VOTE_RESP, 2, 1, 5)
    invariants.sent(1, vote)
    invariants.sent(1, Message(MessageType.APP_RESP, 2, 1, 5, 0, 2))
    invariants.look(1, node(5, 2, (Entry(0, 4, 2),)).raft)
    bad = {
        "two votes in one term": Message(MessageType.VOTE_RESP, 3, 1, 5),
        "a vote before it is on disk": Message(MessageType.VOTE_RESP, 3, 1, 6),
        "an acknowledgement before the term is on disk": Message(MessageType.APP_RESP, 2, 1, 6),
        "an acknowledgement before the entries are on disk": Message(
            MessageType.APP_RESP, 2, 1, 5, 0, 3
        ),
    }
    for law, message in bad.items():
        invariants = synced(HardState(5, 2, 1), Entry(0, 4, 2))
        invariants.sent(1, vote)
        invariants.sent(1, message)
        assert lawbreaker(invariants, node(5, 2, (Entry(0, 4, 2),))) == law


def test_an_acknowledgement_may_be_overtaken_by_the_next_leader() -> None:
    """In one turn: entries 2 and 3 of term 4, then 2 of a leader of term 5, then one sync."""
    late = Message(MessageType.APP_RESP, 2, 1, 4, 0, 3)
    replaced = synced(HardState(5, 0, 1), Entry(0, 5, 2))
    replaced.sent(1, late)
    replaced.look(1, node(5, 0, (Entry(0, 5, 2),)).raft)
    never_there = synced(HardState(5, 0, 1), Entry(0, 4, 2))
    never_there.sent(1, late)
    law = "an acknowledgement before the entries are on disk"
    assert lawbreaker(never_there, node(5, 0, (Entry(0, 4, 2),))) == law


class Listed:
    """A list of members."""

    def __init__(self, *members: MemberInfo) -> None:
        self._members = list(members)

    def members(self) -> list[MemberInfo]:
        return self._members


def test_raft_and_the_list_of_members_agree() -> None:
    members = [MemberInfo(one, (f"http://m{one}:2380",)) for one in (1, 2, 3)]
    Invariants().compare(1, node().raft, Listed(*members))  # type: ignore[arg-type]
    learner = MemberInfo(3, ("http://m3:2380",), is_learner=True)
    for listed in (Listed(*members[:2]), Listed(*members[:2], learner)):
        with pytest.raises(Broken, match="disagree"):
            Invariants().compare(1, node().raft, listed)  # type: ignore[arg-type]


def test_the_durable_part_of_a_log_follows_writes_and_syncs() -> None:
    durable = Durable()
    durable.saved(HardState(1, 1, 0), [Entry(0, 1, 1), Entry(0, 1, 2), Entry(0, 1, 3)])
    assert durable.last_index == 0
    durable.synced()
    assert (durable.term, durable.vote, durable.last_index) == (1, 1, 3)
    durable.saved(HardState(2, 0, 0), [Entry(0, 2, 2)])
    durable.synced()
    assert durable.last_index == 2
    assert durable.holds(2, 2)
    assert not durable.holds(2, 1)
    assert not durable.holds(3, 1)
    durable.snapshot(10, 2)
    assert durable.holds(10, 2)
    assert durable.last_index == 10


def test_a_start_that_misses_something_synced_is_noted() -> None:
    for kept, expected in ((2, ""), (1, "entry 2 of term 1")):
        durable = Durable()
        durable.saved(HardState(1, 1, 0), [Entry(0, 1, 1), Entry(0, 1, 2)])
        durable.synced()
        replay = Replay()
        replay.hard_state = HardState(1, 1, 0)
        replay.entries = [Entry(0, 1, index) for index in range(1, kept + 1)]
        durable.resumed((0, 0), replay)
        assert durable.forgotten.startswith(expected)
        assert bool(durable.forgotten) is bool(expected)
