"""Scripts about a group of nodes: every command there is, in the order of the table at the end.

Nodes are named by their numbers, from 1. A command prints the log lines of the nodes it touches,
and what it did; `ok` if that is nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from petcd.raft import (
    MESSAGE_TYPE_NAMES,
    STATE_NAMES,
    ConfChange,
    ConfChangeTransition,
    ConfChangeV2,
    RaftError,
    ReadOnlyOption,
    describe_entries,
)
from petcd.raft.kinds import NO_LIMIT
from petcd.raft.progress import describe_progress
from sim.traces.arguments import (
    CommandError,
    bare_numbers,
    first_number,
    number_of,
    parse_bool,
    parse_changes,
    parse_uint,
    value_of,
)
from sim.traces.group import ELECTION_TICK, HEARTBEAT_TICK, Group, Node, NodeOptions
from sim.traces.output import LEVEL_NAMES
from sim.traces.script import Directive, ScriptError

_FLAGS: Final = frozenset(
    (
        "async-storage-writes",
        "prevote",
        "checkquorum",
        "disable-conf-change-validation",
        "step-down-on-removal",
    )
)
_READ_ONLY: Final = {"safe": ReadOnlyOption.SAFE, "lease-based": ReadOnlyOption.LEASE_BASED}
_TRANSITIONS: Final = {
    "auto": ConfChangeTransition.AUTO,
    "implicit": ConfChangeTransition.JOINT_IMPLICIT,
    "explicit": ConfChangeTransition.JOINT_EXPLICIT,
}


class InteractionScript:
    """Runs the directives of one script against one group of nodes."""

    def __init__(self) -> None:
        self.group = Group()

    def run(self, directive: Directive) -> str:
        """The output of one directive; raises `ScriptError`."""
        output = self.group.output
        output.take()
        try:
            command = HANDLERS.get(directive.command)
            if command is None:
                raise CommandError("unknown command")
            command(self, directive)
        except (CommandError, RaftError, ValueError) as error:
            if output.is_quiet():
                return str(error)
            output.write(str(error))
        return output.take() or "ok"

    def _node(self, number: int) -> Node:
        if not 1 <= number <= len(self.group.nodes):
            raise ScriptError(f"there is no node {number}")
        return self.group.nodes[number - 1]

    def _first_node(self, directive: Directive) -> Node:
        return self._node(first_number(directive))

    def _each_node(self, directive: Directive, what: str, action: Callable[[Node], None]) -> None:
        """Do something on every node named; with several, under headings."""
        nodes = [self._node(number) for number in bare_numbers(directive)]
        for node in nodes:
            if len(nodes) > 1:
                self.group.output.write(f"> {node.id} {what}\n")
                self._indented(action, node)
            else:
                action(node)

    def _indented(self, action: Callable[[Node], None], node: Node) -> None:
        self.group.indented(lambda: action(node))

    # ---- nodes ----

    def add_nodes(self, directive: Directive) -> None:
        """`add-nodes 3 voters=(1,2,3) learners=(4) index=2 content=foo prevote=true ...`"""
        options = NodeOptions()
        for argument in directive.arguments[1:]:
            for value in argument.values:
                self._take_option(directive, options, argument.key, value)
        self.group.add_nodes(first_number(directive), options)

    def _take_option(
        self, directive: Directive, options: NodeOptions, key: str, value: str
    ) -> None:
        meta = options.snapshot.metadata
        if key == "voters":
            meta.conf_state.voters.append(number_of(directive, value))
        elif key == "learners":
            meta.conf_state.learners.append(number_of(directive, value))
        elif key == "inflight":
            options.max_inflight_msgs = number_of(directive, value)
        elif key == "index":
            meta.index = options.applied = number_of(directive, value)
        elif key == "content":
            options.snapshot.data = value.encode()
        elif key == "max-committed-size-per-ready":
            options.max_committed_size_per_ready = number_of(directive, value)
        elif key == "read-only":
            if value not in _READ_ONLY:
                raise CommandError(f'invalid read-only option "{value}"')
            options.read_only_option = _READ_ONLY[value]
        elif key in _FLAGS:
            options.flags[key] = parse_bool(value)

    def compact(self, directive: Directive) -> None:
        """`compact 1 5`: drop node 1's log up to and including entry 5, then show it."""
        node = self._first_node(directive)
        if len(directive.arguments) < 2:
            raise ScriptError("compact: the index is missing")
        node.storage.compact(parse_uint(directive.arguments[1].key))
        self._show_log(node)

    def raft_log(self, directive: Directive) -> None:
        """`raft-log 3`: show a node's stable log."""
        self._show_log(self._first_node(directive))

    def _show_log(self, node: Node) -> None:
        first, last = node.storage.first_index(), node.storage.last_index()
        if last < first:
            self.group.output.write(f"log is empty: first index={first}, last index={last}")
            return
        entries = node.storage.entries(first, last + 1, NO_LIMIT)
        self.group.output.write(describe_entries(entries))

    def raft_state(self, directive: Directive) -> None:
        """`raft-state`: role, term and leader of all nodes, as each of them sees it."""
        for node in self.group.nodes:
            r = node.raw.raft
            word = "(Voter)" if r.id in r.tracker.config.voters.ids() else "(Non-Voter)"
            self.group.output.write(
                f"{r.id}: {STATE_NAMES[r.state]} {word} Term:{r.term} Lead:{r.lead}\n"
            )

    def status(self, directive: Directive) -> None:
        """`status 5`: the progress of all nodes in the eyes of this one, if it leads."""
        progress = self._first_node(directive).raw.status().progress
        self.group.output.write(describe_progress(progress))

    # ---- requests ----

    def campaign(self, directive: Directive) -> None:
        """`campaign 1`."""
        self._first_node(directive).raw.campaign()

    def propose(self, directive: Directive) -> None:
        """`propose 1 foo`."""
        if len(directive.arguments) != 2 or directive.arguments[1].values:
            raise ScriptError("propose: expected a node and one word")
        self._first_node(directive).raw.propose(directive.arguments[1].key.encode())

    def propose_conf_change(self, directive: Directive) -> None:
        """`propose-conf-change 1 v1=false transition=explicit`, input `v1 l2 r3 u4`."""
        node = self._first_node(directive)
        is_v1 = False
        transition = ConfChangeTransition.AUTO
        for argument in directive.arguments[1:]:
            for value in argument.values:
                if argument.key == "v1":
                    is_v1 = parse_bool(value)
                elif argument.key != "transition":
                    raise CommandError(f"unknown command {argument.key}")
                elif value not in _TRANSITIONS:
                    raise CommandError(f"unknown transition {value}")
                else:
                    transition = _TRANSITIONS[value]
        changes = parse_changes(directive.input)
        if not is_v1:
            node.raw.propose_conf_change(ConfChangeV2(transition, changes))
            return
        if len(changes) > 1 or transition != ConfChangeTransition.AUTO:
            raise CommandError("v1 conf change can only have one operation and no transition")
        if not changes:
            raise ScriptError("propose-conf-change: v1 needs an operation")
        node.raw.propose_conf_change(ConfChange(changes[0].type, changes[0].node_id))

    def transfer_leadership(self, directive: Directive) -> None:
        """`transfer-leadership from=1 to=4`."""
        source = self._node(number_of(directive, value_of(directive, "from")))
        target = self._node(number_of(directive, value_of(directive, "to")))
        source.raw.transfer_leader(target.id)

    def forget_leader(self, directive: Directive) -> None:
        """`forget-leader 1`."""
        self._first_node(directive).raw.forget_leader()

    def report_unreachable(self, directive: Directive) -> None:
        """`report-unreachable 1 2`: node 1 hears that node 2 cannot be reached."""
        numbers = bare_numbers(directive)
        if len(numbers) != 2:
            raise CommandError(
                "must specify exactly two node indexes: node on which to report, and reported node"
            )
        self._node(numbers[0]).raw.report_unreachable(self._node(numbers[1]).id)

    def send_snapshot(self, directive: Directive) -> None:
        """`send-snapshot 1 3`: queue node 1's snapshot for node 3, unasked."""
        numbers = bare_numbers(directive)
        if len(numbers) != 2:
            raise ScriptError("send-snapshot: expected two nodes")
        self.group.send_snapshot(self._node(numbers[0]), self._node(numbers[1]))

    # ---- messages and storage ----

    def deliver_msgs(self, directive: Directive) -> None:
        """`deliver-msgs 1 type=MsgApp drop=(2,3)`."""
        kind: int | None = None
        recipients: list[tuple[int, bool]] = []
        for argument in directive.arguments:
            if not argument.values:
                recipients.append((number_of(directive, argument.key), False))
            for value in argument.values:
                if argument.key == "drop":
                    node = number_of(directive, value)
                    if node in [one for one, _ in recipients]:
                        raise ScriptError(f"can't both deliver and drop msgs to {node}")
                    recipients.append((node, True))
                elif argument.key == "type":
                    if value not in MESSAGE_TYPE_NAMES:
                        raise ScriptError(f"unknown message type {value}")
                    kind = MESSAGE_TYPE_NAMES.index(value)
        count = 0
        for node, dropped in recipients:
            count += self.group.drop(node, kind) if dropped else self._deliver(node, kind)
        if count == 0:
            self.group.output.write("no messages\n")

    def _deliver(self, to: int, kind: int | None) -> int:
        if any(m.to == to for m in self.group.messages):
            self._node(to)
        return self.group.deliver(to, kind)

    def process_ready(self, directive: Directive) -> None:
        """`process-ready 1 2`: handle one Ready each."""
        self._each_node(directive, "handling Ready", self.group.process_ready)

    def process_append_thread(self, directive: Directive) -> None:
        """`process-append-thread 1`: carry out one STORAGE_APPEND each."""
        action = self.group.process_append_thread
        self._each_node(directive, "processing append thread", action)

    def process_apply_thread(self, directive: Directive) -> None:
        """`process-apply-thread 1`: carry out one STORAGE_APPLY each."""
        action = self.group.process_apply_thread
        self._each_node(directive, "processing apply thread", action)

    def stabilize(self, directive: Directive) -> None:
        """`stabilize 1 4 log-level=none`: all of the above, until nothing moves any more."""
        level = self.group.output.level
        numbers = bare_numbers(directive)
        nodes = [self._node(number) for number in numbers] or list(self.group.nodes)
        try:
            for argument in directive.arguments:
                if argument.key == "log-level":
                    for value in argument.values:
                        self._set_level(value)
            self.group.stabilize(nodes)
        finally:
            self.group.output.level = level

    # ---- time and words ----

    def tick_election(self, directive: Directive) -> None:
        """`tick-election 3`: one (unrandomized) election timeout passes."""
        self._tick(directive, ELECTION_TICK)

    def tick_heartbeat(self, directive: Directive) -> None:
        """`tick-heartbeat 3`: one heartbeat interval passes."""
        self._tick(directive, HEARTBEAT_TICK)

    def _tick(self, directive: Directive, count: int) -> None:
        node = self._first_node(directive)
        for _ in range(count):
            node.raw.tick()

    def set_randomized_election_timeout(self, directive: Directive) -> None:
        """`set-randomized-election-timeout 1 timeout=5`, until the role changes."""
        timeout = number_of(directive, value_of(directive, "timeout"))
        if timeout == 0:
            raise ScriptError("set-randomized-election-timeout: must not be 0")
        self._first_node(directive).raw.raft.randomized_election_timeout = timeout

    def log_level(self, directive: Directive) -> None:
        """`log-level warn`; `none` silences everything but errors of commands."""
        if not directive.arguments:
            raise ScriptError("log-level: the level is missing")
        self._set_level(directive.arguments[0].key)

    def _set_level(self, name: str) -> None:
        if not self.group.output.set_level(name):
            raise CommandError(f"log levels must be either of [{' '.join(LEVEL_NAMES)}]")

    def breakpoint(self, directive: Directive) -> None:
        """`_breakpoint`: nothing; a place to stop at."""


