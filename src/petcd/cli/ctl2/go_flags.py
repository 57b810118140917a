"""Flags as the command-line library of etcd's v2 tools reads them.

`-name value`, `--name=value`; one dash or two.  Every name of a flag is equal, the short one too;
letters cannot be joined.  Flags end at the first argument or at `--`; but those of a command are
first moved in front of the arguments, so that `set /k v --ttl 60` works.

Source: the documented behaviour of Go's flag package and of urfave/cli 1.22.
"""

from __future__ import annotations

from collections.abc import Sequence

from petcd.cli.flags import BOOL, Flag, FlagError, FlagSet
from petcd.cli.quoting import NumberFault, quote
from petcd.cli.units import DurationFault


def read(flags: FlagSet, words: Sequence[str]) -> None:
    """Values into `flags`, the rest into its `args`.  Raises FlagError."""
    names = {**flags.flags, **flags.shorts}
    used: dict[str, str] = {}
    pos = 0
    while pos < len(words):
        word = words[pos]
        if len(word) < 2 or word[0] != "-":
            break
        pos += 1
        if word == "--":
            break
        name, equals, text = word[2 if word[1] == "-" else 1 :].partition("=")
        if not name or name[0] == "-":
            raise FlagError(f"bad flag syntax: {word}")
        flag = names.get(name)
        if flag is None:
            raise FlagError(f"flag provided but not defined: -{name}")
        if not equals and flag.kind == BOOL:
            text = "true"
        elif not equals:
            if pos == len(words):
                raise FlagError(f"flag needs an argument: -{name}")
            text = words[pos]
            pos += 1
        _assign(flags, flag, name, text)
        if used.setdefault(flag.name, name) != name:
            raise FlagError(f"Cannot use two forms of the same flag: {flag.short} {flag.name}")
    flags.args = list(words[pos:])


def _assign(flags: FlagSet, flag: Flag, name: str, text: str) -> None:
    try:
        flags.set(flag, text)
    except (NumberFault, DurationFault) as error:
        reason = "value out of range" if str(error).endswith("out of range") else "parse error"
        if flag.kind == BOOL:
            raise FlagError(f"invalid boolean value {quote(text)} for -{name}: {reason}") from None
        raise FlagError(f"invalid value {quote(text)} for flag -{name}: {reason}") from None


def flags_first(flags: FlagSet, words: Sequence[str]) -> list[str]:
    """A command's words with its flags in front, each with the word behind it.

    What follows a flag moves along even when the flag takes no value; nothing moves behind `--`.
    """
    front: list[str] = []
    behind: list[str] = []
    value_may_follow = False
    for pos, word in enumerate(words):
        if word == "--":
            behind += words[pos:]
            break
        if value_may_follow and not word.startswith("-"):
            value_may_follow = False
            front.append(word)
        elif _is_flag(flags, word):
            front.append(word)
            value_may_follow = "=" not in word
        else:
            behind.append(word)
    return front + behind


def _is_flag(flags: FlagSet, word: str) -> bool:
    if not word.startswith("-"):
        return False
    name = word.removeprefix("-").removeprefix("-").partition("=")[0]
    return name in flags.flags or (name in flags.shorts and name != "")
