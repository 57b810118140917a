"""Log lines as etcd's Go client writes them: one JSON object a line.

`{"level":"warn","ts":"2026-01-02T03:04:05.678Z","logger":"etcd-client","caller":...,"msg":...}`

A `Log` is a function, so that a library user can pass anything and a test can collect.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Log = Callable[[str, str, str, dict[str, str | int]], None]
"""Called as `log(level, caller, message, fields)`."""

_ESCAPES = {
    **{code: f"\\u{code:04x}" for code in (*range(0x20), 0x3C, 0x3E, 0x26, 0x2028, 0x2029)},
    0x22: '\\"',
    0x5C: "\\\\",
    0x0A: "\\n",
    0x0D: "\\r",
    0x09: "\\t",
}


def json_string(text: str) -> str:
    """A JSON string as Go's encoder writes it: <, > and & escaped, broken UTF-8 replaced."""
    return '"' + replace_surrogates(text).translate(_ESCAPES) + '"'


def replace_surrogates(text: str) -> str:
    """Bytes that were no UTF-8 (held as lone surrogates) become U+FFFD."""
    if text.isascii():
        return text
    return "".join(["\ufffd" if "\ud800" <= ch <= "\udfff" else ch for ch in text])


def timestamp(seconds: float) -> str:
    """UTC, milliseconds: 2026-01-02T03:04:05.678Z."""
    whole = int(seconds)
    date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{date}.{int((seconds - whole) * 1000):03d}Z"


def log_line(
    level: str,
    logger: str,
    caller: str,
    message: str,
    fields: dict[str, str | int],
    seconds: float | None = None,
) -> str:
    """One line without its newline.  `seconds` since the epoch; None: now."""
    now = time.time() if seconds is None else seconds
    pairs: list[tuple[str, str | int]] = [("level", level), ("ts", timestamp(now))]
    if logger:
        pairs.append(("logger", logger))
    pairs += [("caller", caller), ("msg", message), *fields.items()]
    shown = [
        f"{json_string(name)}:{json_string(value) if isinstance(value, str) else value}"
        for name, value in pairs
    ]
    return "{" + ",".join(shown) + "}"


def silent(level: str, caller: str, message: str, fields: dict[str, str | int]) -> None:
    """The log of who wants none."""
