"""Claims of the Raft paper (extended version) about the log, snapshots and clients."""

from __future__ import annotations

from typing import Any

import pytest

from petcd.raft import (
    InvariantBroken,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
    StateType,
)
from petcd.raft.types import ConfState

FOLLOWER, CANDIDATE, LEADER = StateType.FOLLOWER, StateType.CANDIDATE, StateType.LEADER
APP, APP_RESP = MessageType.APP, MessageType.APP_RESP


# ---- 5.3 Log replication ----


def test_5_3_a_proposal_is_appended_and_sent_to_all_in_parallel(
    make_group: Any, of_kind: Any
) -> None:
    """5.3: "The leader appends the command to its log as a new entry, then issues AppendEntries
    RPCs in parallel to each of the other servers to replicate the entry." and "When sending an
    AppendEntries RPC, the leader includes the index and term of the entry in its log that
    immediately precedes the new entries." """
    group = make_group()
    leader = group.elect(1)
    group.propose(1, b"x")
    ready = leader.raw.ready()
    assert [(e.index, e.term, e.data) for e in ready.entries] == [(4, 1, b"x")]
    appends = of_kind(ready.messages, APP)
    assert [(m.to, m.index, m.log_term, m.commit) for m in appends] == [(2, 3, 1, 3), (3, 3, 1, 3)]
    assert all(m.entries == ready.entries for m in appends)


def test_5_3_an_entry_is_applied_once_it_is_safely_replicated(make_group: Any) -> None:
    """5.3: "When the entry has been safely replicated, the leader applies the entry to its state
    machine and returns the result of that execution to the client." """
    group = make_group()
    leader = group.elect(1)
    group.propose(1, b"x")
    group.run(1)
    assert leader.data == []
    group.deliver(2)
    group.run(2)
    group.deliver(1)
    group.run(1)
    assert leader.data == [b"x"]


@pytest.mark.parametrize(
    ("size", "acknowledging", "committed"),
    [
        (1, (), True),
        (2, (), False),
        (2, (2,), True),
        (3, (), False),
        (3, (2,), True),
        (3, (3,), True),
        (5, (2,), False),
        (5, (2, 3), True),
        (5, (4, 5), True),
        (5, (2, 3, 4, 5), True),
    ],
)
def test_5_3_an_entry_is_committed_on_a_majority(
    make_group: Any, size: int, acknowledging: tuple[int, ...], committed: bool
) -> None:
    """5.3: "A log entry is committed once the leader that created the entry has replicated it on
    a majority of the servers." """
    group = make_group(range(1, size + 1))
    leader = group.elect(1)
    group.propose(1, b"x")
    group.run(1)
    for node in acknowledging:
        leader.raw.step(Message(APP_RESP, 1, node, 1, index=4))
    assert (leader.raft.raft_log.committed == 4) is committed


def test_5_3_a_commit_includes_everything_before_it(make_group: Any) -> None:
    """5.3: "This also commits all preceding entries in the leader's log, including entries
    created by previous leaders." """
    group = make_group()
    group.elect(1)
    group.isolate(1)
    group.propose(1, b"uncommitted")
    group.run(1)
    group.drop()
    group.heal()
    group[1].restart()
    group.elect(1)
    assert group[1].terms() == [1, 1, 2]
    assert [each.data for each in group.members.values()] == [[b"uncommitted"]] * 3


def test_5_3_followers_learn_the_commit_index_from_later_appends(
    make_group: Any, of_kind: Any
) -> None:
    """5.3: "The leader keeps track of the highest index it knows to be committed, and it includes
    that index in future AppendEntries RPCs (including heartbeats) so that the other servers
    eventually find out." """
    group = make_group()
    leader = group.elect(1)
    group.propose(1, b"x")
    group.run(1)
    group.deliver(2)
    group.run(2)
    assert group[2].data == []
    group.deliver(1)
    told = of_kind(group.run(1), APP)
    assert {m.commit for m in told} == {4}
    group.deliver(2)
    group.run(2)
    assert group[2].data == [b"x"]
    group.tick(1)
    beats = of_kind(leader.carry_out(), MessageType.HEARTBEAT)
    assert [(m.to, m.commit) for m in beats] == [(2, 4), (3, 3)]


