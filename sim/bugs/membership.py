"""Defects of changing the members."""

from __future__ import annotations

from collections.abc import Iterable

from petcd.member.meta import MetaBackend, load_conf_state
from petcd.raft import changer, leader, membership
from petcd.raft.changer import Changer
from petcd.raft.core import Raft
from petcd.raft.progress import Progress
from petcd.raft.tracker import GroupConfig, Tracker
from petcd.raft.types import ConfChangeSingle, ConfChangeType, ConfState, Entry
from petcd.server import snapshot_sender
from sim.bugs.exhibit import Exhibit
from sim.bugs.switch import Patch

_apply = Changer._apply


def _snapshot_keeps_stale_membership() -> list[Patch]:
    """A snapshot brings data and log, and the member goes on with the configuration it had."""

    def load(r: Raft, state: ConfState) -> None:
        return

    return [Patch(membership, "load_conf_state", load)]


def _snapshot_lacks_the_last_change() -> list[Patch]:
    """The configuration in a snapshot is the one before the latest change."""
    known: list[ConfState] = []

    def load(backend: MetaBackend) -> ConfState:
        state = load_conf_state(backend)
        if state not in known:
            known.append(state)
        return known[max(0, known.index(state) - 1)]

    return [Patch(snapshot_sender, "load_conf_state", load)]


def _two_changes_at_once() -> list[Patch]:
    def admit(r: Raft, entry: Entry, index: int) -> bool:
        r.pending_conf_index = index
        return True

    return [Patch(leader, "_admit_conf_change", admit)]


def _learner_counts() -> list[Patch]:
    """As many acknowledgements as a majority has voters, whoever sent them."""

    def committed(self: Tracker) -> int:
        matches = sorted([each.match for each in self.progress.values()], reverse=True)
        return matches[len(self.config.voters.incoming) // 2]

    return [Patch(Tracker, "committed", committed)]


def _update_promotes() -> list[Patch]:
    """New URLs for a learner make it a voter."""

    def apply(
        self: Changer,
        config: GroupConfig,
        progress: dict[int, Progress],
        changes: Iterable[ConfChangeSingle],
    ) -> None:
        turned = [
            ConfChangeSingle(ConfChangeType.ADD_NODE, each.node_id)
            if each.type == ConfChangeType.UPDATE_NODE
            else each
            for each in changes
        ]
        _apply(self, config, progress, turned)

    return [Patch(Changer, "_apply", apply)]


def _removed_member_counts_on() -> list[Patch]:
    """It is off the list, and raft still counts on it."""

    def remove(config: GroupConfig, progress: dict[int, Progress], node: int) -> None:
        return

    return [Patch(changer, "_remove", remove)]


_CHANGES = {
    "kinds": "learner-added,voter-added,member-removed,disk-lost,lead-moved,kill,leader-isolated",
    "interval_s": 1.0,
}
_DISAGREE = ("members disagree about the configuration", "raft and the list of members disagree")

EXHIBITS = (
    Exhibit(
        "snapshot keeps stale membership",
        "databendlabs/openraft#1808",
        "After an install a member counts majorities of a configuration that is gone.",
        _DISAGREE,
        _snapshot_keeps_stale_membership,
        options={**_CHANGES, "snapshot_count": 20, "catchup_entries": 5},
    ),
    Exhibit(
        "snapshot lacks the last change of members",
        "lni/dragonboat, by way of matrixorigin/matrixone#23279",
        "A snapshot made right after a change of members does not have it.",
        (*_DISAGREE, "members do not agree", "no leader after healing"),
        _snapshot_lacks_the_last_change,
        options={**_CHANGES, "snapshot_count": 20, "catchup_entries": 5},
    ),
    Exhibit(
        "two changes of members at once",
        "the bug in single-server changes, raft-dev 2015",
        "Two changes under way may leave two majorities without a common member.",
        ("two changes of the configuration under way", "a leader lacks a committed entry"),
        _two_changes_at_once,
        options=_CHANGES,
    ),
    Exhibit(
        "learner counts for the majority",
        "etcd-io/etcd's learner design, Raft dissertation section 4.2.1",
        "What a learner holds is taken for committed.",
        ("committed without a majority",),
        _learner_counts,
        options={**_CHANGES, "kinds": "learner-added,member-removed,disk-lost,bad-weather"},
    ),
    Exhibit(
        "update promotes a learner",
        "etcd-io/etcd#21736",
        "A member that gets new URLs becomes a voter.",
        _DISAGREE,
        _update_promotes,
        options={**_CHANGES, "kinds": "learner-added,member-updated,kill"},
    ),
    Exhibit(
        "removed member counts on",
        "etcd-io/etcd#19557",
        "Two lists of members disagree about who was removed.",
        _DISAGREE,
        _removed_member_counts_on,
        options=_CHANGES,
    ),
)
