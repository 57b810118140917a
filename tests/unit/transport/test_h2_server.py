"""The server engine with python-hyper's h2 as the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from h2.settings import SettingCodes, Settings

from petcd.transport.options import TransportLimits

if TYPE_CHECKING:
    from .conftest import Service


Serve = Callable[..., "Service"]
Fields = list[tuple[str, str]]
_TRANSPORT = "transport: timeout"


def test_a_unary_call_is_answered_with_its_message_and_status_0(serve: Serve) -> None:
    service = serve()
    answer = service.unary("Unary", b"hello")
    assert answer.headers == {":status": "200", "content-type": "application/grpc"}
    assert answer.messages == [b"hello"]
    assert answer.trailers == {"grpc-status": "0"}
    assert answer.ended and answer.reset is None


def test_a_hundred_calls_on_one_connection_give_the_same_answer(serve: Serve) -> None:
    service = serve()
    for number in range(100):
        answer = service.unary("Unary", b"%d" % number)
        assert answer.messages == [b"%d" % number] and answer.status == ("0", "")
    assert service.method("Unary").started == 100
    assert service.method("Unary").handled[0] == 100
    assert service.method("Unary").msg_received == service.method("Unary").msg_sent == 100
    assert not service.engine.streams


def test_calls_in_flight_at_once_are_told_apart(serve: Serve) -> None:
    service = serve()
    answers = [service.unary("Later", b"%d" % n) for n in range(20)]
    assert service.bodies == [b"%d" % n for n in range(20)]
    for call in reversed(service.calls):
        call.reply(b"answer of %s" % service.bodies[service.calls.index(call)])
    service.exchange()
    assert [a.messages for a in answers] == [[b"answer of %d" % n] for n in range(20)]


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 16_379, 16_380, 65_530, 70_000, 1_500_000])
def test_messages_of_every_size_come_back_whole(service: Service, size: int) -> None:
    service.unary("Unary", b"warm up")
    body = bytes(range(256)) * (size // 256 + 1)
    answer = service.unary("Unary", body[:size])
    assert answer.messages == [body[:size]] and answer.status == ("0", "")
    assert service.engine.queued_bytes == 0 and service.engine.reserve_used == 0


def test_an_error_before_any_message_is_trailers_only(serve: Serve) -> None:
    service = serve()
    answer = service.unary("Later", b"x")
    service.calls[0].fail(5, "etcdserver: requested lease not found")
    service.exchange()
    assert answer.headers == {
        ":status": "200",
        "content-type": "application/grpc",
        "grpc-status": "5",
        "grpc-message": "etcdserver: requested lease not found",
    }
    assert answer.ended and answer.data == b"" and answer.reset is None


def test_the_text_of_an_error_is_percent_encoded_utf_8(service: Service) -> None:
    answer = service.unary("Later", b"x")
    service.calls[0].fail(2, "100% naïve\n")
    service.exchange()
    assert answer.status == ("2", "100%25 na%C3%AFve%0A")


def test_a_long_text_is_split_into_continuation_frames(service: Service) -> None:
    service.client.decoder.max_header_list_size = 1 << 20
    answer = service.unary("Later", b"x")
    service.calls[0].fail(2, "x" * 40_000)
    service.exchange()
    assert answer.status == ("2", "x" * 40_000)


def test_a_bidirectional_stream_answers_each_message_in_order(serve: Serve) -> None:
    service = serve()
    sid = service.open("Bidi")
    bodies = [b"a", b"", b"c" * 3000, b"d"]
    for body in bodies:
        service.send(sid, b"\0" + len(body).to_bytes(4, "big") + body)
    answer = service.answers[sid]
    assert answer.messages == bodies and not answer.ended
    service.send(sid, b"", end=True)
    assert answer.ended and answer.status == ("0", "") and answer.reset is None


def test_messages_that_share_or_straddle_frames_are_put_together(
    service: Service, grpc_message: Callable[[bytes], bytes]
) -> None:
    sid = service.open("Bidi")
    bodies = [b"one", b"two" * 100, b"", b"three"]
    data = b"".join(grpc_message(body) for body in bodies)
    for pos in range(0, len(data), 7):
        service.send(sid, data[pos : pos + 7])
    assert service.answers[sid].messages == bodies


def test_a_server_stream_sends_many_messages_and_ends_with_an_error(service: Service) -> None:
    answer = service.unary("Server", b"go")
    assert service.bodies == [b"go"]
    for number in range(5):
        service.calls[0].send(b"%d" % number)
    service.calls[0].finish(14, "etcdserver: no leader")
    service.exchange()
    assert answer.messages == [b"0", b"1", b"2", b"3", b"4"]
    assert answer.status == ("14", "etcdserver: no leader")


def test_a_stream_that_ends_before_its_client_is_reset_without_error(service: Service) -> None:
    sid = service.open("Bidi")
    service.exchange()
    service.calls[0].finish(1, "etcdserver: watch canceled")
    service.exchange()
    assert service.answers[sid].status[0] == "1"
    assert service.answers[sid].reset == 0
    assert not service.engine.streams


def test_a_reset_by_the_client_cancels_the_call_once(serve: Serve) -> None:
    service = serve()
    sid = service.open("Later")
    service.send(sid, b"\0\0\0\0\x01x", end=True)
    call = service.calls[0]
    assert not call.cancelled
    service.client.reset_stream(sid, 8)
    service.exchange()
    assert call.cancelled and service.cancelled == [call]
    call.reply(b"too late")
    call.fail(2, "too late")
    service.exchange()
    assert service.method("Later").handled[1] == 1
    assert service.method("Later").msg_sent == 0


def test_a_lost_connection_cancels_every_call(service: Service) -> None:
    service.unary("Later", b"1")
    service.open("Bidi")
    service.exchange()
    service.engine.connection_lost()
    assert [call.cancelled for call in service.calls] == [True, True]
    assert len(service.cancelled) == 2
    for call in service.calls:
        call.finish(0)
    assert service.engine.take_output() == b""


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etcdserverpb.X/Put", "unknown service etcdserverpb.X"),
        ("/test.Echo/Nope", "unknown method Nope for service test.Echo"),
        ("/nonsense", 'malformed method name: "/nonsense"'),
    ],
)
def test_unknown_paths_are_unimplemented(
    service: Service, grpc_request: Fields, path: str, text: str
) -> None:
    fields = [(n, path if n == ":path" else v) for n, v in grpc_request]
    for _ in range(3):
        answer = service.request(fields, b"\0\0\0\0\0")
        assert answer.headers[":status"] == "200"
        assert answer.status == ("12", text)


@pytest.mark.parametrize(
    ("change", "http_status", "status"),
    [
        (
            ("content-type", "text/plain"),
            "415",
            ("3", 'invalid gRPC request content-type "text/plain"'),
        ),
        (
            ("content-type", "application/grpcx"),
            "415",
            ("3", 'invalid gRPC request content-type "application/grpcx"'),
        ),
        (
            (":method", "GET"),
            "405",
            ("13", 'Received a HEADERS frame with :method "GET" which should be POST'),
        ),
        (
            ("grpc-timeout", "5x"),
            "400",
            ("13", f'malformed grpc-timeout: {_TRANSPORT} unit is not recognized: "5x"'),
        ),
        (
            ("grpc-encoding", "snappy"),
            "200",
            ("12", 'grpc: Decompressor is not installed for grpc-encoding "snappy"'),
        ),
        (("trace-bin", "***"), "400", None),
    ],
)
def test_requests_that_break_grpcs_rules_get_grpc_gos_answer(
    service: Service,
    grpc_request: Fields,
    change: tuple[str, str],
    http_status: str,
    status: tuple[str, str] | None,
) -> None:
    fields = [f for f in grpc_request if f[0] != change[0]]
    where = 0 if change[0].startswith(":") else len(fields)
    fields.insert(where, change)
    answer = service.request(fields)
    assert answer.headers[":status"] == http_status
    assert answer.headers["content-type"] == "application/grpc"
    assert answer.status == status or status is None
    assert not service.calls and not service.engine.streams


def test_content_types_with_codec_or_parameters_are_grpc(
    service: Service, grpc_request: Fields
) -> None:
    for value in ("application/grpc+proto", "application/grpc;charset=utf-8"):
        fields = [(n, value if n == "content-type" else v) for n, v in grpc_request]
        assert service.request(fields, b"\0\0\0\0\0").status == ("0", "")


def test_te_may_be_missing_as_with_grpc_go(service: Service, grpc_request: Fields) -> None:
    answer = service.request([f for f in grpc_request if f[0] != "te"], b"\0\0\0\0\0")
    assert answer.status == ("0", "")


def test_a_message_above_the_limit_is_refused_before_it_has_come(
    new_service: type[Service],
) -> None:
    service = new_service(TransportLimits(max_message_bytes=1000)).start()
    sid = service.open("Unary")
    service.send(sid, b"\0" + (1001).to_bytes(4, "big") + b"x" * 10)
    answer = service.answers[sid]
    assert answer.status == ("8", "grpc: received message larger than max (1001 vs. 1000)")
    assert answer.reset == 0
    assert service.unary("Unary", b"y" * 1000).messages == [b"y" * 1000]


def test_a_methods_own_limit_goes_before_the_listeners(service: Service) -> None:
    service.method("Unary").max_message_bytes = 3
    assert service.unary("Unary", b"four").status[0] == "8"
    assert service.unary("Unary", b"abc").status[0] == "0"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\1\0\0\0\1x", ("13", "grpc: compressed flag set with identity or empty encoding")),
        (b"\2\0\0\0\1x", ("13", "grpc: received unexpected payload format 2")),
        (b"\0\0\0\0\5x", ("13", "unexpected EOF")),
        (b"\0\0", ("13", "unexpected EOF")),
    ],
)
def test_bad_message_prefixes_get_grpc_gos_answer(
    serve: Serve, data: bytes, status: tuple[str, str]
) -> None:
    service = serve()
    sid = service.open("Unary")
    service.send(sid, data, end=True)
    assert service.answers[sid].status == status


def test_a_unary_call_without_a_message_is_refused(serve: Serve) -> None:
    service = serve()
    sid = service.open("Unary", end=True)
    service.exchange()
    assert service.answers[sid].status == ("13", "EOF")


def test_metadata_leaves_out_what_is_grpcs_own_and_decodes_binary_values(
    service: Service,
) -> None:
    extra = [
        ("token", "abc.1"),
        ("token", "second"),
        ("hasleader", "true"),
        ("trace-bin", "AAEC"),
        ("grpc-timeout", "5S"),
    ]
    service.unary("Later", b"", extra)
    found = service.calls[0].metadata()
    assert found == {
        b":authority": b"localhost",
        b"content-type": b"application/grpc",
        b"token": b"abc.1",
        b"hasleader": b"true",
        b"trace-bin": b"\0\1\2",
    }
    assert service.calls[0].peer == "peer:1"


def test_a_handler_that_raises_ends_its_call_and_nothing_else(service: Service) -> None:
    answer = service.unary("Raises", b"x")
    assert answer.status == ("13", "internal error")
    assert service.unary("Unary", b"still here").messages == [b"still here"]
    assert [what for what, _ in service.failures] == ["/test.Echo/Raises"]


def test_a_callback_that_raises_ends_its_call_and_nothing_else(service: Service) -> None:
    def broken(body: bytes) -> None:
        raise ValueError(body)

    sid = service.open("Bidi")
    service.exchange()
    service.calls[0].on_message = broken
    service.send(sid, b"\0\0\0\0\0")
    assert service.answers[sid].status == ("13", "internal error")
    assert service.unary("Unary", b"ok").status == ("0", "")


def test_output_from_outside_receive_is_announced_once(service: Service) -> None:
    woken: list[int] = []
    service.engine.on_output = lambda: woken.append(1)
    service.unary("Later", b"1")
    service.unary("Later", b"2")
    assert woken == []
    for call in service.calls:
        call.reply(b"now")
    assert woken == [1]
    service.exchange()
    assert woken == [1] and service.engine.idle


def test_trailers_of_the_client_end_its_half(service: Service) -> None:
    sid = service.open("Later")
    service.client.send_data(sid, b"\0\0\0\0\1x")
    service.client.send_headers(sid, [("x-checksum", "1")], end_stream=True)
    service.exchange()
    assert service.bodies == [b"x"]


def test_a_small_header_table_of_the_client_is_respected(new_service: type[Service]) -> None:
    service = new_service()
    service.client.local_settings = Settings(initial_values={SettingCodes.HEADER_TABLE_SIZE: 0})
    service.start()
    for number in range(5):
        assert service.unary("Unary", b"%d" % number).messages == [b"%d" % number]


def test_a_header_table_that_shrinks_later_is_respected(service: Service) -> None:
    assert service.unary("Unary", b"1").status == ("0", "")
    assert service.engine.answers.indexed
    service.client.update_settings({1: 64})
    service.exchange()
    for number in range(5):
        assert service.unary("Unary", b"%d" % number).messages == [b"%d" % number]
    assert not service.engine.answers.indexed


def test_message_bytes_are_counted_both_ways(service: Service) -> None:
    service.unary("Unary", b"x" * 10)
    service.unary("Unary", b"x" * 5000)
    sid = service.open("Bidi")
    service.send(sid, b"\0\0\0\0\2ab\0\0\0\0\1c")
    assert service.engine.message_bytes_received == 5013
    assert service.engine.message_bytes_sent == 5013


def test_started_is_the_sum_of_ended_and_open_calls(service: Service) -> None:
    for name in ("Unary", "Later", "Raises"):
        service.unary(name, b"x")
    sid = service.open("Later")
    service.client.reset_stream(sid, 8)
    service.exchange()
    for name in ("Unary", "Later", "Raises"):
        method = service.method(name)
        still_open = sum(
            getattr(s, "method", None) is method for s in service.engine.streams.values()
        )
        assert method.started == sum(method.handled.values()) + still_open, name
