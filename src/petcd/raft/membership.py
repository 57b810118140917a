"""Configurations taking effect: by an applied change, or by a snapshot.

A configuration takes effect on a node when its entry is applied there, not when it is appended as
in the dissertation (section 4.1). That is as safe as long as no change is proposed while an
earlier one is unapplied, which the leader sees to.
"""

from __future__ import annotations

from petcd.raft.changer import Changer, Configuration, restore
from petcd.raft.core import Raft
from petcd.raft.errors import ConfChangeRefused, broken
from petcd.raft.kinds import NONE, StateType
from petcd.raft.logger import INFO, WARNING
from petcd.raft.reads import answer_confirmed
from petcd.raft.replication import broadcast_append, maybe_commit, send_pending_appends
from petcd.raft.tracker import Tracker
from petcd.raft.types import ConfChangeV2, ConfState, Snapshot


def apply_conf_change(r: Raft, change: ConfChangeV2) -> ConfState:
    """Apply a committed change; returns the configuration that results.

    One that cannot be applied breaks the node: the members have diverged, or it was never
    validated. The application may reject a change for good reasons of its own, before this.

    While a snapshot waits to be installed, the change is older than the snapshot, whose
    configuration is active already: then nothing is changed.
    """
    if r.raft_log.unstable.snapshot is not None:
        return r.tracker.config.conf_state()
    changer = Changer(r.tracker, r.raft_log.last_index())
    try:
        if change.leaves_joint():
            configuration = changer.leave_joint()
        elif change.uses_joint():
            configuration = changer.enter_joint(change.leaves_automatically(), change.changes)
        else:
            configuration = changer.simple(change.changes)
    except ConfChangeRefused as why:
        broken(str(why))
    return switch_to(r, configuration)


def switch_to(r: Raft, configuration: Configuration) -> ConfState:
    """Make a configuration the active one and react to it."""
    r.tracker.install(*configuration)
    if r.logger.level <= INFO:
        r.logger.info(f"{r.id:x} switched to configuration {r.tracker.config}")
    state = r.tracker.config.conf_state()
    own = r.tracker.progress.get(r.id)
    r.is_learner = own is not None and own.is_learner
    if r.state == StateType.LEADER:
        if own is None or own.is_learner:
            if r.step_down_on_removal:
                r.become_follower(r.term, NONE)
        elif state.voters:
            _settle_as_leader(r)
    return state


def _settle_as_leader(r: Raft) -> None:
    """A smaller quorum may commit more, and confirm more reads; a newcomer is probed at once."""
    if maybe_commit(r):
        broadcast_append(r)
    else:
        send_pending_appends(r)
    answer_confirmed(r)
    if r.lead_transferee != NONE and r.lead_transferee not in r.tracker.config.voters.ids():
        r.lead_transferee = NONE


def load_conf_state(r: Raft, state: ConfState) -> None:
    """Start over with the configuration of a snapshot."""
    scratch = Tracker(r.tracker.max_inflight, r.tracker.max_inflight_bytes)
    configuration = restore(Changer(scratch, r.raft_log.last_index()), state)
    result = switch_to(r, configuration)
    if not state.is_equivalent(result):
        broken(f"ConfStates not equivalent: {state} was restored as {result}")


def restore_snapshot(r: Raft, snapshot: Snapshot) -> bool:
    """Replace log and configuration by a snapshot. False if it is ignored, and why is logged."""
    meta = snapshot.metadata
    log = r.raft_log
    if meta.index <= log.committed:
        return False
    if r.state != StateType.FOLLOWER:
        if r.logger.level <= WARNING:
            r.logger.warning(
                f"{r.id:x} attempted to restore snapshot as leader; should never happen"
            )
        r.become_follower(r.term + 1, NONE)
        return False
    conf = meta.conf_state
    if r.id not in conf.voters + conf.learners + conf.voters_outgoing:
        if r.logger.level <= WARNING:
            r.logger.warning(
                f"{r.id:x} attempted to restore snapshot but it is not in the ConfState "
                f"{_prototext(conf)}; should never happen"
            )
        return False
    last, last_term = log.last_index(), log.last_term()
    if log.match_term(meta.index, meta.term):
        if r.logger.level <= INFO:
            r.logger.info(
                f"{r.id:x} [commit: {log.committed}, lastindex: {last}, lastterm: {last_term}] "
                f"fast-forwarded commit to snapshot [index: {meta.index}, term: {meta.term}]"
            )
        log.commit_to(meta.index)
        return False
    log.restore(snapshot)
    load_conf_state(r, conf)
    if r.logger.level <= INFO:
        r.logger.info(
            f"{r.id:x} [commit: {log.committed}, lastindex: {log.last_index()}, "
            f"lastterm: {log.last_term()}] restored snapshot "
            f"[index: {meta.index}, term: {meta.term}]"
        )
    return True


def _prototext(conf: ConfState) -> str:
    """The configuration in protobuf text form, on one line."""
    fields = (
        ("voters", conf.voters),
        ("learners", conf.learners),
        ("voters_outgoing", conf.voters_outgoing),
        ("learners_next", conf.learners_next),
    )
    parts = [f"{name}:{one}" for name, ids in fields for one in ids]
    parts.append(f"auto_leave:{'true' if conf.auto_leave else 'false'}")
    return " ".join(parts)
