"""Plain HTTP over HTTP/2: the same handlers as HTTP/1.1, with h2 as the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from petcd.transport import frames as f
from petcd.transport.hpack import encode_block
from petcd.transport.http import HttpRequest, HttpResponder
from petcd.transport.limits import KEPT_BYTES_MAX
from petcd.transport.options import TransportLimits

if TYPE_CHECKING:
    from .conftest import Service

Serve = Callable[..., "Service"]
NewService = Callable[..., "Service"]


def fields(method: str, path: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost:2379"),
        *more,
    ]


class Site:
    """A handler that keeps requests, and answers at once when told to."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.responders: list[HttpResponder] = []
        self.answer: Callable[[HttpRequest, HttpResponder], None] | None = None

    def __call__(self, request: HttpRequest, respond: HttpResponder) -> None:
        self.requests.append(request)
        self.responders.append(respond)
        if self.answer is not None:
            self.answer(request, respond)


def test_a_get_is_handed_to_the_http_handler(serve: Serve) -> None:
    site = Site()
    service = serve(http=site)
    answer = service.request(fields("GET", "/health?x", ("user-agent", "curl")))
    request = site.requests[0]
    assert (request.method, request.target, request.body) == ("GET", "/health?x", b"")
    assert request.headers == [(b"host", b"localhost:2379"), (b"user-agent", b"curl")]
    site.responders[0].send(200, [(b"content-type", b"text/plain")], b"ok\n")
    service.exchange()
    assert answer.headers == {
        ":status": "200",
        "content-type": "text/plain",
        "content-length": "3",
        "date": "Thu, 01 Jan 1970 00:00:00 GMT",
    }
    assert answer.data == b"ok\n" and answer.ended and answer.reset is None
    assert not service.engine.streams


def test_a_body_is_gathered(serve: Serve) -> None:
    site = Site()
    service = serve(http=site)
    body = bytes(range(256)) * 400
    service.request(fields("POST", "/v3/kv/put", ("content-type", "application/json")), body)
    assert site.requests[0].body == body and service.engine.kept_bytes == 0


def test_an_answer_in_pieces_respects_the_windows(serve: Serve) -> None:
    site = Site()
    service = serve(http=site)
    answer = service.request(fields("GET", "/stream"))
    respond = site.responders[0]
    respond.start(200, [])
    for number in range(5):
        respond.write(b"%d" % number * 30_000)
    respond.end()
    service.exchange()
    assert answer.data == b"".join(b"%d" % n * 30_000 for n in range(5)) and answer.ended


def test_head_and_empty_answers_have_no_data(new_service: NewService) -> None:
    site = Site()
    service = new_service(http=site).start()
    head = service.request(fields("HEAD", "/"))
    site.responders[0].send(200, [], b"12345")
    empty = service.request(fields("GET", "/"))
    site.responders[1].send(204, [], b"")
    service.exchange()
    assert head.headers["content-length"] == "5" and head.data == b"" and head.ended
    assert empty.headers[":status"] == "204" and "content-length" not in empty.headers
    assert empty.ended


def test_a_body_above_the_limit_is_refused(new_service: NewService) -> None:
    site = Site()
    service = new_service(TransportLimits(max_http_body_bytes=1000), http=site).start()
    sid = service.client.get_next_available_stream_id()
    service.client.send_headers(sid, fields("POST", "/"))
    service.send(sid, b"x" * 1001)
    answer = service.answers[sid]
    assert answer.headers[":status"] == "413" and answer.reset == 0 and not site.requests
    assert service.engine.kept_bytes == 0 and not service.engine.streams


