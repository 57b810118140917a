"""Durations and sizes as Go programs read and print them.

Durations are nanoseconds (int): `1h2m3.5s`, `150ms`, `1.5µs`, `0s`.  Sizes are SI: `25 kB`.
Source: the documented behaviour of Go's time.Duration; sizes as etcdctl prints them.
"""

from __future__ import annotations

from petcd.cli.quoting import quote

NANOSECOND = 1
MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000

_UNITS = {
    "ns": NANOSECOND,
    "us": MICROSECOND,
    "µs": MICROSECOND,  # micro sign
    "μs": MICROSECOND,  # Greek mu
    "ms": MILLISECOND,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_DURATION_MAX = (1 << 63) - 1
_SIZE_NAMES = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


class DurationFault(ValueError):
    """Text that is no duration, with Go's words."""


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration such as `1m30s`.  Raises DurationFault."""
    sign = -1 if text[:1] == "-" else 1
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise DurationFault(f"time: invalid duration {quote(text)}")
    total = 0
    while rest:
        amount, unit, rest = _split_amount(rest)
        whole, _, fraction = amount.partition(".")
        if not (whole or fraction):
            raise DurationFault(f"time: invalid duration {quote(text)}")
        if not unit:
            raise DurationFault(f"time: missing unit in duration {quote(text)}")
        if unit not in _UNITS:
            raise DurationFault(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        size = _UNITS[unit]
        total += int(whole or "0") * size
        total += int(fraction or "0") * size // 10 ** len(fraction)
        if total > _DURATION_MAX:
            raise DurationFault(f"time: invalid duration {quote(text)}")
    return sign * total


def _split_amount(text: str) -> tuple[str, str, str]:
    """(digits with an optional point, unit, rest)."""
    pos = 0
    points = 0
    while pos < len(text) and (text[pos] in "0123456789" or (text[pos] == "." and not points)):
        points += text[pos] == "."
        pos += 1
    stop = pos
    while stop < len(text) and text[stop] not in "0123456789.":
        stop += 1
    return text[:pos], text[pos:stop], text[stop:]


def format_duration(nanoseconds: int) -> str:
    """As Go prints a duration: the largest fitting unit, no trailing zeros."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    left = abs(nanoseconds)
    if left < SECOND:
        for unit, size in (("ns", NANOSECOND), ("µs", MICROSECOND), ("ms", MILLISECOND)):
            if left < size * 1000:
                return f"{sign}{_decimal(left, size)}{unit}"
    minutes, rest = divmod(left, 60 * SECOND)
    text = f"{_decimal(rest, SECOND)}s"
    if minutes:
        text = f"{minutes % 60}m{text}"
    if minutes >= 60:
        text = f"{minutes // 60}h{text}"
    return sign + text


def _decimal(amount: int, size: int) -> str:
    whole, fraction = divmod(amount, size)
    if not fraction:
        return str(whole)
    digits = str(fraction).rjust(len(str(size)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}"


def format_size(size_bytes: int) -> str:
    """SI units with two significant digits below ten: `999 B`, `1.0 kB`, `25 kB`, `2.1 MB`."""
    if size_bytes < 10:
        return f"{size_bytes} B"
    power = 0
    while power < len(_SIZE_NAMES) - 1 and size_bytes >= 1000 ** (power + 1):
        power += 1
    value = int(size_bytes / 1000**power * 10 + 0.5) / 10
    return (
        f"{value:.1f} {_SIZE_NAMES[power]}" if value < 10 else f"{value:.0f} {_SIZE_NAMES[power]}"
    )
