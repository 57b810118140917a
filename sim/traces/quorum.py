"""Scripts about quorums: which index is committed, how a vote ends.

    committed cfg=(1,2,3) cfgj=(2,3,4) idx=(5,_,7,8)     `_`: nothing heard from this voter
    vote cfg=(1,2,3) votes=(y,n,_)                       cfgj=zero: joint with an empty half

Indexes and votes stand for the voters in the order of cfg, then those only in cfgj. Beside the
plain result the same question is asked in other ways that must not matter (halves exchanged, joint
with itself or with nothing, lower indexes below the committed one); a difference is printed.
"""

from __future__ import annotations

from petcd.raft.quorum import (
    INDEX_MAX,
    VOTE_RESULT_NAMES,
    JointVoters,
    majority_committed,
    majority_vote,
)
from sim.traces.arguments import parse_uint
from sim.traces.script import Directive, ScriptError

COMMANDS = frozenset(("committed", "vote"))
_VOTES = {"y": 2, "n": 1, "_": 0}


class _Case:
    """The arguments of one directive."""

    def __init__(self, directive: Directive) -> None:
        self.ids: list[int] = []
        self.joint_ids: list[int] = []
        self.is_joint = False
        self.values: list[int] = []
        for argument in directive.arguments:
            for value in argument.values:
                self._take(argument.key, value, argument.values)

    def _take(self, key: str, value: str, values: tuple[str, ...]) -> None:
        if key == "cfg":
            self.ids.append(parse_uint(value))
        elif key == "cfgj":
            self.is_joint = True
            if value != "zero":
                self.joint_ids.append(parse_uint(value))
            elif len(values) != 1:
                raise ScriptError("cannot mix 'zero' into configuration")
        elif key == "idx":
            index = 0 if value == "_" else parse_uint(value)
            if index == 0 and value != "_":
                raise ScriptError("cannot use 0 as idx")
            self.values.append(index)
        elif key == "votes":
            if value not in _VOTES:
                raise ScriptError(f"unknown vote: {value}")
            self.values.append(_VOTES[value])
        else:
            raise ScriptError(f"unknown arg {key}")

    def known(self) -> dict[int, int]:
        """Value by voter, without those of whom nothing is known."""
        order = list(dict.fromkeys(self.ids + self.joint_ids))
        return {voter: value for voter, value in zip(order, self.values, strict=False) if value}


class QuorumScript:
    """Runs the directives of one script; they do not depend on each other."""

    def run(self, directive: Directive) -> str:
        """The output of one directive; raises `ScriptError`."""
        case = _Case(directive)
        voters = JointVoters(set(case.ids), set(case.joint_ids))
        if len(voters.ids()) != len(case.values):
            ids = " ".join([f"{one}:{{}}" for one in sorted(voters.ids())])
            values = " ".join([_index(value) for value in case.values])
            return f"error: mismatched input (explicit or _) for voters map[{ids}]: [{values}]"
        if directive.command == "committed":
            return _committed(case, voters)
        if directive.command == "vote":
            return _vote(case, voters)
        raise ScriptError(f"unknown command: {directive.command}")


def _index(index: int) -> str:
    return "∞" if index == INDEX_MAX else str(index)


def _committed(case: _Case, voters: JointVoters) -> str:
    acked = case.known()
    if case.is_joint:
        index = voters.committed_index(acked)
        swapped = JointVoters(voters.outgoing, voters.incoming).committed_index(acked)
        text = describe(voters.ids(), acked)
        if swapped != index:
            text += f"{_index(swapped)} <-- via symmetry\n"
        return f"{text}{_index(index)}\n"
    group = voters.incoming
    index = majority_committed(group, acked)
    text = describe(group, acked)
    others = (
        (slow_majority_committed(group, acked), "via alternative computation"),
        (JointVoters(group, set()).committed_index(acked), "via zero-joint quorum"),
        (JointVoters(group, group).committed_index(acked), "via self-joint quorum"),
    )
    for other, how in others:
        if other != index:
            text += f"{_index(other)} <-- {how}\n"
    return f"{text}{_overlays(group, acked, index)}{_index(index)}\n"


def _overlays(group: set[int], acked: dict[int, int], index: int) -> str:
    """Lowering an index that lies below the committed one must not matter."""
    text = ""
    for voter in sorted(group):
        own = acked.get(voter, 0)
        if index > own > 0:
            known = {one: acked[one] for one in group if one in acked}
            for lower, name in ((own - 1, str(own)), (0, "0")):
                other = majority_committed(group, {**known, voter: lower})
                if other != index:
                    text += f"{_index(other)} <-- overlaying {voter}->{name}"
    return text


def _vote(case: _Case, voters: JointVoters) -> str:
    votes = {voter: value == 2 for voter, value in case.known().items()}
    if not case.is_joint:
        return f"{VOTE_RESULT_NAMES[majority_vote(voters.incoming, votes)]}\n"
    result = voters.vote_result(votes)
    swapped = JointVoters(voters.outgoing, voters.incoming).vote_result(votes)
    text = "" if swapped == result else f"{VOTE_RESULT_NAMES[swapped]} <-- via symmetry\n"
    return f"{text}{VOTE_RESULT_NAMES[result]}\n"


def slow_majority_committed(group: set[int], acked: dict[int, int]) -> int:
    """`majority_committed`, the obvious way: try each index and count who has it."""
    if not group:
        return INDEX_MAX
    indexes = [acked[voter] for voter in group if voter in acked]
    quorum = len(group) // 2 + 1
    held = [at for at in indexes if sum([other >= at for other in indexes]) >= quorum]
    return max(held, default=0)


def describe(group: set[int], acked: dict[int, int]) -> str:
    """A picture of who is how far: the longer the bar, the more voters are behind."""
    if not group:
        return "<empty majority quorum>"
    order = sorted(group, key=lambda one: (acked.get(one, 0), one))
    bars: dict[int, int] = {}
    for place, voter in enumerate(order):
        before = order[place - 1]
        same = place > 0 and acked.get(before, 0) == acked.get(voter, 0)
        bars[voter] = bars[before] if same else place
    size = len(group)
    lines = [" " * size + "    idx"]
    for voter in sorted(group):
        bar = bars[voter]
        head = "x" * bar + ">" + " " * (size - bar) if voter in acked else "?" + " " * size
        lines.append(f"{head} {acked.get(voter, 0):5d}    (id={voter:x})")
    return "".join([f"{line}\n" for line in lines])
