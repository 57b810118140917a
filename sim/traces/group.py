"""A group of nodes in one process, stepped by hand, that writes down all it does.

Messages lie in `messages` until they are delivered or dropped; each node's storage work of the
asynchronous kind lies in its own two queues. Nothing moves by itself. The state machine appends
every payload to a string; the state after each entry is kept as a snapshot, and the latest is
what a leader sends.
"""

from __future__ import annotations

from collections.abc import Callable

from petcd.raft import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    Config,
    Entry,
    HardState,
    MemoryStorage,
    Message,
    MessageType,
    RaftError,
    RawNode,
    Snapshot,
    SnapshotMetadata,
    decode_conf_change,
    describe_message,
    describe_ready,
)
from petcd.raft.kinds import NO_LIMIT
from sim.traces.arguments import CommandError
from sim.traces.output import Output

_LOCAL_TARGETS = (LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD)
ELECTION_TICK = 3
HEARTBEAT_TICK = 1
INFLIGHT_MAX = (1 << 31) - 1


class HistoryStorage(MemoryStorage):
    """A log in memory that offers the latest state of the state machine as its snapshot."""

    def __init__(self, history: list[Snapshot]) -> None:
        super().__init__()
        self.history = history

    def snapshot(self) -> Snapshot:
        """See `Storage`."""
        return self.history[-1]


class Node:
    """One node, its log, its state machine's history and its storage work."""

    def __init__(self, raw: RawNode, storage: HistoryStorage, is_async: bool) -> None:
        self.raw = raw
        self.storage = storage
        self.is_async = is_async
        self.append_work: list[Message] = []
        self.apply_work: list[Message] = []

    @property
    def id(self) -> int:
        """The node's id, which is its place in the group counted from 1."""
        return self.raw.raft.id

    def write(self, hard: HardState | None, entries: list[Entry], snap: Snapshot | None) -> None:
        """Store what a Ready or a STORAGE_APPEND asks for."""
        if hard is not None and not hard.is_empty():
            self.storage.set_hard_state(hard)
        if snap is not None and not snap.is_empty():
            if entries:
                raise CommandError("can't apply snapshot and entries at the same time")
            self.storage.apply_snapshot(snap)
            return
        self.storage.append(entries)

    def apply(self, entries: list[Entry]) -> None:
        """Run committed entries through the state machine."""
        for entry in entries:
            last = self.storage.history[-1]
            conf, update = last.metadata.conf_state, entry.data
            change = decode_conf_change(entry)
            if change is not None:
                update = change.context
                conf = self.raw.apply_conf_change(change)
            meta = SnapshotMetadata(conf, entry.index, entry.term)
            self.storage.history.append(Snapshot(last.data + update, meta))


