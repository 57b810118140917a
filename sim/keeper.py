"""The operator of a cluster whose backends become full: makes room, and clears the alarm.

    look ---> alarm raised? ---> compact, disarm ---> look again
                                 now and then in a wrong order: then the alarm comes back

It is one more client, at any member, with a record like all others; it goes on in fair weather,
where `has_room` must come true. There it may leave the alarm to the members, which take it back
when they have space again.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from sim.check import history as h
from sim.workload import Client

if TYPE_CHECKING:
    from sim.world import World

PAUSE_S = 0.7
# How often it compacts though nobody complains.
PRUDENCE = 0.01


class Keeper(Client):
    """See the module."""

    def __init__(self, world: World, number: int, random: Random) -> None:
        self.has_room = False
        self._prudence = PRUDENCE
        self._disarms = True
        self._plan: list[Any] = []
        super().__init__(world, number, PAUSE_S, random)

    def hurry(self) -> None:
        """From now on there is always room."""
        self._prudence = 1.0
        self._disarms = self.random.random() < 0.5

    def _next_request(self) -> Any:
        if not self._plan:
            self._plan = [h.Alarms()]
            if self.known_revision > 1 and self.random.random() < self._prudence:
                self._plan.append(h.Compact(self.known_revision))
        return self._plan.pop(0)

    def _learn(self, request: Any, response: Any, revision: int) -> None:
        super()._learn(request, response, revision)
        if type(request) is not h.Alarms:
            return
        self.has_room = not response.members
        if response.members:
            disarm = [h.Disarm(member) for member in response.members if self._disarms]
            self._plan = [h.Compact(revision), *disarm]
            if self.random.random() < 0.2:
                self._plan = [*disarm, h.Compact(revision)]
