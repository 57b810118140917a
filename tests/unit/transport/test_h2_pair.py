"""Our own engine in both roles: graceful stop, and what only our client can be made to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Pair

UNARY = b"/test.Echo/Unary"
LATER = b"/test.Echo/Later"
BIDI = b"/test.Echo/Bidi"


@pytest.mark.parametrize("pieces", [0, 1, 7])
def test_unary_and_streaming_calls_go_through(pair: Pair, pieces: int) -> None:
    unary = pair.client.unary(UNARY, b"hello", [(b"token", b"t")], timeout_s=3.0)
    stream = pair.client.open(BIDI)
    for body in (b"a", b"", b"b" * 20_000):
        stream.send(body)
    stream.half_close()
    pair.exchange(pieces)
    assert (unary.status, unary.details, list(unary.messages)) == (0, "", [b"hello"])
    assert list(stream.messages) == [b"a", b"", b"b" * 20_000] and stream.status == 0
    assert not pair.client.streams and not pair.server.streams


def test_texts_of_errors_survive_the_wire(pair: Pair) -> None:
    call = pair.client.unary(LATER, b"")
    pair.exchange()
    pair.service.calls[0].fail(9, "größer als 100 %\t☃")
    pair.exchange()
    assert (call.status, call.details) == (9, "größer als 100 %\t☃")


def test_long_messages_pass_both_ways_at_once(pair: Pair) -> None:
    bodies = [bytes([n]) * 1_500_000 for n in range(40)]
    calls = [pair.client.unary(UNARY, body) for body in bodies]
    pair.exchange()
    assert [list(call.messages) for call in calls] == [[body] for body in bodies]
    assert pair.server.reserve_used == 0 and pair.server.queued_bytes == 0


def test_a_graceful_stop_lets_calls_in_flight_finish(pair: Pair) -> None:
    pair.client.unary(UNARY, b"warm up")
    call = pair.client.unary(LATER, b"x")
    pair.exchange()
    pair.server.drain()
    pair.exchange()
    assert pair.client.goaway == (0, "graceful_stop") and not pair.server.closed
    pair.service.calls[0].reply(b"done")
    pair.exchange()
    assert list(call.messages) == [b"done"] and call.status == 0 and pair.server.closed


def test_a_graceful_stop_of_an_idle_connection_closes_it(pair: Pair) -> None:
    pair.client.unary(UNARY, b"x")
    pair.exchange()
    pair.server.drain()
    pair.exchange()
    assert pair.server.closed and pair.server.error is None


def test_a_call_sent_before_the_goaway_was_heard_is_still_served(pair: Pair) -> None:
    pair.server.drain()
    call = pair.client.unary(UNARY, b"in flight")
    pair.exchange()
    assert list(call.messages) == [b"in flight"] and call.status == 0
    assert pair.server.closed


def test_a_call_after_the_goaway_ends_at_once_and_may_be_tried_elsewhere(pair: Pair) -> None:
    pair.client.unary(LATER, b"x")
    pair.exchange()
    pair.server.drain()
    pair.exchange()
    call = pair.client.unary(UNARY, b"y")
    assert call.status == 14 and call.unprocessed
    assert "graceful_stop" in call.details


def test_streams_that_come_after_the_last_goaway_are_refused(pair: Pair) -> None:
    pair.client.unary(LATER, b"x")
    pair.exchange()
    pair.server.drain()
    pair.server.receive(b"\0\0\x08\x06\1\0\0\0\0\0\0drain\0", pair.service.now)
    call = pair.client.unary(UNARY, b"y")
    pair.exchange()
    assert call.status == 14 and call.unprocessed


def test_a_stream_ends_when_its_server_side_finishes_first(pair: Pair) -> None:
    call = pair.client.open(BIDI)
    call.send(b"x")
    pair.exchange()
    pair.service.calls[0].finish(1, "bye")
    pair.exchange()
    assert (call.status, call.details, list(call.messages)) == (1, "bye", [b"x"])
    call.send(b"into the void")
    call.half_close()
    pair.exchange()
    assert not pair.client.streams and not pair.server.streams


def test_pausing_a_stream_stops_its_server(pair: Pair) -> None:
    call = pair.client.unary(b"/test.Echo/Server", b"")
    pair.exchange()
    call.pause_reading()
    for _ in range(40):
        pair.service.calls[0].send(b"x" * 100_000)
    pair.exchange()
    assert len(call.messages) < 20
    assert pair.service.calls[0].queued_bytes > 2_000_000
    call.resume_reading()
    pair.exchange()
    assert len(call.messages) == 40 and pair.service.calls[0].queued_bytes == 0
