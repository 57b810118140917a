"""Requests as they go to a member."""

import pytest

from petcd.proxy.request_lines import Unspeakable, end_to_end, request_bytes
from petcd.transport.http import HttpRequest


def written(method="GET", target="/v2/keys/a", headers=(), body=b"", peer="10.1.2.3:5"):
    request = HttpRequest(method, target, list(headers), body, peer)
    head, _, rest = request_bytes(request, "member:2379").partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines), rest


def test_the_clients_host_and_address_go_along():
    first, headers, body = written(
        headers=[(b"host", b"etcd.example"), (b"x-forwarded-for", b"9.9.9.9")]
    )
    assert first == "GET /v2/keys/a HTTP/1.1"
    assert headers == {"host": "etcd.example", "x-forwarded-for": "9.9.9.9, 10.1.2.3"}
    assert body == b""


def test_a_body_goes_with_its_length_however_it_came():
    _, headers, body = written(
        "PUT",
        headers=[(b"transfer-encoding", b"chunked"), (b"expect", b"100-continue")],
        body=b"value=1",
    )
    assert headers["content-length"] == "7" and body == b"value=1"
    assert "transfer-encoding" not in headers and "expect" not in headers


def test_what_belongs_to_one_connection_stays_there():
    headers = [
        (b"connection", b"close, X-Mine"),
        (b"keep-alive", b"5"),
        (b"te", b"trailers"),
        (b"upgrade", b"h2c"),
        (b"x-mine", b"1"),
        (b"x-other", b"2"),
    ]
    assert end_to_end(headers) == [(b"x-other", b"2")]


@pytest.mark.parametrize(
    "bad",
    [
        {"target": "/a b"},
        {"target": "/a\r\nx: y"},
        {"target": "/\u00e9"},
        {"method": "GE T"},
        {"method": ""},
        {"headers": [(b"a\r\nb", b"c")]},
        {"headers": [(b"a b", b"c")]},
        {"headers": [(b"a", b"c\r\nd: e")]},
        {"headers": [(b"a", b"\x00")]},
    ],
)
def test_what_http_1_would_read_differently_is_refused(bad):
    with pytest.raises(Unspeakable):
        written(**bad)
