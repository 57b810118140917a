"""Usage texts of commands whose flags are pflag's, laid out as Go's command library does it:

--name type   what it is (default value)
"""

from __future__ import annotations

from collections.abc import Sequence

from petcd.cli.flags import BOOL, DURATION, INT, STRING, STRINGS, Flag
from petcd.cli.quoting import quote

_TYPES = {STRING: " string", BOOL: "", INT: " int", DURATION: " duration", STRINGS: " strings"}


def usage_of(command: str, flags: Sequence[Flag]) -> str:
    """The usage of a command: `Usage:` and `Flags:`, these by name, help among them."""
    rows = [(f"      --{flag.name}{_TYPES[flag.kind]}", _meaning(flag)) for flag in flags]
    rows.append(("  -h, --help", f"help for {command.rpartition(' ')[2]}"))
    rows.sort(key=lambda row: row[0].partition("--")[2])
    width = max(len(left) for left, _ in rows) + 3
    lines = "".join(f"{left.ljust(width)}{meaning}\n" for left, meaning in rows)
    return f"Usage:\n  {command} [flags]\n\nFlags:\n{lines}"


def _meaning(flag: Flag) -> str:
    if not flag.default:
        return flag.usage
    shown = flag.shown(flag.default)
    return f"{flag.usage} (default {quote(shown) if flag.kind == STRING else shown})"


def group_help(group: str, summary: str, start: str) -> str:
    """The help of a group of which `start` is the only command."""
    return f"""{summary}

Usage:
  etcd {group} [command]

Available Commands:
  start       {start}

Flags:
  -h, --help   help for {group}

Use "etcd {group} [command] --help" for more information about a command.
"""