@pytest.mark.parametrize("commit", [3, 4, 5, 6])
def test_5_3_a_follower_applies_in_log_order_up_to_the_commit_index(
    make_member: Any, app: Any, commit: int
) -> None:
    """5.3: "Once a follower learns that a log entry is committed, it applies the entry to its
    local state machine (in log order)." Not beyond what it was sent, though."""
    follower = make_member()
    message = app(1, 2, 1, 2, 1, 1, 1, 1)
    message.commit = commit
    follower.raw.step(message)
    follower.carry_out()
    assert [entry.index for entry in follower.applied] == list(range(3, min(commit, 5) + 1))


@pytest.mark.parametrize(
    ("index", "log_term", "accepted", "hint"),
    [
        (2, 1, True, (0, 0)),
        (3, 1, True, (0, 0)),
        (4, 2, True, (0, 0)),
        (4, 1, False, (3, 1)),  # another term there: the hint skips it
        (4, 3, False, (4, 2)),
        (5, 2, False, (4, 2)),  # nothing there
        (9, 9, False, (4, 2)),
    ],
)
def test_5_3_a_follower_refuses_entries_behind_one_it_does_not_have(
    make_member: Any, app: Any, index: int, log_term: int, accepted: bool, hint: tuple[int, int]
) -> None:
    """5.3: "If the follower does not find an entry in its log with the same index and term, then
    it refuses the new entries." """
    follower = make_member()
    follower.raw.step(app(1, 2, 2, 2, 1, 1, 2))
    follower.carry_out()
    follower.raw.step(app(1, 2, 3, index, log_term, 3))
    (answer,) = follower.carry_out()
    assert answer.reject is not accepted
    assert answer.index == (index + 1 if accepted else index)
    assert (answer.reject_hint, answer.log_term) == hint


@pytest.mark.parametrize(
    ("index", "log_term", "sent", "terms"),
    [
        (4, 2, (3,), [1, 2, 3]),
        (3, 1, (3, 4), [1, 3, 4]),
        (2, 1, (3,), [3]),
        (2, 1, (1,), [1, 2]),  # known already: nothing is cut off
        (2, 1, (1, 2), [1, 2]),
        (2, 1, (1, 2, 3), [1, 2, 3]),
        (3, 1, (), [1, 2]),
    ],
)
def test_5_3_conflicting_entries_are_deleted_and_new_ones_appended(
    make_member: Any, app: Any, index: int, log_term: int, sent: tuple[int, ...], terms: list[int]
) -> None:
    """5.3: "the leader must find the latest log entry where the two logs agree, delete any entries
    in the follower's log after that point, and send the follower all of the leader's entries
    after that point." Figure 2, AppendEntries: only a conflicting entry deletes what follows."""
    follower = make_member()
    follower.raw.step(app(1, 2, 2, 2, 1, 1, 2))
    follower.carry_out()
    follower.raw.step(app(1, 3, 4, index, log_term, *sent))
    assert follower.terms() == terms
    follower.carry_out()
    follower.restart()
    assert follower.terms() == terms


