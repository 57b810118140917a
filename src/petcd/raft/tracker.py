"""The active configuration, and the progress of every node in it.

`GroupConfig` says who votes and who learns; `Tracker` adds a `Progress` for each of them and the
votes of a running election. Invariants, checked whenever a configuration is made (`changer`):
* every voter and learner has a `Progress`, and nobody else does;
* no node is learner and voter at once; `learners_next` are voters of the outgoing half;
* outside of a joint configuration `learners_next` is empty and `auto_leave` false.
"""

from __future__ import annotations

from petcd.raft.inflights import Inflights
from petcd.raft.progress import Progress
from petcd.raft.quorum import JointVoters, VoteResult, format_ids
from petcd.raft.types import ConfState


class GroupConfig:
    """Voters (possibly joint), learners, learners to be, and whether to leave by ourselves."""

    __slots__ = ("auto_leave", "learners", "learners_next", "voters")

    def __init__(
        self,
        voters: JointVoters | None = None,
        learners: set[int] | None = None,
        learners_next: set[int] | None = None,
        auto_leave: bool = False,
    ) -> None:
        self.voters: JointVoters = JointVoters() if voters is None else voters
        self.learners: set[int] = set() if learners is None else learners
        self.learners_next: set[int] = set() if learners_next is None else learners_next
        self.auto_leave = auto_leave

    def copy(self) -> GroupConfig:
        """An independent copy."""
        return GroupConfig(
            self.voters.copy(), set(self.learners), set(self.learners_next), self.auto_leave
        )

    def conf_state(self) -> ConfState:
        """The same configuration in the form that snapshots carry, ids ascending."""
        return ConfState(
            sorted(self.voters.incoming),
            sorted(self.learners),
            sorted(self.voters.outgoing),
            sorted(self.learners_next),
            self.auto_leave,
        )

    def __str__(self) -> str:
        text = f"voters={self.voters}"
        if self.learners:
            text += f" learners={format_ids(self.learners)}"
        if self.learners_next:
            text += f" learners_next={format_ids(self.learners_next)}"
        if self.auto_leave:
            text += " autoleave"
        return text


class Tracker:
    """A configuration with its nodes' progress, and the votes of a running election."""

    __slots__ = (
        "config",
        "is_singleton",
        "max_inflight",
        "max_inflight_bytes",
        "peer_ids",
        "progress",
        "votes",
    )

    def __init__(self, max_inflight: int, max_inflight_bytes: int) -> None:
        self.config = GroupConfig()
        self.progress: dict[int, Progress] = {}
        self.peer_ids: list[int] = []
        """The keys of `progress`, ascending: the order in which nodes are visited."""
        self.is_singleton = False
        """One voter alone decides (it may have learners)."""
        self.votes: dict[int, bool] = {}
        self.max_inflight = max_inflight
        self.max_inflight_bytes = max_inflight_bytes

    def install(self, config: GroupConfig, progress: dict[int, Progress]) -> None:
        """Make this configuration the active one."""
        self.config = config
        self.progress = progress
        self.peer_ids = sorted(progress)
        self.is_singleton = config.voters.is_singleton()

    def new_inflights(self) -> Inflights:
        """An empty window of the configured size."""
        return Inflights(self.max_inflight, self.max_inflight_bytes)

    def committed(self) -> int:
        """The largest index that the voters have acknowledged by (joint) majority."""
        voters = self.config.voters
        progress = self.progress
        if voters.outgoing:
            return voters.committed_index({one: progress[one].match for one in progress})
        matches = sorted([progress[voter].match for voter in voters.incoming])
        return matches[(len(matches) - 1) // 2]

    def quorum_active(self) -> bool:
        """True if a quorum was heard from since activity was last cleared."""
        votes = {
            one: each.recent_active for one, each in self.progress.items() if not each.is_learner
        }
        return self.config.voters.vote_result(votes) == VoteResult.WON

    def clear_votes(self) -> None:
        """A new election begins."""
        self.votes = {}

    def record_vote(self, voter: int, granted: bool) -> None:
        """Note a vote; the first of each voter counts."""
        self.votes.setdefault(voter, granted)

    def tally_votes(self) -> tuple[int, int, int]:
        """(granted, rejected, `VoteResult`); strangers' and learners' votes are not counted."""
        granted = 0
        rejected = 0
        for one, each in self.progress.items():
            vote = self.votes.get(one)
            if each.is_learner or vote is None:
                continue
            if vote:
                granted += 1
            else:
                rejected += 1
        return granted, rejected, self.config.voters.vote_result(self.votes)
