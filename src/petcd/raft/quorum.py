"""Quorum arithmetic: who decides, and what is decided.

A majority of n voters is n // 2 + 1 of them. A joint configuration (dissertation section 4.3) has
two groups of voters and needs a majority of each. An empty group agrees to everything, so that a
half-empty joint configuration behaves like its other half.

    voters 1 2 3 4 5, acknowledged indexes 7 3 9 9 -      -> sorted 0 3 7 9 9 -> committed 7
                                                                        ^ n - (n // 2 + 1)

Pure functions; nothing here knows of logs or messages.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

INDEX_MAX: Final = (1 << 64) - 1
"""The committed index of an empty group: no limit."""


class VoteResult:
    """Outcome of counting votes so far."""

    PENDING: Final = 1
    LOST: Final = 2
    WON: Final = 3


VOTE_RESULT_NAMES: Final = ("", "VotePending", "VoteLost", "VoteWon")


def majority_committed(voters: Collection[int], acked: Mapping[int, int]) -> int:
    """The largest index that a majority of `voters` has acknowledged (missing counts as 0)."""
    if not voters:
        return INDEX_MAX
    indexes = sorted([acked.get(voter, 0) for voter in voters])
    return indexes[(len(indexes) - 1) // 2]


def majority_vote(voters: Collection[int], votes: Mapping[int, bool]) -> int:
    """Whether the `votes` of this group are won, lost, or not decided yet."""
    if not voters:
        return VoteResult.WON
    granted = 0
    missing = 0
    for voter in voters:
        vote = votes.get(voter)
        if vote is None:
            missing += 1
        elif vote:
            granted += 1
    quorum = len(voters) // 2 + 1
    if granted >= quorum:
        return VoteResult.WON
    return VoteResult.PENDING if granted + missing >= quorum else VoteResult.LOST


class JointVoters:
    """The voters of a configuration: `incoming`, and while it is joint also `outgoing`."""

    __slots__ = ("incoming", "outgoing")

    def __init__(self, incoming: set[int] | None = None, outgoing: set[int] | None = None) -> None:
        self.incoming: set[int] = set() if incoming is None else incoming
        self.outgoing: set[int] = set() if outgoing is None else outgoing

    def ids(self) -> set[int]:
        """Every voter of either half."""
        return self.incoming | self.outgoing

    def is_joint(self) -> bool:
        """True while two majorities must agree."""
        return bool(self.outgoing)

    def is_singleton(self) -> bool:
        """True when one voter alone decides."""
        return len(self.incoming) == 1 and not self.outgoing

    def copy(self) -> JointVoters:
        """An independent copy."""
        return JointVoters(set(self.incoming), set(self.outgoing))

    def committed_index(self, acked: Mapping[int, int]) -> int:
        """The largest index acknowledged by a majority of each half."""
        return min(
            majority_committed(self.incoming, acked), majority_committed(self.outgoing, acked)
        )

    def vote_result(self, votes: Mapping[int, bool]) -> int:
        """Won when both halves are won, lost when either is lost, pending otherwise."""
        first = majority_vote(self.incoming, votes)
        second = majority_vote(self.outgoing, votes)
        if first == second:
            return first
        if first == VoteResult.LOST or second == VoteResult.LOST:
            return VoteResult.LOST
        return VoteResult.PENDING

    def __str__(self) -> str:
        if self.outgoing:
            return f"{format_ids(self.incoming)}&&{format_ids(self.outgoing)}"
        return format_ids(self.incoming)


def format_ids(ids: Collection[int]) -> str:
    """Ids in hexadecimal, ascending, in round brackets: `(1 2 a)`."""
    return f"({' '.join([f'{one:x}' for one in sorted(ids)])})"
