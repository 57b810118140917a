"""The museum: defects that other systems shipped, as switches on the production code.

    with switched("vote not persisted"):
        World(options).run()            # fails, or the simulator is not worth its name

Each exhibit is a small patch of one or two production functions, put in from outside and taken out
again, in this process only. petcd has none of these defects; the museum shows that the simulator
would find them. A patch whose target is gone or has other parameters raises `Rotten`, so that no
exhibit can decay unnoticed.

    voting  reading  storing  damage  applying  watching  snapshots  membership       the rooms
    quotas  slow_watching  v2
    exhibit   what an exhibit is                    switch   patching and taking back

`sim.museum` runs them. Sources: see each exhibit; most stand in the bug lists of etcd's robustness
tests, in Jepsen's reports, or in the issue lists of Raft implementations.
"""

from sim.bugs import (
    applying,
    damage,
    membership,
    quotas,
    reading,
    slow_watching,
    snapshots,
    storing,
    v2,
    voting,
    watching,
)
from sim.bugs.exhibit import Exhibit
from sim.bugs.switch import Rotten, applied

__all__ = ["EXHIBITS", "Exhibit", "Rotten", "expected", "names", "switched"]

_ROOMS = (
    *(voting, reading, storing, damage, applying, watching, snapshots, membership),
    *(quotas, slow_watching, v2),
)
EXHIBITS: dict[str, Exhibit] = {
    exhibit.name: exhibit for room in _ROOMS for exhibit in room.EXHIBITS
}


def names() -> list[str]:
    """All exhibits, room by room."""
    return list(EXHIBITS)


def switched(name: str) -> applied:
    """A context in which the production code has this defect. Raises KeyError, Rotten."""
    return applied(EXHIBITS[name].patches())


def expected(name: str) -> tuple[str, ...]:
    """The laws of which one must be found broken."""
    return EXHIBITS[name].laws
