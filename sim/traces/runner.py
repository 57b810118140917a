"""Finding traces below a folder, replaying them, and saying where one differs."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from petcd.raft import InvariantBroken
from sim.traces import confchange, interaction, quorum
from sim.traces.arguments import CommandError
from sim.traces.script import Directive, Script, ScriptError, format_output, parse_script

_CONTEXT_LINES = 5
_SUFFIXES = ("", ".txt", ".trace")


class Player(Protocol):
    """Runs the directives of one script in order."""

    def run(self, directive: Directive) -> str:
        """The output of one directive; raises `ScriptError`."""
        ...


@dataclass(frozen=True)
class Failure:
    """Where a trace differs, and how."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def find_traces(where: Path) -> list[Path]:
    """All traces below a folder, or the one file given, in order of their names."""
    if where.is_file():
        return [where]
    found = [path for path in where.rglob("*") if path.is_file() and _may_be_trace(path)]
    return sorted(found)


def _may_be_trace(path: Path) -> bool:
    name = path.name
    if name.startswith((".", "#")) or name.endswith("~"):
        return False
    if path.suffix == ".txt":
        return True
    if path.suffix not in _SUFFIXES:
        return False
    with open(path, "rb") as file:
        return b"\n----\n" in file.read()


def make_player(path: Path, script: Script) -> Player:
    """The player for a script: known by its commands, else by the folders it lies in."""
    commands = script.commands()
    folders = path.resolve().parts[:-1]
    if commands & quorum.COMMANDS or (
        not commands & (confchange.COMMANDS | interaction.COMMANDS) and "quorum" in folders
    ):
        return quorum.QuorumScript()
    if commands & confchange.COMMANDS or (
        not commands & interaction.COMMANDS and "confchange" in folders
    ):
        return confchange.ConfChangeScript()
    return interaction.InteractionScript()


def replay(path: Path) -> Failure | None:
    """Run one trace up to its first difference; None if there is none."""
    try:
        script = parse_script(path.read_text(encoding="utf-8"))
    except (ScriptError, UnicodeDecodeError) as error:
        return Failure(path, 1, str(error))
    player = make_player(path, script)
    for directive in script.directives:
        try:
            actual = _output(player, directive)
        except (ScriptError, CommandError, InvariantBroken) as error:
            return Failure(path, directive.line, f"{directive.command}: {error!r}")
        if actual != directive.expected:
            return Failure(path, directive.line, _difference(directive, actual))
    return None


def rewrite(path: Path) -> bool:
    """Put what happens into the script; True if that changed it. Raises `ScriptError`."""
    before = path.read_text(encoding="utf-8")
    script = parse_script(before)
    player = make_player(path, script)
    parts = [each.text + format_output(_output(player, each)) for each in script.directives]
    after = "".join(parts) + script.tail
    if after.endswith("\n\n"):
        after = after[:-1]
    if after != before:
        path.write_text(after, encoding="utf-8")
    return after != before


def _output(player: Player, directive: Directive) -> str:
    output = player.run(directive)
    if output and not output.endswith("\n"):
        output += "\n"
    return output


def _difference(directive: Directive, actual: str) -> str:
    diff = difflib.unified_diff(
        directive.expected.splitlines(),
        actual.splitlines(),
        "expected",
        "actual",
        lineterm="",
        n=_CONTEXT_LINES,
    )
    head = directive.text.strip().split("\n")
    shown = [line for line in head if line and not line.startswith("#")]
    return os.linesep.join([f"{' / '.join(shown)}: output differs", *diff])
