"""The notation of scripts: reading a file into directives.

    # comment
    command key key=value key=(value, value) \\
        more arguments
    input, to the line of dashes
    ----
    expected output, to the first blank line

    command
    ----
    ----
    expected output that holds blank lines

    ----
    ----

`subtest NAME` and `subtest end` only group; they have neither input nor output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

SEPARATOR = "----"
_BLANK_LINE = re.compile(r"^[\t ]*\n", re.MULTILINE)


class ScriptError(Exception):
    """The script itself is wrong: it does not parse, or uses a command wrongly."""


@dataclass(frozen=True)
class Argument:
    """`key`, `key=value` or `key=(value, value)`."""

    key: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Directive:
    """One command: where it stands, what it is given, and what it must print."""

    line: int
    command: str
    arguments: tuple[Argument, ...]
    input: str
    expected: str
    text: str
    """The lines before the expected output, to write the script anew."""


@dataclass
class Script:
    """All directives of a file, and the lines behind the last of them."""

    directives: list[Directive] = field(default_factory=list)
    tail: str = ""

    def commands(self) -> set[str]:
        """The names of the commands used."""
        return {directive.command for directive in self.directives}


def parse_line(line: str) -> tuple[str, tuple[Argument, ...]]:
    """Command and arguments of a directive's line; raises `ScriptError`."""
    command, _, rest = line.strip().partition(" ")
    arguments: list[Argument] = []
    rest = rest.strip()
    while rest:
        match = re.match(r"[^ =]+", rest)
        if match is None:
            raise ScriptError(f"cannot parse directive: {line}")
        key = match.group()
        rest = rest[match.end() :]
        values: tuple[str, ...] = ()
        if rest.startswith("="):
            values, rest = _parse_values(rest[1:], line)
        arguments.append(Argument(key, values))
        rest = rest.strip()
    return command, tuple(arguments)


def _parse_values(rest: str, line: str) -> tuple[tuple[str, ...], str]:
    """What follows the `=`, and what remains of the line behind it."""
    if not rest.startswith("("):
        value, _, rest = rest.partition(" ")
        return (value,), rest
    depth = 0
    start = 1
    values: list[str] = []
    for at, char in enumerate(rest):
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                values.append(rest[start:at].lstrip(" ") if values else rest[start:at])
                return tuple(values), rest[at + 1 :]
        elif char == "," and depth == 1:
            values.append(rest[start:at].lstrip(" ") if values else rest[start:at])
            start = at + 1
    raise ScriptError(f"cannot parse directive: {line}")


def parse_script(source: str) -> Script:
    """All directives of a script; raises `ScriptError`."""
    lines = [line.removesuffix("\r") for line in source.split("\n")]
    if lines and not lines[-1]:
        lines.pop()
    script = Script()
    reader = _Lines(lines)
    pending: list[str] = []
    for line in reader:
        pending.append(line)
        text = line.strip()
        number = reader.number
        if not text or text.startswith("#"):
            continue
        while text.endswith("\\") and reader.more():
            following = next(reader)
            pending.append(following)
            text = text.removesuffix("\\") + " " + following.strip()
        command, arguments = parse_line(text)
        if command == "subtest":
            continue
        script.directives.append(_read_body(reader, number, command, arguments, pending))
        pending = []
    script.tail = "".join([f"{line}\n" for line in pending])
    return script


class _Lines(Iterator[str]):
    """Lines with a count of those taken."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self.number = 0

    def more(self) -> bool:
        return self.number < len(self._lines)

    def __next__(self) -> str:
        if not self.more():
            raise StopIteration
        self.number += 1
        return self._lines[self.number - 1]


def _read_body(
    reader: _Lines,
    number: int,
    command: str,
    arguments: tuple[Argument, ...],
    pending: list[str],
) -> Directive:
    body: list[str] = []
    for line in reader:
        if line == SEPARATOR:
            break
        body.append(line)
    else:
        raise ScriptError(f"line {number}: {command} has no expected output")
    text = "".join([f"{line}\n" for line in [*pending, *body]])
    expected = _read_expected(reader)
    return Directive(number, command, arguments, "\n".join(body).strip(), expected, text)


def _read_expected(reader: _Lines) -> str:
    expected: list[str] = []
    line = next(reader, "")
    if line != SEPARATOR:
        while line.strip():
            expected.append(line)
            line = next(reader, "")
        return "".join([f"{each}\n" for each in expected])
    for line in reader:
        if line == SEPARATOR and reader.more():
            following = next(reader)
            if following == SEPARATOR:
                if next(reader, ""):
                    raise ScriptError(f"line {reader.number}: text behind a doubled separator")
                break
            expected += [line, following]
            continue
        expected.append(line)
    return "".join([f"{each}\n" for each in expected])


def format_output(output: str) -> str:
    """Separator and output as they stand in a script, with the blank line behind."""
    if _BLANK_LINE.search(output):
        return f"{SEPARATOR}\n{SEPARATOR}\n{output}{SEPARATOR}\n{SEPARATOR}\n\n"
    return f"{SEPARATOR}\n{output}\n"
