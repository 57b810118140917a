"""From one configuration to the next: simple changes, and in and out of joint consensus.

    simple        (1 2 3)            + v4          -> (1 2 3 4)          at most one voter differs
    enter joint   (1 2 3)            + v4 r1 l2    -> (3 4)&&(1 2 3)     2 waits in learners_next
    leave joint   (3 4)&&(1 2 3)                   -> (3 4) learners=(2)

A node that is still a voter of the outgoing half cannot be a learner yet; it is remembered in
`learners_next`. Nothing is changed in place: each operation copies, checks the invariants of
`tracker` before and after, and either returns the new configuration or raises `ConfChangeRefused`.

Which change may be proposed when is the leader's business, not decided here.
Source: Raft section 6, dissertation sections 4.1 to 4.3.
"""

from __future__ import annotations

from collections.abc import Iterable

from petcd.raft.errors import ConfChangeRefused
from petcd.raft.kinds import ConfChangeType
from petcd.raft.progress import Progress
from petcd.raft.tracker import GroupConfig, Tracker
from petcd.raft.types import ConfChangeSingle, ConfState

Configuration = tuple[GroupConfig, dict[int, Progress]]


class Changer:
    """Computes the successors of `tracker`'s configuration. `last_index` is the log's end now."""

    __slots__ = ("last_index", "tracker")

    def __init__(self, tracker: Tracker, last_index: int) -> None:
        self.tracker = tracker
        self.last_index = last_index

    def simple(self, changes: Iterable[ConfChangeSingle]) -> Configuration:
        """Change at most one voter, and any number of learners, at once."""
        config, progress = self._copy()
        if config.voters.is_joint():
            raise ConfChangeRefused("can't apply simple config change in joint config")
        self._apply(config, progress, changes)
        before = self.tracker.config.voters.incoming
        if len(before ^ config.voters.incoming) > 1:
            raise ConfChangeRefused("more than one voter changed without entering joint config")
        return _checked(config, progress)

    def enter_joint(self, auto_leave: bool, changes: Iterable[ConfChangeSingle]) -> Configuration:
        """Turn C_old into C_new,old: the changes apply to the incoming half."""
        config, progress = self._copy()
        if config.voters.is_joint():
            raise ConfChangeRefused("config is already joint")
        if not config.voters.incoming:
            raise ConfChangeRefused("can't make a zero-voter config joint")
        config.voters.outgoing = set(config.voters.incoming)
        self._apply(config, progress, changes)
        config.auto_leave = auto_leave
        return _checked(config, progress)

    def leave_joint(self) -> Configuration:
        """Turn C_new,old into C_new; learners that waited become learners."""
        config, progress = self._copy()
        if not config.voters.is_joint():
            raise ConfChangeRefused("can't leave a non-joint config")
        for one in config.learners_next:
            config.learners.add(one)
            progress[one].is_learner = True
        config.learners_next = set()
        for one in config.voters.outgoing:
            if one not in config.voters.incoming and one not in config.learners:
                del progress[one]
        config.voters.outgoing = set()
        config.auto_leave = False
        return _checked(config, progress)

    def _copy(self) -> Configuration:
        config = self.tracker.config.copy()
        progress = {one: each.copy() for one, each in self.tracker.progress.items()}
        return _checked(config, progress)

    def _apply(
        self,
        config: GroupConfig,
        progress: dict[int, Progress],
        changes: Iterable[ConfChangeSingle],
    ) -> None:
        for change in changes:
            node = change.node_id
            if node == 0:
                continue  # cancelled by the application after it was committed
            if change.type == ConfChangeType.ADD_NODE:
                self._make_voter(config, progress, node)
            elif change.type == ConfChangeType.ADD_LEARNER_NODE:
                self._make_learner(config, progress, node)
            elif change.type == ConfChangeType.REMOVE_NODE:
                _remove(config, progress, node)
            elif change.type != ConfChangeType.UPDATE_NODE:
                raise ConfChangeRefused(f"unexpected conf type {change.type}")
        if not config.voters.incoming:
            raise ConfChangeRefused("removed all voters")

    def _make_voter(self, config: GroupConfig, progress: dict[int, Progress], node: int) -> None:
        known = progress.get(node)
        if known is None:
            progress[node] = self._new_progress(False)
        else:
            known.is_learner = False
            config.learners.discard(node)
            config.learners_next.discard(node)
        config.voters.incoming.add(node)

    def _make_learner(self, config: GroupConfig, progress: dict[int, Progress], node: int) -> None:
        known = progress.get(node)
        if known is None:
            progress[node] = self._new_progress(True)
            config.learners.add(node)
            return
        if known.is_learner:
            return
        _remove(config, progress, node)
        progress[node] = known
        if node in config.voters.outgoing:
            config.learners_next.add(node)
        else:
            known.is_learner = True
            config.learners.add(node)

    def _new_progress(self, is_learner: bool) -> Progress:
        """A node is probed at the log's end first, and counts as active: else a leader that
        checks its quorum might step down before the newcomer could say a word."""
        next_index = max(self.last_index, 1)
        return Progress(0, next_index, self.tracker.new_inflights(), is_learner, True)


