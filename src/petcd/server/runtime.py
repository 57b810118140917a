"""The asyncio shell around the mind: it gathers events, decides when a turn is taken, and takes it.

One turn of the loop, for everything that came in since the last one:

    messages, proposals, reads -> raft -> effects (`effects`) -> hooks -> one flush

The turn is the batch: under load hundreds of proposals share a sync, alone a proposal waits for
nothing. Whatever fails in a turn ends the process: a broken invariant, or a failed write.
"""

import os
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Protocol

from petcd.api.host import Finish, LeaseKeeping, LongWork, Reconfiguring
from petcd.member import Member
from petcd.member.apply import ALARM
from petcd.member.errors import NoLeader, Stopped, TooManyRequests
from petcd.raft.types import ConfChange
from petcd.server.committer import Committer
from petcd.server.effects import LONE_REQUESTS, Effects
from petcd.server.log import LogLines
from petcd.server.messages import Mailbox
from petcd.server.network import Network
from petcd.server.opening import Log
from petcd.server.patience import Connections
from petcd.server.reads import ReadQueue
from petcd.server.slowness import Slowness
from petcd.server.surroundings import Surroundings
from petcd.server.waiting import Waiting
from petcd.wire.hot import header_prefix, internal_request, parse_internal
from petcd.wire.kv import RangeRequest
from petcd.wire.maintenance import AlarmAction, AlarmRequest, AlarmType

# etcd refuses proposals 5,000 entries behind the applied index; here committed entries are applied
# in the same turn, so what is bounded is the queue in front of the log.
PROPOSALS_MAX = 100_000
# A proposal batch is cut here, so that one turn of the loop stays short, and one message to the
# leader holds up no others.
BATCH_PROPOSALS_MAX = 1_000
BATCH_BYTES_MAX = 4 << 20
# So many proposals are enough for a sync.
GATHERED_PROPOSALS = 64
# How long a slice of background work may hold the loop between two looks at the sockets.
SLICE_PAUSE_S = 0.0


class Watchers(Protocol):
    """Who wants to hear of changes."""

    def notify(self, changes: list[Any]) -> None: ...


