"""Commands and how a command line finds one.

```
Group etcdctl        flags that all below inherit
  Entry get          -> "petcd.cli.ctl.get:GET", loaded when it is called
  Group lease
    Entry grant      -> "petcd.cli.ctl.lease:GRANT"
```

A name may be cut to a prefix that only one command has.  Flags may stand before the command's name;
those that take a value take the next word with them.  What is found is the deepest command or group
that the words name; the words that are left are its arguments.

Adding a command is one `Entry` in a table and one module with a `Command`.
Source: the behaviour of the command library that etcd's tools use (cobra).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from petcd.cli.flags import BOOL, HELP, Flag
from petcd.cli.quoting import quote

SUGGESTION_DISTANCE_MAX = 2


class Command:
    """What a command's module declares.

    `usage` shows the arguments, `description` and `examples` are lines for its help, `flags` its
    own flags, `run` what it does.  `run` gets the invocation (the command set's own type).
    """

    __slots__ = ("description", "examples", "flags", "run", "usage")

    def __init__(
        self,
        usage: str,
        run: Callable[[Any], None],
        description: str = "",
        examples: Sequence[tuple[str, str]] = (),
        flags: Sequence[Flag] = (),
    ) -> None:
        self.usage = usage
        self.run = run
        self.description = description
        self.examples = tuple(examples)
        self.flags = tuple(flags)


class Entry:
    """A command's place in the table.  `where` is `module:NAME` of its `Command`."""

    __slots__ = ("name", "summary", "where")

    def __init__(self, name: str, summary: str, where: str) -> None:
        self.name = name
        self.summary = summary
        self.where = where

    def load(self) -> Command:
        """Import the command's module."""
        module, _, name = self.where.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, Command), self.where
        return command


class Group:
    """Commands under a common name.  `flags` are inherited by all of them."""

    __slots__ = ("description", "entries", "flags", "name", "summary")

    def __init__(
        self,
        name: str,
        summary: str,
        entries: Sequence[Entry | Group],
        flags: Sequence[Flag] = (),
        description: str = "",
    ) -> None:
        self.name = name
        self.summary = summary
        self.entries = tuple(entries)
        self.flags = tuple(flags)
        self.description = description

    def child(self, word: str) -> Entry | Group | None:
        """The one called `word`, or the only one whose name begins so."""
        for entry in self.entries:
            if entry.name == word:
                return entry
        begun = [entry for entry in self.entries if word and entry.name.startswith(word)]
        return begun[0] if len(begun) == 1 else None


class UnknownCommand(Exception):
    """A first word that names nothing; the text may suggest what was meant."""


class Found:
    """What a command line names: the path from the root, and the words that are left."""

    __slots__ = ("path", "words")

    def __init__(self, path: list[Group | Entry], words: list[str]) -> None:
        self.path = path
        self.words = words

    @property
    def target(self) -> Group | Entry:
        return self.path[-1]

    @property
    def groups(self) -> list[Group]:
        """The groups on the way, the target itself if it is one."""
        return [node for node in self.path if isinstance(node, Group)]

    def inherited(self) -> list[Flag]:
        """Flags from the groups above the target."""
        return [flag for node in self.path[:-1] if isinstance(node, Group) for flag in node.flags]

    def title(self) -> str:
        """Name without the program: `lease grant`; the program's for the root."""
        names = [node.name for node in self.path]
        return " ".join(names[1:] or names)


def find(root: Group, words: Sequence[str]) -> Found:
    """Raises UnknownCommand when the first word is none of the root's commands."""
    path: list[Group | Entry] = [root]
    left = list(words)
    known = [HELP, *root.flags]
    while isinstance(node := path[-1], Group):
        position = _first_argument(left, known)
        if position is None or not left[position]:
            break
        child = node.child(left[position])
        if child is None:
            if node is root:
                raise UnknownCommand(_complaint(root, left[position]))
            break
        del left[position]
        path.append(child)
        if isinstance(child, Group):
            known += child.flags
    return Found(path, left)


def _first_argument(words: Sequence[str], known: Sequence[Flag]) -> int | None:
    """Where the first word stands that is neither a flag nor a flag's value."""
    longs = {f"--{flag.name}" for flag in known if flag.kind == BOOL}
    shorts = {flag.short for flag in known if flag.kind == BOOL}
    pos = 0
    while pos < len(words):
        word = words[pos]
        if word == "--":
            return None
        pos += 1
        if word[:2] == "--":
            takes_next = "=" not in word and word not in longs
        elif word[:1] == "-" and len(word) > 1:
            takes_next = "=" not in word and len(word) == 2 and word[1] not in shorts
        else:
            return pos - 1
        pos += takes_next
    return None


def _complaint(root: Group, word: str) -> str:
    text = f"unknown command {quote(word)} for {quote(root.name)}"
    meant = [entry.name for entry in root.entries if _is_similar(word, entry.name)]
    if meant:
        text += "\n\nDid you mean this?\n" + "".join([f"\t{name}\n" for name in meant])
    return text


def _is_similar(word: str, name: str) -> bool:
    return name.startswith(word.lower()) or _distance(word.lower(), name) <= SUGGESTION_DISTANCE_MAX


def _distance(one: str, other: str) -> int:
    """How many letters must be added, removed or replaced (Levenshtein)."""
    above = list(range(len(other) + 1))
    for row, ch in enumerate(one, 1):
        line = [row]
        for column, letter in enumerate(other, 1):
            cost = above[column - 1] + (ch != letter)
            line.append(min(cost, above[column] + 1, line[-1] + 1))
        above = line
    return above[-1]
