"""What one stream answers: ids, refusals, cancels, progress."""

import pytest

from petcd.wire.watch import (
    FilterType,
    WatchCancelRequest,
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)

# -- creating ----------------------------------------------------------------------------------


def test_created_shows_the_stores_revision_and_nothing_else(world, client):
    world.put(b"other")
    client.create(b"k")
    (answer,) = client.take()
    assert answer == WatchResponse(header=answer.header, watch_id=0, created=True)
    assert answer.header.revision == 2
    assert (answer.header.cluster_id, answer.header.member_id) == (11, 22)
    assert answer.header.raft_term == 3


def test_the_server_counts_ids_up_from_zero(client):
    assert [client.create() for _ in range(3)] == [0, 1, 2]


def test_the_server_passes_over_ids_that_the_client_took(client):
    assert client.create(watch_id=1) == 1
    assert [client.create() for _ in range(3)] == [0, 2, 3]


def test_a_freed_id_is_not_given_again_by_the_server_but_the_client_may_take_it(client):
    assert [client.create() for _ in range(2)] == [0, 1]
    client.stream.cancel(1)
    assert client.create() == 2
    assert client.create(watch_id=1) == 1


@pytest.mark.parametrize("watch_id", [5, 1 << 40, -7])
def test_an_id_chosen_by_the_client_is_taken_as_it_is(world, client, watch_id):
    assert client.created(b"k", watch_id=watch_id) == watch_id
    world.put(b"k")
    (answer,) = client.take()
    assert answer.watch_id == watch_id


def test_an_id_in_use_is_refused(client):
    client.created(b"k", watch_id=5)
    assert client.create(b"other", watch_id=5) == -1
    (answer,) = client.take()
    assert answer == WatchResponse(
        header=answer.header,
        watch_id=-1,
        created=True,
        canceled=True,
        cancel_reason="mvcc: duplicate watch ID provided on the WatchStream",
    )
    assert answer.header.revision == 1


@pytest.mark.parametrize("range_end", [b"k", b"a"])
def test_an_empty_range_is_refused(client, range_end):
    assert client.create(b"k", range_end=range_end) == -1
    (answer,) = client.take()
    assert (answer.watch_id, answer.created, answer.canceled) == (-1, True, True)
    assert answer.cancel_reason == "mvcc: watcher range is empty"
    assert answer.compact_revision == 0


def test_a_negative_start_revision_is_refused_as_compacted(client):
    assert client.create(b"k", start_revision=-1) == -1
    (answer,) = client.take()
    assert (answer.watch_id, answer.created, answer.canceled) == (-1, True, True)
    assert answer.cancel_reason == "etcdserver: mvcc: required revision has been compacted"
    assert answer.compact_revision == 0
    assert answer.header.revision == 1


def test_a_refusal_by_permission_carries_the_reason_it_was_given(client):
    reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
    request = WatchCreateRequest(key=b"k")
    assert client.stream.create(request, refusal=reason) == -1
    (answer,) = client.take()
    assert (answer.watch_id, answer.created, answer.canceled) == (-1, True, True)
    assert answer.cancel_reason == reason


def test_a_negative_start_is_judged_before_the_permission_and_that_before_the_range(client):
    request = WatchCreateRequest(key=b"k", range_end=b"a", start_revision=-1)
    client.stream.create(request, refusal="not permitted")
    request.start_revision = 0
    client.stream.create(request, refusal="not permitted")
    client.stream.create(request)
    assert [a.cancel_reason for a in client.take()] == [
        "etcdserver: mvcc: required revision has been compacted",
        "not permitted",
        "mvcc: watcher range is empty",
    ]


def test_a_refused_watch_takes_no_id_and_gets_no_events(world, client):
    client.create(b"k", range_end=b"a")
    client.create(b"k", start_revision=-1)
    assert len(client.stream) == 0
    assert client.create(b"k") == 0
    client.take()
    world.put(b"k")
    assert len(client.take()) == 1


