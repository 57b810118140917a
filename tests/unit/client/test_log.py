"""Log lines of the client."""

import json

import pytest

from petcd.client.log import json_string, log_line, timestamp


def test_a_line_is_one_json_object_in_the_usual_order() -> None:
    line = log_line("warn", "etcd-client", "here", "it failed", {"attempt": 0, "error": "e"}, 0.5)
    assert line == (
        '{"level":"warn","ts":"1970-01-01T00:00:00.500Z","logger":"etcd-client","caller":"here",'
        '"msg":"it failed","attempt":0,"error":"e"}'
    )


def test_without_a_logger_the_member_is_left_out() -> None:
    assert "logger" not in json.loads(log_line("info", "", "here", "m", {}, 0))


@pytest.mark.parametrize(
    "text", ["", "plain", 'a"b\\c', "<&>", "tab\t nl\n", "\x00\x1f", "grüße \u2028", "😀"]
)
def test_a_json_string_reads_back(text: str) -> None:
    assert json.loads(json_string(text)) == text


def test_what_html_would_misread_is_escaped() -> None:
    assert json_string("<&>") == '"\\u003c\\u0026\\u003e"'


def test_broken_utf8_is_replaced() -> None:
    assert json.loads(json_string("a\udcffb")) == "a\ufffdb"


def test_times_have_milliseconds() -> None:
    assert timestamp(1795392383.164) == "2026-11-23T00:06:23.164Z"
