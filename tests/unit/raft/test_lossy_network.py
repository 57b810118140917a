"""Raft under a bad network: the invariants hold, and progress resumes when the faults end.

The worlds are `raft_world`'s. The last tests break a rule on purpose and demand that it is noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from raft_world import Disk, Node, Violation, World

from petcd.raft import Entry, HardState, MemoryStorage, reads
from petcd.raft.core import Raft
from petcd.raft.log import RaftLog
from petcd.raft.read_only import ReadRequest
from sim.check.invariants import Broken

SEEDS = 60
STEPS = 25_000


@pytest.mark.parametrize("seed", range(SEEDS))
def test_invariants_hold_under_faults_and_progress_resumes_after_them(seed: int) -> None:
    world = World(seed)
    world.run(STEPS)
    world.heal()


def test_the_worlds_are_busy_enough_to_mean_something() -> None:
    committed = elections = reads = snapshots = 0
    for seed in range(10):
        world = World(seed)
        world.run(STEPS)
        committed += len(world.committed)
        elections += world.invariants.leaders_seen
        reads += world.reads_answered
        snapshots += sum([node.disk.first_index() > 2 for node in world.nodes.values()])
    assert committed > 1000
    assert elections > 100
    assert reads > 500
    assert snapshots > 20


# ---- the world notices broken rules ----


def find_violation(**options: Any) -> str:
    """The first violation any of many seeds brings to light, or an empty string."""
    for seed in range(SEEDS):
        world = World(seed, **options)
        try:
            world.run(STEPS)
        except (Violation, Broken) as why:
            return str(why)
    return ""


def test_a_disk_that_forgets_votes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(self: Disk, state: HardState) -> None:
        MemoryStorage.set_hard_state(self, HardState(state.term, 0, state.commit))

    monkeypatch.setattr(Disk, "set_hard_state", forget)
    assert find_violation(crash=0.02, conf_changes=False)


def test_a_disk_that_forgets_entries_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(self: Disk, entries: list[Entry]) -> None:
        self.unsynced = entries
        MemoryStorage.append(self, entries)

    def crash(self: Node, crash: Callable[[Node], None] = Node.crash) -> None:
        lost = len(getattr(self.disk, "unsynced", []))
        kept = self.disk._entries[: max(len(self.disk._entries) - lost, 0)]
        hard, _ = self.disk.initial_state()
        self.disk._entries = kept
        last = self.disk.last_index()
        self.disk.set_hard_state(HardState(hard.term, hard.vote, min(hard.commit, last)))
        crash(self)

    monkeypatch.setattr(Disk, "append", forget)
    monkeypatch.setattr(Node, "crash", crash)
    assert find_violation(crash=0.02, conf_changes=False)


def test_a_leader_that_commits_old_terms_by_counting_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def commit(self: RaftLog, index: int, term: int) -> bool:
        if index > self.committed:
            self.commit_to(index)
            return True
        return False

    monkeypatch.setattr(RaftLog, "maybe_commit", commit)
    often = {"hurry": 0.1, "max_size_per_msg": 0, "max_inflight_msgs": 1, "loss": 0.05}
    assert find_violation(check_quorum=False, pre_vote=False, crash=0.0, **often)


def test_votes_for_shorter_logs_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RaftLog, "is_up_to_date", lambda self, index, term: True)
    assert find_violation(conf_changes=False)


def test_reads_without_a_quorum_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(r: Raft, read: ReadRequest) -> None:
        reads._answer(r, read.from_, read.context, r.raft_log.committed)

    monkeypatch.setattr(reads, "_confirm", at_once)
    assert find_violation(check_quorum=False)


def test_reads_before_the_first_commit_of_a_term_are_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Raft, "committed_in_term", lambda self: True)
    assert find_violation()
