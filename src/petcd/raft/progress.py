"""What a leader knows about one node, and how fast it may send to it.

    PROBE      the end of the node's log is not known: one append at a time, then wait
    REPLICATE  the logs agree: appends are pipelined, `next` runs ahead of `match`
    SNAPSHOT   the entries the node needs are compacted: one snapshot is under way, nothing else

        PROBE --ack--> REPLICATE --reject, unreachable--> PROBE
        PROBE, REPLICATE --entries compacted--> SNAPSHOT
        SNAPSHOT --ack that reaches our log--> REPLICATE
        SNAPSHOT --reported as sent or failed--> PROBE

All transitions are methods of `Progress`; the leader decides when, never how. Invariants:
* `0 <= match < next`; entries in (match, next) are in flight.
* in SNAPSHOT `next == pending_snapshot + 1`.
* `inflights` is used in REPLICATE only, and emptied by every change of state.

It sends nothing and knows no log. Source: Raft section 5.3, dissertation section 10.2.1.
"""

from __future__ import annotations

from typing import Final

from petcd.raft.errors import broken
from petcd.raft.inflights import Inflights


class ProgressState:
    """How the leader treats a node."""

    PROBE: Final = 0
    REPLICATE: Final = 1
    SNAPSHOT: Final = 2


PROGRESS_STATE_NAMES: Final = ("StateProbe", "StateReplicate", "StateSnapshot")

_PROBE: Final = 0
_REPLICATE: Final = 1
_SNAPSHOT: Final = 2


