"""Flags as the command-line library of etcd's tools reads them (pflag), and their errors.

`--name value`, `--name=value`, `-n value`, `-nvalue`, `-n=value`; booleans as `--name`, `-n`, `-ab`
or `--name=false`.  Flags may stand between the arguments; `--` ends them.  The last value counts,
but a list grows with every use.

A `FlagSet` belongs to one invocation: it holds the values.  `Flag` is only the declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from petcd.cli.quoting import NumberFault, parse_bool, parse_int, quote
from petcd.cli.units import DurationFault, format_duration, parse_duration

STRING, BOOL, INT, DURATION, STRINGS = range(5)

Value = str | bool | int | list[str]


class FlagError(Exception):
    """A command line that cannot be read, in the library's words."""


class Flag:
    """A flag's declaration.  `name` without dashes, `short` one letter or "", `usage` one line.

    `default` is in the kind's type: str, bool, int, nanoseconds (int), list of str.
    """

    __slots__ = ("default", "kind", "name", "short", "usage")

    def __init__(self, name: str, kind: int, default: Value, usage: str, short: str = "") -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.usage = usage
        self.short = short

    def spelled(self) -> str:
        """How errors name it: `-w, --write-out` or `--hex`."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"

    def shown(self, value: Value) -> str:
        """A value of this flag as text."""
        if self.kind == BOOL:
            return "true" if value else "false"
        if isinstance(value, list):
            return "[" + ",".join([_csv_field(item) for item in value]) + "]"
        if self.kind == DURATION:
            assert isinstance(value, int)
            return format_duration(value)
        return str(value)


HELP = Flag("help", BOOL, False, "show this help", "h")


def _csv_field(item: str) -> str:
    if any(ch in item for ch in ',"\n\r') or item[:1].isspace():
        return '"' + item.replace('"', '""') + '"'
    return item


def _read_csv(text: str) -> list[str]:
    """One record of comma-separated values; quotes may enclose a value."""
    if not text:
        return []
    if '"' not in text:
        return text.split(",")
    import csv

    return next(csv.reader([text], strict=True))


_READERS: dict[int, Callable[[str], Value]] = {
    STRING: str,
    BOOL: parse_bool,
    INT: lambda text: parse_int(text, 0),
    DURATION: parse_duration,
    STRINGS: _read_csv,
}


class FlagSet:
    """The flags one command understands and their values.

    After `parse`, `args` is what remains and `dash` the number of arguments in front of `--`, None
    when there was none.
    """

    def __init__(self, flags: Sequence[Flag]) -> None:
        self.flags = {flag.name: flag for flag in flags}
        self.shorts = {flag.short: flag for flag in flags if flag.short}
        self.values: dict[str, Value] = {}
        self.given: set[str] = set()
        """Names that were set, by command line or otherwise."""
        self.args: list[str] = []
        self.dash: int | None = None

    # -- values ------------------------------------------------------------------------------------

    def set(self, flag: Flag, text: str) -> None:
        """Give a flag a value.  Raises FlagError, NumberFault or DurationFault in pflag's words."""
        value = _READERS[flag.kind](text)
        if isinstance(value, list) and flag.name in self.given:
            value = [*self.strings(flag.name), *value]
        self.values[flag.name] = value
        self.given.add(flag.name)

    def get(self, name: str) -> Value:
        """The value, or the default."""
        value = self.values.get(name)
        return self.flags[name].default if value is None else value

    def string(self, name: str) -> str:
        value = self.get(name)
        assert isinstance(value, str)
        return value

    def boolean(self, name: str) -> bool:
        value = self.get(name)
        assert isinstance(value, bool)
        return value

    def integer(self, name: str) -> int:
        """A number; of a duration its nanoseconds."""
        value = self.get(name)
        assert isinstance(value, int)
        return value

    def seconds(self, name: str) -> float:
        """A duration in seconds."""
        return self.integer(name) / 1e9

    def strings(self, name: str) -> list[str]:
        value = self.get(name)
        assert isinstance(value, list)
        return list(value)

    # -- the command line --------------------------------------------------------------------------

    def parse(self, words: Sequence[str]) -> None:
        """Read a command line.  Raises FlagError."""
        pos = 0
        while pos < len(words):
            word = words[pos]
            pos += 1
            if word == "--":
                self.dash = len(self.args)
                self.args += words[pos:]
                return
            if len(word) < 2 or word[0] != "-":
                self.args.append(word)
            elif word[1] == "-":
                pos = self._long(word, words, pos)
            else:
                pos = self._shorts(word, words, pos)

    def _long(self, word: str, words: Sequence[str], pos: int) -> int:
        name, equals, text = word[2:].partition("=")
        if not name or name[0] == "-":
            raise FlagError(f"bad flag syntax: {word}")
        flag = self.flags.get(name)
        if flag is None:
            raise FlagError(f"unknown flag: --{name}")
        if not equals:
            if flag.kind == BOOL:
                text = "true"
            elif pos < len(words):
                text = words[pos]
                pos += 1
            else:
                raise FlagError(f"flag needs an argument: {word}")
        self._assign(flag, text)
        return pos

    def _shorts(self, word: str, words: Sequence[str], pos: int) -> int:
        letters = word[1:]
        while letters:
            flag = self.shorts.get(letters[0])
            if flag is None:
                shown = letters[0] if letters[0] != "'" else "\\'"
                raise FlagError(f"unknown shorthand flag: '{shown}' in -{letters}")
            rest = letters[1:]
            if rest[:1] == "=" and len(rest) > 1:
                text, letters = rest[1:], ""
            elif flag.kind == BOOL:
                text, letters = "true", rest
            elif rest:
                text, letters = rest, ""
            elif pos < len(words):
                text, letters = words[pos], ""
                pos += 1
            else:
                raise FlagError(f"flag needs an argument: '{letters[0]}' in -{letters}")
            self._assign(flag, text)
        return pos

    def _assign(self, flag: Flag, text: str) -> None:
        try:
            self.set(flag, text)
        except (NumberFault, DurationFault, ValueError) as error:
            raise FlagError(
                f"invalid argument {quote(text)} for {quote(flag.spelled())} flag: {error}"
            ) from None
