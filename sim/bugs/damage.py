"""Defects of members whose disk was damaged after it had been synced.

What a member may do then has names in "Protocol-Aware Recovery for Consensus-Based Storage" (FAST
'18): who cuts the log (Truncate) or begins with an empty one (DeleteRebuild) forgets what it had
promised. petcd's member stops, and another one takes its place (Reconfigure).
"""

from __future__ import annotations

from collections.abc import Mapping

from petcd.peer.remote_requests import PeerHash
from petcd.server import corruption
from petcd.server.opening import Opened
from petcd.storage import wal_reader, wal_segment, wal_tail
from petcd.storage.errors import WalError
from petcd.storage.wal_record import RECORD_BYTES_MAX
from sim import comparing
from sim.bugs.exhibit import DIVERGED, Exhibit
from sim.bugs.switch import Patch, everywhere
from sim.cluster import Run

_open = Run._open
_frame_is_sound = wal_segment.frame_is_sound


def _log_cut_at_the_damage() -> list[Patch]:
    """Whatever cannot be read is the tail of a write that did not get through."""

    def damage_at(data: bytes, end: int, content: int, fault: str) -> str:
        return ""

    return [Patch(wal_reader, "damage_at", damage_at)]


def _lost_sector_taken_for_a_torn_write() -> list[Patch]:
    """Nobody looks for records behind it that prove that it had been synced."""

    def synced_behind(data: bytes, end: int) -> int:
        return 0

    return [Patch(wal_tail, "_synced_behind", synced_behind)]


def _damaged_log_begun_anew() -> list[Patch]:
    """A start that fails is tried again with an empty directory, under the old id."""

    def begin(self: Run) -> Opened:
        try:
            return _open(self)
        except WalError:
            self.slot.disk.wipe()
            return _open(self)

    return [Patch(Run, "_open", begin)]


def _size_of_a_record_believed() -> list[Patch]:
    """Memory is taken for whatever a damaged frame says."""

    def frame_is_sound(size: int, padding: int) -> bool:
        if size > RECORD_BYTES_MAX:
            raise MemoryError(f"a record of {size} bytes")
        return _frame_is_sound(size, padding)

    return everywhere(wal_segment, "frame_is_sound", frame_is_sound)


def _history_not_compared() -> list[Patch]:
    """Who has another history than the rest starts, and serves it."""

    def compare(own: PeerHash, said: Mapping[int, PeerHash | None]) -> tuple[list[int], list[int]]:
        return [], []

    return [*everywhere(corruption, "compare", compare), Patch(comparing, "compare", compare)]


_FORGOTTEN = ("what was synced is forgotten", "a term went back", "a vote was changed")

EXHIBITS = (
    Exhibit(
        "log cut where it is damaged",
        "Truncate of Protocol-Aware Recovery, FAST '18",
        "Damage in the middle is taken for a torn tail: what was acknowledged behind it is gone.",
        _FORGOTTEN,
        _log_cut_at_the_damage,
        options={"kinds": "bit-rot", "interval_s": 1.0},
    ),
    Exhibit(
        "lost sector taken for a torn write",
        "etcd's isTornEntry",
        "Zeros in a sector end the log, though what stands behind was written later.",
        _FORGOTTEN,
        _lost_sector_taken_for_a_torn_write,
        options={"kinds": "misplaced-write", "interval_s": 1.0},
    ),
    Exhibit(
        "damaged log begun anew",
        "DeleteRebuild of Protocol-Aware Recovery, FAST '18",
        "A member with an empty log and its old id has forgotten its votes.",
        _FORGOTTEN,
        _damaged_log_begun_anew,
        options={"kinds": "bit-rot,misplaced-write", "interval_s": 1.0},
    ),
    Exhibit(
        "size of a record believed",
        "CVE-2020-15106",
        "A damaged size ends the process with a trace instead of a word on what is damaged.",
        ("MemoryError",),
        _size_of_a_record_believed,
        options={"kinds": "bit-rot", "interval_s": 1.0},
    ),
    Exhibit(
        "history not compared at the start",
        "etcd's default, --experimental-initial-corrupt-check=false",
        "A value that rotted in the backend is served.",
        DIVERGED,
        _history_not_compared,
        options={"kinds": "rotten-row", "interval_s": 1.0},
    ),
)
