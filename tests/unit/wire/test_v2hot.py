"""The quick form of a plain set in v2 equals the general message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petcd.wire.v2hot import parse_plain_set, plain_set
from petcd.wire.v2request import Request

paths = st.binary(min_size=1, max_size=300).map(lambda rest: b"/" + rest)


@given(st.integers(1, 2**64 - 1), paths, st.binary(max_size=300))
def test_a_plain_set_is_the_message_byte_for_byte(request_id, path, value):
    body = plain_set(request_id, path, value)
    text, val = (raw.decode("utf-8", "surrogateescape") for raw in (b"/1" + path, value))
    assert body == Request(ID=request_id, Method="PUT", Path=text, Val=val).encode()
    assert parse_plain_set(body) == (path, value)


@pytest.mark.parametrize(
    "fields",
    [{"Dir": True}, {"PrevExist": True}, {"PrevIndex": 3}, {"Expiration": 1}, {"Refresh": False}],
)
def test_what_has_options_is_left_to_the_message(fields):
    body = Request(ID=1, Method="PUT", Path="/1/k", Val="v", **fields).encode()
    assert parse_plain_set(body) is None


@given(st.integers(0, 40), st.binary(max_size=4))
def test_any_bytes_are_read_alike_or_left_to_the_message(cut, noise):
    body = plain_set(7, b"/k", b"value")
    damaged = body[:cut] + noise + body[cut + len(noise) :]
    parsed = parse_plain_set(damaged)
    if parsed is not None:
        request = Request.decode(damaged)
        text, val = (
            raw.decode("utf-8", "surrogateescape") for raw in (b"/1" + parsed[0], parsed[1])
        )
        assert (request.Method, request.Path, request.Val) == ("PUT", text, val)
