"""Text as Go prints and reads it."""

import pytest

from petcd.cli.quoting import (
    NumberFault,
    SyntaxFault,
    parse_bool,
    parse_int,
    parse_uint,
    quote,
    unquote,
)


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (b"", '""'),
        (b"plain text", '"plain text"'),
        (b'a"b\\c', '"a\\"b\\\\c"'),
        (b"\a\b\t\n\v\f\r", '"\\a\\b\\t\\n\\v\\f\\r"'),
        (b"\x00\x1b\x7f", '"\\x00\\x1b\\x7f"'),
        (b"\xff\xfe", '"\\xff\\xfe"'),
        ("grüße 😀".encode(), '"grüße 😀"'),
        ("\u200b\u00a0\u2028".encode(), '"\\u200b\\u00a0\\u2028"'),
        ("\U000e0001".encode(), '"\\U000e0001"'),
        ("text", '"text"'),
    ],
)
def test_a_value_is_quoted_as_go_does(value: bytes | str, literal: str) -> None:
    assert quote(value) == literal
    if isinstance(value, bytes):
        assert unquote(literal) == value


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("`raw \\n`", b"raw \\n"),
        ('"\\101\\x41\\u0041\\U00000041"', b"AAAA"),
        ('"\\u00e4"', "ä".encode()),
        ('"\\377"', b"\xff"),
    ],
)
def test_a_literal_is_read(literal: str, value: bytes) -> None:
    assert unquote(literal) == value


@pytest.mark.parametrize(
    "literal",
    [
        "",
        '"',
        "x",
        '"a',
        "'a'",
        '"\\q"',
        '"\\x4"',
        '"\\x4g"',
        '"\\400"',
        '"\\ud800"',
        '"a"b"',
        '"\n"',
    ],
)
def test_what_is_no_literal_is_refused(literal: str) -> None:
    with pytest.raises(SyntaxFault, match="invalid syntax"):
        unquote(literal)


@pytest.mark.parametrize(
    ("text", "base", "number"),
    [
        ("0", 10, 0),
        ("-5", 10, -5),
        ("+5", 10, 5),
        ("ff", 16, 255),
        ("0x10", 0, 16),
        ("010", 0, 8),
        ("0b11", 0, 3),
        ("1_000", 0, 1000),
        ("9223372036854775807", 10, (1 << 63) - 1),
        ("-9223372036854775808", 10, -(1 << 63)),
    ],
)
def test_a_number_is_read(text: str, base: int, number: int) -> None:
    assert parse_int(text, base) == number


@pytest.mark.parametrize(
    ("text", "base", "why"),
    [
        ("", 10, "invalid syntax"),
        ("x", 10, "invalid syntax"),
        ("1_000", 10, "invalid syntax"),
        ("0x10", 16, "invalid syntax"),
        ("zz", 16, "invalid syntax"),
        (" 1", 10, "invalid syntax"),
        ("٣", 10, "invalid syntax"),
        ("9223372036854775808", 10, "value out of range"),
        ("ffffffffffffffff", 16, "value out of range"),
    ],
)
def test_a_bad_number_is_named_as_strconv_does(text: str, base: int, why: str) -> None:
    with pytest.raises(NumberFault) as caught:
        parse_int(text, base)
    assert str(caught.value) == f"strconv.ParseInt: parsing {quote(text)}: {why}"


def test_unsigned_numbers_have_no_sign() -> None:
    assert parse_uint("ffffffffffffffff", 16) == (1 << 64) - 1
    with pytest.raises(NumberFault, match="ParseUint"):
        parse_uint("-1")


def test_booleans_have_gos_spellings() -> None:
    assert all(parse_bool(text) for text in ("1", "t", "T", "true", "TRUE", "True"))
    assert not any(parse_bool(text) for text in ("0", "f", "F", "false", "FALSE", "False"))
    with pytest.raises(NumberFault) as caught:
        parse_bool("maybe")
    assert str(caught.value) == 'strconv.ParseBool: parsing "maybe": invalid syntax'
