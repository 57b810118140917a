"""Raft's laws, looked at after every step of every member, and before every message leaves.

    election safety       one leader in a term at most                            (Raft figure 3)
    votes                 a member votes once in a term, also across crashes; whoever leads was
                          voted for by a majority                                          (5.2)
    log matching          an entry (index, term) is the same everywhere, and so is the one before
                          it; a leader only appends                                        (5.3)
    leader completeness   a new leader's log holds all that was committed before it        (5.4)
    commitment            what a leader commits is of its term, and on the disks of a majority of
                          its voters                                              (5.4.2, 10.2.1)
    state machine safety  no two members commit different entries at one index             (5.4.3)
    promises              a vote or an acknowledgement that is sent is on disk      (figure 2, 3.8)
    memory                what was synced is there after a restart; term and vote never go back
    order                 applied <= committed <= last; terms rise along a log; the commit index
                          never falls within a run
    configuration         all members have the same one at the same index, and it is that of their
                          list of members; a leader has one change under way at most       (4.1)

Numbers are sections of the Raft paper and of the dissertation. A look costs O(what is new): of a
member's log only what came since the last look is read. The disks' part comes from `durable`.
The first broken law raises `Broken`; there is no going on behind it.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from petcd.cluster import Membership
from petcd.raft.core import Raft
from petcd.raft.kinds import NO_LIMIT, EntryType, MessageType, StateType
from petcd.raft.tracker import GroupConfig
from petcd.raft.types import Message
from sim.check.durable import Durable
from sim.check.history import Violation

_LEADER: Final = StateType.LEADER
_VOTE_RESP: Final = MessageType.VOTE_RESP
_APP_RESP: Final = MessageType.APP_RESP

Configuration = tuple[tuple[int, ...], ...]


class Broken(Exception):
    """A law of Raft does not hold."""

    def __init__(self, law: str, detail: str) -> None:
        super().__init__(f"{law}: {detail}")
        self.violation = Violation(law, detail)


class _View:
    """What was seen of one member at the last look; `terms` is its log as of then."""

    __slots__ = (
        "applied", "base", "committed", "compared", "conf_index", "config", "durable", "last_index",
        "last_term", "raft", "state", "term", "terms", "vote",
    )  # fmt: skip

    def __init__(self) -> None:
        self.durable = Durable()
        self.raft: Raft | None = None
        self.term = 0
        self.vote = 0
        self.state = 0
        self.committed = 0
        self.applied = 0
        self.last_index = 0
        self.last_term = 0
        self.config: GroupConfig | None = None
        self.compared: GroupConfig | None = None
        self.base = 0
        self.terms: list[int] = []
        self.conf_index = 0
        """The last configuration change in its log."""

    def term_at(self, index: int) -> int:
        """The term last seen at an index, -1 if it was not seen."""
        place = index - self.base - 1
        return self.terms[place] if 0 <= place < len(self.terms) else -1


class Invariants:
    """The laws over one cluster's life. Members are known by their raft ids."""

    def __init__(self) -> None:
        self.looks = 0
        self._found: Broken | None = None
        self._views: dict[int, _View] = {}
        self._leaders: dict[int, int] = {}
        self._votes: dict[tuple[int, int], int] = {}
        """(voter, term) -> whom it promised its vote."""
        self._entries: dict[tuple[int, int], tuple[int, int, int]] = {}
        """(index, term) -> (term before it, type, hash of its data), on every member."""
        self._committed: dict[int, tuple[int, int]] = {}
        """index -> (term of the entry, term in which it was first seen committed)."""
        self._last_committed = 0
        self._conf_indexes: list[int] = []
        """Committed configuration changes, ascending."""
        self._configurations: dict[int, Configuration] = {}
        """Index of a configuration change -> what it led to."""

    def durable(self, member: int) -> Durable:
        """The record of a member's disk."""
        return self._view(member).durable

    @property
    def leaders_seen(self) -> int:
        """In how many terms somebody led."""
        return len(self._leaders)

    def replaced(self, member: int) -> None:
        """A member's disk was emptied on purpose and its id is not used any more."""
        self._views.pop(member, None)

    def _view(self, member: int) -> _View:
        view = self._views.get(member)
        if view is None:
            view = self._views[member] = _View()
        return view

    # ---- after every step ----

    def look(self, member: int, raft: Raft) -> None:
        """A member has taken a step, or has just been started."""
        self.looks += 1
        if self._found is not None:
            raise self._found
        view = self._views.get(member)
        if view is None:
            view = self._view(member)
        if raft is not view.raft:
            self._look_at_start(member, view, raft)
        log = raft.raft_log
        if raft.term != view.term or raft.vote != view.vote:
            self._look_at_vote(member, view, raft)
        last = log.last_index()
        if last != view.last_index or log.last_term() != view.last_term:
            self._look_at_log(member, view, raft, last)
        if raft.state == _LEADER and (view.state != _LEADER or raft.term != view.term):
            self._look_at_new_leader(member, view, raft)
        if log.committed != view.committed:
            self._look_at_commit(member, view, raft)
        if log.applied != view.applied or raft.tracker.config is not view.config:
            self._look_at_applied(member, view, raft)
        view.term, view.vote, view.state = raft.term, raft.vote, raft.state

    def _look_at_start(self, member: int, view: _View, raft: Raft) -> None:
        """A new run remembers all that was synced in the runs before."""
        durable = view.durable
        if durable.forgotten:
            broken("what was synced is forgotten", f"{member:x} had {durable.forgotten}")
        if raft.term < durable.term:
            broken("a term went back", f"{member:x} had synced {durable.term}, has {raft.term}")
        if raft.term == durable.term and durable.vote not in (0, raft.vote):
            detail = f"{member:x} had synced a vote for {durable.vote:x} in term {raft.term}"
            broken("a vote was changed", f"{detail}, has {raft.vote:x}")
        log = raft.raft_log
        last = durable.last_index
        if last and last >= log.first_index() and log.maybe_term(last) != durable.term_at(last):
            detail = f"{member:x} had synced entry {last} of term {durable.term_at(last)}"
            broken("what was synced is forgotten", f"{detail}, has up to {log.last_index()}")
        view.raft = raft
        view.term, view.vote, view.state = raft.term, raft.vote, StateType.FOLLOWER
        view.committed = view.applied = view.last_index = view.last_term = 0
        view.base, view.terms = log.first_index() - 1, []
        view.config = None

    def _look_at_vote(self, member: int, view: _View, raft: Raft) -> None:
        if raft.term < view.term:
            broken("a term went back", f"{member:x}: {view.term} to {raft.term}")
        if raft.term == view.term and view.vote != 0:
            detail = f"{member:x}: {view.vote:x} to {raft.vote:x} in term {raft.term}"
            broken("a vote was changed", detail)

    # ---- the log ----

    def _look_at_log(self, member: int, view: _View, raft: Raft, last: int) -> None:
        """Read the log backwards until it is as it was at the last look."""
        log = raft.raft_log
        first = log.first_index()
        start = last + 1
        while start > first:
            known = view.term_at(start - 1)
            if known >= 0 and known == log.maybe_term(start - 1):
                break
            start -= 1
        if start <= view.last_index and _has_led(view, raft):
            detail = f"{member:x} replaced {start} to {view.last_index} in term {raft.term}"
            broken("a leader changed its own log", detail)
        if start <= view.conf_index:
            view.conf_index = 0
        if start == first and view.term_at(first - 1) < 0:
            view.base, view.terms = first - 1, []
        else:
            del view.terms[start - view.base - 1 :]
        if start <= last:
            self._look_at_entries(member, view, raft, start, last)
        view.last_index, view.last_term = last, log.last_term()

    def _look_at_entries(self, member: int, view: _View, raft: Raft, lo: int, hi: int) -> None:
        log = raft.raft_log
        before = max(log.maybe_term(lo - 1), 0)
        for index, entry in enumerate(log.slice(lo, hi + 1, NO_LIMIT), lo):
            term = entry.term
            if entry.index != index or term < before or term > raft.term:
                detail = f"{member:x} in term {raft.term} holds {entry} at {index} behind {before}"
                broken("a log out of order", detail)
            content = (before, entry.type, hash(entry.data))
            known = self._entries.setdefault((index, term), content)
            if known != content and (known[1:] != content[1:] or 0 not in (known[0], before)):
                detail = f"{member:x} holds another entry {index} of term {term}: {entry}"
                broken("logs do not match", detail)
            if entry.type != EntryType.NORMAL:
                self._look_at_change(member, view, raft, index, term)
            view.terms.append(term)
            before = term

    def _look_at_change(self, member: int, view: _View, raft: Raft, index: int, term: int) -> None:
        """A leader proposes a change only when it has applied the one before.

        The founding entries are of term 1, and no leader has proposed them.
        """
        before, view.conf_index = view.conf_index, index
        if term == raft.term and _has_led(view, raft) and raft.raft_log.applied < before < index:
            detail = f"{member:x} proposed {index} and had applied {raft.raft_log.applied}"
            broken("two changes of the configuration under way", f"{detail}, behind {before}")

    # ---- leaders ----

    def _look_at_new_leader(self, member: int, view: _View, raft: Raft) -> None:
        term = raft.term
        other = self._leaders.setdefault(term, member)
        if other != member:
            broken("two leaders in one term", f"{member:x} and {other:x} in term {term}")
        log = raft.raft_log
        index = self._last_committed
        while index and (index not in self._committed or self._committed[index][1] >= term):
            index -= 1
        if index and index >= log.first_index():
            held, wanted = log.maybe_term(index), self._committed[index][0]
            if held != wanted:
                detail = f"{member:x} leads term {term} without entry {index} of term {wanted}"
                broken("a leader lacks a committed entry", f"{detail}; its own is of {held}")
        if not self._is_quorum(raft.tracker.config, view.config, self._voted_for(member, term)):
            voters = sorted(self._voted_for(member, term))
            detail = f"{member:x} leads term {term} with the votes of {voters}"
            broken("a leader without a majority", f"{detail} in {raft.tracker.config}")

    def _voted_for(self, candidate: int, term: int) -> set[int]:
        found = set()
        for voter, view in self._views.items():
            if voter == candidate:
                durable = view.durable
                voted = durable.term > term or (durable.term, durable.vote) == (term, candidate)
            else:
                voted = self._votes.get((voter, term)) == candidate
            if voted:
                found.add(voter)
        return found

    def _is_quorum(
        self, config: GroupConfig, before: GroupConfig | None, members: set[int]
    ) -> bool:
        """Of the present configuration, or of the one at the last look: it may have changed."""
        return _has_majorities(config, members) or (
            before is not None and before is not config and _has_majorities(before, members)
        )

    # ---- committing and applying ----

    def _look_at_commit(self, member: int, view: _View, raft: Raft) -> None:
        log = raft.raft_log
        committed = log.committed
        if committed < view.committed or committed > log.last_index():
            detail = f"{member:x}: {view.committed} to {committed} of {log.last_index()}"
            broken("a commit index out of order", detail)
        for index in range(max(view.committed + 1, log.first_index()), committed + 1):
            term = log.maybe_term(index)
            known = self._committed.get(index)
            if known is None:
                self._committed[index] = (term, raft.term)
                self._last_committed = max(self._last_committed, index)
                if self._entries[index, term][1] != EntryType.NORMAL:
                    insort(self._conf_indexes, index)
            elif known[0] != term:
                detail = f"{member:x} committed entry {index} of term {term}, others of {known[0]}"
                broken("members committed different entries", detail)
        if _has_led(view, raft):
            self._look_at_quorum(member, view, raft)
        view.committed = committed

    def _look_at_quorum(self, member: int, view: _View, raft: Raft) -> None:
        """This leader itself has moved the commit index: it may, if the disks say so."""
        index = raft.raft_log.committed
        term = raft.raft_log.maybe_term(index)
        if term != raft.term:
            detail = f"{member:x} in term {raft.term} committed entry {index} of term {term}"
            broken("an old entry was committed by counting", detail)
        held = {one for one, each in self._views.items() if each.durable.holds(index, term)}
        if not self._is_quorum(raft.tracker.config, view.config, held):
            detail = f"{member:x} committed entry {index}, which only {sorted(held)} hold"
            broken("committed without a majority", f"{detail} of {raft.tracker.config}")

    def _look_at_applied(self, member: int, view: _View, raft: Raft) -> None:
        log = raft.raft_log
        applied, config = log.applied, raft.tracker.config
        if applied < view.applied or applied > log.committed:
            detail = f"{member:x}: {view.applied} to {applied}, committed {log.committed}"
            broken("an applied index out of order", detail)
        view.applied = applied
        if config is view.config:
            return
        view.config = config
        snapshot = log.unstable.snapshot
        index = applied if snapshot is None else max(applied, snapshot.metadata.index)
        change = self._last_change(index)
        found = _plain(config)
        if change and found != self._configurations.setdefault(change, found):
            wanted = self._configurations[change]
            detail = f"{member:x} has {found} at {index}, others had {wanted} since {change}"
            broken("members disagree about the configuration", detail)

    def _last_change(self, index: int) -> int:
        """The last committed configuration change up to an index, 0 if there was none."""
        for change in reversed(self._conf_indexes):
            if change <= index:
                return change
        return 0

    def compare(self, member: int, raft: Raft, membership: Membership) -> None:
        """Raft and a member's list of members agree about who votes and who only learns.

        Looked at when raft's configuration has changed, and no install is half done.
        """
        view, config = self._view(member), raft.tracker.config
        if config is view.compared or raft.raft_log.unstable.snapshot is not None:
            return
        view.compared = config
        listed = membership.members()
        voters = {one.id for one in listed if not one.is_learner}
        learners = {one.id for one in listed if one.is_learner}
        if voters != config.voters.ids() or learners != config.learners | config.learners_next:
            detail = f"{member:x} has {config}, listed are {listed}"
            broken("raft and the list of members disagree", detail)

    # ---- before a message leaves ----

    def sent(self, member: int, message: Message) -> None:
        """A member is about to send a message to another: its promises are on disk.

        Called from within the member, so what is found is raised by the next look.
        """
        kind = message.type
        if message.reject or kind not in (_VOTE_RESP, _APP_RESP) or message.to == member:
            return
        durable = self._view(member).durable
        try:
            if kind == _VOTE_RESP:
                self._look_at_promise(member, message, durable)
            else:
                self._look_at_acknowledgement(member, message, durable)
        except Broken as found:
            self._found = self._found or found

    def _look_at_promise(self, member: int, message: Message, durable: Durable) -> None:
        term, candidate = message.term, message.to
        before = self._votes.setdefault((member, term), candidate)
        if before != candidate:
            detail = f"{member:x} voted for {before:x} and {candidate:x} in term {term}"
            broken("two votes in one term", detail)
        if durable.term <= term and (durable.term, durable.vote) != (term, candidate):
            detail = f"{member:x} sends {message} and has synced {durable.term}, {durable.vote:x}"
            broken("a vote before it is on disk", detail)

    def _look_at_acknowledgement(self, member: int, message: Message, durable: Durable) -> None:
        if durable.term < message.term:
            detail = f"{member:x} sends {message} and has synced term {durable.term}"
            broken("an acknowledgement before the term is on disk", detail)
        # Of one whose entries a later leader has replaced in the same turn: that one was elected by
        # members that had not acknowledged them, so there is no majority of which this is a part.
        is_replaced = durable.term_at(durable.last_index) > message.term
        if durable.last_index < message.index and not is_replaced:
            detail = f"{member:x} sends {message} and has synced up to {durable.last_index}"
            broken("an acknowledgement before the entries are on disk", detail)


def broken(law: str, detail: str) -> None:
    """Raise `Broken`."""
    raise Broken(law, detail)


def _has_led(view: _View, raft: Raft) -> bool:
    """Whether all that happened since the last look was done as the leader of one term."""
    return raft.state == _LEADER and view.state == _LEADER and raft.term == view.term


def _has_majorities(config: GroupConfig, members: set[int]) -> bool:
    """Own arithmetic on purpose: what is checked does not check itself."""
    return all(
        2 * sum(voter in members for voter in half) > len(half)
        for half in (config.voters.incoming, config.voters.outgoing)
        if half
    )


def _plain(config: GroupConfig) -> Configuration:
    voters = config.voters
    parts = (voters.incoming, voters.outgoing, config.learners, config.learners_next)
    return tuple(tuple(sorted(part)) for part in parts)
