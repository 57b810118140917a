"""Raft nodes under a bad network, crashes, snapshots and changes of configuration.

A world of a few nodes is moved by one random step after the other: a message is delivered, lost,
doubled or overtaken; a clock ticks; a disk finishes a write; a node crashes and forgets what was
not durable; links break and heal; clients propose, read, change the membership; logs are compacted.
After every step `sim.check.invariants` must hold, and besides:

* no two nodes apply different entries at one index;
* a read that is answered sees everything that was committed when it was asked.
"""

from __future__ import annotations

import random
from typing import Any

from petcd.raft import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    ConfChangeSingle,
    ConfChangeV2,
    Config,
    ConfState,
    Entry,
    HardState,
    MemoryStorage,
    Message,
    MessageType,
    ProposalDropped,
    RaftError,
    RawNode,
    Snapshot,
    SnapshotMetadata,
    SnapshotStatus,
    StateType,
    decode_conf_change,
)
from sim.check.invariants import Invariants

UNCOMMITTED_BYTES_MAX = 200
CATCH_UP_ENTRIES = 3


class Violation(AssertionError):
    """An invariant does not hold."""


class Disk(MemoryStorage):
    """A log that survives crashes. What is written here is durable."""

    def take_snapshot(self) -> Snapshot:
        return super().snapshot()


