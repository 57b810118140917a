"""Defects of elections and of committing."""

from __future__ import annotations

from petcd.raft import candidate
from petcd.raft.core import Raft
from petcd.raft.log import RaftLog
from petcd.raft.rawnode import RawNode
from petcd.raft.ready import Ready
from petcd.raft.types import Entry, HardState, Message, MessageType
from petcd.server import opening
from petcd.storage import wal, wal_record
from sim.bugs.exhibit import Exhibit
from sim.bugs.switch import Patch

_take_hard_state = RawNode._take_hard_state
_count = candidate._count


def _vote_not_persisted() -> list[Patch]:
    def encode_hard_state(state: HardState) -> bytes:
        return wal_record.encode_hard_state(HardState(state.term, 0, state.commit))

    return [Patch(wal, "encode_hard_state", encode_hard_state)]


def _term_and_vote_not_synced() -> list[Patch]:
    def _take(self: RawNode, ready: Ready) -> None:
        _take_hard_state(self, ready)
        ready.must_sync = bool(ready.entries)

    return [Patch(RawNode, "_take_hard_state", _take)]


def _term_and_vote_in_two_steps() -> list[Patch]:
    """The new term goes to the disk first, and the vote with the next write."""

    def _take(self: RawNode, ready: Ready) -> None:
        vote_moved = self.raft.term != self._last_term and self.raft.vote != 0
        _take_hard_state(self, ready)
        if vote_moved and ready.hard_state is not None:
            ready.hard_state = HardState(ready.hard_state.term, 0, ready.hard_state.commit)
            self._last_vote = 0

    return [Patch(RawNode, "_take_hard_state", _take)]


def _seen_vote_counts_as_granted() -> list[Patch]:
    def count(r: Raft, m: Message) -> None:
        _count(r, Message(m.type, m.to, m.from_, m.term))

    return [Patch(candidate, "_count", count)]


def _stale_log_wins() -> list[Patch]:
    def is_up_to_date(self: RaftLog, index: int, term: int) -> bool:
        return True

    return [Patch(RaftLog, "is_up_to_date", is_up_to_date)]


def _old_entries_committed_by_counting() -> list[Patch]:
    def maybe_commit(self: RaftLog, index: int, term: int) -> bool:
        if index > self.committed:
            self.commit_to(index)
            return True
        return False

    return [Patch(RaftLog, "maybe_commit", maybe_commit)]


def _conflicts_not_truncated() -> list[Patch]:
    def maybe_append(
        self: RaftLog, index: int, term: int, entries: list[Entry], committed: int
    ) -> int:
        if not self.match_term(index, term):
            return -1
        last, last_new = self.last_index(), index + len(entries)
        self.append([entry for entry in entries if entry.index > last])
        self.commit_to(min(committed, last_new))
        return last_new

    return [Patch(RaftLog, "maybe_append", maybe_append)]


def _leader_counts_itself_early() -> list[Patch]:
    def append_entries(self: Raft, entries: list[Entry]) -> None:
        last = self.raft_log.append(entries)
        self.tracker.progress[self.id].acknowledge(last)
        message = Message(MessageType.APP_RESP, self.id, self.id, self.term, 0, last)
        self.msgs_after_append.append(message)

    return [Patch(Raft, "append_entries", append_entries)]


def _one_entry_at_a_time() -> list[Patch]:
    return [Patch(opening, "MESSAGE_BYTES_MAX", 0)]


_FORGOTTEN = ("what was synced is forgotten", "two votes in one term", "two leaders in one term")
_CRASHES = {"kinds": "power-cut,power-cut-of-all,leader-isolated,split", "interval_s": 1.0}
_PARTITIONS = {"kinds": "leader-isolated,split,one-way-links,kill,bad-weather", "interval_s": 1.0}

EXHIBITS = (
    Exhibit(
        "vote not persisted",
        "bakwc/PySyncObj#201",
        "After a restart a member votes a second time in the same term.",
        _FORGOTTEN,
        _vote_not_persisted,
        options=_CRASHES,
    ),
    Exhibit(
        "term and vote not synced",
        "bakwc/PySyncObj#201, etcd-io/etcd#14143",
        "Votes are answered while term and vote wait in the system's cache.",
        ("a vote before it is on disk", "before the term is on disk", *_FORGOTTEN),
        _term_and_vote_not_synced,
        options=_CRASHES,
    ),
    Exhibit(
        "term and vote in two steps",
        "hashicorp/raft#661",
        "A crash between the two leaves the new term without the vote that was given in it.",
        ("a vote before it is on disk", *_FORGOTTEN),
        _term_and_vote_in_two_steps,
        options=_CRASHES,
    ),
    Exhibit(
        "seen vote counts as granted",
        "databendlabs/databend#16175",
        "A candidate counts refusals as votes.",
        ("a leader without a majority", "two leaders in one term"),
        _seen_vote_counts_as_granted,
        options=_PARTITIONS,
    ),
    Exhibit(
        "stale log wins",
        "Raft section 5.4.1",
        "Voters do not compare logs, so a leader may lack committed entries.",
        ("a leader lacks a committed entry",),
        _stale_log_wins,
        options=_PARTITIONS,
    ),
    Exhibit(
        "old entries committed by counting",
        "Raft section 5.4.2, figure 8",
        "A leader commits entries of earlier terms because a majority holds them.",
        ("an old entry was committed by counting",),
        _old_entries_committed_by_counting,
        options=_PARTITIONS,
        stage=_one_entry_at_a_time,
    ),
    Exhibit(
        "conflicts not truncated",
        "vesoft-inc/nebula#2419",
        "A follower keeps its own entries where the leader's are different.",
        ("logs do not match", "a log out of order", "members committed different entries"),
        _conflicts_not_truncated,
        options=_PARTITIONS,
    ),
    Exhibit(
        "leader counts itself before its own sync",
        "etcd-io/etcd#14370, Raft dissertation section 10.2.1",
        "An entry counts as committed while one disk less than a majority holds it.",
        ("committed without a majority",),
        _leader_counts_itself_early,
        options={"kinds": "slow-disk", "interval_s": 1.0},
    ),
)
