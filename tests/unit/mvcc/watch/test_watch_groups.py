"""Groups of watchers: who is in them, and what merging costs."""

import pytest

from petcd.mvcc.watch_groups import Outlet, Watcher, WatcherGroup, merged


@pytest.fixture
def new_watcher(client):
    def new(key=b"k", end=None, options=0):
        return Watcher(1, key, end, 0, options, Outlet(client.sink), False)

    return new


def test_a_group_forgets_keys_and_ranges_that_nobody_watches_any_more(new_watcher):
    group = WatcherGroup(1)
    watchers = [new_watcher(b"k%d" % n) for n in range(5)]
    watchers += [new_watcher(b"k", b"l"), new_watcher(b"k", b"l", 1), new_watcher(b"k", b"")]
    for watcher in watchers:
        group.add(watcher)
    assert set(group.watchers()) == set(watchers)
    for watcher in watchers:
        group.remove(watcher)
    assert (group.size, len(group._exact), len(group._ranges)) == (0, 0, 0)
    assert group.watchers() == []


def test_when_groups_merge_the_larger_one_stays(new_watcher):
    small, large = WatcherGroup(7), WatcherGroup(7)
    moving = new_watcher()
    small.add(moving)
    staying = [new_watcher(b"k"), new_watcher(b"a", b"z")]
    for watcher in staying:
        large.add(watcher)
    assert merged(small, large) is large
    assert merged(large, WatcherGroup(7)) is large
    assert large.size == 3
    assert {w.group for w in (moving, *staying)} == {large}


def test_groups_at_different_revisions_do_not_merge():
    with pytest.raises(AssertionError):
        merged(WatcherGroup(7), WatcherGroup(8))


def test_a_watcher_cannot_be_in_two_groups(new_watcher):
    watcher = new_watcher()
    WatcherGroup(7).add(watcher)
    with pytest.raises(AssertionError):
        WatcherGroup(7).add(watcher)
