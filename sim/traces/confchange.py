"""Scripts about configurations: one after the other, each made from the one before.

    simple                         at most one voter changes
    v1 l2
    ----
    voters=(1) learners=(2)
    1: StateProbe match=0 next=0
    2: StateProbe match=0 next=0 learner

    enter-joint autoleave=true     leave-joint

The log grows by one entry with each command, which shows in `next` of new nodes.
"""

from __future__ import annotations

from petcd.raft import ConfChangeRefused, ConfChangeSingle
from petcd.raft.changer import Changer, Configuration
from petcd.raft.progress import describe_progress
from petcd.raft.tracker import Tracker
from sim.traces.arguments import CommandError, parse_bool, parse_changes, value_of
from sim.traces.script import Directive

COMMANDS = frozenset(("simple", "enter-joint", "leave-joint"))
_MAX_INFLIGHT = 10


class ConfChangeScript:
    """Runs the directives of one script, beginning with the empty configuration."""

    def __init__(self) -> None:
        self._tracker = Tracker(_MAX_INFLIGHT, 0)
        self._last_index = 0

    def run(self, directive: Directive) -> str:
        """The output of one directive; raises `ScriptError`."""
        changer = Changer(self._tracker, self._last_index)
        self._last_index += 1
        try:
            changes = parse_changes(directive.input)
        except CommandError as error:
            return str(error)
        try:
            configuration = _change(changer, directive, changes)
        except ConfChangeRefused as error:
            return f"{error}\n"
        if configuration is None:
            return "unknown command"
        self._tracker.install(*configuration)
        return f"{self._tracker.config}\n{describe_progress(self._tracker.progress)}"


def _change(
    changer: Changer, directive: Directive, changes: list[ConfChangeSingle]
) -> Configuration | None:
    if directive.command == "simple":
        return changer.simple(changes)
    if directive.command == "enter-joint":
        auto_leave = False
        if directive.arguments:
            auto_leave = parse_bool(value_of(directive, "autoleave"))
        return changer.enter_joint(auto_leave, changes)
    if directive.command == "leave-joint":
        if changes:
            raise ConfChangeRefused("this command takes no input")
        return changer.leave_joint()
    return None