class Progress:
    """The leader's view of one node. See the module for the states."""

    __slots__ = (
        "flow_paused",
        "inflights",
        "is_learner",
        "match",
        "next",
        "pending_snapshot",
        "recent_active",
        "sent_commit",
        "state",
    )

    def __init__(
        self,
        match: int,
        next: int,
        inflights: Inflights,
        is_learner: bool = False,
        recent_active: bool = False,
    ) -> None:
        self.match = match
        """Highest index known to be equal on the node."""
        self.next = next
        """Index of the next entry to send."""
        self.inflights = inflights
        self.is_learner = is_learner
        self.recent_active = recent_active
        """Heard from since the last check of the quorum; always true for the leader itself."""
        self.state: int = _PROBE
        self.pending_snapshot = 0
        """Index of the snapshot under way, 0 if none."""
        self.sent_commit = 0
        """Highest commit index in flight to the node; falls back when appends are lost."""
        self.flow_paused = False
        """No append may be sent until the node is heard from."""

    def restart(self, match: int, next: int) -> None:
        """Forget everything but the place in the configuration: a new term begins."""
        self.match = match
        self.next = next
        self.recent_active = False
        self.sent_commit = 0
        self._enter(_PROBE)

    def copy(self) -> Progress:
        """An independent copy that shares the inflights (for configuration changes)."""
        other = Progress(self.match, self.next, self.inflights, self.is_learner, self.recent_active)
        other.state = self.state
        other.pending_snapshot = self.pending_snapshot
        other.sent_commit = self.sent_commit
        other.flow_paused = self.flow_paused
        return other

    def _enter(self, state: int) -> None:
        self.flow_paused = False
        self.pending_snapshot = 0
        self.state = state
        self.inflights.clear()

    def become_probe(self) -> None:
        """Ask again where the node's log ends: behind `match`, or behind a sent snapshot."""
        base = self.match
        if self.state == _SNAPSHOT and self.pending_snapshot > base:
            base = self.pending_snapshot
        self._enter(_PROBE)
        self.next = base + 1
        self.sent_commit = min(self.sent_commit, base)

    def become_replicate(self) -> None:
        """Pipeline appends from behind `match`."""
        self._enter(_REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: int) -> None:
        """A snapshot at `index` is under way."""
        self._enter(_SNAPSHOT)
        self.pending_snapshot = index
        self.next = index + 1
        self.sent_commit = index

    def sent_entries(self, count: int, size_bytes: int) -> None:
        """An append of `count` entries, `size_bytes` of payload together, leaves now."""
        if self.state == _REPLICATE:
            if count:
                self.next += count
                self.inflights.add(self.next - 1, size_bytes)
            self.flow_paused = self.inflights.is_full()
        elif self.state == _PROBE:
            # An empty append is no probe of its own: it may be followed by one with entries.
            if count:
                self.flow_paused = True
        else:
            broken(f"sending append in unhandled state {PROGRESS_STATE_NAMES[self.state]}")

    def can_bump_commit(self, commit: int) -> bool:
        """Would telling this commit index move the node's, beyond what was told already?"""
        return commit > self.sent_commit and self.sent_commit < self.next - 1

    def acknowledge(self, index: int) -> bool:
        """The node holds our log up to `index`. False if that tells nothing new.

        A repeated acknowledgement still counts in PROBE: it shows that the node is back.
        """
        if index > self.match:
            self.match = index
            if self.next <= index:
                self.next = index + 1
            self.flow_paused = False
            return True
        return index == self.match and self.state == _PROBE

    def can_leave_snapshot(self, first_index: int) -> bool:
        """True if a node that waited for a snapshot can now be served from the log.

        `pending_snapshot` does not matter: the node may have had another snapshot from elsewhere.
        """
        return self.state == _SNAPSHOT and self.match + 1 >= first_index

    def resume_after(self, index: int, first_index: int) -> None:
        """Move on after an acknowledgement of `index`; our log begins at `first_index`."""
        if self.state == _PROBE:
            self.become_replicate()
        elif self.can_leave_snapshot(first_index):
            self.become_probe()
            self.become_replicate()
        elif self.state == _REPLICATE:
            self.inflights.free_to(index)

    def reject(self, rejected: int, hint: int) -> bool:
        """The node refused an append behind `rejected`; both logs may agree at `hint`.

        False if the refusal is stale (messages are reordered or doubled). In REPLICATE the caller
        turns to PROBE after logging; here `next` only falls back to what is certain.
        """
        if self.state == _REPLICATE:
            if rejected <= self.match:
                return False
            self.next = self.match + 1
        else:
            if self.next - 1 != rejected:
                return False
            self.next = max(min(rejected, hint + 1), self.match + 1)
            self.flow_paused = False
        self.sent_commit = min(self.sent_commit, self.next - 1)
        return True

    def heard_heartbeat(self) -> None:
        """The node answered a heartbeat: one more append may try its luck."""
        self.recent_active = True
        self.flow_paused = False

    def snapshot_sent(self) -> None:
        """The snapshot went out: probe behind it once the node is heard from."""
        self.become_probe()

    def snapshot_failed(self) -> None:
        """The snapshot was lost: probe behind `match` again, not behind the snapshot."""
        self.pending_snapshot = 0
        self.become_probe()

    def wait_for_contact(self) -> None:
        """Send no append before the node is heard from."""
        self.flow_paused = True

    def unreachable(self) -> None:
        """Appends in flight are most likely lost."""
        if self.state == _REPLICATE:
            self.become_probe()

    def is_paused(self) -> bool:
        """True while no append may be sent."""
        return self.flow_paused or self.state == _SNAPSHOT

    def __str__(self) -> str:
        text = f"{PROGRESS_STATE_NAMES[self.state]} match={self.match} next={self.next}"
        if self.is_learner:
            text += " learner"
        if self.is_paused():
            text += " paused"
        if self.pending_snapshot > 0:
            text += f" pendingSnap={self.pending_snapshot}"
        if not self.recent_active:
            text += " inactive"
        if self.inflights.count > 0:
            text += f" inflight={self.inflights.count}"
            if self.inflights.is_full():
                text += "[full]"
        return text


def describe_progress(progress: dict[int, Progress]) -> str:
    """One line per node, ascending ids (in decimal)."""
    return "".join([f"{one}: {progress[one]}\n" for one in sorted(progress)])
