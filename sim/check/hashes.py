"""Members agree, and nobody goes back.

* equal hashes at equal (revision, compact revision), whichever member and whenever asked;
* within one run of a member its revision, applied index, compact revision and term never fall;
* over all its runs a member's term never falls: it is on disk before anybody hears of it.

A member that restarts may apply again what its backend had not synced, so its revision and applied
index may begin lower than they ended. That nothing acknowledged is lost is `linear`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable

from sim.check.history import HashSample, MemberSample, Violation

_IN_A_RUN = ("revision", "applied_index", "compact_revision")


def check_hashes(samples: Iterable[HashSample]) -> list[Violation]:
    """Equal data at equal revisions."""
    first: dict[tuple[int, int], HashSample] = {}
    violations = []
    for sample in samples:
        other = first.setdefault((sample.revision, sample.compact_revision), sample)
        if other.hash != sample.hash:
            violations.append(Violation("members hold different data", f"{other}\n  and {sample}"))
    return violations


def check_monotone(samples: Iterable[MemberSample]) -> list[Violation]:
    """Samples of each member in order of time."""
    violations = []
    before: dict[int, MemberSample] = {}
    for sample in sorted(samples, key=lambda sample: sample.time_s):
        last = before.get(sample.member)
        before[sample.member] = sample
        if last is None:
            continue
        fallen = [] if sample.term >= last.term else ["term"]
        if sample.run == last.run:
            fallen += [name for name in _IN_A_RUN if getattr(sample, name) < getattr(last, name)]
        if fallen:
            detail = f"{', '.join(fallen)}: {last}\n  then {sample}"
            violations.append(Violation("a member goes back", detail))
    return violations
