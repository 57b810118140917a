"""Making a node: from what storage holds, or from nothing (bootstrap)."""

from __future__ import annotations

from petcd.raft.changes import encode_conf_change
from petcd.raft.config import Config
from petcd.raft.core import Raft
from petcd.raft.errors import broken
from petcd.raft.kinds import NONE, ConfChangeType
from petcd.raft.logger import INFO
from petcd.raft.membership import apply_conf_change, load_conf_state
from petcd.raft.types import ConfChange, Entry, HardState


class Peer:
    """A founding member: its id, and a context for whoever applies its ADD_NODE change."""

    __slots__ = ("context", "id")

    def __init__(self, id: int, context: bytes = b"") -> None:
        self.id = id
        self.context = context


def make_raft(config: Config) -> Raft:
    """A follower that knows what its storage knows. Raises `ValueError` for wrong settings."""
    config.validate()
    hard, conf = config.storage.initial_state()
    r = Raft(config)
    log = r.raft_log
    last, last_term = log.last_index(), log.last_term()
    load_conf_state(r, conf)
    if not hard.is_empty():
        _load_hard_state(r, hard)
    if config.applied > log.applied:
        log.commit_to(config.applied)
        log.applied_to(config.applied, 0)
    r.become_follower(r.term, NONE)
    if r.logger.level <= INFO:
        voters = ",".join([f"{one:x}" for one in sorted(r.tracker.config.voters.ids())])
        r.logger.info(
            f"newRaft {r.id:x} [peers: [{voters}], term: {r.term}, commit: {log.committed}, "
            f"applied: {log.applied}, lastindex: {last}, lastterm: {last_term}]"
        )
    return r


def _load_hard_state(r: Raft, hard: HardState) -> None:
    """Take over term, vote and commit. A commit index behind the snapshot is merely old: it need
    not be synced, and what is in a snapshot (or applied) was committed. One beyond the log is
    not: entries were lost that others may count on us for."""
    log = r.raft_log
    if hard.commit > log.last_index():
        broken(
            f"{r.id:x} state.commit {hard.commit} is out of range "
            f"[{log.committed}, {log.last_index()}]"
        )
    log.commit_to(hard.commit)
    r.term = hard.term
    r.vote = hard.vote


def bootstrap(r: Raft, peers: list[Peer]) -> None:
    """Found a group: the log begins with one committed ADD_NODE per peer, in term 1.

    Every founder must be given the same peers in the same order. Raises `ValueError` if there are
    none or the storage is not empty. The changes take effect at once, and come again as committed
    entries, so that the application sees them; when those are applied, the node may campaign.
    """
    if not peers:
        raise ValueError("must provide at least one peer to Bootstrap")
    if r.raft_log.storage.last_index() != 0:
        raise ValueError("can't bootstrap a nonempty Storage")
    r.become_follower(1, NONE)
    entries = []
    for index, peer in enumerate(peers, 1):
        change = ConfChange(ConfChangeType.ADD_NODE, peer.id, peer.context)
        kind, data = encode_conf_change(change)
        entries.append(Entry(kind, 1, index, data))
    r.raft_log.append(entries)
    r.raft_log.committed = len(entries)
    for peer in peers:
        apply_conf_change(r, ConfChange(ConfChangeType.ADD_NODE, peer.id).as_v2())