FIGURE_7 = {
    "a": (1, 1, 1, 4, 4, 5, 5, 6, 6),
    "b": (1, 1, 1, 4),
    "c": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
    "d": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
    "e": (1, 1, 1, 4, 4, 4, 4),
    "f": (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
}


@pytest.mark.parametrize("name", FIGURE_7)
def test_5_3_figure_7_the_leader_brings_every_log_into_consistency(
    make_group: Any, app: Any, name: str
) -> None:
    """5.3, figure 7: "When the leader at the top comes to power, it is possible that any of
    scenarios (a-f) could occur in follower logs." All end up equal to the leader's."""
    group = make_group()
    logs = {1: (1, 1, 1, 4, 4, 5, 5, 6, 6, 6), 2: FIGURE_7[name], 3: (1,)}
    for node, terms in logs.items():
        group[node].raw.step(app(node, 9, 7, 2, 1, *terms))
        group[node].carry_out()
    group[1].raw.campaign()
    group.run(1)
    # Nodes 2 or 3 vote as they may; the third voter's log is short, so that it votes.
    group.deliver()
    group.settle()
    assert group[1].state == LEADER
    group.propose(1, b"new")
    group.settle()
    assert group[2].log() == group[1].log() == group[3].log()
    assert group[2].terms() == [*logs[1], 8, 8]


def test_5_3_a_leader_never_overwrites_or_deletes_its_own_entries(
    make_group: Any, app: Any
) -> None:
    """5.3, leader append-only: "a leader never overwrites or deletes entries in its log; it only
    appends new entries." Two leaders of one term would be our own mistake."""
    group = make_group()
    leader = group.elect(1)
    group.propose(1, b"x")
    before = leader.log()
    leader.raw.step(app(1, 2, 1, 2, 1, 1, 1, 1))
    leader.raw.step(Message(APP_RESP, 1, 2, 1, index=2, reject=True))
    assert leader.log() == before


def test_5_3_a_slow_follower_is_sent_entries_until_it_has_them(make_group: Any) -> None:
    """5.3: "If followers crash or run slowly, or if network packets are lost, the leader retries
    AppendEntries RPCs indefinitely ... until all followers eventually store all log entries." """
    group = make_group()
    group.elect(1)
    group.isolate(3)
    for number in range(20):
        group.propose(1, b"%d" % number)
        group.settle()
    for _ in range(5):
        group.tick(1)
        group.settle()
    group.heal()
    group.tick(1)
    group.settle()
    assert group[3].data == group[1].data
    assert len(group[3].data) == 20


def test_5_3_a_committed_entry_is_never_replaced(make_member: Any, app: Any) -> None:
    """5.4.3, state machine safety: what is committed stays, and is acknowledged as it is. A commit
    index beyond the log means that a log was damaged; the node stops rather than go on."""
    follower = make_member()
    message = app(1, 2, 1, 2, 1, 1)
    message.commit = 3
    follower.raw.step(message)
    follower.carry_out()
    follower.raw.step(app(1, 3, 2, 2, 1, 2))
    (answer,) = follower.carry_out()
    assert (answer.index, answer.reject) == (3, False)
    assert follower.terms() == [1]
    with pytest.raises(InvariantBroken, match="Was the raft log corrupted, truncated, or lost"):
        follower.raw.step(Message(MessageType.HEARTBEAT, 1, 3, 2, commit=9))


# ---- 5.4.2 Committing entries from previous terms ----


def test_5_4_2_figure_8_old_entries_are_not_committed_by_counting(make_group: Any) -> None:
    """5.4.2: "Raft never commits log entries from previous terms by counting replicas. Only log
    entries from the leader's current term are committed by counting replicas." """
    group = make_group()
    group.elect(1)
    group.isolate(1)
    group.propose(1, b"old")
    group.run(1)
    group.drop()
    group.heal()
    group[1].restart()
    group[1].raw.campaign()
    group.run(1)
    group.deliver(2, kind=MessageType.VOTE)
    group.run(2)
    group.deliver(1)
    leader = group[1]
    assert (leader.state, leader.terms()) == (LEADER, [1, 1, 2])
    group.run(1)
    # A majority holds the old entry, but not yet the empty one of term 2.
    leader.raw.step(Message(APP_RESP, 1, 2, 2, index=4))
    leader.raw.step(Message(APP_RESP, 1, 3, 2, index=4))
    assert leader.raft.raft_log.committed == 3
    leader.raw.step(Message(APP_RESP, 1, 2, 2, index=5))
    assert leader.raft.raft_log.committed == 5


# ---- 5.5 Follower crashes ----


def test_5_5_a_repeated_append_changes_nothing(make_member: Any, app: Any) -> None:
    """5.5: "if a follower receives an AppendEntries request that includes log entries already
    present in its log, it ignores those entries in the new request." """
    follower = make_member()
    for _ in range(3):
        follower.raw.step(app(1, 2, 1, 2, 1, 1, 1))
        (answer,) = follower.carry_out()
        assert (answer.index, answer.reject) == (4, False)
        assert follower.terms() == [1, 1]
    # A delayed, shorter one does not cut the log.
    follower.raw.step(app(1, 2, 1, 2, 1, 1))
    assert follower.terms() == [1, 1]


def test_5_5_a_restarted_follower_catches_up(make_group: Any) -> None:
    """5.5: "If a follower or candidate crashes, then future RequestVote and AppendEntries RPCs
    sent to it will fail. Raft handles these failures by retrying indefinitely." """
    group = make_group()
    group.elect(1)
    group.isolate(2)
    group.propose(1, b"a")
    group.settle()
    group.heal()
    group[2].restart()
    group[1].raw.report_unreachable(2)
    group.tick(1)
    group.settle()
    assert group[2].data == [b"a"]


# ---- 7 Log compaction ----


def test_7_a_follower_whose_entries_are_gone_gets_a_snapshot(make_group: Any, of_kind: Any) -> None:
    """7: "the leader must occasionally send snapshots to followers that lag behind. This happens
    when the leader has already discarded the next log entry that it needs to send" """
    group = make_group()
    leader = group.elect(1)
    group.isolate(3)
    group.propose(1, b"a", b"b", b"c")
    group.settle()
    leader.snapshot_at(5)
    group.heal()
    leader.raw.report_unreachable(3)
    group.tick(1)
    group.run()
    group.deliver()
    group.run(3)
    group.deliver(1)
    (snap,) = of_kind(group.run(1), MessageType.SNAP)
    assert (snap.to, snap.snapshot.metadata.index) == (3, 5)
    group.settle()
    assert group[3].raft.raft_log.first_index() == 6
    assert group[3].log() == leader.log()
    assert group[3].raft.raft_log.applied == 6


def test_7_a_snapshot_replaces_a_shorter_or_conflicting_log(make_member: Any, app: Any) -> None:
    """7: "the follower discards its entire log; it is all superseded by the snapshot and may
    possibly have uncommitted entries that conflict with the snapshot." """
    follower = make_member()
    follower.raw.step(app(1, 2, 1, 2, 1, 1, 1, 1))
    follower.carry_out()
    meta = SnapshotMetadata(ConfState([1, 2, 3]), 4, 2)
    follower.raw.step(Message(MessageType.SNAP, 1, 2, 2, snapshot=Snapshot(b"s", meta)))
    (answer,) = follower.carry_out()
    assert (answer.type, answer.index, answer.reject) == (APP_RESP, 4, False)
    assert follower.log() == []
    assert follower.raft.raft_log.committed == 4


def test_7_a_snapshot_of_a_known_prefix_keeps_what_follows(make_member: Any, app: Any) -> None:
    """7: "If instead the follower receives a snapshot that describes a prefix of its log (due to
    retransmission or by mistake), then ... entries following the snapshot are still valid and
    must be retained." """
    follower = make_member()
    follower.raw.step(app(1, 2, 1, 2, 1, 1, 1, 1))
    follower.carry_out()
    meta = SnapshotMetadata(ConfState([1, 2, 3]), 4, 1)
    follower.raw.step(Message(MessageType.SNAP, 1, 2, 1, snapshot=Snapshot(b"s", meta)))
    (answer,) = follower.carry_out()
    assert answer.index == 4
    assert follower.terms() == [1, 1, 1]
    assert follower.raft.raft_log.committed == 4


# ---- 8 Client interaction ----


def test_8_a_new_leader_commits_an_empty_entry_of_its_term(make_group: Any) -> None:
    """8: "Raft handles this by having each leader commit a blank no-op entry into the log at the
    start of its term." """
    group = make_group()
    leader = group.elect(1)
    assert leader.log() == [(3, 1, b"")]
    assert [entry.index for entry in group[2].applied] == [3]


def test_8_a_read_waits_for_the_first_commit_of_the_term(make_group: Any) -> None:
    """8: "a leader must have the latest information on which entries are committed." """
    group = make_group()
    group.elect(2)
    leader = group[1]
    leader.raw.campaign()
    group.run(1)
    group.deliver(2, 3)
    group.run(2, 3)
    group.deliver(1)
    assert leader.state == LEADER
    leader.raw.read_index(b"early")
    group.run(1)
    assert leader.reads == {}
    group.settle()
    assert leader.reads == {b"early": 4}


def test_8_a_read_is_answered_after_a_majority_confirmed_the_leader(make_group: Any) -> None:
    """8: "a leader must check whether it has been deposed before processing a read-only request
    ... Raft handles this by having the leader exchange heartbeat messages with a majority of the
    cluster before responding to read-only requests." """
    group = make_group()
    leader = group.elect(1)
    leader.raw.read_index(b"r")
    group.run(1)
    assert leader.reads == {}
    group.deliver(2)
    group.run(2)
    group.deliver(1)
    group.run(1)
    assert leader.reads == {b"r": 3}


def test_8_a_deposed_leader_answers_no_read(make_group: Any) -> None:
    """8: "Read-only operations ... without additional measures, this would run the risk of
    returning stale data, since the leader responding to the request might have been superseded by
    a newer leader of which it is unaware." """
    group = make_group()
    old = group.elect(1)
    group.isolate(1)
    group.elect(2)
    group.propose(2, b"newer")
    group.settle()
    assert old.state == LEADER
    old.raw.read_index(b"stale")
    group.settle()
    group.heal()
    group.tick(2)
    group.settle()
    assert old.reads == {}
    assert old.state == FOLLOWER
