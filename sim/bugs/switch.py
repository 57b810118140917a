"""Replacing functions of the production code for a while.

A patch names its target exactly. It is refused when the target does not exist, or when the
replacement has other parameters: then the code has changed and the exhibit must be looked at.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple


class Rotten(Exception):
    """What an exhibit patches is not there any more, or is something else."""


class Patch(NamedTuple):
    """`owner`'s own attribute `name` becomes `new`. The owner is a class or a module."""

    owner: Any
    name: str
    new: Any


def everywhere(module: Any, name: str, new: Callable[..., Any]) -> list[Patch]:
    """A function under whatever name the modules of petcd have imported it."""
    old = _target(module, name)
    return [
        Patch(holder, name, new)
        for key, holder in sorted(sys.modules.items())
        if key.startswith("petcd.") and vars(holder).get(name) is old
    ]


class applied:
    """The context in which patches are in. They are taken back in any case."""

    def __init__(self, patches: list[Patch]) -> None:
        for patch in patches:
            _compare(patch)
        self._patches = patches
        self._before: list[Any] = []

    def __enter__(self) -> None:
        self._before = [vars(patch.owner)[patch.name] for patch in self._patches]
        for patch in self._patches:
            setattr(patch.owner, patch.name, patch.new)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for patch, before in zip(self._patches, self._before, strict=True):
            setattr(patch.owner, patch.name, before)


def _target(owner: Any, name: str) -> Any:
    try:
        return vars(owner)[name]
    except KeyError:
        raise Rotten(f"{owner.__name__} has no {name}") from None


def _compare(patch: Patch) -> None:
    old, new = _target(patch.owner, patch.name), patch.new
    where = f"{patch.owner.__name__}.{patch.name}"
    if isinstance(old, property) and isinstance(new, property):
        old, new = old.fget, new.fget
    if callable(old) != callable(new):
        raise Rotten(f"{where} is {type(old).__name__}")
    if callable(old) and not isinstance(old, type):
        before, after = _parameters(old), _parameters(new)
        if before != after:
            raise Rotten(f"{where} takes {before}, its replacement {after}")


def _parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)
