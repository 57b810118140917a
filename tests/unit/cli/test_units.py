"""Durations and sizes as Go programs print them."""

import pytest

from petcd.cli.units import DurationFault, format_duration, format_size, parse_duration

S = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("5s", 5 * S),
        ("1m30s", 90 * S),
        ("1.5h", 5400 * S),
        ("100ms", S // 10),
        ("1us", 1000),
        ("1µs", 1000),
        ("1μs", 1000),
        ("7ns", 7),
        ("-2s", -2 * S),
        ("+2s", 2 * S),
        (".5s", S // 2),
        ("2.s", 2 * S),
    ],
)
def test_a_duration_is_read(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", 'time: invalid duration ""'),
        ("x", 'time: invalid duration "x"'),
        ("s", 'time: invalid duration "s"'),
        ("5", 'time: missing unit in duration "5"'),
        ("1.2.3s", 'time: missing unit in duration "1.2.3s"'),
        ("5y", 'time: unknown unit "y" in duration "5y"'),
        ("9999999h", 'time: invalid duration "9999999h"'),
    ],
)
def test_a_bad_duration_is_named(text: str, complaint: str) -> None:
    with pytest.raises(DurationFault) as caught:
        parse_duration(text)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1500, "1.5µs"),
        (6255811, "6.255811ms"),
        (8562000, "8.562ms"),
        (2 * S, "2s"),
        (90 * S, "1m30s"),
        (3600 * S, "1h0m0s"),
        (S + S // 4, "1.25s"),
        (-S // 2, "-500ms"),
    ],
)
def test_a_duration_is_printed(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (9, "9 B"),
        (10, "10 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9949, "9.9 kB"),
        (20480, "20 kB"),
        (25_000, "25 kB"),
        (2_100_000, "2.1 MB"),
        (82_854_982, "83 MB"),
        (5 * 10**18, "5.0 EB"),
    ],
)
def test_a_size_is_printed(size: int, text: str) -> None:
    assert format_size(size) == text
