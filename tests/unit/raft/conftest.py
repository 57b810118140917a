"""A group of raft nodes in one process, moved by hand.

Nothing happens by itself: `run` carries out a node's Readies and posts its messages, `deliver`
hands posted messages over, `settle` does both until all is quiet. Links can be cut; what goes over
a cut link is lost. Storage counts as durable once it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from petcd.raft import (
    Config,
    ConfState,
    Entry,
    MemoryStorage,
    Message,
    MessageType,
    RaftError,
    RawNode,
    Ready,
    Snapshot,
    SnapshotMetadata,
    StateType,
    decode_conf_change,
)
from petcd.raft.core import Raft

ELECTION_TICK = 10
FIRST_INDEX = 3
"""Groups begin with a snapshot at index 2, term 1: index 3 is their first entry."""


def shortest_timeout(count: int) -> int:
    return 0


def founded_storage(
    voters: Iterable[int], learners: Iterable[int] = (), index: int = FIRST_INDEX - 1
) -> MemoryStorage:
    """A log that begins behind a snapshot with this configuration."""
    storage = MemoryStorage()
    meta = SnapshotMetadata(ConfState(list(voters), list(learners)), index, 1)
    storage.apply_snapshot(Snapshot(b"", meta))
    return storage


def make_raw(node: int, storage: MemoryStorage, **settings: Any) -> RawNode:
    settings = {
        "election_tick": ELECTION_TICK,
        "heartbeat_tick": 1,
        "random": shortest_timeout,
        **settings,
    }
    return RawNode(Config(id=node, storage=storage, **settings))


class Member:
    """A node with its storage and what it has applied."""

    def __init__(self, node: int, storage: MemoryStorage, **settings: Any) -> None:
        self.id = node
        self.storage = storage
        self.settings = settings
        self.raw = make_raw(node, storage, **settings)
        self.applied: list[Entry] = []
        self.reads: dict[bytes, int] = {}
        self.history: list[Ready] = []

    @property
    def raft(self) -> Raft:
        return self.raw.raft

    @property
    def state(self) -> int:
        return self.raft.state

    @property
    def data(self) -> list[bytes]:
        """The payloads applied, without empty entries and configuration changes."""
        return [entry.data for entry in self.applied if entry.type == 0 and entry.data]

    def log(self) -> list[tuple[int, int, bytes]]:
        """(index, term, data) of the whole log, stable or not."""
        return [(e.index, e.term, e.data) for e in self.raft.raft_log.all_entries()]

    def terms(self) -> list[int]:
        return [entry.term for entry in self.raft.raft_log.all_entries()]

    def carry_out(self) -> list[Message]:
        """Carry out all Readies; returns the messages they want sent."""
        messages: list[Message] = []
        while self.raw.has_ready():
            ready = self.raw.ready()
            self.history.append(ready)
            if ready.snapshot is not None:
                self.storage.apply_snapshot(ready.snapshot)
            self.storage.append(ready.entries)
            if ready.hard_state is not None:
                self.storage.set_hard_state(ready.hard_state)
            for entry in ready.committed_entries:
                change = decode_conf_change(entry)
                if change is not None:
                    self.raw.apply_conf_change(change)
                self.applied.append(entry)
            for read in ready.read_states:
                self.reads[read.context] = read.index
            messages += ready.messages
            self.raw.advance()
        return messages

    def restart(self) -> None:
        """Begin again from what is stored; the state machine keeps what it applied."""
        applied = self.raft.raft_log.applied
        self.raw = make_raw(self.id, self.storage, **{**self.settings, "applied": applied})

    def snapshot_at(self, index: int) -> None:
        """Make a snapshot at `index` and compact the log up to there."""
        conf = self.raft.tracker.config.conf_state()
        self.storage.create_snapshot(index, conf, b"state")
        self.storage.compact(index)


class Group:
    """Members by id, and the messages between them."""

    def __init__(
        self, voters: Iterable[int] = (1, 2, 3), learners: Iterable[int] = (), **settings: Any
    ) -> None:
        self.settings = settings
        self.voters = list(voters)
        self.learners = list(learners)
        self.members: dict[int, Member] = {}
        self.post: list[Message] = []
        self.cut: set[tuple[int, int]] = set()
        self.lost: list[Message] = []
        for node in [*self.voters, *self.learners]:
            self.add(node)

    def __getitem__(self, node: int) -> Member:
        return self.members[node]

    def add(self, node: int, **settings: Any) -> Member:
        """A further member, founded with the group's first configuration."""
        storage = founded_storage(self.voters, self.learners)
        self.members[node] = Member(node, storage, **{**self.settings, **settings})
        return self.members[node]

    def add_blank(self, node: int) -> Member:
        """A member that knows nothing: no log, no configuration."""
        self.members[node] = Member(node, MemoryStorage(), **self.settings)
        return self.members[node]

    # ---- moving ----

    def run(self, *nodes: int) -> list[Message]:
        """Carry out the Readies of these nodes (or all); their messages are posted."""
        made: list[Message] = []
        for node in nodes or sorted(self.members):
            made += self.members[node].carry_out()
        self.post += made
        return made

    def deliver(self, *nodes: int, kind: int | None = None) -> int:
        """Hand over what is posted to these nodes (or all), of one type (or all)."""
        now, later = [], []
        for m in self.post:
            wanted = (not nodes or m.to in nodes) and (kind is None or m.type == kind)
            (now if wanted else later).append(m)
        self.post = later
        for m in now:
            if (m.from_, m.to) in self.cut or m.to not in self.members:
                self.lost.append(m)
                continue
            try:
                self.members[m.to].raw.step(m)
            except RaftError:
                pass
        return len(now)

    def drop(self, kind: int | None = None, to: int | None = None) -> int:
        """Lose posted messages, of one type and to one node if given."""
        before = len(self.post)
        self.post = [
            m
            for m in self.post
            if (kind is not None and m.type != kind) or (to is not None and m.to != to)
        ]
        return before - len(self.post)

    def settle(self, turns: int = 200) -> None:
        """Run and deliver until nothing moves."""
        for _ in range(turns):
            self.run()
            if not self.post:
                return
            self.deliver()
        raise AssertionError(f"does not come to rest: {self.post}")

    def tick(self, node: int, count: int = 1) -> None:
        for _ in range(count):
            self.members[node].raw.tick()

    # ---- situations ----

    def elect(self, node: int) -> Member:
        """Make `node` the leader."""
        self.members[node].raw.campaign()
        self.settle()
        assert self.members[node].state == StateType.LEADER
        return self.members[node]

    def propose(self, node: int, *payloads: bytes) -> None:
        self.members[node].raw.propose_batch(list(payloads))

    def isolate(self, *nodes: int) -> None:
        """Cut these nodes from all others (and from each other)."""
        for node in nodes:
            for other in self.members:
                if other != node:
                    self.cut |= {(node, other), (other, node)}

    def split(self, *parts: Iterable[int]) -> None:
        """Cut all links between the parts."""
        groups = [set(part) for part in parts]
        for group in groups:
            for other in groups:
                if group is not other:
                    self.cut |= {(a, b) for a in group for b in other}

    def heal(self) -> None:
        self.cut = set()

    def leaders(self) -> list[int]:
        return [n for n, each in self.members.items() if each.state == StateType.LEADER]


def posted(messages: list[Message], kind: int) -> list[Message]:
    """The messages of one type, by receiver."""
    return sorted([m for m in messages if m.type == kind], key=lambda m: m.to)


def append(to: int, from_: int, term: int, index: int, log_term: int, *terms: int) -> Message:
    """An APP behind (index, log_term) with entries of these terms."""
    entries = [Entry(0, t, index + 1 + i, b"e%d" % t) for i, t in enumerate(terms)]
    kind = MessageType.APP
    return Message(kind, to, from_, term, log_term, index, entries)


@pytest.fixture
def make_group() -> Callable[..., Group]:
    return Group


@pytest.fixture
def make_member() -> Callable[..., Member]:
    def make(node: int = 1, voters: Iterable[int] = (1, 2, 3), **settings: Any) -> Member:
        learners = settings.pop("learners", ())
        return Member(node, founded_storage(voters, learners), **settings)

    return make


@pytest.fixture
def of_kind() -> Callable[[list[Message], int], list[Message]]:
    return posted


@pytest.fixture
def app() -> Callable[..., Message]:
    return append
