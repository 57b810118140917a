"""What raft is ready to do, done: log, sync, messages, apply, outcomes.

    Ready --> one write and one sync of the log --> messages --> apply --> outcomes, reads

The sync runs on the loop while the disk is quick, since handing it to a thread costs more than it
takes; on a slow disk it runs in a thread, so that heartbeats and reads go on. Meanwhile nothing
else of raft's is done (`is_syncing`).

Order (the member's contract): an outcome is delivered only after the entry is synced and applied;
a failed write or sync ends the process and is never retried, since what the disk holds is unknown.

It does not decide when a turn is taken, nor what is proposed.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from petcd.member import Member
from petcd.raft.ready import Ready
from petcd.raft.types import HardState
from petcd.server.messages import Mailbox
from petcd.server.opening import Log
from petcd.server.reads import ReadQueue
from petcd.server.slowness import Slowness
from petcd.server.surroundings import Surroundings
from petcd.server.waiting import Waiting

# Above this average time a sync leaves the loop for a thread.
INLINE_SYNC_S: Final = 0.005
# So few requests of a turn are lone ones: their answers leave at once.
LONE_REQUESTS: Final = 2


class Effects:
    """Those of one member. All methods run on the loop thread."""

    def __init__(
        self,
        surroundings: Surroundings,
        member: Member,
        mailbox: Mailbox,
        log: Log,
        waiting: Waiting,
        reads: ReadQueue,
        slowness: Slowness,
        election_timeout_s: float,
        applied: Callable[[], None],
        turn: Callable[[], None],
        die: Callable[[BaseException], None],
    ) -> None:
        """`applied` is called behind the outcomes of entries, `turn` when a worker's sync is done
        and its effects as well; `die` when it failed."""
        self.sync_durations_s: Callable[[float], None] = lambda duration_s: None
        # Sends the answers that are ready; for a lone one the end of the turn would be late.
        self.flush: Callable[[], None] = lambda: None
        self.now_s = surroundings.loop.time()  # of the turn that is taken, or was last
        # Whether a worker is at the log, so that nobody else may touch it.
        self.is_syncing = False
        self._loop = surroundings.loop
        self._log_worker = surroundings.log_worker
        self._stopwatch_s = surroundings.stopwatch_s
        self._member = member
        self._mailbox = mailbox
        self._log = log
        self._waiters = waiting.by_id
        self._reads = reads
        self._slowness = slowness
        self._slow_apply_s = slowness.apply_s
        self._slow_call_s = slowness.call_s
        self._election_timeout_s = election_timeout_s
        self._applied = applied
        self._turn = turn
        self._die = die
        # A commit index that is not in the log yet. It is no promise to anybody, so it travels with
        # the next batch instead of costing a write of its own; a restart finds out again.
        self._hard_state: HardState | None = None
        self._stopped = False
        self._sync_started_s = 0.0
        self._sync_average_s = 0.0
        self._turn_sync_s = 0.0  # how long the loop was held up by syncs since `now_s`

    def start_turn(self) -> None:
        """Time goes on."""
        self.now_s = self._loop.time()
        self._turn_sync_s = 0.0

    def lead_on(self) -> None:
        """While a sync is under way the peers go on hearing from their leader, but not longer
        than they would wait for another one: a disk that hangs must not keep the cluster."""
        if self.now_s - self._sync_started_s < self._election_timeout_s:
            self._mailbox.send_while_syncing()

    def perform(self) -> None:
        """Carry out effects until there are none, or until a sync went to the thread.

        Raises StorageFailed.
        """
        take_ready = self._member.take_ready
        while True:
            ready = take_ready()
            if ready is None:
                break
            if ready.messages:
                self._mailbox.send_before_sync(ready)
            if ready.hard_state is not None:
                self._hard_state = ready.hard_state
            if ready.snapshot is not None:
                self._mailbox.snapshots.install(ready.snapshot)
            if ready.must_sync:
                self._log.save(self._hard_state, ready.entries)
                self._hard_state = None
                if not self._sync(ready):
                    return
            self._complete(ready)
        self._reads.pump(self.now_s)

    def _sync(self, ready: Ready) -> bool:
        """Make the log durable; False when a thread does it and `_complete` comes later."""
        started_s = self._stopwatch_s()
        if self._sync_average_s < INLINE_SYNC_S:
            self._log.sync()
            took_s = self._stopwatch_s() - started_s
            self._turn_sync_s += took_s
            self._note_sync(took_s)
            return True
        self.is_syncing = True
        self._sync_started_s = self.now_s
        future = self._log_worker.submit(self._log.sync)
        future.add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(self._synced, done, ready, started_s)
        )
        return False

    def _synced(self, future: "Future[None]", ready: Ready, started_s: float) -> None:
        self.is_syncing = False
        error = future.exception()
        if error is not None:
            self._die(error)
            return
        if self._stopped:
            return
        self._note_sync(self._stopwatch_s() - started_s)
        self.start_turn()
        try:
            self._complete(ready)
        except Exception as broken:  # a broken invariant or a failed write: stop before worse
            self._die(broken)
            return
        self._turn()

    def _note_sync(self, duration_s: float) -> None:
        self._sync_average_s += (duration_s - self._sync_average_s) / 16
        self.sync_durations_s(duration_s)

    def _complete(self, ready: Ready) -> None:
        """All that comes behind the sync."""
        if ready.messages:
            self._mailbox.send_after_sync(ready)
        for state in ready.read_states:
            self._reads.confirmed(state.context, state.index)
        if ready.committed_entries:
            outcomes = self._apply(ready)
        else:
            outcomes = self._member.complete(ready, self.now_s)
        pop = self._waiters.pop
        for request_id, outcome in outcomes:
            waiter = pop(request_id, None)
            if waiter is not None:
                waiter[0](waiter[1], outcome)
        if 0 < len(outcomes) <= LONE_REQUESTS:
            self.flush()
        if ready.committed_entries:
            self._applied()

    def _apply(self, ready: Ready) -> list[tuple[int, object]]:
        """Complete a batch with committed entries, and say so when it takes long."""
        started_s = self._stopwatch_s()
        outcomes = self._member.complete(ready, self.now_s)
        took_s = self._stopwatch_s() - started_s
        if took_s > self._slow_apply_s:
            self._slowness.applied(took_s, ready.committed_entries)
        if outcomes:
            first = self._waiters.get(outcomes[0][0])
            if first is not None:
                now_s = self.now_s + self._turn_sync_s + took_s
                if now_s - first[2] > self._slow_call_s:
                    self._slowness.answered(now_s, first[1], ready.committed_entries)
        return outcomes

    def save_hard_state(self) -> None:
        """Put the commit index into the log now; for who is about to rely on it."""
        if self._hard_state is not None:
            self._log.save(self._hard_state, [])
            self._hard_state = None

    def stop(self) -> None:
        """What a worker is syncing now is left to the next start."""
        self._stopped = True