def test_bodies_of_all_requests_of_a_connection_are_bounded(new_service: NewService) -> None:
    site = Site()
    body_bytes = KEPT_BYTES_MAX // 4
    service = new_service(TransportLimits(max_http_body_bytes=body_bytes), http=site).start()
    sids = []
    for _ in range(5):
        sid = service.client.get_next_available_stream_id()
        service.client.send_headers(sid, fields("POST", "/"))
        sids.append(sid)
    service.exchange()
    piece = (16_384).to_bytes(3, "big") + b"\0\0"
    for sid in sids[:4]:  # past h2, which is slow with so many bytes
        for _ in range(body_bytes // 16_384):
            service.engine.receive(piece + sid.to_bytes(4, "big") + bytes(16_384), service.now)
    service.engine.take_output()
    assert service.engine.kept_bytes == KEPT_BYTES_MAX
    service.send(sids[4], b"x")
    assert service.answers[sids[4]].headers[":status"] == "503"
    service.send(sids[0], b"", end=True)
    assert len(site.requests) == 1
    assert service.engine.kept_bytes == KEPT_BYTES_MAX - body_bytes


def test_a_body_that_is_not_as_long_as_announced_resets_the_request(
    new_service: NewService,
) -> None:
    site = Site()
    service = new_service(http=site).start()
    block = encode_block(
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/"),
            (b"content-length", b"4"),
        ]
    )
    service.engine.receive(f.frame(f.HEADERS, 4, b"\0\0\0\1", block), service.now)
    service.engine.receive(f.frame(f.DATA, 1, b"\0\0\0\1", b"12345"), service.now)
    assert f.rst_stream(b"\0\0\0\1", f.PROTOCOL_ERROR) in service.engine.take_output()
    assert not site.requests


def test_a_client_that_resets_is_gone(new_service: NewService) -> None:
    site = Site()
    service = new_service(http=site).start()
    service.request(fields("GET", "/v2/keys/a?wait=true"))
    gone: list[int] = []
    respond = site.responders[0]
    respond.on_close = lambda: gone.append(1)
    service.client.reset_stream(1, 8)
    service.exchange()
    assert gone == [1] and respond.closed
    respond.send(200, [], b"late")
    assert service.engine.take_output() == b""


def test_a_complete_answer_is_no_close(new_service: NewService) -> None:
    site = Site()
    service = new_service(http=site).start()
    service.request(fields("GET", "/"))
    gone: list[int] = []
    site.responders[0].on_close = lambda: gone.append(1)
    site.responders[0].send(200, [], b"x")
    service.exchange()
    assert gone == [] and site.responders[0].closed


def test_a_writer_sees_what_is_queued_and_when_it_drained(new_service: NewService) -> None:
    site = Site()
    service = new_service(http=site).start()
    service.auto_window = False
    answer = service.request(fields("GET", "/stream"))
    respond = site.responders[0]
    drained: list[int] = []
    respond.on_drain = lambda: drained.append(respond.queued_bytes)
    respond.start(200, [])
    respond.write(b"x" * 100_000)
    service.exchange()
    assert respond.queued_bytes == 100_000 - 65_535 and not drained
    service.client.increment_flow_control_window(100_000)
    service.client.increment_flow_control_window(100_000, 1)
    service.exchange()
    assert drained[-1] == 0 and len(answer.data) == 100_000


def test_a_handler_that_raises_gives_500(new_service: NewService) -> None:
    def broken(request: HttpRequest, respond: HttpResponder) -> None:
        raise RuntimeError("broken")

    site = Site()
    site.answer = broken
    service = new_service(http=site).start()
    assert service.request(fields("GET", "/x")).headers[":status"] == "500"
    assert [what for what, _ in service.failures] == ["GET /x"]


def test_headers_of_the_connection_are_not_sent(new_service: NewService) -> None:
    site = Site()
    service = new_service(http=site).start()
    answer = service.request(fields("GET", "/"))
    site.responders[0].send(200, [(b"connection", b"close"), (b"x-a", b"b")], b"")
    service.exchange()
    assert "connection" not in answer.headers and answer.headers["x-a"] == "b"


def test_grpc_and_http_share_a_connection(new_service: NewService) -> None:
    site = Site()
    site.answer = lambda request, respond: respond.send(404, [], b"404 page not found\n")
    service = new_service(http=site).start()
    assert service.unary("Unary", b"a").messages == [b"a"]
    assert service.request(fields("GET", "/nope")).headers[":status"] == "404"
    assert service.unary("Unary", b"b").messages == [b"b"]
