"""Which revision automatic compaction lets go."""

import itertools

import pytest

from petcd.server.auto_compaction import PeriodicCompaction, RevisionCompaction, auto_compaction


def test_revision_mode_keeps_the_last_ones_and_asks_once():
    mode = RevisionCompaction(100)
    assert mode.revision_due(0, 100) is None
    assert mode.revision_due(300, 150) == 50
    assert mode.revision_due(600, 150) is None
    assert mode.revision_due(900, 151) == 51


def test_periodic_mode_compacts_to_what_is_older_than_the_retention():
    mode = PeriodicCompaction(100.0)
    assert mode.interval_s == 10.0
    seen = {}
    for step in range(31):
        now_s = step * 10.0
        due = mode.revision_due(now_s, 1000 + step)
        if due is not None:
            seen[now_s] = due
    assert seen == {100.0: 1000, 200.0: 1010, 300.0: 1020}


def test_periodic_mode_with_a_long_retention_compacts_every_hour():
    mode = PeriodicCompaction(12 * 3600.0)
    assert mode.interval_s == 360.0
    due = [
        (step, revision)
        for step in range(150)
        if (revision := mode.revision_due(step * 360.0, 1 + step)) is not None
    ]
    assert due[0] == (120, 1)
    assert [b[0] - a[0] for a, b in itertools.pairwise(due)] == [10, 10]


def test_an_idle_store_is_compacted_once():
    mode = PeriodicCompaction(100.0)
    due = [mode.revision_due(step * 10.0, 5) for step in range(60)]
    assert due.count(5) == 1


@pytest.mark.parametrize(
    ("mode", "retention", "interval_s"),
    [("periodic", "1", 360.0), ("periodic", "10m", 60.0), ("revision", "5", 300.0)],
)
def test_flags_choose_the_mode(mode, retention, interval_s):
    chosen = auto_compaction(mode, retention)
    assert chosen is not None and chosen.interval_s == interval_s


@pytest.mark.parametrize("mode", ["periodic", "revision"])
def test_zero_turns_it_off(mode):
    assert auto_compaction(mode, "0") is None


def test_nonsense_is_refused():
    with pytest.raises(ValueError):
        auto_compaction("periodic", "soon")
    with pytest.raises(ValueError):
        auto_compaction("revision", "5m")
