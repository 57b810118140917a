"""All checkers of a history in their order: what one finds out is evidence for the next.

refusals ---> alarms --|  alarms raised
watchers saw ----> linear ----> what happened ----> watching, alarms, v2_judge
                      |-------> leases that ended -> leases
hashes, members ----------------------------------> hashes
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import inf
from typing import NamedTuple

from sim.check import alarms, hashes, leases, linear, v2_judge, watching
from sim.check.alarms import AlarmRecord, Embargo
from sim.check.history import Compact, Event, History, Violation
from sim.check.model import has_written
from sim.check.silence import Silence
from sim.check.v2_evidence import V2Evidence


class Judgement(NamedTuple):
    """`undecided`: too much is unknown to judge the key-value operations, and watches with them.

    `revisions` is how many revisions were replayed.
    """

    violations: list[Violation]
    undecided: bool
    revisions: int


def judge(
    history: History,
    drift: float = 0.0,
    calm_since_s: float = inf,
    lease_slack_s: float = 5.0,
    alive: Collection[int] = (),
    final_revision: int = 0,
    alarm_record: AlarmRecord | None = None,
    v2_resting: Collection[int] = (),
) -> Judgement:
    """Judge the history of a cluster that began empty.

    `drift`, `calm_since_s` and `lease_slack_s` are explained in `leases`, `alive` and
    `final_revision` in `watching`. `alarm_record`: in a world with a quota. `v2_resting`: see
    `v2_judge.check_watches`.
    """
    answered = {op.revision for op in history.operations if has_written(op.response)}
    seen = watching.seen_events(history.watchers, answered)
    operations = alarms.settled(history.operations, seen)
    v2 = V2Evidence(history.v2_watches, history.operations, v2_resting)
    silence, embargo = Silence(history.watchers, alive, final_revision), Embargo(alarm_record)

    def denies(revision: int, changes: Sequence[Event]) -> bool:
        return any(evidence.denies(revision, changes) for evidence in (silence, embargo))

    verdict = linear.check(operations, seen, denies, v2)
    violations = list(verdict.violations)
    truth = None if verdict.violations or verdict.undecided else verdict.changes
    compacted = max(
        [op.request.revision for op in history.operations if type(op.request) is Compact],
        default=0,
    )
    violations += watching.check(history.watchers, truth, compacted, alive, final_revision)
    violations += leases.check(
        history.operations,
        history.watchers,
        verdict.ended_leases,
        drift,
        calm_since_s,
        lease_slack_s,
    )
    if truth is not None:
        happened = v2_judge.happenings(truth, verdict.v2)
        violations += v2_judge.check_watches(history.v2_watches, happened, compacted, v2_resting)
    seen_s = leases.first_seen(history.operations, history.watchers)
    violations += v2_judge.check_times(history, truth, verdict.v2, seen_s, seen, calm_since_s)
    violations += alarms.check(history.operations, truth, alarm_record)
    violations += hashes.check_hashes(history.hashes)
    violations += hashes.check_monotone(history.members)
    return Judgement(violations, verdict.undecided, len(verdict.changes))