class Runtime:
    """Drives one member. All methods run on the loop thread."""

    # Handed in by whoever puts the parts together.
    reconfiguration: Reconfiguring
    leases: LeaseKeeping

    def __init__(
        self,
        surroundings: Surroundings,
        network: Network,
        member: Member,
        log: Log,
        watchers: Watchers,
        committer: Committer[Any],
        long_work: LongWork,
        room: Callable[[], int],
        die: Callable[[BaseException], None],
        lines: LogLines,
        slowness: Slowness,
        election_timeout_s: float,
        request_timeout_s: float,
        max_request_bytes: int,
        max_txn_ops: int,
    ) -> None:
        self.member = member
        self.long_work = long_work
        self.header_prefix = header_prefix(member.membership.cluster_id, member.id)
        self.max_request_bytes = max_request_bytes
        self.max_txn_ops = max_txn_ops
        self.room_bytes = room()
        self.after_turn: list[Callable[[], None]] = []
        self.mailbox = Mailbox(member, network, self.schedule_turn, lines, slowness.heartbeat_sent)
        self.connections = Connections(member, network, election_timeout_s)
        self._loop = surroundings.loop
        self._watchers = watchers
        self._committer = committer
        self._room = room
        self._die = die
        self._slowness = slowness
        self._slow_apply_s = slowness.apply_s
        self._queue: list[bytes] = []
        self._changes: list[ConfChange] = []
        self._waiting = Waiting(request_timeout_s, self.connections.late, slowness.gave_up)
        self._waiters = self._waiting.by_id
        self._reads = ReadQueue(member, self.next_request_id, request_timeout_s, slowness)
        self.effects = Effects(
            surroundings,
            member,
            self.mailbox,
            log,
            self._waiting,
            self._reads,
            slowness,
            election_timeout_s,
            self._applied,
            self.turn,
            die,
        )
        self._proposed_to = 0  # the leader that the last proposals were handed to
        self._alarm_due = False
        self._turn_due = False
        self._crowded = False
        self._stopped = False
        self._id_prefix = (member.id & 0xFFFF) << 48
        self._id_suffix = (surroundings.wall_ns() // 1_000_000 & 0xFF_FFFF_FFFF) << 8

    # -- requests -----------------------------------------------------------------------------

    def next_request_id(self) -> int:
        """Two bytes of the member id, five of the start time in ms, a counter: unique enough to
        tell apart the requests of all members over restarts. The rule is etcd's."""
        self._id_suffix += 1
        return self._id_prefix | self._id_suffix & 0xFFFF_FFFF_FFFF

    def propose(self, request_id: int, data: bytes, finish: Finish, context: Any) -> None:
        """See `petcd.api.host.Host`."""
        if self._stopped or len(self._queue) >= PROPOSALS_MAX:
            finish(context, Stopped() if self._stopped else TooManyRequests())
            return
        self._queue.append(data)
        self._waiters[request_id] = (finish, context, self.effects.now_s)
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._gather)

    def _gather(self) -> None:
        """The turn for proposals; a few wait for one more look at the sockets.

        Whoever is served in halves, one half asking while the other waits, so shares a sync.
        """
        if LONE_REQUESTS < len(self._queue) < GATHERED_PROPOSALS:
            self._loop.call_soon(self.turn)
        else:
            self.turn()

    def propose_change(self, change: ConfChange, finish: Finish, context: Any) -> None:
        """Put a change of the cluster's members into the log; its id is a request id."""
        if self._stopped:
            finish(context, Stopped())
            return
        self._changes.append(change)
        self._waiters[change.id] = (finish, context, self.effects.now_s)
        self.schedule_turn()

    def propose_as_leader(self, payloads: list[bytes]) -> None:
        """Propose what only a leader may decide, now or never: nothing is sent to another one.

        To be called where leadership was just confirmed. Nobody waits for the outcomes.
        """
        if self._stopped or not self.member.is_leader:
            return
        with suppress(NoLeader):  # the lead is being handed over
            self.member.propose(payloads)
        self.schedule_turn()

    @property
    def is_stopped(self) -> bool:
        """Whether no more turns are taken."""
        return self._stopped

    @property
    def is_syncing(self) -> bool:
        """Whether a worker is at the log, so that nobody else may touch it."""
        return self.effects.is_syncing

    @property
    def proposals_pending(self) -> int:
        """Proposals that wait for their outcome."""
        return len(self._waiters)

    @property
    def reads_failed(self) -> int:
        """Rounds of linearizable reads that nobody confirmed in time."""
        return self._reads.failed_total

    @property
    def reads_slow(self) -> int:
        """Such rounds, and confirmations that came too late for theirs."""
        return self._reads.slow_total

    @property
    def proposals_failed(self) -> int:
        """Proposals that were given up."""
        return self._waiting.failed_total

    def read(self, serve: Callable[[Any, object], None], context: Any) -> None:
        """See `petcd.api.host.Host`."""
        if self.member.read_is_confirmed():
            serve(context, None)
        elif self._stopped:
            serve(context, Stopped())
        else:
            self._reads.add(serve, context)
            self.schedule_turn()

    def range_ended(self, started_s: float, request: RangeRequest, response_bytes: int) -> None:
        """See `petcd.api.host.Host`."""
        took_s = self._loop.time() - started_s
        if took_s > self._slow_apply_s:
            self._slowness.read(took_s, request, response_bytes)

    def raise_nospace(self) -> None:
        """See `petcd.api.host.Host`."""
        if self._alarm_due or self.member.alarms.nospace:
            return
        self._alarm_due = True
        self.propose_alarm(AlarmAction.ACTIVATE, AlarmType.NOSPACE)

    def propose_alarm(self, action: int, alarm_type: int) -> None:
        """Raise or clear an alarm of this member through the log."""
        request = AlarmRequest(action=action, memberID=self.member.id, alarm=alarm_type)
        request_id = self.next_request_id()
        data = internal_request(request_id, ALARM, request.encode())
        self.propose(request_id, data, self._alarm_changed, None)

    def _alarm_changed(self, context: None, outcome: object) -> None:
        self._alarm_due = False

    def monotonic_s(self) -> float:
        """The loop's clock."""
        return self._loop.time()

    # -- turns --------------------------------------------------------------------------------

    def schedule_turn(self) -> None:
        """Have a turn soon."""
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self.turn)

    def received(self) -> None:
        """A socket's bytes are handled: a lone client's proposal need not wait for the loop.

        Only one turn is taken so in a round of the loop, and none after a turn with many: what
        other sockets bring is gathered first, so that they share a sync.
        """
        if self._turn_due and not self._crowded and 0 < len(self._queue) <= LONE_REQUESTS:
            self.turn()
            self._turn_due = self._crowded = True  # the turn that the loop has still to call

    def tick(self) -> None:
        """A heartbeat interval has passed."""
        try:
            self.member.tick()
            late = self._waiting.expire(self._loop.time())
            if late:
                self._forget(set(late))
            self._look_for_leader()
        except Exception as error:  # as in a turn
            self._die(error)
            return
        self.schedule_turn()

    def _look_for_leader(self) -> None:
        """Whose leader is gone is told so once the next one's first entry is applied."""
        member, waiting = self.member, self._waiting
        if member.leader_id not in (0, self._proposed_to):
            self._proposed_to = member.leader_id
            queued = [parse_internal(data)[0] for data in self._queue]
            waiting.leader_changed([*queued, *(change.id for change in self._changes)])
        if waiting.has_orphans and member.applied_term == member.term:
            waiting.term_applied()

    def _forget(self, late: set[int]) -> None:
        """Nobody waits for these any more: what is not in the log yet need not get there."""
        self._queue = [data for data in self._queue if parse_internal(data)[0] not in late]
        self._changes = [change for change in self._changes if change.id not in late]

    def turn(self) -> None:
        """Take everything that is queued through the log and back; normally called by the loop."""
        self._turn_due = False
        if self._stopped:
            return
        effects = self.effects
        effects.start_turn()
        self._crowded = len(self._queue) > LONE_REQUESTS
        more = False
        try:
            self.mailbox.step_received()
            if effects.is_syncing:
                effects.lead_on()
                return
            if self._queue or self._changes:
                more = self._propose_queued()
            self._reads.pump(effects.now_s)
            effects.perform()
            for hook in self.after_turn:
                hook()
            self.mailbox.send_held()
        except Exception as error:  # a broken invariant or a failed write: stop before worse
            self._die(error)
            return
        if more and not effects.is_syncing:
            self.schedule_turn()

    def _propose_queued(self) -> bool:
        """Propose what waits; True when there is more that can be proposed right away."""
        if self.member.leader_id != self._proposed_to:
            self._look_for_leader()
        batch = self._take_batch()
        try:
            if batch:
                self.member.propose(batch)
                batch = []
            while self._changes:
                self.member.propose_conf_change(self._changes[0])
                del self._changes[0]
        except NoLeader:
            # As in etcd the request is not refused at once: the client's time runs, and a leader
            # may be elected before it is over.
            self._queue[:0] = batch
            return False
        return bool(self._queue)

    def _take_batch(self) -> list[bytes]:
        """What is proposed together: the first proposals of the queue, at least one."""
        queue = self._queue
        batch = queue[:BATCH_PROPOSALS_MAX]
        size = sum([len(data) for data in batch])
        while size > BATCH_BYTES_MAX and len(batch) > 1:
            size -= len(batch.pop())
        del queue[: len(batch)]
        return batch

    def _applied(self) -> None:
        """Entries were applied and their outcomes delivered."""
        changes = self.member.store.take_changes()
        if changes:
            self._watchers.notify(changes)
        self.room_bytes = self._room()
        self._committer.maybe_commit()

    # -- sliced work --------------------------------------------------------------------------

    def drive(self, steps: Generator[object, None, Any], done: Finish, context: Any) -> None:
        """Run a generator of slices; done(context, its return value or the error it raised)."""
        try:
            next(steps)
        except StopIteration as end:
            done(context, end.value)
        except Exception as error:  # a refusal travels to the caller as a value
            done(context, error)
        else:
            self._loop.call_later(SLICE_PAUSE_S, self.drive, steps, done, context)

    # -- the end ------------------------------------------------------------------------------

    def stop(self) -> None:
        """Refuse what waits and take no more turns. The log is synced with every turn.

        Once the worker's last sync is done, `Effects.save_hard_state` ends the log.
        """
        self._stopped = True
        self.effects.stop()
        self._waiting.stop()


def die(message: str) -> None:
    """End the process at once, with one line; nothing may run on after a failed write.

    The line may go to the very disk that is full: that must not keep the process.
    """
    try:
        os.write(2, f"etcd: {message}\n".encode())
    finally:
        os._exit(1)
