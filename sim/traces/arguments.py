"""Reading numbers and truth values as the commands of a script give them."""

from __future__ import annotations

from petcd.raft import ConfChangeSingle, ConfChangeType
from sim.traces.script import Directive, ScriptError

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_CHANGE_TYPES = {
    "v": ConfChangeType.ADD_NODE,
    "l": ConfChangeType.ADD_LEARNER_NODE,
    "r": ConfChangeType.REMOVE_NODE,
    "u": ConfChangeType.UPDATE_NODE,
}


class CommandError(Exception):
    """A command fails with this text, which then is its output."""


def parse_uint(text: str) -> int:
    """An unsigned 64-bit decimal; raises `CommandError` with Go's words."""
    if not (text.isascii() and text.isdigit()):
        raise CommandError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    number = int(text)
    if number >= 1 << 64:
        raise CommandError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return number


def parse_bool(text: str) -> bool:
    """A truth value as Go spells it; raises `CommandError` with Go's words."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise CommandError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def number_of(directive: Directive, text: str) -> int:
    """A decimal that the script must give; raises `ScriptError`."""
    try:
        return int(text)
    except ValueError:
        raise ScriptError(f"{directive.command}: {text!r} is no number") from None


def bare_numbers(directive: Directive) -> list[int]:
    """The arguments that are plain numbers; those of the form key=value are skipped."""
    return [number_of(directive, each.key) for each in directive.arguments if not each.values]


def first_number(directive: Directive) -> int:
    """The first argument, which must be a number."""
    if not directive.arguments:
        raise ScriptError(f"{directive.command}: an argument is missing")
    return number_of(directive, directive.arguments[0].key)


def value_of(directive: Directive, key: str) -> str:
    """The single value of argument `key`; raises `ScriptError`."""
    for argument in directive.arguments:
        if argument.key == key:
            if len(argument.values) != 1:
                raise ScriptError(f"{directive.command}: {key} takes one value")
            return argument.values[0]
    raise ScriptError(f"{directive.command}: {key} is missing")


def parse_changes(text: str) -> list[ConfChangeSingle]:
    """`v1 l2 r3 u4`: voter, learner, removal, update. Raises `CommandError`."""
    text = text.strip()
    changes = []
    for token in text.split(" ") if text else []:
        if len(token.encode()) < 2:
            raise CommandError(f"unknown token {token}")
        if token[0] not in _CHANGE_TYPES:
            raise CommandError(f"unknown input: {token}")
        changes.append(ConfChangeSingle(_CHANGE_TYPES[token[0]], parse_uint(token[1:])))
    return changes
