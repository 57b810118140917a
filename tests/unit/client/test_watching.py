"""The watch session: what is asked for, what answers mean, where a watch resumes."""

import pytest

from petcd.client.errors import COMPACTED
from petcd.client.watching import BROADCAST, FUTURE_REVISION, WatchSession, WatchUpdate
from petcd.wire.codec import DecodeError
from petcd.wire.header import ResponseHeader
from petcd.wire.kv import Event, KeyValue
from petcd.wire.watch import WatchCreateRequest, WatchRequest, WatchResponse


def asked(session: WatchSession) -> list[WatchRequest]:
    return [WatchRequest.decode(message) for message in session.take()]


def create(session: WatchSession, key: bytes = b"a", revision: int = 0):
    return session.create(WatchCreateRequest(key=key, start_revision=revision))


def answer(session: WatchSession, watch_id: int, revision: int = 10, **fields) -> list[WatchUpdate]:
    header = ResponseHeader(revision=revision)
    return session.received(WatchResponse(header=header, watch_id=watch_id, **fields).encode())


def put(revision: int) -> Event:
    return Event(kv=KeyValue(key=b"a", mod_revision=revision))


def revisions(update: WatchUpdate) -> list[int]:
    return [event.kv.mod_revision for event in update.events or () if event.kv is not None]


def test_one_watch_is_asked_for_at_a_time() -> None:
    session = WatchSession()
    create(session, b"a")
    create(session, b"b")
    assert [request.create_request.key for request in asked(session)] == [b"a"]
    assert answer(session, 0, created=True) == []
    assert [request.create_request.key for request in asked(session)] == [b"b"]
    answer(session, 1, created=True)
    assert asked(session) == []


def test_events_go_to_the_watch_of_their_id() -> None:
    session = WatchSession()
    first, second = create(session), create(session)
    answer(session, 7, created=True)
    answer(session, 8, created=True)
    (update,) = answer(session, 8, events=[put(11)])
    assert update.watch is second and revisions(update) == [11]
    (update,) = answer(session, 7, events=[put(11)])
    assert update.watch is first


def test_on_a_new_stream_every_watch_resumes_behind_its_last_event() -> None:
    session = WatchSession()
    first, second = create(session, b"a", 3), create(session, b"b")
    asked(session)
    answer(session, 0, created=True)
    answer(session, 1, revision=10, created=True)
    answer(session, 0, revision=12, events=[put(5), put(6)])
    asked(session)
    session.opened()
    (request,) = asked(session)
    assert (request.create_request.key, request.create_request.start_revision) == (b"a", 7)
    answer(session, 0, created=True)
    (request,) = asked(session)
    assert (request.create_request.key, request.create_request.start_revision) == (b"b", 11)
    answer(session, 1, created=True)
    assert [u.watch for u in answer(session, 1, events=[put(11)])] == [second]
    assert first.next_revision == 7


def test_progress_moves_the_place_to_resume() -> None:
    session = WatchSession()
    watch = create(session)
    answer(session, 0, revision=10, created=True)
    (update,) = answer(session, 0, revision=20)
    assert update.is_progress and watch.next_revision == 21
    answer(session, 0, revision=15)
    assert watch.next_revision == 21


def test_a_watch_that_waits_for_its_creation_is_asked_for_again() -> None:
    session = WatchSession()
    create(session, b"a", 3)
    create(session, b"b")
    asked(session)
    session.opened()
    assert [request.create_request.key for request in asked(session)] == [b"a"]
    answer(session, 0, created=True)
    assert [request.create_request.key for request in asked(session)] == [b"b"]


def test_a_broadcast_goes_to_all() -> None:
    session = WatchSession()
    watches = [create(session), create(session)]
    answer(session, 0, created=True)
    answer(session, 1, created=True)
    updates = answer(session, BROADCAST, revision=30)
    assert [update.watch for update in updates] == watches
    assert all(update.is_progress for update in updates)


def test_fragments_are_put_together() -> None:
    session = WatchSession()
    create(session)
    answer(session, 0, created=True)
    assert answer(session, 0, events=[put(11)], fragment=True) == []
    assert answer(session, 0, events=[put(12)], fragment=True) == []
    (update,) = answer(session, 0, events=[put(13)])
    assert revisions(update) == [11, 12, 13]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"compact_revision": 5}, COMPACTED),
        ({"cancel_reason": "because"}, "because"),
        ({}, FUTURE_REVISION),
    ],
)
def test_a_cancelled_watch_ends_once_and_says_why(fields, reason: str) -> None:
    session = WatchSession()
    watch = create(session)
    asked(session)
    answer(session, 0, created=True)
    (update,) = answer(session, 0, canceled=True, **fields)
    assert (update.canceled, update.reason, watch.ended) == (True, reason, True)
    assert session.idle
    assert answer(session, 0, events=[put(11)]) == []
    assert session.failed("gone") == []


def test_a_watch_may_be_refused_when_it_is_created() -> None:
    session = WatchSession()
    create(session)
    (update,) = answer(session, BROADCAST, created=True, canceled=True, cancel_reason="range empty")
    assert (update.reason, update.events, update.header) == ("range empty", None, ResponseHeader())


def test_when_the_stream_is_gone_for_good_every_watch_ends() -> None:
    session = WatchSession()
    watches = [create(session), create(session), create(session)]
    answer(session, 0, created=True)
    updates = session.failed("no leader")
    assert [update.watch for update in updates] == watches
    assert {update.reason for update in updates} == {"no leader"}


def test_a_watch_can_be_given_up_at_any_time() -> None:
    session = WatchSession()
    created, asking, waiting = create(session), create(session), create(session)
    answer(session, 4, created=True)
    asked(session)
    for watch in (created, asking, waiting):
        session.cancel(watch)
    (request,) = asked(session)
    assert request.cancel_request.watch_id == 4
    answer(session, 5, created=True)
    (request,) = asked(session)
    assert request.cancel_request.watch_id == 5
    assert session.idle


def test_progress_asked_for_is_sent_even_on_the_next_stream() -> None:
    session = WatchSession()
    session.request_progress()
    session.opened()
    (request,) = asked(session)
    assert request.progress_request is not None


def test_bytes_that_are_no_answer_are_refused() -> None:
    with pytest.raises(DecodeError):
        WatchSession().received(b"\xff")
