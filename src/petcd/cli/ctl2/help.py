"""The help of the program, a group or a command, in the sections that etcd's v2 tools use."""

from __future__ import annotations

from collections.abc import Sequence

from petcd.cli.commands import Command, Entry, Group
from petcd.cli.flags import BOOL, DURATION, INT, Flag
from petcd.cli.quoting import quote
from petcd.version import ETCD_VERSION, PETCD_VERSION

INDENT = "   "
BOTH_SETS = """\
This is the command set of API 2.  ETCDCTL_API=2 picks it, ETCDCTL_API=3 or no such
variable picks that of API 3.  Commands that only one set has need no variable:
etcdctl set /key value"""


def of_program(root: Group) -> str:
    commands = [(entry.name, entry.summary) for entry in root.entries]
    return _sections(
        [
            ("NAME", [f"{root.name} - {root.summary}"]),
            ("USAGE", [f"{root.name} [global options] command [command options] [arguments...]"]),
            ("VERSION", [f"{ETCD_VERSION} (petcd {PETCD_VERSION})"]),
            ("DESCRIPTION", BOTH_SETS.split("\n")),
            ("COMMANDS", _columns([*commands, ("help, h", "show the help of a command")])),
            ("GLOBAL OPTIONS", flag_lines(root.flags)),
        ]
    )


def of_group(root: Group, group: Group, help_flag: Flag) -> str:
    return _sections(
        [
            ("NAME", [f"{root.name} {group.name} - {group.summary}"]),
            ("USAGE", [f"{root.name} {group.name} command [command options] [arguments...]"]),
            ("COMMANDS", _columns([(entry.name, entry.summary) for entry in group.entries])),
            ("OPTIONS", flag_lines([help_flag])),
        ]
    )


def of_command(path: Sequence[Group | Entry], command: Command) -> str:
    """`path` from the program to the command."""
    name = " ".join([node.name for node in path])
    options = "[command options] " if command.flags else ""
    sections = [
        ("NAME", [f"{name} - {path[-1].summary}"]),
        ("USAGE", [f"{name} {options}{command.usage}"]),
    ]
    if command.description:
        sections.append(("DESCRIPTION", command.description.strip("\n").split("\n")))
    if command.flags:
        sections.append(("OPTIONS", flag_lines(command.flags)))
    return _sections(sections)


def _sections(sections: Sequence[tuple[str, Sequence[str]]]) -> str:
    return "\n".join(
        [
            f"{title}:\n" + "".join([f"{INDENT}{line}".rstrip() + "\n" for line in lines])
            for title, lines in sections
        ]
    )


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows)
    return [f"{left.ljust(width)}  {right}" for left, right in rows]


def flag_lines(flags: Sequence[Flag]) -> list[str]:
    """One line per flag, in their order: `--recursive, -r  what it does`."""
    rows = []
    for flag in flags:
        value = "" if flag.kind == BOOL else " value"
        names = [name for name in (flag.name, flag.short) if name]
        shown = ", ".join([f"{'--' if len(name) > 1 else '-'}{name}{value}" for name in names])
        rows.append((shown, flag.usage + _default(flag)))
    return _columns(rows)


def _default(flag: Flag) -> str:
    if flag.kind in (INT, DURATION):
        return f" (default: {flag.shown(flag.default)})"
    if flag.kind != BOOL and flag.default:
        return f" (default: {quote(flag.shown(flag.default))})"
    return ""