Handler = Callable[[InteractionScript, Directive], None]

HANDLERS: Final[dict[str, Handler]] = {
    "_breakpoint": InteractionScript.breakpoint,
    "add-nodes": InteractionScript.add_nodes,
    "campaign": InteractionScript.campaign,
    "compact": InteractionScript.compact,
    "deliver-msgs": InteractionScript.deliver_msgs,
    "forget-leader": InteractionScript.forget_leader,
    "log-level": InteractionScript.log_level,
    "process-append-thread": InteractionScript.process_append_thread,
    "process-apply-thread": InteractionScript.process_apply_thread,
    "process-ready": InteractionScript.process_ready,
    "propose": InteractionScript.propose,
    "propose-conf-change": InteractionScript.propose_conf_change,
    "raft-log": InteractionScript.raft_log,
    "raft-state": InteractionScript.raft_state,
    "report-unreachable": InteractionScript.report_unreachable,
    "send-snapshot": InteractionScript.send_snapshot,
    "set-randomized-election-timeout": InteractionScript.set_randomized_election_timeout,
    "stabilize": InteractionScript.stabilize,
    "status": InteractionScript.status,
    "tick-election": InteractionScript.tick_election,
    "tick-heartbeat": InteractionScript.tick_heartbeat,
    "transfer-leadership": InteractionScript.transfer_leadership,
}
COMMANDS: Final = frozenset(HANDLERS)
