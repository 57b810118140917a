"""What a hostile or broken client does to the server engine, frame by frame.

Every row ends in GOAWAY with the code that RFC 9113 or the limit asks for, or in a reset of the one
stream; never in an exception, and never in a growing queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from petcd.transport import frames as f
from petcd.transport.hpack import encode_block
from petcd.transport.limits import IDLE_FRAMES_MAX, RAPID_RESETS_BURST
from petcd.transport.options import TransportLimits

if TYPE_CHECKING:
    from .conftest import Service

NewService = Callable[..., "Service"]

BLOCK = encode_block(
    [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/test.Echo/Later"),
        (b"content-type", b"application/grpc"),
    ]
)


def sid(number: int) -> bytes:
    return number.to_bytes(4, "big")


def headers(number: int, flags: int = 4, block: bytes = BLOCK) -> bytes:
    return f.frame(f.HEADERS, flags, sid(number), block)


CONNECTION_ERRORS = {
    "frame above 16 KiB": (f.frame(f.DATA, 0, sid(1), bytes(16_385)), f.FRAME_SIZE_ERROR),
    "DATA on the connection": (f.frame(f.DATA, 0, sid(0), b"x"), f.PROTOCOL_ERROR),
    "DATA on an idle stream": (f.frame(f.DATA, 0, sid(1), b"x"), f.PROTOCOL_ERROR),
    "HEADERS on the connection": (headers(0), f.PROTOCOL_ERROR),
    "HEADERS on an even stream": (headers(2), f.PROTOCOL_ERROR),
    "padding longer than the frame": (
        headers(1) + f.frame(f.DATA, 8, sid(1), b"\x05abc"),
        f.PROTOCOL_ERROR,
    ),
    "padded HEADERS that are empty": (f.frame(f.HEADERS, 12, sid(1), b""), f.PROTOCOL_ERROR),
    "HEADERS too short for a priority": (
        f.frame(f.HEADERS, 0x24, sid(1), b"abc"),
        f.FRAME_SIZE_ERROR,
    ),
    "PRIORITY of the wrong size": (f.frame(f.PRIORITY, 0, sid(1), b"abc"), f.FRAME_SIZE_ERROR),
    "PRIORITY on the connection": (f.frame(f.PRIORITY, 0, sid(0), b"abcde"), f.PROTOCOL_ERROR),
    "RST_STREAM of the wrong size": (
        headers(1) + f.frame(f.RST_STREAM, 0, sid(1), b"abc"),
        f.FRAME_SIZE_ERROR,
    ),
    "RST_STREAM on an idle stream": (f.rst_stream(sid(1), 8), f.PROTOCOL_ERROR),
    "SETTINGS on a stream": (f.frame(f.SETTINGS, 0, sid(1), b""), f.PROTOCOL_ERROR),
    "SETTINGS of the wrong size": (f.frame(f.SETTINGS, 0, sid(0), b"abc"), f.FRAME_SIZE_ERROR),
    "SETTINGS acknowledgement with payload": (
        f.frame(f.SETTINGS, 1, sid(0), bytes(6)),
        f.FRAME_SIZE_ERROR,
    ),
    "initial window too large": (
        f.settings_frame([(f.SETTINGS_INITIAL_WINDOW_SIZE, 1 << 31)]),
        f.FLOW_CONTROL_ERROR,
    ),
    "bad maximum frame size": (
        f.settings_frame([(f.SETTINGS_MAX_FRAME_SIZE, 100)]),
        f.PROTOCOL_ERROR,
    ),
    "bad ENABLE_PUSH": (f.settings_frame([(f.SETTINGS_ENABLE_PUSH, 2)]), f.PROTOCOL_ERROR),
    "very many settings": (f.settings_frame([(99, 1)] * 100), f.ENHANCE_YOUR_CALM),
    "PUSH_PROMISE": (f.frame(f.PUSH_PROMISE, 4, sid(1), bytes(8)), f.PROTOCOL_ERROR),
    "PING on a stream": (f.frame(f.PING, 0, sid(1), bytes(8)), f.PROTOCOL_ERROR),
    "PING of the wrong size": (f.frame(f.PING, 0, sid(0), bytes(7)), f.FRAME_SIZE_ERROR),
    "GOAWAY on a stream": (f.frame(f.GOAWAY, 0, sid(1), bytes(8)), f.PROTOCOL_ERROR),
    "GOAWAY too short": (f.frame(f.GOAWAY, 0, sid(0), bytes(7)), f.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE of the wrong size": (
        f.frame(f.WINDOW_UPDATE, 0, sid(0), b"abc"),
        f.FRAME_SIZE_ERROR,
    ),
    "WINDOW_UPDATE of 0": (f.window_update(sid(0), 0), f.PROTOCOL_ERROR),
    "connection window overflow": (
        f.window_update(sid(0), 0x7FFFFFFF),
        f.FLOW_CONTROL_ERROR,
    ),
    "WINDOW_UPDATE on an idle stream": (f.window_update(sid(9), 5), f.PROTOCOL_ERROR),
    "CONTINUATION without HEADERS": (
        f.frame(f.CONTINUATION, 4, sid(1), BLOCK),
        f.PROTOCOL_ERROR,
    ),
    "header block interrupted": (headers(1, 0) + f.window_update(sid(0), 1), f.PROTOCOL_ERROR),
    "header block interrupted by another stream": (
        headers(1, 0) + f.frame(f.CONTINUATION, 4, sid(3), b""),
        f.PROTOCOL_ERROR,
    ),
    "broken header block": (headers(1, block=b"\xff\xff\xff\xff\xff\xff"), f.COMPRESSION_ERROR),
    "index beyond the table": (headers(1, block=b"\xbe"), f.COMPRESSION_ERROR),
    "very many CONTINUATION frames": (
        headers(1, 0) + f.frame(f.CONTINUATION, 0, sid(1), b"") * 9,
        f.ENHANCE_YOUR_CALM,
    ),
    "header block above 64 KiB": (
        headers(1, 0) + f.frame(f.CONTINUATION, 0, sid(1), bytes(16_384)) * 5,
        f.ENHANCE_YOUR_CALM,
    ),
    "very many header fields": (headers(1, block=b"\x82" * 101), f.ENHANCE_YOUR_CALM),
    "header list above 64 KiB by references": (
        headers(1, block=b"\x40\x01a\x7f\x80\x1e" + b"x" * 3967 + b"\xbe" * 20),
        f.ENHANCE_YOUR_CALM,
    ),
}


@pytest.mark.parametrize("what", CONNECTION_ERRORS)
def test_a_connection_error_is_told_and_ends_everything(service: Service, what: str) -> None:
    data, code = CONNECTION_ERRORS[what]
    service.engine.receive(data, service.now)
    assert service.engine.closed and service.engine.error is not None
    assert service.engine.error.code == code, service.engine.error
    out = service.engine.take_output()
    assert out[-len(service.engine.error.reason) - 17 :][3] == f.GOAWAY
    assert not service.engine.streams
    service.engine.receive(headers(1), service.now)
    assert service.engine.take_output() == b""


STREAM_ERRORS = {
    "no path": [(b":method", b"POST"), (b":scheme", b"http")],
    "pseudo field twice": [
        *[(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b":path", b"/b")]
    ],
    "pseudo field after a regular one": [
        *[(b":method", b"POST"), (b"a", b"b"), (b":scheme", b"http"), (b":path", b"/a")]
    ],
    "unknown pseudo field": [
        *[(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b":status", b"200")]
    ],
    "upper-case name": [
        *[(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b"Token", b"x")]
    ],
    "connection header": [
        *[(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a")],
        (b"connection", b"close"),
    ],
    "te other than trailers": [
        *[(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b"te", b"gzip")]
    ],
    "line break in a value": [
        *[(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b"a", b"b\r\nc: d")]
    ],
}


@pytest.mark.parametrize("what", STREAM_ERRORS)
def test_a_malformed_request_is_reset_and_the_connection_lives(service: Service, what: str) -> None:
    service.engine.receive(headers(1, 5, encode_block(STREAM_ERRORS[what])), service.now)
    assert f.rst_stream(sid(1), f.PROTOCOL_ERROR) in service.engine.take_output()
    assert not service.engine.closed and not service.engine.streams


def _open_and_close(service: Service) -> None:
    service.engine.receive(headers(1) + f.frame(f.DATA, 1, sid(1), b"\0\0\0\0\1x"), service.now)


def test_data_on_a_half_closed_stream_resets_it(service: Service) -> None:
    _open_and_close(service)
    service.engine.receive(f.frame(f.DATA, 0, sid(1), b"more"), service.now)
    assert f.rst_stream(sid(1), f.STREAM_CLOSED) in service.engine.take_output()
    assert service.calls[0].cancelled


def test_trailers_on_a_half_closed_stream_reset_it(service: Service) -> None:
    _open_and_close(service)
    service.engine.receive(headers(1, 5), service.now)
    assert f.rst_stream(sid(1), f.STREAM_CLOSED) in service.engine.take_output()


def test_headers_in_the_middle_of_a_request_reset_it(service: Service) -> None:
    service.engine.receive(headers(1) + headers(1), service.now)
    assert f.rst_stream(sid(1), f.PROTOCOL_ERROR) in service.engine.take_output()


def test_frames_that_cross_the_end_of_a_call_are_ignored(service: Service) -> None:
    _open_and_close(service)
    service.calls[0].reply(b"done")
    service.engine.take_output()
    for late in (
        f.window_update(sid(1), 100),
        f.rst_stream(sid(1), 8),
        f.frame(f.DATA, 1, sid(1), b"late"),
        headers(1, 5),
    ):
        service.engine.receive(late, service.now)
    assert not service.engine.closed and service.engine.take_output() == b""


@pytest.mark.parametrize(("credit", "code"), [(0, f.PROTOCOL_ERROR), (0x7FFFFFFF, 3)])
def test_a_bad_window_update_resets_its_stream(service: Service, credit: int, code: int) -> None:
    _open_and_close(service)
    service.engine.receive(f.window_update(sid(1), credit), service.now)
    assert f.rst_stream(sid(1), code) in service.engine.take_output()
    assert not service.engine.closed and service.calls[0].cancelled


def test_streams_above_the_limit_are_refused(new_service: NewService) -> None:
    service = new_service(TransportLimits(max_concurrent_streams=3))
    greeting = bytes(service.engine.out[0])
    assert b"\0\x03\0\0\0\x03" in greeting
    service.start()
    for number in (1, 3, 5, 7):
        service.engine.receive(headers(number), service.now)
    assert f.rst_stream(sid(7), f.REFUSED_STREAM) in service.engine.take_output()
    assert len(service.engine.streams) == 3
    service.engine.receive(f.rst_stream(sid(1), 8) + headers(9), service.now)
    assert len(service.engine.streams) == 3


def test_no_limit_of_streams_is_announced_by_default_as_with_etcd(service: Service) -> None:
    assert 3 not in service.client.remote_settings._settings


def test_rapid_resets_end_the_connection(service: Service) -> None:
    for number in range(1, 2 * RAPID_RESETS_BURST + 20, 2):
        service.engine.receive(headers(number) + f.rst_stream(sid(number), 8), service.now)
        if service.engine.closed:
            break
    assert service.engine.error is not None
    assert service.engine.error.reason == "too many resets"
    assert number // 2 == RAPID_RESETS_BURST


def test_calls_that_are_given_up_after_a_while_are_no_rapid_resets(service: Service) -> None:
    for number in range(1, 20_001, 2):
        service.engine.receive(headers(number), service.now)
    service.now += 5.0
    for number in range(1, 20_001, 2):
        service.engine.receive(f.rst_stream(sid(number), 8), service.now)
    assert not service.engine.closed and not service.engine.streams


def test_a_client_that_cancels_now_and_then_is_welcome(service: Service) -> None:
    for number in range(1, 20_001, 2):
        service.now += 0.05
        service.engine.receive(headers(number) + f.rst_stream(sid(number), 8), service.now)
    assert not service.engine.closed


def test_malformed_requests_count_as_resets(service: Service) -> None:
    bad = encode_block(STREAM_ERRORS["no path"])
    for number in range(1, 2 * RAPID_RESETS_BURST + 20, 2):
        service.engine.receive(headers(number, 5, bad), service.now)
        service.engine.take_output()
    assert service.engine.error is not None
    assert service.engine.error.reason == "too many resets"


FLOODS = {
    "PING acknowledgements": f.frame(f.PING, 1, sid(0), bytes(8)),
    "empty SETTINGS": f.settings_frame([]),
    "WINDOW_UPDATE": f.window_update(sid(1), 1),
    "PRIORITY": f.frame(f.PRIORITY, 0, sid(1), bytes(5)),
    "empty DATA": f.frame(f.DATA, 0, sid(1), b""),
    "RST_STREAM of ended streams": f.rst_stream(sid(1), 8),
    "unknown frames": f.frame(0x77, 0, sid(0), b"abc"),
}


@pytest.mark.parametrize("what", FLOODS)
def test_a_flood_of_control_frames_ends_the_connection(service: Service, what: str) -> None:
    service.engine.receive(headers(1), service.now)
    flood = FLOODS[what] * 100
    for _ in range(IDLE_FRAMES_MAX // 100 - 1):
        service.engine.receive(flood, service.now)
        service.engine.take_output()
    assert not service.engine.closed
    for _ in range(2):
        service.engine.receive(flood, service.now)
    assert service.engine.error is not None
    assert service.engine.error.code == f.ENHANCE_YOUR_CALM


def test_control_frames_between_answers_are_no_flood(service: Service) -> None:
    for number in range(1, 301, 2):
        service.engine.receive(FLOODS["empty SETTINGS"] * 99, service.now)
        service.engine.receive(headers(number), service.now)
        service.engine.receive(f.frame(f.DATA, 1, sid(number), b"\0\0\0\0\0"), service.now)
        service.calls[-1].reply(b"x")
        service.engine.take_output()
    assert not service.engine.closed


def test_answers_to_control_frames_that_nobody_reads_are_bounded(service: Service) -> None:
    service.engine.pause_writing()
    for _ in range(IDLE_FRAMES_MAX):
        service.engine.receive(FLOODS["empty SETTINGS"], service.now)
    out = sum(len(piece) for piece in service.engine.out)
    assert out < 1 << 20


def test_a_walk_over_many_streams_for_each_setting_counts_as_work(service: Service) -> None:
    for number in range(1, 8001, 2):
        service.engine.receive(headers(number), service.now)
    flip = [f.settings_frame([(f.SETTINGS_INITIAL_WINDOW_SIZE, 65_000 + n)]) for n in range(2)]
    for number in range(100):
        service.engine.receive(flip[number % 2], service.now)
    assert service.engine.closed


def _ping(service: Service, times: int, every_s: float) -> None:
    for _ in range(times):
        service.now += every_s
        service.engine.receive(f.frame(f.PING, 0, sid(0), bytes(8)), service.now)
        service.engine.take_output()


def test_pings_of_an_active_client_may_come_every_five_seconds(service: Service) -> None:
    service.engine.receive(headers(1), service.now)
    _ping(service, 1000, 5.0)
    assert not service.engine.closed


def test_pings_that_come_faster_are_too_many(service: Service) -> None:
    service.engine.receive(headers(1), service.now)
    _ping(service, 3, 4.9)
    assert not service.engine.closed
    _ping(service, 1, 4.9)
    assert service.engine.error is not None
    assert service.engine.error.reason == "too_many_pings"
    assert service.engine.error.code == f.ENHANCE_YOUR_CALM


def test_pings_without_a_stream_are_allowed_every_two_hours(service: Service) -> None:
    _ping(service, 10, 7200.0)
    assert not service.engine.closed
    _ping(service, 3, 60.0)
    assert service.engine.error is not None
    assert service.engine.error.reason == "too_many_pings"


def test_pings_that_measure_bandwidth_after_each_answer_are_welcome(service: Service) -> None:
    for _ in range(100):
        service.unary("Unary", b"x")
        _ping(service, 1, 0.001)
    assert not service.engine.closed


def test_other_control_frames_between_an_answer_and_a_ping_do_not_count(service: Service) -> None:
    window = f.frame(f.WINDOW_UPDATE, 0, sid(0), (1).to_bytes(4, "big"))
    for number in range(100):
        service.unary("Unary", b"x")
        for _ in range(number % 4):
            service.engine.receive(window, service.now)
        _ping(service, 1, 0.001)
    assert not service.engine.closed


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n\r\n" * 2, b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n"]
)
def test_a_wrong_preface_is_refused(new_service: NewService, first: bytes) -> None:
    service = new_service()
    service.engine.receive(first, 0.0)
    assert service.engine.error is not None
    assert service.engine.error.code == f.PROTOCOL_ERROR


def test_a_preface_without_settings_is_refused(new_service: NewService) -> None:
    service = new_service()
    service.engine.receive(f.PREFACE + headers(1), 0.0)
    assert service.engine.closed


def test_the_reserved_bit_of_a_stream_id_is_ignored(service: Service) -> None:
    block = headers(1).replace(sid(1), b"\x80\0\0\1", 1)
    service.engine.receive(block, service.now)
    service.engine.receive(f.frame(f.DATA, 1, b"\x80\0\0\1", b"\0\0\0\0\1x"), service.now)
    assert service.bodies == [b"x"]


def test_padding_and_priority_of_good_frames_are_dropped(service: Service) -> None:
    padded = b"\x03" + bytes(5) + BLOCK + b"\0\0\0"
    service.engine.receive(f.frame(f.HEADERS, 0x2C, sid(1), padded), service.now)
    service.engine.receive(f.frame(f.DATA, 9, sid(1), b"\x02\0\0\0\0\1xpp"), service.now)
    assert service.bodies == [b"x"]


@pytest.mark.parametrize(
    ("frames", "bodies"),
    [
        ([(1, b"\0\0\0\0\1x")], [b"x"]),
        ([(1, b"\1\0\0\0\1x")], []),  # compressed
        ([(1, b"\0\0\0\0\2x")], []),  # truncated
        ([(0, b"\0\0\0\0\x06"), (1, b"\0\0\0\0\1y")], [b"\0\0\0\0\1y"]),
        ([(0, b"\0\0\0\0\1x"), (1, b"")], [b"x"]),
        ([(0, b""), (1, b"\0\0\0\0\1x")], [b"x"]),
    ],
)
def test_the_fast_path_takes_whole_messages_only(
    service: Service, frames: list[tuple[int, bytes]], bodies: list[bytes]
) -> None:
    for number in (1, 3):  # the second time the header block is known
        service.bodies.clear()
        service.engine.receive(headers(number), service.now)
        for flags, payload in frames:
            service.engine.receive(f.frame(f.DATA, flags, sid(number), payload), service.now)
        assert service.bodies == bodies


def test_a_header_block_in_pieces_is_put_together(service: Service) -> None:
    service.engine.receive(headers(1, 0, BLOCK[:3]), service.now)
    service.engine.receive(f.frame(f.CONTINUATION, 0, sid(1), BLOCK[3:9]), service.now)
    service.engine.receive(f.frame(f.CONTINUATION, 4, sid(1), BLOCK[9:]), service.now)
    service.engine.receive(f.frame(f.DATA, 1, sid(1), b"\0\0\0\0\1x"), service.now)
    assert service.bodies == [b"x"]
