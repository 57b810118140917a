"""Whatever a user types is understood or refused in one documented way."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from petcd.cli.commands import UnknownCommand, find
from petcd.cli.ctl.exits import CommandError
from petcd.cli.ctl.txn_input import parse_compare, parse_request
from petcd.cli.ctl.v3 import GLOBAL_FLAGS, ROOT
from petcd.cli.ctl.watch_input import FLAGS, InvalidWatch, watch_line
from petcd.cli.flags import FlagError, FlagSet
from petcd.cli.quoting import NumberFault, SyntaxFault, parse_int, quote, unquote
from petcd.cli.text_table import WRAP_COLUMNS, wrap
from petcd.cli.units import DurationFault, format_duration, parse_duration

WORDS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["--", "-", "-w", "-wjson", "--write-out", "--hex", "--limit=5", "--prefix", "get", "lease"]
    ),
)
LINES = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from(
            ["val", "ver(", '"a"', "`a`", ")", " ", "=", "!=", '"7"', "put ", "get ", "'x", "\\"]
        ),
        max_size=10,
    ).map("".join),
)


@given(st.binary(max_size=40))
def test_what_is_quoted_reads_back(data: bytes) -> None:
    assert unquote(quote(data)) == data


@given(st.text(max_size=20))
def test_a_literal_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(SyntaxFault):
        unquote(f'"{text}"')
    with contextlib.suppress(SyntaxFault):
        unquote(text)


@given(st.text(max_size=24), st.sampled_from([0, 10, 16]))
def test_a_number_is_read_or_refused(text: str, base: int) -> None:
    with contextlib.suppress(NumberFault):
        assert -(1 << 63) <= parse_int(text, base) < 1 << 63


@given(st.integers(-(1 << 62), 1 << 62))
def test_a_duration_reads_back(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@given(st.text(alphabet="0123456789.hmsnuµ+-x", max_size=12))
def test_a_duration_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(DurationFault):
        parse_duration(text)


@given(st.lists(WORDS, max_size=6))
def test_a_command_line_is_understood_or_refused(words: list[str]) -> None:
    with contextlib.suppress(UnknownCommand):
        find(ROOT, words)
    with contextlib.suppress(FlagError):
        FlagSet(GLOBAL_FLAGS).parse(words)


@given(LINES)
def test_a_line_of_a_transaction_is_understood_or_refused(line: str) -> None:
    with contextlib.suppress(CommandError):
        parse_compare(line)
    with contextlib.suppress(CommandError):
        parse_request(line)


@given(st.lists(WORDS, max_size=6), st.lists(st.text(max_size=3), max_size=2))
def test_a_watch_is_understood_or_refused(words: list[str], env_keys: list[str]) -> None:
    flags = FlagSet(FLAGS)
    with contextlib.suppress(FlagError, CommandError, InvalidWatch):
        flags.parse(words)
        watch_line(flags, env_keys)


@given(st.text(alphabet="ab ", max_size=120))
def test_wrapped_text_keeps_its_words(text: str) -> None:
    lines = wrap(text)
    assert " ".join(lines) == text
    longest = max([WRAP_COLUMNS, *[len(word) for word in text.split(" ")]])
    assert all(len(line) <= longest for line in lines)
