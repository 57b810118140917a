"""The help of a command or a group, in the sections that etcd's tools use.

NAME, USAGE, VERSION (program only), API VERSION (groups), COMMANDS, DESCRIPTION, EXAMPLES, OPTIONS,
GLOBAL OPTIONS.  Pure: text from declarations.
"""

from __future__ import annotations

from collections.abc import Sequence

from petcd.cli.commands import Command, Entry, Found, Group
from petcd.cli.flags import BOOL, HELP, STRING, Flag
from petcd.cli.quoting import quote

INDENT = "    "


class Edition:
    """Versions that the help shows."""

    __slots__ = ("api", "program")

    def __init__(self, program: str, api: str) -> None:
        self.program = program
        self.api = api


def help_of(found: Found, command: Command | None, edition: Edition) -> str:
    """The whole help of what was found; `command` is its declaration, None for a group."""
    target = found.target
    program = found.path[0].name
    sections = [("NAME", [f"{found.title()} - {target.summary}"])]
    if command is not None:
        words = [program, *[node.name for node in found.path[1:-1]], command.usage, "[flags]"]
    else:
        words = [program, *[node.name for node in found.path[1:]], "<command> [flags]"]
    sections.append(("USAGE", [" ".join(words)]))
    if len(found.path) == 1:
        sections.append(("VERSION", [edition.program]))
    if isinstance(target, Group):
        sections.append(("API VERSION", [edition.api]))
        sections.append(("COMMANDS", _columns(_commands(target))))
        if target.description:
            sections.append(("DESCRIPTION", target.description.strip("\n").split("\n")))
    if command is not None:
        if command.description:
            sections.append(("DESCRIPTION", command.description.strip("\n").split("\n")))
        if command.examples:
            sections.append(("EXAMPLES", _examples(program, command.examples)))
    own = list(target.flags if isinstance(target, Group) else command.flags if command else ())
    sections.append(("OPTIONS", flag_lines([*own, HELP])))
    inherited = found.inherited()
    if inherited:
        sections.append(("GLOBAL OPTIONS", flag_lines(inherited)))
    return "\n".join([_section(title, lines) for title, lines in sections])


def _section(title: str, lines: Sequence[str]) -> str:
    return f"{title}:\n" + "".join([f"{INDENT}{line}".rstrip() + "\n" for line in lines])


def _commands(group: Group, above: str = "") -> list[tuple[str, str]]:
    rows = []
    for entry in sorted(group.entries, key=lambda entry: entry.name):
        name = f"{above}{entry.name}"
        if isinstance(entry, Entry):
            rows.append((name, entry.summary))
        else:
            rows += _commands(entry, f"{name} ")
    return rows


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows)
    return [f"{left.ljust(width)}  {right}" for left, right in rows]


def _examples(program: str, examples: Sequence[tuple[str, str]]) -> list[str]:
    lines = []
    for line, what in examples:
        lines += [f"# {what}", f"$ {line.replace('%', program)}"]
    return lines


def flag_lines(flags: Sequence[Flag]) -> list[str]:
    """One line per flag, by name: `-w, --write-out="simple"  what it does`."""
    rows = []
    for flag in sorted(flags, key=lambda flag: flag.name):
        start = f"-{flag.short}, " if flag.short else " " * 4
        default = flag.shown(flag.default)
        if flag.kind == STRING:
            default = quote(default)
        shown = f"[={default}]" if flag.kind == BOOL else f"={default}"
        rows.append((f"{start}--{flag.name}{shown}", flag.usage))
    return _columns(rows)