class Node:
    """One node: what is durable in `disk`, everything else in memory and lost by a crash."""

    def __init__(self, world: World, node: int) -> None:
        self.world = world
        self.id = node
        self.disk = Disk()
        meta = SnapshotMetadata(ConfState(list(world.founders)), 1, 1)
        self.disk.apply_snapshot(Snapshot(b"", meta))
        world.invariants.durable(node).snapshot(1, 1)
        self.applied_index = 1
        self.conf = self.disk.initial_state()[1]
        self.raw = self.start()
        self.append_work: list[Message] = []
        self.apply_work: list[Message] = []
        self.reads: dict[bytes, int] = {}

    def start(self) -> RawNode:
        world = self.world
        return RawNode(
            Config(
                id=self.id,
                election_tick=10,
                heartbeat_tick=2,
                storage=self.disk,
                random=world.chance.randrange,
                applied=self.applied_index,
                max_size_per_msg=world.options["max_size_per_msg"],
                max_uncommitted_size=UNCOMMITTED_BYTES_MAX,
                max_inflight_msgs=world.options["max_inflight_msgs"],
                pre_vote=world.options["pre_vote"],
                check_quorum=world.options["check_quorum"],
                step_down_on_removal=world.options["step_down_on_removal"],
                async_storage_writes=world.options["async_storage_writes"],
            )
        )

    def crash(self) -> None:
        """Lose the memory; the state machine is as durable as the last snapshot at least."""
        self.append_work = []
        self.apply_work = []
        self.reads = {}
        snapshot = self.disk.take_snapshot()
        self.applied_index = snapshot.metadata.index
        self.conf = snapshot.metadata.conf_state
        self.raw = self.start()

    def write(self, hard: HardState | None, entries: list[Entry], snap: Snapshot | None) -> None:
        if snap is not None:
            if snap.metadata.index > self.disk.take_snapshot().metadata.index:
                self.disk.apply_snapshot(snap)
            self.applied_index = max(self.applied_index, snap.metadata.index)
            self.conf = snap.metadata.conf_state
        self.disk.append(entries)
        if hard is not None and not hard.is_empty():
            self.disk.set_hard_state(hard)
        durable = self.world.invariants.durable(self.id)
        if snap is not None:
            durable.snapshot(snap.metadata.index, snap.metadata.term)
        durable.saved(hard, entries)
        durable.synced()

    def apply(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.world.check_applied(self.id, entry)
            if entry.index <= self.applied_index:
                continue
            change = decode_conf_change(entry)
            if change is not None:
                self.conf = self.raw.apply_conf_change(change)
            self.applied_index = entry.index

    def handle_ready(self) -> None:
        """Carry out one Ready; the world may interrupt it by a crash."""
        raw, world = self.raw, self.world
        if not raw.has_ready():
            return
        is_async = world.options["async_storage_writes"]
        ready = raw.ready()
        for read in ready.read_states:
            world.check_read(self, read.context, read.index)
        if is_async:
            world.post(self, ready.messages)
            return
        if world.chance.random() < world.options["crash_in_ready"]:
            self.crash()
            return
        self.write(ready.hard_state, ready.entries, ready.snapshot)
        world.post(self, ready.messages)
        self.apply(ready.committed_entries)
        raw.advance()

    def finish_append(self) -> None:
        if self.append_work:
            m = self.append_work.pop(0)
            self.write(HardState(m.term, m.vote, m.commit), m.entries, m.snapshot)
            self.world.post(self, m.responses)

    def finish_apply(self) -> None:
        if self.apply_work:
            m = self.apply_work.pop(0)
            self.apply(m.entries)
            self.world.post(self, m.responses)

    def compact(self) -> None:
        """Make a snapshot of what is applied and drop most of the log."""
        index = min(self.applied_index, self.disk.last_index())
        if index > self.disk.take_snapshot().metadata.index and not self.apply_work:
            self.disk.create_snapshot(index, self.conf, b"state")
            if index - CATCH_UP_ENTRIES > self.disk.first_index():
                self.disk.compact(index - CATCH_UP_ENTRIES)


class World:
    """All nodes, the network, and what must never happen."""

    def __init__(self, seed: int, **fixed: Any) -> None:
        self.chance = chance = random.Random(seed)
        self.options: dict[str, Any] = {
            "pre_vote": chance.random() < 0.7,
            "check_quorum": chance.random() < 0.7,
            "step_down_on_removal": chance.random() < 0.5,
            "async_storage_writes": chance.random() < 0.5,
            "max_size_per_msg": chance.choice([0, 30, 1 << 20]),
            "max_inflight_msgs": chance.choice([1, 4, 256]),
            "loss": chance.choice([0.0, 0.05, 0.2]),
            "crash": chance.choice([0.0, 0.002, 0.01]),
            "crash_in_ready": chance.choice([0.0, 0.01]),
            "conf_changes": chance.random() < 0.5,
            "messages_max": 60,
            "hurry": chance.choice([0.0, 0.0, 0.02, 0.1]),
            **fixed,
        }
        self.founders = list(range(1, chance.choice([1, 3, 3, 3, 5]) + 1))
        self.network: list[Message] = []
        self.cut: set[tuple[int, int]] = set()
        self.invariants = Invariants()
        self.committed: dict[int, tuple[int, bytes]] = {}
        self.counter = 0
        self.reads_answered = 0
        self.nodes = {node: Node(self, node) for node in self.founders}

    # ---- the network ----

    def post(self, sender: Node, messages: list[Message]) -> None:
        for m in messages:
            self.invariants.sent(sender.id, m)
            if m.to == LOCAL_APPEND_THREAD:
                sender.append_work.append(m)
            elif m.to == LOCAL_APPLY_THREAD:
                sender.apply_work.append(m)
            elif m.to == sender.id:
                self.hand_over(m)
            elif (sender.id, m.to) in self.cut or self.chance.random() < self.options["loss"]:
                self.tell_lost(m)
            else:
                self.network.append(m)
        while len(self.network) > self.options["messages_max"]:
            self.tell_lost(self.network.pop(self.chance.randrange(len(self.network))))

    def tell_lost(self, m: Message) -> None:
        """A sender always hears what became of a snapshot, and sometimes of other messages."""
        if m.type == MessageType.SNAP:
            self.nodes[m.from_].raw.report_snapshot(m.to, SnapshotStatus.FAILURE)
        elif self.chance.random() < 0.5:
            self.nodes[m.from_].raw.report_unreachable(m.to)

    def hand_over(self, m: Message) -> None:
        node = self.nodes.get(m.to)
        if node is not None:
            try:
                node.raw.step(m)
            except RaftError:
                pass
            if m.type == MessageType.SNAP and m.from_ in self.nodes:
                self.nodes[m.from_].raw.report_snapshot(m.to, SnapshotStatus.FINISH)

    def deliver_one(self) -> None:
        if self.network:
            at = self.chance.randrange(min(len(self.network), 4))
            m = self.network[at] if self.chance.random() < 0.03 else self.network.pop(at)
            if (m.from_, m.to) in self.cut:
                self.tell_lost(m)
            else:
                self.hand_over(m)

    # ---- one step ----

    def step(self) -> None:
        chance = self.chance
        node = chance.choice(list(self.nodes.values()))
        what = chance.random()
        if what < 0.40:
            self.deliver_one()
        elif what < 0.62:
            node.handle_ready()
        elif what < 0.70:
            node.finish_append()
        elif what < 0.76:
            node.finish_apply()
        elif what < 0.86:
            if chance.random() < self.options["hurry"]:
                node.raw.campaign()
            else:
                node.raw.tick()
        elif what < 0.94:
            self.ask(node)
        elif what < 0.96:
            node.compact()
        elif what < 0.97:
            self.change_links()
        elif what < 0.98 and self.options["conf_changes"]:
            self.change_membership(node)
        elif what < 0.985:
            node.raw.transfer_leader(chance.choice(list(self.nodes)))
        elif chance.random() < self.options["crash"] * 50:
            node.crash()
        self.look()

    def ask(self, node: Node) -> None:
        self.counter += 1
        if self.chance.random() < 0.6:
            try:
                node.raw.propose_batch([b"%d" % self.counter] * self.chance.choice([1, 1, 3]))
            except ProposalDropped:
                pass
        else:
            context = b"r%d" % self.counter
            known = [each.raw.raft.raft_log.committed for each in self.nodes.values()]
            node.reads[context] = max(known)
            node.raw.read_index(context)

    def change_links(self) -> None:
        self.cut = set()
        if self.chance.random() < 0.6:
            for a in self.nodes:
                for b in self.nodes:
                    if a != b and self.chance.random() < 0.3:
                        self.cut.add((a, b))

    def change_membership(self, node: Node) -> None:
        pool = list(range(1, 7))
        count = self.chance.choice([1, 1, 2, 3])
        parts = [
            ConfChangeSingle(self.chance.choice([0, 0, 1, 3]), self.chance.choice(pool))
            for _ in range(count)
        ]
        try:
            after = {p.node_id for p in parts if p.type == 0}
            voters = node.raw.raft.tracker.config.voters.incoming
            gone = {p.node_id for p in parts if p.type != 0}
            if (voters - gone) | (after - gone):
                node.raw.propose_conf_change(ConfChangeV2(0, parts))
        except ProposalDropped:
            pass
        for part in parts:
            if part.node_id not in self.nodes:
                self.nodes[part.node_id] = Node(self, part.node_id)

    # ---- invariants ----

    def look(self) -> None:
        for node in self.nodes.values():
            self.invariants.look(node.id, node.raw.raft)

    def check_applied(self, node: int, entry: Entry) -> None:
        value = (entry.term, entry.data)
        if self.committed.setdefault(entry.index, value) != value:
            raise Violation(f"node {node} applies {value} at {entry.index}, not what others did")

    def check_read(self, node: Node, context: bytes, index: int) -> None:
        known = node.reads.pop(context, 0)
        self.reads_answered += 1
        if index < known:
            raise Violation(f"read {context!r} sees {index}, but {known} was committed before")

    # ---- a whole life ----

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def heal(self, turns: int = 1000) -> None:
        """End all faults; a leader must emerge and commit something new.

        A leader that has removed itself, and may stay (an option), is stopped by its application.
        """
        self.cut = set()
        self.options.update(loss=0.0, crash_in_ready=0.0, messages_max=10_000)
        before = max(self.committed, default=0)
        for _ in range(turns):
            for node in self.nodes.values():
                node.raw.tick()
                for _ in range(4):
                    node.handle_ready()
                    node.finish_append()
                    node.finish_apply()
                if node.raw.raft.state == StateType.LEADER:
                    self.ask(node)
                    node.compact()
                    if node.id not in node.raw.raft.tracker.progress:
                        node.crash()
            for _ in range(len(self.network)):
                self.deliver_one()
            self.look()
            if max(self.committed, default=0) > before + 3:
                return
        if not self.is_orphaned():
            raise Violation("no progress after all faults ended")

    def is_orphaned(self) -> bool:
        """The one known way to be stuck: a leader has removed itself, and the news that this is
        committed was lost with it. Its log is longer than that of the others, who believe that
        they still need its vote, while it may not lead any more (see `Config`)."""
        rafts = [node.raw.raft for node in self.nodes.values()]
        ends = [(r.raft_log.last_term(), r.raft_log.last_index()) for r in rafts]
        heirs = [end for r, end in zip(rafts, ends, strict=True) if r.promotable()]
        return max(ends) not in heirs