def _remove(config: GroupConfig, progress: dict[int, Progress], node: int) -> None:
    if node not in progress:
        return
    config.voters.incoming.discard(node)
    config.learners.discard(node)
    config.learners_next.discard(node)
    if node not in config.voters.outgoing:
        del progress[node]


def _checked(config: GroupConfig, progress: dict[int, Progress]) -> Configuration:
    """The arguments, if they keep the invariants; an empty configuration is allowed."""
    voters = config.voters
    for group in (voters.ids(), config.learners, config.learners_next):
        for one in group:
            if one not in progress:
                raise ConfChangeRefused(f"no progress for {one}")
    for one in config.learners_next:
        if one not in voters.outgoing:
            raise ConfChangeRefused(f"{one} is in LearnersNext, but not Voters[1]")
        if progress[one].is_learner:
            raise ConfChangeRefused(f"{one} is in LearnersNext, but is already marked as learner")
    for one in config.learners:
        if one in voters.outgoing:
            raise ConfChangeRefused(f"{one} is in Learners and Voters[1]")
        if one in voters.incoming:
            raise ConfChangeRefused(f"{one} is in Learners and Voters[0]")
        if not progress[one].is_learner:
            raise ConfChangeRefused(f"{one} is in Learners, but is not marked as learner")
    if not voters.is_joint():
        if config.learners_next:
            raise ConfChangeRefused("cfg.LearnersNext must be nil when not joint")
        if config.auto_leave:
            raise ConfChangeRefused("AutoLeave must be false when not joint")
    return config, progress


def restore(changer: Changer, state: ConfState) -> Configuration:
    """Rebuild the configuration that `state` describes; `changer` must start out empty.

    The outgoing voters (if any) are added one by one, then the joint configuration is entered by
    removing them and adding voters, learners and learners to be. The steps are the ordinary ones,
    so a restored configuration satisfies the same invariants. The tracker of `changer` is used as
    scratch space.
    """
    incoming = [ConfChangeSingle(ConfChangeType.REMOVE_NODE, i) for i in state.voters_outgoing]
    incoming += [ConfChangeSingle(ConfChangeType.ADD_NODE, i) for i in state.voters]
    incoming += [ConfChangeSingle(ConfChangeType.ADD_LEARNER_NODE, i) for i in state.learners]
    incoming += [ConfChangeSingle(ConfChangeType.ADD_LEARNER_NODE, i) for i in state.learners_next]
    one_by_one = incoming
    if state.voters_outgoing:
        one_by_one = [ConfChangeSingle(ConfChangeType.ADD_NODE, i) for i in state.voters_outgoing]
    tracker = changer.tracker
    for change in one_by_one:
        config, progress = changer.simple([change])
        tracker.install(config, progress)
    if state.voters_outgoing:
        config, progress = changer.enter_joint(state.auto_leave, incoming)
        tracker.install(config, progress)
    return tracker.config, tracker.progress
