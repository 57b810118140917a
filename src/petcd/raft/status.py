"""A node's state for people and monitors: a copy, safe to keep."""

from __future__ import annotations

from petcd.raft.core import Raft
from petcd.raft.kinds import StateType
from petcd.raft.progress import Progress
from petcd.raft.tracker import GroupConfig
from petcd.raft.types import HardState


class Status:
    """What one node knows. `progress` is empty unless it leads."""

    __slots__ = (
        "applied",
        "config",
        "hard_state",
        "id",
        "lead",
        "lead_transferee",
        "progress",
        "state",
    )

    def __init__(
        self,
        id: int,
        hard_state: HardState,
        lead: int,
        state: int,
        applied: int,
        lead_transferee: int,
        config: GroupConfig,
        progress: dict[int, Progress],
    ) -> None:
        self.id = id
        self.hard_state = hard_state
        self.lead = lead
        self.state = state
        self.applied = applied
        self.lead_transferee = lead_transferee
        self.config = config
        self.progress = progress


def make_status(r: Raft) -> Status:
    """The status of `r` now."""
    progress: dict[int, Progress] = {}
    if r.state == StateType.LEADER:
        for one in r.tracker.peer_ids:
            copy = r.tracker.progress[one].copy()
            copy.inflights = copy.inflights.copy()
            progress[one] = copy
    return Status(
        r.id,
        r.hard_state(),
        r.lead,
        r.state,
        r.raft_log.applied,
        r.lead_transferee,
        r.tracker.config.copy(),
        progress,
    )
