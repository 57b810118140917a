"""The language of txn."""

import pytest

from petcd.cli.ctl.exits import CommandError
from petcd.cli.ctl.txn_input import parse_compare, parse_request, split_words
from petcd.wire.kv import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("put a b", ["put", "a", "b"]),
        ("put 'my key' 'a \"b\" \\n'", ["put", "my key", 'a "b" \\n']),
        ('put "my\\tkey" "\\x41\\""', ["put", "my\tkey", 'A"']),
        ("put '' \"\"", ["put", "", ""]),
        ("  get\ta  --limit=1 ", ["get", "a", "--limit=1"]),
        ("put k a'b", ["put", "k", "a'b"]),
    ],
)
def test_a_line_is_split_into_words(line: str, words: list[str]) -> None:
    assert split_words(line) == words


def test_a_malformed_word_is_refused() -> None:
    with pytest.raises(CommandError, match="invalid syntax") as caught:
        split_words('put "\\q"')
    assert caught.value.code == 3


EQ = CompareResult.EQUAL


@pytest.mark.parametrize(
    ("line", "compare"),
    [
        (
            'val("a") = "b"',
            Compare(key=b"a", target=CompareTarget.VALUE, result=EQ, value=b"b"),
        ),
        (
            'value("\\xff") != ""',
            Compare(
                key=b"\xff", target=CompareTarget.VALUE, result=CompareResult.NOT_EQUAL, value=b""
            ),
        ),
        ('ver("a") = "0"', Compare(key=b"a", target=CompareTarget.VERSION, result=EQ, version=0)),
        (
            'c("a") > "7"',
            Compare(
                key=b"a",
                target=CompareTarget.CREATE,
                result=CompareResult.GREATER,
                create_revision=7,
            ),
        ),
        (
            "mod( `a`) <   `7` and more",
            Compare(key=b"a", target=CompareTarget.MOD, result=CompareResult.LESS, mod_revision=7),
        ),
        ('lease("a") = "1f"', Compare(key=b"a", target=CompareTarget.LEASE, result=EQ, lease=31)),
    ],
)
def test_a_comparison_is_understood(line: str, compare: Compare) -> None:
    assert parse_compare(line) == compare


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('val = "b"', 'malformed comparison: val = "b"'),
        ('val(a) = "b"', 'malformed comparison: val(a) = "b"; got val("")  ""'),
        ('val("a") = b', 'malformed comparison: val("a") = b; got val("a") = ""'),
        ('val("a")="b"', 'malformed comparison: val("a")="b"; got val("a")  ""'),
        ('val("a") ="b"', 'malformed comparison: val("a") ="b"; got val("a") ="b" ""'),
        ('val("a" ) = "b"', 'malformed comparison: val("a" ) = "b"; got val("a")  ""'),
        ('foo("a") = "b"', 'malformed comparison: foo("a") = "b" (unknown target foo)'),
        ('val("a") ~ "b"', 'malformed comparison: val("a") ~ "b" (unknown operator ~)'),
        ('ver("a") = "b"', 'invalid txn compare request: ver("a") = "b"'),
    ],
)
def test_a_malformed_comparison_is_named(line: str, complaint: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_compare(line)
    assert (str(caught.value), caught.value.code) == (complaint, 3)


def test_requests_are_understood_with_their_flags() -> None:
    put = parse_request("put a b --lease=1f --prev-kv").request_put
    assert put == PutRequest(key=b"a", value=b"b", lease=31, prev_kv=True)
    get = parse_request("get a c --limit 3 --keys-only").request_range
    assert get == RangeRequest(key=b"a", range_end=b"c", limit=3, keys_only=True)
    delete = parse_request("del --prefix a").request_delete_range
    assert delete == DeleteRangeRequest(key=b"a", range_end=b"b")
    assert parse_request("pu -- -a -b").request_put == PutRequest(key=b"-a", value=b"-b")


@pytest.mark.parametrize(
    ("line", "code", "complaint"),
    [
        ("put", 3, "invalid txn compare request: put"),
        ("foo a b", 3, "invalid txn request: foo a b"),
        ("put a b --nope", 3, "invalid txn request: put a b --nope"),
        ("get a -w json", 3, "invalid txn request: get a -w json"),
        ("put a --help", 3, "invalid txn request: put a --help"),
        ("put a", 128, "put command needs 1 argument and input from stdin or 2 arguments"),
        ("del a b c", 128, "del command needs one argument as key"),
    ],
)
def test_a_bad_request_is_named(line: str, code: int, complaint: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_request(line)
    assert str(caught.value).startswith(complaint) and caught.value.code == code
