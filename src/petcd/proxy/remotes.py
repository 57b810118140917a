"""Which remote the next connection goes to.

Among the active remotes of the lowest priority number: by chance in proportion to their weights, as
the SRV records ask; those without weight take turns, and beside weighted ones are chosen once in a
hundred. Pure: chance is passed in. Source: RFC 2782, the behaviour of etcd's gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

WEIGHTLESS_ONE_IN = 100


class Remote:
    """One endpoint. `active` is false from a failed connection until one succeeds."""

    __slots__ = ("active", "host", "port", "priority", "weight")

    def __init__(self, host: str, port: int, priority: int = 0, weight: int = 0) -> None:
        self.host = host
        self.port = port
        self.priority = priority
        self.weight = weight
        self.active = True

    @property
    def address(self) -> str:
        """`host:port` for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Remotes:
    """The endpoints of one gateway. `chance(n)` is a number from 0 to n-1."""

    def __init__(self, remotes: Sequence[Remote], chance: Callable[[int], int]) -> None:
        self.all = list(remotes)
        self._chance = chance
        self._turn = 0

    def pick(self) -> Remote | None:
        """The remote for the next connection, None when all are out."""
        active = [remote for remote in self.all if remote.active]
        if not active:
            return None
        best = min(remote.priority for remote in active)
        candidates = [remote for remote in active if remote.priority == best]
        weighted = [remote for remote in candidates if remote.weight]
        weightless = [remote for remote in candidates if not remote.weight]
        if weighted and not (weightless and self._chance(WEIGHTLESS_ONE_IN) == 0):
            return self._by_weight(weighted)
        self._turn += 1
        return weightless[(self._turn - 1) % len(weightless)]

    def _by_weight(self, weighted: Sequence[Remote]) -> Remote:
        left = self._chance(sum(remote.weight for remote in weighted))
        for remote in weighted:
            left -= remote.weight
            if left < 0:
                return remote
        raise AssertionError(f"chance gave a number beyond the weights: {left}")
