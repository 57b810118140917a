"""Flow control and back-pressure of the server engine: nothing grows without bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from h2.settings import SettingCodes, Settings

from petcd.transport import frames as f
from petcd.transport.hpack import encode_block
from petcd.transport.limits import (
    KEPT_BYTES_MAX,
    OUTPUT_CHUNK_BYTES,
    STREAM_OUTPUT_HIGH_BYTES,
    STREAM_OUTPUT_LOW_BYTES,
    STREAM_WINDOW,
    UNSENT_PIECES_MAX,
)
from petcd.transport.options import TransportLimits

if TYPE_CHECKING:
    from .conftest import Service

NewService = Callable[..., "Service"]


def _request(path: bytes, sid: bytes, flags: int = 4) -> bytes:
    """A HEADERS frame, made without h2, which takes long for thousands."""
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path)]
    fields.append((b"content-type", b"application/grpc"))
    return f.frame(f.HEADERS, flags, sid, encode_block(fields))


def _with_window(new_service: NewService, window: int) -> Service:
    service = new_service()
    service.client.local_settings = Settings(
        initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window}
    )
    return service.start()


@pytest.mark.parametrize("window", [1, 10, 100, 1000])
def test_answers_pass_through_any_small_window(new_service: NewService, window: int) -> None:
    service = _with_window(new_service, window)
    body = bytes(range(200))
    answers = [service.unary("Unary", body) for _ in range(3)]
    assert [answer.messages for answer in answers] == [[body]] * 3
    assert all(answer.status == ("0", "") for answer in answers)


def test_a_window_of_zero_holds_the_answer_until_credit_comes(new_service: NewService) -> None:
    service = _with_window(new_service, 0)
    service.auto_window = False
    answer = service.unary("Unary", b"x" * 100)
    assert answer.headers[":status"] == "200" and answer.data == b""
    assert service.engine.queued_bytes == 105
    service.client.increment_flow_control_window(50, 1)
    service.exchange()
    assert len(answer.data) == 50 and service.engine.queued_bytes == 55
    service.client.increment_flow_control_window(55, 1)
    service.exchange()
    assert answer.messages == [b"x" * 100] and answer.ended
    assert service.engine.queued_bytes == 0 and not service.engine.streams


def test_an_initial_window_that_grows_later_lets_queued_answers_go(
    new_service: NewService,
) -> None:
    service = _with_window(new_service, 10)
    service.auto_window = False
    answer = service.unary("Unary", b"x" * 100)
    assert len(answer.data) == 10
    service.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 60})
    service.exchange()
    assert len(answer.data) == 60
    service.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 20})
    service.exchange()
    service.client.increment_flow_control_window(30, 1)
    service.exchange()
    assert len(answer.data) == 60  # the window is -10 now
    service.client.increment_flow_control_window(100, 1)
    service.exchange()
    assert answer.messages == [b"x" * 100]


def test_the_connections_window_is_respected(service: Service) -> None:
    service.auto_window = False
    answers = [service.unary("Unary", b"x" * 30_000) for _ in range(4)]
    assert sum(len(answer.data) for answer in answers) == STREAM_WINDOW
    service.client.increment_flow_control_window(1_000_000)
    service.exchange()
    assert [len(answer.data) for answer in answers] == [30_005] * 4


def test_a_streams_window_is_respected_by_many_small_messages(service: Service) -> None:
    service.client.increment_flow_control_window(1_000_000)
    service.auto_window = False
    sid = service.open("Server")
    service.exchange()
    for _ in range(20):
        service.calls[0].send(b"x" * 9995)
    service.exchange()
    assert len(service.answers[sid].data) == STREAM_WINDOW
    assert service.calls[0].queued_bytes == 200_000 - STREAM_WINDOW


def test_the_connections_window_is_respected_by_many_small_answers(service: Service) -> None:
    service.auto_window = False
    answers = [service.unary("Unary", b"x" * 95) for _ in range(1000)]
    assert sum(len(answer.data) for answer in answers) == STREAM_WINDOW
    service.client.increment_flow_control_window(1_000_000)
    service.exchange()
    assert all(answer.messages == [b"x" * 95] for answer in answers)


def test_streams_take_turns_when_the_connection_is_narrow(service: Service) -> None:
    service.auto_window = False
    sids = [service.open("Server") for _ in range(4)]
    service.exchange()
    for call in service.calls:
        call.send(b"x" * 60_000)
    service.exchange()
    shares = [len(service.answers[sid].data) for sid in sids]
    assert sum(shares) == STREAM_WINDOW and max(shares) - min(shares) <= 16_384


def test_queued_bytes_and_on_drain_tell_a_sender_when_to_go_on(service: Service) -> None:
    service.auto_window = False
    sid = service.open("Server")
    service.exchange()
    call = service.calls[0]
    drained: list[int] = []
    call.on_drain = lambda: drained.append(call.queued_bytes)
    call.send(b"x" * 300_000)
    service.exchange()
    assert call.queued_bytes == 300_005 - STREAM_WINDOW and drained == []
    for _ in range(20):
        service.client.increment_flow_control_window(20_000)
        service.client.increment_flow_control_window(20_000, sid)
        service.exchange()
    assert call.queued_bytes == 0
    assert drained and drained[-1] == 0 and max(drained) <= STREAM_OUTPUT_LOW_BYTES


def test_a_full_socket_keeps_data_in_the_streams_where_it_is_counted(service: Service) -> None:
    service.unary("Unary", b"warm up")
    sid = service.open("Server")
    service.exchange()
    service.engine.pause_writing()
    service.calls[0].send(b"x" * 1000)
    answer = service.unary("Unary", b"y")
    assert service.calls[0].queued_bytes == 1005 and answer.data == b""
    assert service.engine.queued_bytes == 1005 + 6
    service.engine.resume_writing()
    service.exchange()
    assert answer.messages == [b"y"] and service.answers[sid].messages == [b"x" * 1000]
    assert service.unary("Unary", b"fast again").messages == [b"fast again"]


def test_a_sender_that_never_looks_fills_its_queue_and_not_the_output(service: Service) -> None:
    service.client.increment_flow_control_window(2**31 - 1 - STREAM_WINDOW)
    service.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
    service.open("Server")
    service.exchange()
    call = service.calls[0]
    for _ in range(1000):
        call.send(b"x" * 10_000)
    assert call.queued_bytes > 9_000_000
    first = service.engine.take_output()
    assert len(first) <= 2 * OUTPUT_CHUNK_BYTES + 100_000
    second = service.engine.take_output()
    assert 0 < len(second) <= OUTPUT_CHUNK_BYTES + 70_000


def test_requests_wait_while_too_much_is_unsent(new_service: NewService) -> None:
    service = new_service(TransportLimits(output_bytes_max=100_000)).start()
    service.auto_window = False
    first = service.unary("Unary", b"x" * 200_000)
    waiting = [service.unary("Unary", b"%d" % n) for n in range(3)]
    assert service.method("Unary").msg_received == 1
    assert list(service.engine.held) == [b"\0\0\0\x03", b"\0\0\0\x05", b"\0\0\0\x07"]
    service.client.reset_stream(5, 8)
    service.exchange()
    assert len(service.engine.held) == 2
    service.client.increment_flow_control_window(1_000_000)
    service.client.increment_flow_control_window(1_000_000, 1)
    service.exchange()
    assert first.messages == [b"x" * 200_000]
    assert [answer.messages for answer in waiting] == [[b"0"], [], [b"2"]]


def test_requests_that_wait_for_room_are_bounded(new_service: NewService) -> None:
    service = new_service(TransportLimits(output_bytes_max=1000)).start()
    service.auto_window = False
    service.unary("Unary", b"x" * 100_000)
    body = b"\0\0\0\x3f\xfb" + bytes(16_379)
    fitting = KEPT_BYTES_MAX // 16_379
    for number in range(fitting + 1):
        sid = (2 * number + 3).to_bytes(4, "big")
        call = _request(b"/test.Echo/Unary", sid) + f.frame(f.DATA, 1, sid, body)
        service.engine.receive(call, service.now)
        assert service.engine.kept_bytes == len(service.engine.held) * 16_379
    assert len(service.engine.held) == fitting
    out = service.engine.take_output()
    assert out.count(b"too many request bytes on this connection") == 1
    assert service.method("Unary").handled[8] == 1
    service.engine.connection_lost()
    assert service.engine.kept_bytes == 0 and not service.engine.held


def test_incomplete_messages_of_all_streams_are_bounded(service: Service) -> None:
    frame = (16_384).to_bytes(3, "big") + b"\0\0"
    head = b"\0\0\x1e\0\0" + bytes(16_379)  # of a message that gets credit late or never
    sids = [service.open("Later") for _ in range(KEPT_BYTES_MAX // (3 * 16_384) + 1)]
    service.exchange()
    for sid in sids:
        for payload in (head, bytes(16_384), bytes(16_384)):
            service.engine.receive(frame + sid.to_bytes(4, "big") + payload, service.now)
        assert service.engine.kept_bytes <= KEPT_BYTES_MAX
    service.exchange()
    refused = [sid for sid in sids if sid in service.answers and service.answers[sid].ended]
    assert len(refused) == 1 and service.answers[refused[0]].status[0] == "8"
    service.engine.connection_lost()
    assert service.engine.kept_bytes == 0


def test_a_client_that_reads_nothing_and_asks_on_is_stopped(service: Service) -> None:
    service.engine.pause_writing()
    for number in range(20_000):
        head = _request(b"/no/such", (2 * number + 1).to_bytes(4, "big"), 5)
        service.engine.receive(head, service.now)
        if service.engine.closed or not service.engine.wants_input:
            break
    assert number < 19_999
    assert sum(map(len, service.engine.out)) < 2_000_000


def test_answers_that_nobody_reads_stop_the_reading_of_requests(service: Service) -> None:
    for number in range(UNSENT_PIECES_MAX):
        sid = (2 * number + 1).to_bytes(4, "big")
        call = _request(b"/test.Echo/Later", sid) + f.frame(f.DATA, 1, sid, b"\0\0\0\0\0")
        service.engine.receive(call, service.now)
    service.engine.pause_writing()
    assert service.engine.wants_input
    for call_in_flight in service.calls:
        call_in_flight.fail(5, "not found")
    assert not service.engine.wants_input
    service.engine.resume_writing()
    assert service.engine.take_output().count(b"not found") == UNSENT_PIECES_MAX
    assert service.engine.wants_input


def test_a_reset_gives_back_what_was_queued(service: Service) -> None:
    service.auto_window = False
    sid = service.open("Server")
    service.exchange()
    service.calls[0].send(b"x" * 500_000)
    service.exchange()
    assert service.engine.queued_bytes > 0
    service.client.reset_stream(sid, 8)
    service.exchange()
    assert service.engine.queued_bytes == 0 and not service.engine.streams


def test_who_does_not_read_may_not_keep_asking(service: Service) -> None:
    service.auto_window = False
    sid = service.open("Bidi")
    service.exchange()
    body = b"\0" + (4000).to_bytes(4, "big") + b"x" * 4000
    sent = 0
    while service.client.local_flow_control_window(sid) >= len(body):
        service.send(sid, body)
        sent += len(body)
        assert sent < 1_000_000, "credit never stops"
    queued = service.calls[0].queued_bytes
    assert STREAM_OUTPUT_HIGH_BYTES < queued < STREAM_OUTPUT_HIGH_BYTES + STREAM_WINDOW + 10_000
    service.client.increment_flow_control_window(1_000_000)
    service.client.increment_flow_control_window(1_000_000, sid)
    service.exchange()
    assert service.client.local_flow_control_window(sid) == STREAM_WINDOW


def test_a_handler_may_stop_reading_a_stream(service: Service) -> None:
    sid = service.open("Client")
    service.exchange()
    service.calls[0].pause_reading()
    service.send(sid, b"\0\0\0\xea\x60" + b"x" * 60_000)
    assert service.client.local_flow_control_window(sid) == STREAM_WINDOW - 60_005
    service.calls[0].resume_reading()
    service.exchange()
    assert service.client.local_flow_control_window(sid) == STREAM_WINDOW


def test_long_messages_of_many_streams_share_the_reserve(service: Service) -> None:
    body = b"\0" + (2_000_000).to_bytes(4, "big") + b"x" * 2_000_000
    sids = [service.open("Later") for _ in range(30)]
    left = dict.fromkeys(sids, body)
    most = 0
    for _ in range(100_000):
        for sid in list(left):
            room = min(service.client.local_flow_control_window(sid), 16_384, len(left[sid]))
            if room:
                service.client.send_data(sid, left[sid][:room], end_stream=room == len(left[sid]))
                left[sid] = left[sid][room:]
                if not left[sid]:
                    del left[sid]
        service.exchange()
        most = max(most, service.engine.reserve_used)
        if not left:
            break
    assert len(service.bodies) == 30 and service.engine.reserve_used == 0
    assert 0 < most <= 32 << 20


def test_a_stream_that_sends_beyond_its_credit_is_reset(service: Service) -> None:
    sid = service.open("Client")
    service.exchange()
    service.calls[0].pause_reading()
    frame = (16_384).to_bytes(3, "big") + b"\0\0" + sid.to_bytes(4, "big")
    payload = b"\0\0\x1e\0\0" + b"x" * 16_379
    for _ in range(3):
        service.engine.receive(frame + payload, service.now)
    assert not service.calls[0].cancelled
    for _ in range(2):
        service.engine.receive(frame + payload, service.now)
    assert service.calls[0].cancelled
    assert b"\0\0\4\3\0" + sid.to_bytes(4, "big") + b"\0\0\0\3" in service.engine.take_output()
