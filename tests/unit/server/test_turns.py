"""When a turn is taken: at once for a lone client, shared by all that a round brings."""

import pytest


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
    runtime = cluster["a"].engine.runtime
    runtime._log = cluster.log = CountedLog(runtime._log)
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