class NodeOptions:
    """How nodes that are added are set up."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.applied = 0
        self.max_inflight_msgs = INFLIGHT_MAX
        self.max_committed_size_per_ready = 0
        self.read_only_option = 0
        self.flags: dict[str, bool] = {}


class Group:
    """All nodes, the messages between them, and the text they produce."""

    def __init__(self) -> None:
        self.output = Output()
        self.nodes: list[Node] = []
        self.messages: list[Message] = []

    def add_nodes(self, count: int, options: NodeOptions) -> None:
        """Add nodes with the next ids; raises `CommandError`."""
        snapshot = options.snapshot
        founded = snapshot != Snapshot()
        for _ in range(count):
            storage = HistoryStorage([snapshot])
            if founded:
                if snapshot.metadata.index <= 1:
                    raise CommandError("index must be specified as > 1 due to bootstrap")
                snapshot.metadata.term = 1
                storage.apply_snapshot(snapshot)
            config = self._config(len(self.nodes) + 1, storage, options)
            self.nodes.append(Node(RawNode(config), storage, config.async_storage_writes))

    def _config(self, node: int, storage: HistoryStorage, options: NodeOptions) -> Config:
        flags = options.flags
        return Config(
            id=node,
            election_tick=ELECTION_TICK,
            heartbeat_tick=HEARTBEAT_TICK,
            storage=storage,
            random=_longest_timeout,
            applied=options.applied,
            max_size_per_msg=NO_LIMIT,
            max_inflight_msgs=options.max_inflight_msgs,
            max_committed_size_per_ready=options.max_committed_size_per_ready,
            read_only_option=options.read_only_option,
            logger=self.output,
            async_storage_writes=flags.get("async-storage-writes", False),
            pre_vote=flags.get("prevote", False),
            check_quorum=flags.get("checkquorum", False),
            disable_conf_change_validation=flags.get("disable-conf-change-validation", False),
            step_down_on_removal=flags.get("step-down-on-removal", False),
        )

    # ---- moving on, by one step ----

    def indented(self, action: Callable[[], None]) -> None:
        """Run `action` with its output indented by two blanks."""
        outer = self.output.swap([])
        try:
            action()
        finally:
            inner = "".join(self.output.swap(outer))
            outer += [f"  {line}\n" for line in inner.removesuffix("\n").split("\n") if inner]

    def process_ready(self, node: Node) -> None:
        """Take and carry out one Ready."""
        ready = node.raw.ready()
        self.output.write(describe_ready(ready))
        if not node.is_async:
            node.write(ready.hard_state, ready.entries, ready.snapshot)
            node.apply(ready.committed_entries)
        for message in ready.messages:
            if message.to == LOCAL_APPEND_THREAD:
                node.append_work.append(message)
            elif message.to == LOCAL_APPLY_THREAD:
                node.apply_work.append(message)
            else:
                self.messages.append(message)
        if not node.is_async:
            node.raw.advance()

    def process_append_thread(self, node: Node) -> None:
        """Carry out the oldest STORAGE_APPEND."""
        if not node.append_work:
            self.output.write("no append work to perform")
            return
        m = node.append_work.pop(0)
        responses = self._begin_storage_work(m)
        node.write(HardState(m.term, m.vote, m.commit), m.entries, m.snapshot)
        self._end_storage_work(responses)

    def process_apply_thread(self, node: Node) -> None:
        """Carry out the oldest STORAGE_APPLY."""
        if not node.apply_work:
            self.output.write("no apply work to perform")
            return
        m = node.apply_work.pop(0)
        responses = self._begin_storage_work(m)
        node.apply(m.entries)
        self._end_storage_work(responses)

    def _begin_storage_work(self, m: Message) -> list[Message]:
        responses = m.responses
        m.responses = []
        self.output.write(f"Processing:\n{describe_message(m)}\n")
        return responses

    def _end_storage_work(self, responses: list[Message]) -> None:
        self.output.write("Responses:\n")
        for response in responses:
            self.output.write(f"{describe_message(response)}\n")
        self.messages += responses

    def take_messages(self, to: int, kind: int | None, drop: bool) -> list[Message]:
        """Remove and return the messages to a node (of one type); local ones cannot be dropped."""
        taken: list[Message] = []
        rest: list[Message] = []
        for m in self.messages:
            fits = m.to == to and (kind is None or m.type == kind)
            if fits and not (drop and is_local(m)):
                taken.append(m)
            else:
                rest.append(m)
        self.messages = rest
        return taken

    def deliver(self, to: int, kind: int | None = None) -> int:
        """Hand all messages for `to` to it; returns how many."""
        taken = self.take_messages(to, kind, drop=False)
        for m in taken:
            self.output.write(f"{describe_message(m)}\n")
            try:
                self.nodes[to - 1].raw.step(m)
            except RaftError as error:
                self.output.write(f"{error}\n")
        return len(taken)

    def drop(self, to: int, kind: int | None = None) -> int:
        """Lose all messages for `to`, who need not exist yet; returns how many."""
        taken = self.take_messages(to, kind, drop=True)
        for m in taken:
            self.output.write(f"dropped: {describe_message(m)}\n")
        return len(taken)

    def send_snapshot(self, sender: Node, to: Node) -> None:
        """Queue a snapshot that raft did not ask for."""
        m = Message(
            MessageType.SNAP,
            to.id,
            sender.id,
            sender.raw.raft.term,
            snapshot=sender.storage.snapshot(),
        )
        self.messages.append(m)
        self.output.write(describe_message(m))

    # ---- moving on until nothing moves ----

    def stabilize(self, nodes: list[Node]) -> None:
        """Ready handling, delivery and storage work for these nodes, in turns, until all rest."""
        moved = True
        while moved:
            moved = False
            for node in nodes:
                moved |= self._run(node, "handling Ready", node.raw.has_ready(), self._ready)
            for node in nodes:
                waiting = any(m.to == node.id for m in self.messages)
                moved |= self._run(node, "receiving messages", waiting, self._receive)
            for node in nodes:
                work = bool(node.append_work)
                moved |= self._run(node, "processing append thread", work, self._append_all)
            for node in nodes:
                work = bool(node.apply_work)
                moved |= self._run(node, "processing apply thread", work, self._apply_all)

    def _run(self, node: Node, what: str, due: bool, action: Callable[[Node], None]) -> bool:
        if due:
            self.output.write(f"> {node.id} {what}\n")
            action(node)
        return due

    def _ready(self, node: Node) -> None:
        self.indented(lambda: self.process_ready(node))

    def _receive(self, node: Node) -> None:
        def receive() -> None:
            self.deliver(node.id)

        self.indented(receive)

    def _append_all(self, node: Node) -> None:
        while node.append_work:
            self.indented(lambda: self.process_append_thread(node))

    def _apply_all(self, node: Node) -> None:
        while node.apply_work:
            self.indented(lambda: self.process_apply_thread(node))


def is_local(m: Message) -> bool:
    """Between a node and its own storage: such messages are never lost."""
    return m.from_ == m.to or m.from_ in _LOCAL_TARGETS or m.to in _LOCAL_TARGETS


def _longest_timeout(count: int) -> int:
    """Chance, without the chance: scripts that need another timeout set it."""
    return count - 1