# -- keys and ranges ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "range_end", "watched"),
    [
        (b"b", b"", [b"b"]),
        (b"", b"", [b"\0"]),
        (b"b", b"c", [b"b", b"ba", b"b\xff"]),
        (b"b", b"\0", [b"b", b"ba", b"b\xff", b"c", b"\xff"]),
        (b"", b"\0", [b"\0", b"a", b"b", b"ba", b"b\xff", b"c", b"\xff"]),
        (b"\0", b"\0", [b"\0", b"a", b"b", b"ba", b"b\xff", b"c", b"\xff"]),
        (b"", b"b", [b"\0", b"a"]),
        (b"a", b"ba", [b"a", b"b"]),
    ],
)
def test_a_watch_gets_the_events_of_its_keys(world, client, key, range_end, watched):
    client.created(key, range_end=range_end)
    for k in (b"\0", b"a", b"b", b"ba", b"b\xff", b"c", b"\xff"):
        world.put(k)
    assert [e.kv.key for answer in client.take() for e in answer.events] == watched


# -- cancelling --------------------------------------------------------------------------------


def test_cancel_is_answered_with_the_stores_revision_and_no_event_follows(world, client):
    client.created(b"k", watch_id=9)
    world.put(b"k")
    client.take()
    client.stream.cancel(9)
    world.put(b"k")
    (answer,) = client.take()
    assert answer == WatchResponse(header=answer.header, watch_id=9, canceled=True)
    assert answer.header.revision == 2


def test_cancelling_an_unknown_id_is_not_answered(client):
    client.created()
    client.stream.cancel(77)
    client.stream.cancel(0)
    client.stream.cancel(0)
    assert len(client.take()) == 1


def test_cancel_leaves_the_other_watches_of_the_stream(world, client):
    client.created(b"k")
    client.created(b"k")
    client.stream.cancel(0)
    client.take()
    world.put(b"k")
    assert [a.watch_id for a in client.take()] == [1]


def test_a_watch_can_be_cancelled_wherever_it_stands(world, client):
    world.put(b"k")
    world.put(b"k")
    future = client.created(b"k", start_revision=50)
    catching_up = client.created(b"k", start_revision=2)
    synced = client.created(b"k")
    parked = client.created(b"parked")
    client.block()
    world.put(b"parked")
    client.take()
    for watch_id in (future, catching_up, synced, parked):
        client.stream.cancel(watch_id)
    assert len(world.hub._future) == len(world.hub._cohorts) == 0
    client.drain()
    world.catch_up()
    for _ in range(60):
        world.put(b"k")
        world.put(b"parked")
    assert all(a.canceled and not a.events for a in client.take())
    assert world.hub.watcher_count == 0
    assert world.hub.slow_watcher_count == 0


def test_closing_a_stream_ends_its_watches_without_an_answer(world, client):
    world.put(b"k")
    client.created(b"k")
    client.created(b"k", start_revision=2)
    client.created(b"k", start_revision=20)
    client.stream.close()
    world.put(b"k")
    world.catch_up()
    assert client.take() == []
    assert (world.hub.watcher_count, world.hub.stream_count) == (0, 0)


def test_a_request_that_arrives_after_the_end_of_the_stream_is_ignored(world, client):
    client.stream.close()
    client.stream.receive(WatchRequest(create_request=WatchCreateRequest(key=b"k")))
    client.stream.close()
    client.stream.drained()
    world.put(b"k")
    assert client.take() == []
    assert world.hub.watcher_count == 0


# -- requests as they come ---------------------------------------------------------------------


def test_requests_are_told_apart_by_their_content(world, client):
    client.stream.receive(WatchRequest(create_request=WatchCreateRequest(key=b"k")))
    client.stream.receive(WatchRequest(progress_request=WatchProgressRequest()))
    client.stream.receive(WatchRequest())
    client.stream.receive(WatchRequest(cancel_request=WatchCancelRequest(watch_id=0)))
    refused = WatchRequest(create_request=WatchCreateRequest(key=b"k"))
    client.stream.receive(refused, "no")
    created, progress, canceled, refusal = client.take()
    assert created.created and not created.canceled
    assert (progress.watch_id, progress.created, progress.canceled) == (-1, False, False)
    assert canceled.canceled and not canceled.created
    assert refusal.cancel_reason == "no"


# -- progress on request -----------------------------------------------------------------------


def test_progress_on_request_is_one_answer_for_all_watches(world, client):
    for _ in range(3):
        client.created()
    world.put(b"other")
    client.stream.progress()
    (answer,) = client.take()
    assert answer == WatchResponse(header=answer.header, watch_id=-1)
    assert answer.header.revision == 2


