"""When a turn is taken: at once for a lone client, shared by all that a round brings."""

import pytest

from petcd.server.runtime import GATHERED_PROPOSALS
from petcd.server.slowness import Slowness


class CountedLog:
    """A member's log that counts its syncs."""

    def __init__(self, log):
        self._log = log
        self.syncs = 0

    def __getattr__(self, name):
        return getattr(self._log, name)

    def sync(self):
        self.syncs += 1
        self._log.sync()


@pytest.fixture
def lone(in_memory_cluster):
    cluster = in_memory_cluster("a")
    cluster.run(1.0)
    effects = cluster["a"].engine.runtime.effects
    effects._log = cluster.log = CountedLog(effects._log)
    return cluster


def arrive(cluster, count):
    """So many sockets bring one put each, in one round of the loop."""
    outcomes = []
    for i in range(count):
        outcomes.append(cluster.put("a", b"k%d" % i, b"v"))
        cluster["a"].engine.runtime.received()
    return outcomes


def round_of(cluster, count):
    """Syncs that a round took, with what the loop still had to do."""
    before = cluster.log.syncs
    outcomes = arrive(cluster, count)
    cluster.run_until(lambda: all(outcomes))
    return cluster.log.syncs - before


def test_a_lone_proposal_is_answered_before_the_loop_goes_round(lone):
    for _ in range(3):
        assert [len(outcome) for outcome in arrive(lone, 1)] == [1]
        lone.run(0.001)


def test_what_many_sockets_bring_shares_a_sync(lone):
    assert round_of(lone, 50) <= 2
    assert [round_of(lone, 50) for _ in range(5)] == [1] * 5


def syncs_of_halves(cluster, count):
    """Syncs that two halves took, of which the second comes with the next look at the sockets."""
    round_of(cluster, 50)  # a crowd before, so that nobody counts as alone
    before = cluster.log.syncs
    outcomes = arrive(cluster, count)
    cluster["a"].engine.runtime._loop.call_soon(lambda: outcomes.extend(arrive(cluster, count)))
    cluster.run_until(lambda: len(outcomes) == 2 * count and all(outcomes))
    return cluster.log.syncs - before


def test_those_who_ask_a_look_later_share_the_sync_as_well(lone):
    assert syncs_of_halves(lone, 20) == 1


def test_enough_for_a_sync_wait_for_nobody(lone):
    assert syncs_of_halves(lone, GATHERED_PROPOSALS) == 2


def test_after_a_crowd_a_lone_proposal_is_quick_again(lone):
    round_of(lone, 50)
    round_of(lone, 1)
    assert [len(outcome) for outcome in arrive(lone, 1)] == [1]


def test_what_fails_behind_a_turn_ends_the_member_as_well(lone):
    runtime = lone["a"].engine.runtime
    died = []
    runtime._die = died.append
    failure = OSError("the log cannot be cut")

    def fail():
        raise failure

    runtime.after_turn.append(fail)
    runtime.turn()
    assert died == [failure]


def test_what_fails_in_a_tick_ends_the_member_too(lone):
    runtime = lone["a"].engine.runtime
    died = []
    runtime._die = died.append
    runtime.member.node.raft.tracker = None
    for _ in range(20):
        runtime.tick()
    assert died


def test_the_log_is_not_cut_while_a_worker_syncs_it(lone):
    node = lone["a"]
    at_the_log = []
    node.engine.truncation.maybe_finish = lambda: at_the_log.append(node.engine.runtime.is_syncing)
    node.slow_sync_s = 0.05
    for _ in range(20):
        arrive(lone, 1)
        lone.run(0.2)
    assert at_the_log and not any(at_the_log)


def test_what_was_being_synced_when_the_member_stopped_is_left_to_the_next_start(lone):
    """Backend and log are closed by the time the worker is done."""
    node = lone["a"]
    runtime = node.engine.runtime
    node.slow_sync_s = 0.05
    for _ in range(5):
        arrive(lone, 1)
        lone.run(0.06)
    arrive(lone, 1)
    lone.run_until(lambda: runtime.is_syncing)
    arrive(lone, 1)
    lone.run(0.06)  # what is being synced now commits what was synced before
    assert runtime.is_syncing
    applied = node.member.applied_index
    node.engine.stop()
    node.engine.finish()
    lone.run(1.0)
    assert node.member.applied_index == applied


class Told(Slowness):
    """Notes what it is told of, and writes nothing."""

    def __init__(self):
        super().__init__(None, lambda: 0.0, 0.1, 0.3, 0.1)
        self.applies = []
        self.answers = []

    def applied(self, took_s, entries):
        self.applies.append((took_s, len(entries)))

    def answered(self, now_s, context, entries):
        self.answers.append((now_s, len(entries)))


@pytest.fixture
def timed(lone, monkeypatch):
    """A member whose syncs and batches take as long as `lone.sync_s` and `lone.apply_s` say."""
    member = lone["a"].engine.member
    effects = lone["a"].engine.runtime.effects
    lone.sync_s = lone.apply_s = lone.watch_s = 0.0
    effects._stopwatch_s = lambda: lone.watch_s
    lone.told = effects._slowness = Told()
    sync, complete = lone.log.sync, member.complete

    def slow_sync():
        lone.watch_s += lone.sync_s
        sync()

    def slow_complete(ready, now_s):
        lone.watch_s += lone.apply_s if ready.committed_entries else 0.0
        return complete(ready, now_s)

    monkeypatch.setattr(lone.log, "sync", slow_sync)
    monkeypatch.setattr(member, "complete", slow_complete)
    return lone


def test_a_quick_batch_is_not_told_of(timed):
    timed.sync_s, timed.apply_s = 0.2, 0.09
    arrive(timed, 3)
    timed.run(0.01)
    assert timed.told.applies == [] and timed.told.answers == []


def test_a_batch_that_takes_long_to_apply_is_told_of(timed):
    timed.apply_s = 0.15
    arrive(timed, 3)
    timed.run(0.01)
    assert sum(count for _, count in timed.told.applies) == 3
    assert all(took_s == pytest.approx(0.15) for took_s, _ in timed.told.applies)
    assert timed.told.answers == []


def test_a_sync_on_the_loop_is_part_of_the_time_that_an_answer_took(timed):
    begin_s = timed.loop.now_s
    timed.sync_s, timed.apply_s = 0.25, 0.09
    arrive(timed, 1)
    ((now_s, count),) = timed.told.answers
    assert count == 1 and now_s == pytest.approx(begin_s + 0.34, abs=0.005)
