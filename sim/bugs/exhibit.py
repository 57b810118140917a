"""What an exhibit of the museum is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sim.bugs.switch import Patch

DIVERGED = (
    "members hold different data",
    "bucket",
    "hashes differ",
    "answered wrongly",
    "nobody wrote a revision",
    "was seen that nobody made",
    "two writes have one revision",
    "a session goes back",
    "went back in time",
    "a stale read",
    "a write should have changed nothing",
    "a revision was seen before its write",
)
"""How the checkers tell that members' data went different ways, or that writes got lost."""


class Exhibit(NamedTuple):
    """One known defect.

    `source`: where it was shipped. `breaks`: what is wrong with it, in a sentence. `laws`: parts of
    the words by which the simulator tells it, any of them. `seeds`: in so many worlds it must be
    found. `options`: of the worlds, where the usual ones would meet the defect too seldom.
    `stage`: further patches, of the simulator, that make its circumstances more frequent.
    """

    name: str
    source: str
    breaks: str
    laws: tuple[str, ...]
    defect: Callable[[], list[Patch]]
    seeds: int = 60
    options: dict[str, Any] = {}  # noqa: RUF012
    stage: Callable[[], list[Patch]] = list

    def patches(self) -> list[Patch]:
        """All that the switch puts in."""
        return [*self.defect(), *self.stage()]