def test_progress_on_request_of_a_stream_without_watches_is_not_answered(client):
    client.stream.progress()
    assert client.take() == []


def test_progress_on_request_is_not_answered_while_a_watch_catches_up(world, client):
    world.put(b"k")
    client.created(b"other")
    client.created(b"k", start_revision=1)
    client.stream.progress()
    assert client.take() == []
    world.catch_up()
    client.stream.progress()
    events, progress = client.take()
    assert len(events.events) == 1
    assert (progress.watch_id, progress.header.revision) == (-1, 2)


def test_progress_never_says_a_revision_that_a_future_watch_has_not_reached(world, client):
    client.created(b"k", start_revision=3)
    client.stream.progress()
    client.stream.progress_tick()
    world.put(b"other")
    client.stream.progress()
    assert client.take() == []
    world.put(b"other")
    client.stream.progress()
    (answer,) = client.take()
    assert answer.header.revision == 3


def test_progress_is_not_told_to_a_watch_that_starts_at_the_next_revision(world, client):
    client.created(b"k", start_revision=2, progress_notify=True)
    client.stream.progress()
    world.hub.progress_tick()
    assert client.take() == []
    world.put(b"other")
    client.stream.progress()
    world.hub.progress_tick()
    assert [a.header.revision for a in client.take()] == [2, 2]


def test_progress_on_request_is_not_answered_when_the_sink_takes_no_more(world, client):
    client.created()
    client.block()
    client.stream.progress()
    assert client.take() == []
    client.drain()
    client.stream.progress()
    assert len(client.take()) == 1


def test_a_watch_that_ended_by_compaction_does_not_hold_up_progress(world, client):
    world.put(b"k")
    world.put(b"k")
    client.created(b"k")
    client.created(b"k", start_revision=1)
    world.store.compact_revision = 3
    world.catch_up()
    client.take()
    client.stream.progress()
    assert [a.watch_id for a in client.take()] == [-1]


# -- progress by interval ----------------------------------------------------------------------


def test_each_tick_tells_quiet_watches_that_asked_for_it_how_far_they_are(world, client):
    asked = client.created(b"k", progress_notify=True)
    client.created(b"k")
    for revision in (1, 2):
        world.hub.progress_tick()
        (answer,) = client.take()
        assert answer == WatchResponse(header=answer.header, watch_id=asked)
        assert answer.header.revision == revision
        world.put(b"other")


def test_a_tick_passes_over_a_watch_that_was_sent_an_event_since_the_last_one(world, client):
    client.created(b"k", progress_notify=True)
    world.put(b"k")
    client.take()
    world.hub.progress_tick()
    assert client.take() == []
    world.hub.progress_tick()
    assert len(client.take()) == 1


def test_a_tick_passes_over_a_watch_that_was_sent_fragments(world, client):
    client.created(b"k", progress_notify=True, fragment=True)
    world.put(b"k")
    client.take()
    world.hub.progress_tick()
    assert client.take() == []


def test_events_that_were_filtered_out_do_not_silence_progress(world, client):
    client.created(b"k", progress_notify=True, filters=[FilterType.NOPUT])
    world.put(b"k")
    world.hub.progress_tick()
    assert [a.header.revision for a in client.take()] == [2]


def test_a_tick_passes_over_a_watch_that_is_behind(world, client):
    world.put(b"k")
    client.created(b"k", progress_notify=True, start_revision=1)
    world.hub.progress_tick()
    assert client.take() == []
    world.catch_up()
    client.take()
    world.hub.progress_tick()
    world.hub.progress_tick()
    assert len(client.take()) == 1


def test_a_tick_passes_over_a_parked_watch_and_one_that_was_cancelled(world, client):
    client.created(b"k", progress_notify=True)
    client.created(b"x", progress_notify=True)
    client.stream.cancel(1)
    client.take()
    client.block()
    world.put(b"k")
    world.hub.progress_tick()
    assert client.take() == []


def test_progress_counts_only_what_was_handed_out(world, client):
    client.created(b"k", progress_notify=True)
    world.store.apply((b"k", b"v"))  # applied, not yet notified
    client.stream.progress()
    world.hub.progress_tick()
    assert [a.header.revision for a in client.take()] == [1, 1]
    world.hub.notify(world.store.take_changes())
    assert [a.header.revision for a in client.take()] == [2]
