"""Watchers that are not in sync: history, compaction, back-pressure, installed snapshots."""

from petcd.mvcc.watch_hub import ENDED_MAX, SLICE_CHANGES
from petcd.wire.watch import FilterType

# -- history -----------------------------------------------------------------------------------


def test_a_start_in_the_past_replays_history_after_the_created_answer(world, client, shown):
    world.put(b"k")
    world.put(b"other")
    world.delete(b"k")
    client.create(b"k", start_revision=2)
    world.catch_up()
    created, events = client.take()
    assert created.created
    assert shown(events) == [("PUT", b"k", 2), ("DELETE", b"k", 4)]
    assert events.header.revision == 4  # the current one, as in etcd


def test_a_start_at_the_current_revision_replays_just_that(world, client, shown):
    world.put(b"k")
    world.put(b"k")
    client.created(b"k", start_revision=3)
    world.catch_up()
    assert [shown(a) for a in client.take()] == [[("PUT", b"k", 3)]]


def test_events_that_happen_while_a_watch_catches_up_come_once_and_in_order(world, client, shown):
    world.put(b"k")
    client.created(b"k", start_revision=1)
    world.put(b"k")
    world.catch_up()
    world.put(b"k")
    revisions = [r for a in client.take() for _, _, r in shown(a)]
    assert revisions == [2, 3, 4]


def test_a_watch_on_a_future_revision_never_sees_older_events(world, client, shown):
    client.created(b"k", start_revision=4)
    client.created(b"k", start_revision=2)
    for _ in range(4):
        world.put(b"k")
    world.catch_up()
    got = [(a.watch_id, r) for a in client.take() for _, _, r in shown(a)]
    assert sorted(got) == [(0, 4), (0, 5), (1, 2), (1, 3), (1, 4), (1, 5)]


def test_a_future_start_inside_a_batch_is_served_from_it_on(world, client, shown):
    client.created(b"k", start_revision=4)
    for _ in range(5):
        world.store.apply((b"k", b"v"))
    world.hub.notify(world.store.take_changes())
    world.catch_up()
    world.put(b"k")
    assert [r for a in client.take() for _, _, r in shown(a)] == [4, 5, 6, 7]


def test_the_hub_signals_once_that_there_is_history_to_read(world, client):
    world.put(b"k")
    client.created(b"k")
    client.created(b"k", start_revision=9)
    assert world.signals == 0
    client.created(b"k", start_revision=1)
    client.created(b"k", start_revision=1)
    assert world.signals == 1
    world.catch_up()
    assert not world.hub.catch_up_step()
    client.created(b"k", start_revision=1)
    assert world.signals == 2


def test_watchers_at_the_same_revision_share_one_reading_of_history(world):
    for _ in range(10):
        world.put(b"k")
    clients = [world.client() for _ in range(50)]
    for client in clients:
        client.created(b"k", start_revision=2)
    assert world.catch_up() == 1
    assert world.store.history_calls == [(2, 12, False)]
    assert all(len(c.take()[0].events) == 10 for c in clients)


def test_watchers_at_different_revisions_join_where_they_meet(world):
    for _ in range(10):
        world.put(b"k")
    clients = [world.client() for _ in range(5)]
    for n, client in enumerate(clients):
        client.created(b"k", start_revision=2 + 2 * n)
    world.catch_up()
    calls = world.store.history_calls
    assert sum(end - start for start, end, _ in calls) <= 2 * 10
    assert [sum(len(a.events) for a in c.take()) for c in clients] == [10, 8, 6, 4, 2]


def test_history_is_read_in_slices(world, client, shown):
    for _ in range(3 * SLICE_CHANGES):
        world.put(b"k")
    client.created(b"k", start_revision=1)
    assert world.hub.catch_up_step()
    first = client.take()
    assert len(first[0].events) == SLICE_CHANGES
    assert first[0].header.revision == 3 * SLICE_CHANGES + 1
    world.catch_up()
    revisions = [r for a in first + client.take() for _, _, r in shown(a)]
    assert revisions == list(range(2, 3 * SLICE_CHANGES + 2))


