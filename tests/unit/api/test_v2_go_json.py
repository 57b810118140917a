"""v2's JSON is what Go's encoder writes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petcd.api.v2.errors import KeysError, keys_error
from petcd.api.v2.go_json import duration_text, event_json, node_json, quote, time_text
from petcd.member.errors import NoSpace, TimedOut
from petcd.member.v2 import errors
from petcd.member.v2.nodes import Event, Node

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (b"plain text", b'"plain text"'),
        (b'"\\', b'"\\"\\\\"'),
        (b"<a>&", b'"\\u003ca\\u003e\\u0026"'),
        (b"\n\r\t\b\f\0\x1f\x7f", b'"\\n\\r\\t\\u0008\\u000c\\u0000\\u001f\x7f"'),
        ("ü😀".encode(), '"ü😀"'.encode()),
        ("\u2028\u2029".encode(), b'"\\u2028\\u2029"'),
        (b"\xff\xe2\x82", b'"\\ufffd\\ufffd\\ufffd"'),
    ],
)
def test_texts_are_escaped_as_by_go(raw, written):
    assert quote(raw) == written


@given(st.binary())
def test_any_bytes_make_a_json_string(raw):
    text = json.loads(quote(raw))
    if "\ufffd" not in text:
        assert text.encode() == raw


def test_members_come_in_etcds_order_and_empty_ones_are_left_out():
    node = Node(b"/f", b"", False, 5, 4, 100 * SECOND + 1_500)
    assert node_json(node, 97 * SECOND) == (
        b'{"key":"/f","value":"","expiration":"1970-01-01T00:01:40.0000015Z","ttl":4,'
        b'"modifiedIndex":5,"createdIndex":4}'
    )
    assert b"ttl" not in node_json(node, 200 * SECOND)
    assert node_json(Node(b"", None, True, 0, 0), 0) == b'{"dir":true}'


def test_an_event_has_its_nodes_unless_they_are_not_wanted():
    event = Event("delete", Node(b"/f", None, False, 5, 4), Node(b"/f", b"v", False, 4, 4), 5)
    assert event_json(event, 0) == (
        b'{"action":"delete","node":{"key":"/f","modifiedIndex":5,"createdIndex":4},'
        b'"prevNode":{"key":"/f","value":"v","modifiedIndex":4,"createdIndex":4}}\n'
    )
    assert event_json(event, 0, False) == b'{"action":"delete"}\n'


def test_times_and_durations_are_written_as_by_go():
    assert time_text(1_700_000_000 * SECOND) == "2023-11-14T22:13:20Z"
    assert time_text(1_700_000_000 * SECOND + 120_000_000) == "2023-11-14T22:13:20.12Z"
    assert duration_text(2_896_567_298) == "2.896567298s"
    assert duration_text(3_723 * SECOND) == "1h2m3s"
    assert duration_text(60 * SECOND) == "1m0s"


def test_errors_have_number_message_cause_and_index():
    error = keys_error(errors.NodeNotFound("/a<b", 7))
    assert error.status == 404
    assert error.body() == (
        b'{"errorCode":100,"message":"Key not found","cause":"/a\\u003cb","index":7}\n'
    )
    assert KeysError(107, "", 1).body() == (
        b'{"errorCode":107,"message":"Root is read only","index":1}\n'
    )
    assert (keys_error(TimedOut()).number, keys_error(TimedOut()).cause) == (
        300,
        "etcdserver: request timed out",
    )
    assert keys_error(NoSpace()).status == 500


def test_every_refusal_of_the_view_has_a_number():
    for kind in errors.V2Refused.__subclasses__():
        assert keys_error(kind("x", 1)).number != 300
