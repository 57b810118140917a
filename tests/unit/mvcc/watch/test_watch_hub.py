"""Who gets which events, when, and in which shape."""

import pytest

from petcd.mvcc.watch_hub import SLICE_CHANGES
from petcd.wire.watch import FilterType

# -- in sync -----------------------------------------------------------------------------------


def test_a_put_reaches_its_watcher_with_the_whole_pair(world, client):
    client.created(b"k")
    world.put(b"k", b"one")
    world.put(b"k", b"two")
    first, second = client.take()
    event = second.events[0]
    assert (event.type, event.prev_kv) == (0, None)
    kv = event.kv
    assert (kv.key, kv.value) == (b"k", b"two")
    assert (kv.create_revision, kv.mod_revision, kv.version) == (2, 3, 2)
    assert first.events[0].kv.create_revision == first.events[0].kv.mod_revision == 2
    assert [first.header.revision, second.header.revision] == [2, 3]
    assert not first.created and not first.canceled and not first.fragment


def test_a_delete_shows_only_key_and_revision(world, client):
    world.put(b"k", b"v")
    client.created(b"k")
    world.delete(b"k")
    (answer,) = client.take()
    (event,) = answer.events
    assert event.type == 1
    assert (event.kv.key, event.kv.mod_revision) == (b"k", 3)
    assert (event.kv.value, event.kv.create_revision, event.kv.version) == (b"", 0, 0)


def test_all_events_of_a_revision_come_in_one_response_in_their_order(world, client, shown):
    world.put(b"c")
    client.created(b"a", range_end=b"z")
    world.txn((b"b", b"1"), (b"c", None), (b"a", b"2"))
    (answer,) = client.take()
    assert shown(answer) == [("PUT", b"b", 3), ("DELETE", b"c", 3), ("PUT", b"a", 3)]


def test_a_batch_of_several_revisions_comes_as_one_response(world, client, shown):
    client.created(b"k")
    for key in (b"k", b"other", b"k", b"other"):
        world.store.apply((key, b"v"))
    world.hub.notify(world.store.take_changes())
    (answer,) = client.take()
    assert shown(answer) == [("PUT", b"k", 2), ("PUT", b"k", 4)]
    assert answer.header.revision == 4


def test_a_change_reaches_everyone_who_watches_it_by_key_prefix_or_range(world):
    clients = [world.client() for _ in range(3)]
    clients[0].created(b"/a/b")
    clients[1].created(b"/a/", range_end=b"/a0")
    clients[2].created(b"/a", range_end=b"/x")
    clients[2].created(b"/", range_end=b"\0")
    world.put(b"/a/b")
    assert [sorted(a.watch_id for a in c.take()) for c in clients] == [[0], [0], [0, 1]]


def test_nobody_else_is_told(world, client):
    client.created(b"k")
    client.created(b"k/", range_end=b"k0")
    world.put(b"kk")
    world.put(b"j")
    assert client.take() == []


def test_watches_of_one_stream_get_their_own_copies(world, client):
    for _ in range(3):
        client.created(b"k")
    world.put(b"k")
    answers = client.take()
    assert [a.watch_id for a in answers] == [0, 1, 2]
    assert all(a.events == answers[0].events for a in answers)


def test_responses_of_one_stream_are_handed_over_in_one_call(world, client):
    for n in range(100):
        client.created(b"k")
        client.created(b"k%d" % n)
    client.sink.calls = 0
    world.txn((b"k", b"v"), *[(b"k%d" % n, b"v") for n in range(100)])
    assert client.sink.calls == 1
    assert len(client.take()) == 200


def test_a_watch_starts_after_the_revision_of_its_creation(world, client, shown):
    world.put(b"k")
    client.created(b"k")
    world.put(b"k")
    world.catch_up()
    assert [shown(a) for a in client.take()] == [[("PUT", b"k", 3)]]


def test_a_watch_created_between_apply_and_notification_gets_nothing_older(world, client, shown):
    world.store.apply((b"k", b"before"))
    client.create(b"k")
    (created,) = client.take()
    assert created.header.revision == 2
    world.hub.notify(world.store.take_changes())
    assert client.take() == []
    world.put(b"k")
    assert [shown(a) for a in client.take()] == [[("PUT", b"k", 3)]]


def test_a_gap_in_the_changes_is_our_own_mistake(world):
    world.put(b"k")
    world.store.apply((b"k", b"lost"))
    world.store.take_changes()
    world.store.apply((b"k", b"next"))
    with pytest.raises(AssertionError):
        world.hub.notify(world.store.take_changes())


# -- what a watcher wants to see ---------------------------------------------------------------


def test_filters_leave_out_puts_or_deletes_and_empty_responses_are_not_sent(world, client, shown):
    client.created(b"k", filters=[FilterType.NOPUT])
    client.created(b"k", filters=[FilterType.NODELETE])
    client.created(b"k", filters=[FilterType.NOPUT, FilterType.NODELETE])
    client.created(b"k", filters=[99])
    world.put(b"k")
    world.delete(b"k")
    got = [(a.watch_id, shown(a)[0][0]) for a in client.take()]
    assert got == [(1, "PUT"), (3, "PUT"), (0, "DELETE"), (3, "DELETE")]


def test_filters_apply_within_a_revision(world, client, shown):
    world.put(b"b")
    client.created(b"a", range_end=b"z", filters=[FilterType.NOPUT])
    world.txn((b"a", b"v"), (b"b", None))
    assert [shown(a) for a in client.take()] == [[("DELETE", b"b", 3)]]