def test_a_slice_ends_between_revisions(world, client):
    for _ in range(SLICE_CHANGES // 3 + 5):
        world.txn((b"k1", b"v"), (b"k2", b"v"), (b"k3", b"v"))
    client.created(b"k", range_end=b"l", start_revision=1)
    world.hub.catch_up_step()
    (answer,) = client.take()
    assert len(answer.events) % 3 == 0
    assert SLICE_CHANGES <= len(answer.events) < SLICE_CHANGES + 3


def test_a_step_for_very_many_watchers_ends_early_and_loses_nothing(world, client, monkeypatch):
    monkeypatch.setattr("petcd.mvcc.watch_hub.DELIVERIES_MAX", 20)
    for _ in range(10):
        world.txn((b"a", b"v"), (b"k", b"v"))
    for _ in range(10):
        client.created(b"k", start_revision=2)
    world.hub.catch_up_step()
    first = client.take()
    assert {len(a.events) for a in first} == {3}
    world.catch_up()
    rest = client.take()
    for watch_id in range(10):
        events = [e for a in first + rest if a.watch_id == watch_id for e in a.events]
        assert [e.kv.mod_revision for e in events] == list(range(2, 12))


def test_a_watcher_far_behind_does_not_hold_up_one_that_is_nearly_there(world):
    for _ in range(4 * SLICE_CHANGES):
        world.put(b"k")
    far, near = world.client(), world.client()
    far.created(b"k", start_revision=1)
    near.created(b"k", start_revision=world.store.revision)
    world.hub.catch_up_step()
    world.hub.catch_up_step()
    assert len(near.take()) == 1
    assert len(far.take()) == 1


def test_a_catching_up_watcher_without_matching_events_gets_in_sync_silently(world, client):
    world.put(b"other")
    client.created(b"k", start_revision=1)
    assert world.hub.slow_watcher_count == 1
    world.catch_up()
    assert world.hub.slow_watcher_count == 0
    assert client.take() == []
    world.put(b"k")
    assert len(client.take()) == 1


# -- compaction --------------------------------------------------------------------------------


def test_a_start_below_the_compacted_revision_is_created_and_then_canceled(world, client):
    for _ in range(5):
        world.put(b"k")
    world.store.compact_revision = 4
    client.create(b"k", start_revision=3, watch_id=7)
    world.catch_up()
    created, canceled = client.take()
    assert (created.created, created.canceled, created.watch_id) == (True, False, 7)
    assert created.header.revision == 6
    assert (canceled.created, canceled.canceled, canceled.watch_id) == (False, True, 7)
    assert canceled.compact_revision == 4
    assert canceled.cancel_reason == ""
    assert canceled.header.revision == 0
    assert canceled.header.cluster_id == 11
    world.put(b"k")
    assert client.take() == []
    assert world.hub.watcher_count == 0


def test_a_start_at_the_compacted_revision_is_allowed(world, client, shown):
    for _ in range(5):
        world.put(b"k")
    world.store.compact_revision = 4
    client.created(b"k", start_revision=4)
    world.catch_up()
    assert [r for a in client.take() for _, _, r in shown(a)] == [4, 5, 6]


def test_compaction_that_overtakes_a_slow_watcher_ends_it(world, client):
    for _ in range(2 * SLICE_CHANGES):
        world.put(b"k")
    client.created(b"k", start_revision=1)
    world.hub.catch_up_step()
    assert len(client.take()) == 1
    world.store.compact_revision = world.store.revision
    world.catch_up()
    (canceled,) = client.take()
    assert canceled.canceled and not canceled.events
    assert canceled.compact_revision == 2 * SLICE_CHANGES + 1


def test_compaction_leaves_watchers_in_sync_alone(world, client):
    client.created(b"k")
    world.put(b"other")
    world.store.compact_revision = 2
    world.catch_up()
    world.put(b"k")
    (answer,) = client.take()
    assert len(answer.events) == 1


def test_a_parked_watcher_learns_of_the_compaction_when_its_sink_has_drained(world, client):
    client.created(b"k")
    client.block()
    for _ in range(3):
        world.put(b"k")
    world.store.compact_revision = 4
    world.catch_up()
    assert client.take() == []
    client.drain()
    world.catch_up()
    (canceled,) = client.take()
    assert (canceled.canceled, canceled.compact_revision) == (True, 4)


def test_the_id_of_a_watch_ended_by_compaction_stays_taken_until_it_is_cancelled(world, client):
    world.put(b"k")
    world.put(b"k")
    world.store.compact_revision = 3
    client.create(b"k", start_revision=1, watch_id=7)
    world.catch_up()
    client.take()
    assert client.create(b"k", watch_id=7) == -1
    client.take()
    client.stream.cancel(7)
    (answer,) = client.take()
    assert (answer.watch_id, answer.canceled, answer.compact_revision) == (7, True, 0)
    assert client.create(b"k", watch_id=7) == 7
    assert world.hub.watcher_count == 1


def test_very_many_watchers_are_ended_in_slices(world, client):
    world.put(b"k")
    world.put(b"k")
    world.store.compact_revision = 3
    for _ in range(ENDED_MAX + 1):
        client.created(b"k", start_revision=1)
    assert world.hub.catch_up_step()
    assert len(client.take()) == ENDED_MAX
    assert not world.hub.catch_up_step()
    assert len(client.take()) == 1


# -- back-pressure -----------------------------------------------------------------------------


def test_a_blocked_stream_costs_nothing_per_event_and_loses_nothing(world, client, shown):
    client.created(b"k")
    client.block()
    for _ in range(1000):
        world.put(b"k")
    assert client.sink.asked_in_vain
    assert client.sink.sent == []
    assert world.hub.slow_watcher_count == 1
    client.drain()
    assert world.signals == 1
    world.catch_up()
    assert [r for a in client.take() for _, _, r in shown(a)] == list(range(2, 1002))
    assert world.hub.slow_watcher_count == 0


def test_a_blocked_stream_does_not_hold_up_others(world):
    slow, quick = world.client(), world.client()
    slow.created(b"k")
    quick.created(b"k")
    slow.block()
    world.put(b"k")
    assert len(quick.take()) == 1


def test_a_stream_is_not_asked_again_while_it_is_blocked(world, client):
    for _ in range(3):
        client.created(b"k")
    client.block()
    world.put(b"k")
    client.sink.asked_in_vain = False
    client.created(b"k")
    world.put(b"k")
    assert not client.sink.asked_in_vain


def test_a_watch_of_a_blocked_stream_that_missed_nothing_stays_in_sync(world, client, shown):
    client.created(b"k")
    client.created(b"quiet")
    client.block()
    world.put(b"k")
    assert world.hub.slow_watcher_count == 1
    client.drain()
    world.put(b"quiet")
    world.catch_up()
    got = sorted((a.watch_id, r) for a in client.take() for _, _, r in shown(a))
    assert got == [(0, 2), (1, 3)]


def test_a_stream_that_blocks_in_the_middle_of_a_batch_goes_on_behind_it(world, client, shown):
    client.created(b"a", range_end=b"b")
    client.sink.room = 1
    for _ in range(6):
        world.store.apply((b"a", b"x" * 600_000))
    world.hub.notify(world.store.take_changes())
    first = client.take()
    assert [r for a in first for _, _, r in shown(a)] == [2, 3]
    client.drain()
    world.catch_up()
    revisions = [r for a in client.take() for _, _, r in shown(a)]
    assert revisions == [4, 5, 6, 7]


def test_what_is_made_for_one_stream_in_one_go_is_bounded(world, client, shown):
    for _ in range(200):
        client.created(b"k")
    client.sink.room = 10
    world.put(b"k", b"x" * 20_000)
    first = client.take()
    assert 10 <= len(first) <= 14
    assert world.hub.slow_watcher_count == 200 - len(first)
    client.drain()
    world.catch_up()
    assert len(first) + len(client.take()) == 200


def test_fragments_of_a_blocked_stream_are_kept_for_later(big_world):
    world, client = big_world()
    client.created(b"a", range_end=b"b", fragment=True)
    client.block()
    world.txn(*[(b"a%d" % n, b"x" * 280) for n in range(7)])
    assert client.take() == []
    client.drain()
    world.catch_up()
    assert [p.fragment for p in client.take()] == [True, True, False]


def test_large_fragments_ask_the_sink_between_watchers(big_world):
    world, client = big_world(50_000)
    for _ in range(20):
        client.created(b"a", range_end=b"b", fragment=True)
    client.sink.room = 4
    world.txn(*[(b"a%d" % n, b"x" * 40_000) for n in range(2)])
    assert len(client.take()) == 4
    assert world.hub.slow_watcher_count == 18


def test_a_stream_may_block_again_while_it_catches_up(world, client, shown):
    client.created(b"k")
    client.block()
    for _ in range(3 * SLICE_CHANGES):
        world.put(b"k")
    revisions = []
    for _ in range(3):
        client.sink.room = 1
        client.stream.drained()
        world.catch_up()
        revisions += [r for a in client.take() for _, _, r in shown(a)]
    client.drain()
    world.catch_up()
    revisions += [r for a in client.take() for _, _, r in shown(a)]
    assert revisions == list(range(2, 3 * SLICE_CHANGES + 2))


def test_answers_are_sent_to_a_blocked_stream_too(world, client):
    client.block()
    client.create(b"k")
    client.stream.cancel(0)
    client.create(b"k", range_end=b"a")
    assert [(a.created, a.canceled) for a in client.take()] == [
        (True, False),
        (False, True),
        (True, True),
    ]


# -- an installed snapshot ---------------------------------------------------------------------


def test_after_a_snapshot_watchers_go_on_from_where_they_stood(world, client, shown):
    client.created(b"k")
    client.created(b"k", start_revision=5)
    world.put(b"k")
    for _ in range(5):
        world.store.apply((b"k", b"from the snapshot"))
    world.store.take_changes()
    world.hub.skip_to(world.store.revision)
    world.catch_up()
    world.put(b"k")
    got = {0: [], 1: []}
    for answer in client.take():
        got[answer.watch_id] += [r for _, _, r in shown(answer)]
    assert got == {0: [2, 3, 4, 5, 6, 7, 8], 1: [5, 6, 7, 8]}


def test_after_a_snapshot_watchers_whose_history_is_missing_are_canceled(world, client):
    client.created(b"k")
    for _ in range(5):
        world.store.apply((b"k", b"v"))
    world.store.take_changes()
    world.store.compact_revision = 4
    world.hub.skip_to(world.store.revision)
    world.catch_up()
    (canceled,) = client.take()
    assert (canceled.canceled, canceled.compact_revision) == (True, 4)


def test_skipping_to_where_we_are_changes_nothing(world, client):
    client.created(b"k")
    world.put(b"k")
    world.hub.skip_to(2)
    world.hub.skip_to(1)
    assert world.hub.slow_watcher_count == 0
    assert world.hub.notified_revision == 2


def test_a_synced_crowd_moves_as_a_whole_when_a_snapshot_is_installed(world, client):
    for _ in range(100):
        client.created(b"k")
    world.store.apply((b"k", b"v"))
    world.store.take_changes()
    world.hub.skip_to(2)
    assert world.catch_up() == 1
    assert len(client.take()) == 100


# -- figures -----------------------------------------------------------------------------------


def test_figures_count_streams_watchers_and_events(world, client):
    other = world.client()
    client.created(b"k")
    client.created(b"k", filters=[FilterType.NOPUT])
    other.created(b"k", start_revision=99)
    other.block()
    world.put(b"k")
    assert world.hub.stream_count == 2
    assert world.hub.watcher_count == 3
    assert world.hub.slow_watcher_count == 0
    assert world.hub.events_total == 1
