"""What a world has besides keys and faults: drawn from the seed, or as the options say.

    quota           a backend that becomes full, and an operator who makes room
    slow-watchers   clients of watches that stop reading for a while
    v2              clients of API 2 with all its conditions and times to live, and its watches

Most worlds have three members, some one or five. What is drawn here has a random of its own, so
that a further feature does not change the worlds that are without it.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from sim.options import Options

# How often a world has a feature, when the seed chooses.
CHANCES = {"quota": 0.25, "slow-watchers": 0.4, "v2": 0.4}
NONE = "none"
# What a usual load fills in some ten seconds, or in half a minute.
QUOTA_BYTES = (8_000, 15_000, 30_000)
MEMBERS = (3, 5, 1)
MEMBERS_WEIGHTS = (80, 10, 10)


class Features(NamedTuple):
    """`quota_bytes` is 0 for a world that never becomes full."""

    members: int
    quota_bytes: int
    slow_watchers: bool
    v2: bool

    def text(self) -> str:
        """For the story of a world."""
        parts = [f"{self.members} members" if self.members > 1 else "one member"]
        if self.quota_bytes:
            parts.append(f"a quota of {self.quota_bytes} bytes")
        if self.slow_watchers:
            parts.append("slow watchers")
        if self.v2:
            parts.append("clients of API 2")
        return ", ".join(parts)


def features_of(options: Options) -> Features:
    """What a world has. Raises ValueError when the options name a feature that there is not."""
    random = Random(f"features {options.seed}")
    drawn = {name for name, chance in CHANCES.items() if random.random() < chance}
    quota_bytes = random.choice(QUOTA_BYTES)
    members = random.choices(MEMBERS, MEMBERS_WEIGHTS)[0]
    if options.features:
        drawn = set() if options.features == NONE else set(options.features.split(","))
    unknown = sorted(drawn - set(CHANCES))
    if unknown:
        raise ValueError(f"no such feature: {', '.join(unknown)}")
    return Features(
        options.members or members,
        quota_bytes if "quota" in drawn else 0,
        "slow-watchers" in drawn,
        "v2" in drawn,
    )
