"""Deadlines and keepalive of the server engine: time is passed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from petcd.transport.call import Call
from petcd.transport.deadlines import Deadlines
from petcd.transport.options import TransportLimits

if TYPE_CHECKING:
    from .conftest import Service


def test_a_call_past_its_deadline_is_cancelled_and_answered(service: Service) -> None:
    answer = service.unary("Later", b"x", [("grpc-timeout", "2S")])
    call = service.calls[0]
    assert call.deadline == service.now + 2.0
    assert service.engine.expire(service.now + 1.9) == call.deadline
    assert not call.cancelled
    assert service.engine.expire(service.now + 2.0) is None
    assert call.cancelled and service.cancelled == [call]
    service.exchange()
    assert answer.status == ("4", "context deadline exceeded")
    assert service.method("Later").handled[4] == 1
    call.reply(b"too late")
    assert service.engine.take_output() == b""


def test_a_deadline_ends_a_stream_and_a_request_that_never_completes(service: Service) -> None:
    stream = service.open("Bidi", [("grpc-timeout", "100m")])
    half = service.open("Unary", [("grpc-timeout", "200m")])
    service.exchange()
    service.engine.expire(service.now + 1)
    service.exchange()
    for sid in (stream, half):
        assert service.answers[sid].status == ("4", "context deadline exceeded")
    assert not service.engine.streams


def test_the_shell_is_asked_once_for_a_look_at_deadlines(service: Service) -> None:
    asked: list[float] = []
    service.engine.on_deadline = asked.append
    service.unary("Later", b"1", [("grpc-timeout", "3S")])
    service.unary("Later", b"2", [("grpc-timeout", "1S")])
    assert asked == [service.now + 3]
    assert service.engine.expire(service.now) == service.now + 1
    service.unary("Later", b"3", [("grpc-timeout", "2S")])
    assert asked == [service.now + 3, service.now + 2]


def test_answered_calls_leave_no_deadline_behind(service: Service) -> None:
    for _ in range(50):
        service.unary("Unary", b"x", [("grpc-timeout", "5S")])
    assert service.engine.expire(service.now) is None


def test_a_call_is_noted_once_however_often_deadlines_are_looked_at(service: Service) -> None:
    for _ in range(3):
        service.unary("Later", b"x", [("grpc-timeout", "5S")])
    heaps = []
    for _ in range(5):
        service.engine.expire(service.now)
        heaps.append(len(service.engine.deadlines._heap))
    assert heaps == [3] * 5


def test_a_call_that_is_answered_after_it_was_noted_is_forgotten(service: Service) -> None:
    service.unary("Later", b"x", [("grpc-timeout", "5S")])
    assert service.engine.expire(service.now) is not None
    service.calls[0].reply(b"y")
    service.exchange()
    assert service.engine.expire(service.now + 9) is None
    assert service.method("Later").handled[4] == 0


def test_deadlines_come_out_in_order_whatever_the_order_of_calls(service: Service) -> None:
    for seconds in (5, 1, 4, 2, 3):
        service.unary("Later", b"%d" % seconds, [("grpc-timeout", f"{seconds}S")])
    late: list[bytes] = []
    for call, body in zip(service.calls, service.bodies, strict=True):
        call.on_cancel = lambda body=body: late.append(body)  # type: ignore[misc]
    for tick in range(12):
        service.engine.expire(service.now + tick / 2)
    assert late == [b"1", b"2", b"3", b"4", b"5"]


def test_streams_without_deadline_are_not_in_the_heap(service: Service) -> None:
    service.unary("Later", b"x")
    deadlines = Deadlines()
    assert deadlines.expire(service.engine.streams, 0.0) == ([], None)
    assert all(isinstance(s, Call) for s in service.engine.streams.values())


@pytest.mark.parametrize("timeout", ["0S", "0n"])
def test_a_timeout_of_zero_is_over_at_the_next_look(service: Service, timeout: str) -> None:
    answer = service.unary("Later", b"x", [("grpc-timeout", timeout)])
    service.engine.expire(service.now)
    service.exchange()
    assert answer.status == ("4", "context deadline exceeded")


def test_a_silent_client_is_pinged_and_given_up(new_service: type[Service]) -> None:
    limits = TransportLimits(keepalive_interval_s=100.0, keepalive_timeout_s=20.0)
    service = new_service(limits).start()
    service.unary("Later", b"x")
    service.engine.tick(service.now + 100)
    assert service.engine.take_output() == b""
    service.engine.tick(service.now + 101)
    ping = service.engine.take_output()
    assert ping[:9] == b"\0\0\x08\x06\0\0\0\0\0"
    service.engine.tick(service.now + 121)
    assert not service.engine.closed
    service.engine.tick(service.now + 122)
    assert service.engine.closed and service.calls[0].cancelled


def test_a_client_that_answers_the_ping_lives_on(new_service: type[Service]) -> None:
    service = new_service(TransportLimits(keepalive_interval_s=100.0)).start()
    service.engine.tick(service.now + 101)
    service.now += 102
    service.exchange()
    service.engine.tick(service.now + 99)
    service.engine.tick(service.now + 100)
    assert not service.engine.closed and service.engine.take_output() == b""