def test_the_pair_before_comes_with_puts_and_deletes_that_have_one(world, client):
    client.created(b"k", prev_kv=True)
    world.put(b"k", b"one")
    world.put(b"k", b"two")
    world.delete(b"k")
    world.put(b"k", b"three")
    events = [a.events[0] for a in client.take()]
    assert [e.prev_kv and e.prev_kv.value for e in events] == [None, b"one", b"two", None]
    assert [e.prev_kv and e.prev_kv.mod_revision for e in events] == [None, 2, 3, None]


def test_the_pair_before_is_read_from_history_too(world, client):
    world.put(b"k", b"one")
    world.put(b"k", b"two")
    client.created(b"k", prev_kv=True, start_revision=3)
    world.catch_up()
    (answer,) = client.take()
    assert answer.events[0].prev_kv.value == b"one"


def test_the_pair_before_is_missing_when_it_is_compacted(world, client):
    world.put(b"k", b"one")
    world.put(b"k", b"two")
    world.store.compact_revision = 3
    client.created(b"k", prev_kv=True, start_revision=3)
    world.catch_up()
    (answer,) = client.take()
    assert answer.events[0].prev_kv is None


def test_the_pair_before_is_read_once_and_only_when_somebody_wants_it(world, client):
    world.put(b"k")
    for _ in range(5):
        client.created(b"k")
    world.put(b"k")
    assert world.store.prev_reads == 0
    for _ in range(5):
        client.created(b"k", prev_kv=True)
        client.created(b"j", range_end=b"l", prev_kv=True)
    world.put(b"k")
    assert world.store.prev_reads == 1


def test_history_is_read_without_pairs_before_when_nobody_wants_them_any_more(world, client):
    for _ in range(SLICE_CHANGES + 1):
        world.put(b"k")
    client.created(b"k", start_revision=1)
    client.created(b"k", start_revision=1, prev_kv=True)
    world.hub.catch_up_step()
    client.stream.cancel(1)
    world.hub.catch_up_step()
    assert [with_prev for _, _, with_prev in world.store.history_calls] == [True, False]


# -- fragments and large responses -------------------------------------------------------------


def test_a_large_response_is_split_when_the_watcher_asked_for_it(big_world, shown):
    world, client = big_world()
    client.created(b"a", range_end=b"b", fragment=True)
    client.created(b"a", range_end=b"b")
    world.txn(*[(b"a%d" % n, b"x" * 280) for n in range(7)])
    *pieces, whole = client.take()
    assert [len(p.events) for p in pieces] == [3, 3, 1]
    assert [p.fragment for p in pieces] == [True, True, False]
    assert {p.watch_id for p in pieces} == {0}
    assert {p.header.revision for p in pieces} == {2}
    assert (whole.watch_id, len(whole.events), whole.fragment) == (1, 7, False)
    assert [e for p in pieces for e in p.events] == whole.events


def test_fragments_are_as_large_as_they_may_be_below_the_limit(big_world):
    world, client = big_world()
    client.created(b"a", range_end=b"b", fragment=True)
    world.txn(*[(b"a%02d" % n, b"x" * (n * 37 % 300)) for n in range(20)])
    sizes = [len(response) for response in client.sink.sent]
    pieces = client.take()
    assert [e.kv.key for p in pieces for e in p.events] == [b"a%02d" % n for n in range(20)]
    for n in range(len(pieces) - 1):
        next_event = len(pieces[n + 1].events[0].encode())
        assert sizes[n] < 1000 <= sizes[n] + next_event + 3
    assert len(pieces) > 3


def test_an_event_larger_than_the_limit_is_a_fragment_of_its_own(big_world):
    world, client = big_world()
    client.created(b"a", range_end=b"b", fragment=True)
    world.txn((b"a1", b"x" * 2000), (b"a2", b"x"), (b"a3", b"x" * 2000))
    assert [len(p.events) for p in client.take()] == [1, 1, 1]


@pytest.mark.parametrize(("spare", "pieces"), [(1, 1), (0, 2)])
def test_a_response_is_split_when_it_reaches_the_limit(big_world, spare, pieces):
    def split(fragment_bytes):
        world, client = big_world(fragment_bytes)
        client.created(b"a", range_end=b"b", fragment=True)
        world.txn((b"a1", b"x"), (b"a2", b"x"))
        return client.sink.sent

    (whole,) = split(1000)
    assert len(split(len(whole) + spare)) == pieces


def test_a_small_response_and_a_single_event_are_not_split(big_world):
    world, client = big_world()
    client.created(b"a", range_end=b"b", fragment=True)
    world.txn((b"a1", b"x"), (b"a2", b"x"))
    world.txn((b"a1", b"x" * 5000))
    assert [(len(a.events), a.fragment) for a in client.take()] == [(2, False), (1, False)]


def test_fragments_come_from_history_too(big_world):
    world, client = big_world()
    world.txn(*[(b"a%d" % n, b"x" * 280) for n in range(7)])
    client.created(b"a", range_end=b"b", fragment=True, start_revision=1)
    world.catch_up()
    assert [p.fragment for p in client.take()] == [True, True, False]


def test_a_batch_of_large_revisions_is_cut_between_revisions(world, client):
    client.created(b"a", range_end=b"b")
    for _ in range(4):
        world.store.apply((b"a1", b"x" * 400_000), (b"a2", b"x" * 400_000))
    world.hub.notify(world.store.take_changes())
    answers = client.take()
    assert [[e.kv.mod_revision for e in a.events] for a in answers] == [[2, 2, 3, 3], [4, 4, 5, 5]]
    assert [a.header.revision for a in answers] == [3, 5]


def test_one_large_revision_is_not_cut(world, client):
    client.created(b"a", range_end=b"b")
    world.txn(*[(b"a%d" % n, b"x" * 400_000) for n in range(5)])
    (answer,) = client.take()
    assert len(answer.events) == 5
