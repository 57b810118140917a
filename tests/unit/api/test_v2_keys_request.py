"""Parameters of /v2/keys: where they are read, and what is refused first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petcd.api.v2.errors import KeysError
from petcd.api.v2.form import BadEscape, Form, media_type_fault, unescape, unescape_path
from petcd.api.v2.keys_request import KeysRequest
from petcd.transport.http import HttpRequest

FORM = (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")
NOW = 1_700_000_000_000_000_000


def asked(method: str = "PUT", query: bytes = b"", body: bytes = b"") -> KeysRequest:
    request = HttpRequest(method, "/v2/keys/k", [FORM], body, "peer")
    return KeysRequest(request, b"/k", query)


def refused(*arguments) -> tuple[int, str]:
    with pytest.raises(KeysError) as caught:
        asked(*arguments)
    assert caught.value.index == 0
    return caught.value.number, caught.value.cause


def test_the_body_comes_before_the_query_and_the_first_value_counts():
    assert asked("PUT", b"value=query", b"value=b&value=c").value == b"b"
    assert asked("PUT", b"value=query", b"ttl=3").value == b"query"
    assert asked("DELETE", b"", b"prevValue=x").prev_value == b""


def test_only_a_urlencoded_body_is_read():
    request = HttpRequest("PUT", "/v2/keys/k", [(b"content-type", b"text/plain")], b"value=x", "")
    assert KeysRequest(request, b"/k", b"").value == b""


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (b"text/plain", ""),
        (b' a/b ; c=d; e="f;\\"g";', ""),
        (b"form-data", ""),
        (b";;", "mime: no media type"),
        (b"a b", "mime: expected slash after first token"),
        (b"a/;b=c", "mime: expected token after slash"),
        (b"a/b c", "mime: unexpected content after media subtype"),
        (b"a/b; c", "mime: invalid media parameter"),
    ],
)
def test_a_content_type_must_be_one(kind: bytes, fault: str):
    assert media_type_fault(kind) == fault
    request = HttpRequest("PUT", "/v2/keys/k", [(b"content-type", kind)], b"value=x", "")
    if fault:
        with pytest.raises(KeysError, match=fault):
            KeysRequest(request, b"/k", b"")


def test_values_are_bytes_and_a_semicolon_is_one_of_them():
    assert asked("PUT", b"", b"value=%00%ff+;%2B").value == b"\0\xff ;+"


@pytest.mark.parametrize(
    ("method", "query", "body", "number", "cause"),
    [
        ("GET", b"recursive=%zz", b"", 210, 'invalid URL escape "%zz"'),
        ("PUT", b"a=%1", b"b=%x2y", 210, 'invalid URL escape "%x2"'),
        ("PUT", b"prevIndex=x&recursive=x", b"", 203, 'invalid value for "prevIndex"'),
        ("PUT", b"prevIndex=18446744073709551616", b"", 203, 'invalid value for "prevIndex"'),
        ("PUT", b"prevIndex=%C2%B2", b"", 203, 'invalid value for "prevIndex"'),
        ("GET", b"waitIndex=-1", b"", 203, 'invalid value for "waitIndex"'),
        ("GET", b"recursive=&sorted=x", b"", 209, 'invalid value for "recursive"'),
        ("PUT", b"wait=true&prevValue=", b"", 209, '"wait" can only be used with GET requests'),
        ("PUT", b"prevValue=&noValueOnSuccess=x", b"", 201, '"prevValue" cannot be empty'),
        ("PUT", b"", b"ttl=1.5&prevExist=x", 202, 'invalid value for "ttl"'),
        ("PUT", b"", b"prevExist=x&refresh=x", 209, "invalid value for prevExist"),
        ("PUT", b"", b"refresh=x", 209, "invalid value for refresh"),
        ("PUT", b"", b"refresh=1&value=x", 211, "A value was provided on a refresh"),
        ("PUT", b"", b"refresh=1&ttl=", 212, "No TTL value set"),
    ],
)
def test_the_first_wrong_parameter_is_the_answer(method, query, body, number, cause):
    assert refused(method, query, body) == (number, cause)


def test_a_request_becomes_an_entry_of_the_log():
    entry = asked("PUT", b"prevExist=true&prevIndex=7", b"value=v&ttl=5&dir=t").entry("PUT", 3, NOW)
    assert (entry.ID, entry.Method, entry.Path, entry.Val) == (3, "PUT", "/1/k", "v")
    assert (entry.PrevExist, entry.PrevIndex, entry.Dir) == (True, 7, True)
    assert (entry.Expiration, entry.Time) == (NOW + 5_000_000_000, NOW)


def test_a_time_to_live_beyond_the_format_is_for_ever():
    entry = asked("PUT", b"", b"ttl=18446744073709551615").entry("PUT", 1, NOW)
    assert entry.Expiration == 0


@given(st.binary(max_size=60))
def test_any_form_parses_or_has_its_error(raw):
    form = Form()
    form.add_pairs(raw)
    if form.error is not None:
        assert form.error.startswith("invalid URL escape ")
    try:
        KeysRequest(HttpRequest("PUT", "/", [FORM], raw, ""), b"/k", raw)
    except KeysError as error:
        assert 200 < error.number < 213


def test_a_path_that_is_too_deep_is_refused():
    with pytest.raises(KeysError) as caught:
        KeysRequest(HttpRequest("PUT", "/", [], b"", ""), b"/a" * 501, b"")
    assert (caught.value.number, caught.value.status) == (209, 400)


def test_a_plus_is_a_blank_in_forms_only():
    assert (unescape(b"a+b%2b"), unescape_path(b"a+b%2b")) == (b"a b+", b"a+b+")
    with pytest.raises(BadEscape):
        unescape(b"ok%")
