"""Logs of several members on one screen: who said it, when, and what."""

import json
import sys
from pathlib import Path

COLOURS = (36, 33, 35, 32, 34, 31)
SKIPPED = ("level", "ts", "caller", "logger", "msg", "stacktrace")
VALUE_CHARACTERS_MAX = 60
LINE_CHARACTERS_MAX = 300


def painted(name: str) -> str:
    """The member's name in its colour, on a terminal."""
    if not sys.stdout.isatty():
        return name
    number = int(name.strip("m") or 0)
    return f"\x1b[{COLOURS[number % len(COLOURS)]}m{name}\x1b[0m"


class Tail:
    """What is new in a member's log."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        self.position = path.stat().st_size if path.exists() else 0
        self.rest = b""

    def lines(self) -> list[str]:
        """Whole lines that came since the last time."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.position)
                data = file.read()
        except FileNotFoundError:
            return []
        self.position += len(data)
        *whole, self.rest = (self.rest + data).split(b"\n")
        return [f"{painted(self.name)} {readable(line.decode(errors='replace'))}" for line in whole]


def readable(line: str) -> str:
    """A line of JSON as `time level message name=value ...`, any other line as it is."""
    try:
        fields = json.loads(line)
    except ValueError:
        return line[:LINE_CHARACTERS_MAX]
    if not isinstance(fields, dict):
        return line[:LINE_CHARACTERS_MAX]
    time = str(fields.get("ts", ""))[11:23]
    parts = [time, str(fields.get("level", "")).ljust(5), str(fields.get("msg", ""))]
    parts += [
        f"{name}={str(value)[:VALUE_CHARACTERS_MAX]}"
        for name, value in fields.items()
        if name not in SKIPPED
    ]
    return " ".join(parts)[:LINE_CHARACTERS_MAX]
