"""When the backend is committed, and who waits for it."""

from concurrent.futures import Future

import pytest

from petcd.server.committer import Committer
from petcd.server.surroundings import Surroundings
from petcd.storage.memory import MemoryBackend


class FakeLoop:
    """A loop whose time stands still and whose callbacks run when told."""

    def __init__(self):
        self.now_s = 0.0
        self.ready = []

    def time(self):
        return self.now_s

    def call_soon_threadsafe(self, callback, *arguments):
        self.ready.append((callback, arguments))

    def run(self):
        while self.ready:
            callback, arguments = self.ready.pop(0)
            callback(*arguments)


class FakeExecutor:
    """Runs what is submitted when told."""

    def __init__(self):
        self.work = []

    def submit(self, function, *arguments):
        future = Future()
        self.work.append((future, function, arguments))
        return future

    def run(self):
        future, function, arguments = self.work.pop(0)
        try:
            future.set_result(function(*arguments))
        except OSError as error:
            future.set_exception(error)


class Rig:
    def __init__(self, operations_max=3, backend=None):
        self.loop, self.executor = FakeLoop(), FakeExecutor()
        self.backend = backend or MemoryBackend()
        self.applied = 0
        self.failures = []
        self.committer = Committer(
            Surroundings(self.loop, None, self.executor, self.loop.time, None, None),
            self.backend,
            lambda: self.applied,
            self.failures.append,
            0.1,
            operations_max,
        )

    def write(self, count=1):
        for _ in range(count):
            self.applied += 1
            self.backend.put(b"meta", b"%d" % self.applied, b"x")

    def finish(self):
        self.executor.run()
        self.loop.run()


@pytest.fixture
def rig():
    return Rig()


def test_nothing_is_committed_when_nothing_waits(rig):
    rig.loop.now_s = 5
    rig.committer.maybe_commit()
    assert rig.executor.work == []


def test_enough_operations_or_enough_time_start_a_commit(rig):
    rig.write()
    rig.committer.maybe_commit()
    assert not rig.committer.is_running
    rig.loop.now_s = 0.1
    rig.committer.maybe_commit()
    assert rig.committer.is_running
    rig.finish()
    assert rig.committer.synced_index == 1
    rig.write(3)
    rig.committer.maybe_commit()
    assert rig.committer.is_running


def test_one_commit_runs_at_a_time_and_counts_only_what_it_took(rig):
    rig.write(3)
    rig.committer.maybe_commit()
    rig.write(3)
    rig.committer.maybe_commit()
    assert len(rig.executor.work) == 1
    rig.finish()
    assert rig.committer.synced_index == 3


def test_who_waits_is_told_once_his_writes_are_on_disk(rig):
    told = []
    rig.committer.when_synced(lambda: told.append("nothing to wait for"))
    rig.write(3)
    rig.committer.maybe_commit()
    rig.write()
    rig.committer.when_synced(lambda: told.append("second commit"))
    rig.finish()
    assert told == ["nothing to wait for"]
    rig.finish()
    assert told == ["nothing to wait for", "second commit"]
    assert rig.committer.synced_index == 4


def test_held_commits_wait_and_the_holder_is_told_when_none_runs(rig):
    told = []
    rig.write(3)
    rig.committer.maybe_commit()
    rig.committer.hold(lambda: told.append("idle"))
    assert told == []
    rig.finish()
    assert told == ["idle"]
    rig.write(3)
    rig.committer.maybe_commit()
    rig.committer.when_synced(lambda: told.append("synced"))
    assert rig.executor.work == []
    rig.committer.resume()
    rig.finish()
    assert told == ["idle", "synced"]


class BrokenBackend(MemoryBackend):
    """Its disk is full."""

    def write_commit(self, batch):
        raise OSError("disk")


def test_a_failed_write_is_reported_and_never_counted():
    rig = Rig(backend=BrokenBackend())
    rig.write(3)
    rig.committer.maybe_commit()
    rig.finish()
    assert [str(e) for e in rig.failures] == ["disk"]
    assert rig.committer.synced_index == 0


def test_a_clean_stop_commits_what_is_left(rig):
    rig.write(2)
    rig.committer.commit_now()
    assert rig.committer.synced_index == 2 and rig.backend.pending == 0


def test_one_holds_at_a_time(rig):
    order = []
    rig.committer.hold(lambda: order.append("first"))
    rig.committer.hold(lambda: order.append("second"))
    rig.write()
    rig.committer.maybe_commit()
    assert order == ["first"] and not rig.executor.work
    rig.committer.resume()
    assert order == ["first", "second"] and not rig.executor.work
    rig.committer.resume()
    rig.committer.when_synced(lambda: order.append("synced"))
    rig.finish()
    assert order == ["first", "second", "synced"]


def test_an_install_tells_those_who_wait_for_what_it_holds(rig):
    told = []
    rig.write()
    rig.committer.hold(lambda: None)
    rig.committer.when_synced(lambda: told.append(1))
    rig.backend.drop_pending()
    rig.committer.installed(rig.applied + 5)
    assert told == [1] and rig.committer.synced_index == rig.applied + 5
    rig.committer.resume()
    assert not rig.executor.work
