"""What a member does by the clock.

every heartbeat     raft tick
every 100 ms        backend commit if something waits
every 500 ms        clear our NOSPACE alarm once there is space again
                    leader: revoke expired leases, checkpoint long ones, put the time into the log
                    when a v2 node is due
every interval      leader: automatic compaction
"""

from collections.abc import Callable

from petcd.cluster import format_id
from petcd.member.apply import ALARM, COMPACTION, LEASE_CHECKPOINT, LEASE_REVOKE, V2
from petcd.member.quota import Quota
from petcd.server.auto_compaction import AutoCompaction
from petcd.server.cluster_version import ClusterVersion
from petcd.server.log import LogLines
from petcd.server.runtime import Runtime
from petcd.server.surroundings import Handle, Surroundings
from petcd.wire.codec import Message
from petcd.wire.hot import internal_request
from petcd.wire.kv import CompactionRequest
from petcd.wire.lease import LeaseCheckpoint, LeaseCheckpointRequest, LeaseRevokeRequest
from petcd.wire.maintenance import AlarmAction, AlarmRequest, AlarmType
from petcd.wire.v2request import Request

TICK = "tick"
LEASE_INTERVAL_S = 0.5
# etcd revokes at most 1,000 leases a second, a frequent complaint; a batch of revocations costs
# little here, and what bounds it is the length of a turn.
REVOKES_MAX = 2_000
CHECKPOINTS_MAX = 1_000

# etcd's bounds: never more often than this, and up to a tenth later so that members differ.
PROGRESS_INTERVAL_S_MIN = 0.1
PROGRESS_JITTER = 0.1


def progress_interval_s(wanted_s: float, randrange: Callable[[int], int]) -> float:
    """The interval of progress notices, with this process's own jitter."""
    jitter = randrange(1_000) / 1_000 * PROGRESS_JITTER
    return max(wanted_s, PROGRESS_INTERVAL_S_MIN) * (1 + jitter)


class Timers:
    """Starts and stops the periodic work of one member."""

    def __init__(
        self,
        surroundings: Surroundings,
        runtime: Runtime,
        cluster_version: ClusterVersion,
        quota: Quota,
        compaction: AutoCompaction | None,
        log: LogLines,
        heartbeat_s: float,
        commit_interval_s: float,
        commit: Callable[[], None],
        checkpoint_leases: bool,
        progress_interval_s: float,
        progress: Callable[[], None],
    ) -> None:
        self.leases_expired = 0
        self.latest_s = 0.0  # the longest delay of a tick since the start
        self.delays_s: Callable[[float], None] = lambda delay_s: None
        self._loop = surroundings.loop
        self._wall_ns = surroundings.wall_ns
        self._runtime = runtime
        self._cluster_version = cluster_version
        self._quota = quota
        self._compaction = compaction
        self._log = log
        self._heartbeat_s = heartbeat_s
        self._commit_interval_s = commit_interval_s
        self._commit = commit
        self._checkpoint_leases = checkpoint_leases
        self._progress_interval_s = progress_interval_s
        self._progress = progress
        self._confirming = False
        self._handles: dict[str, Handle] = {}

    def start(self) -> None:
        """Start all timers."""
        self._every(TICK, self._heartbeat_s, self._runtime.tick)
        self._every("commit", self._commit_interval_s, self._commit)
        self._every("progress", self._progress_interval_s, self._progress)
        self._every("leases", LEASE_INTERVAL_S, self._look)
        if self._compaction is not None:
            self._every("compaction", self._compaction.interval_s, self._compact)

    def stop(self) -> None:
        """Stop all timers."""
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()

    def _every(self, name: str, interval_s: float, work: Callable[[], None]) -> None:
        """Run at fixed times; what was missed while the process was stopped is not made up for."""
        due_s = self._loop.time() + interval_s

        def run() -> None:
            nonlocal due_s
            now_s = self._loop.time()
            if name == TICK:
                self._note_delay(now_s - due_s)
            due_s = max(due_s + interval_s, now_s)
            self._handles[name] = self._loop.call_at(due_s, run)
            work()

        self._handles[name] = self._loop.call_at(due_s, run)

    def _note_delay(self, delay_s: float) -> None:
        """How late the loop is: what it did meanwhile has held up everybody."""
        delay_s = max(0.0, delay_s)
        self.latest_s = max(self.latest_s, delay_s)
        self.delays_s(delay_s)

    def _look(self) -> None:
        self._clear_alarms()
        self._lead()

    def _lead(self) -> None:
        """The duties of a leader; the lessor answers nothing when this member is none."""
        runtime = self._runtime
        self._cluster_version.tend()
        if not runtime.member.is_leader:
            return
        if not self._confirming:
            # A leader that was paused may have been replaced and not know it.
            self._confirming = True
            runtime.read(self._tend_leases, None)
        next_ns = runtime.member.applier.v2.expiries.next_ns()
        wall_ns = self._wall_ns()
        if next_ns is not None and next_ns <= wall_ns:
            self._propose(V2, Request(Method="SYNC", Time=wall_ns).encode())

    def _tend_leases(self, context: None, refusal: object) -> None:
        """This member was confirmed to lead: end what has expired, note what is left of others.

        Bounded steps with other work between them; each is confirmed anew.
        """
        self._confirming = False
        if isinstance(refusal, Exception):
            return
        lessor = self._runtime.member.lessor
        now_s = self._loop.time()
        expired = lessor.expired(now_s, REVOKES_MAX)
        self.leases_expired += len(expired)
        payloads = [
            self._request(LEASE_REVOKE, LeaseRevokeRequest(ID=lease_id)) for lease_id in expired
        ]
        if self._checkpoint_leases:
            due = lessor.checkpoints_due(now_s, CHECKPOINTS_MAX)
            checkpoints = [LeaseCheckpoint(ID=i, remaining_TTL=left) for i, left in due]
            if checkpoints:
                request = LeaseCheckpointRequest(checkpoints=checkpoints)
                payloads.append(self._request(LEASE_CHECKPOINT, request))
        if payloads:
            self._runtime.propose_as_leader(payloads)
        if lessor.unfinished:
            self._handles["leases again"] = self._loop.call_later(0, self._lead)

    def _request(self, field_number: int, request: Message) -> bytes:
        return internal_request(self._runtime.next_request_id(), field_number, request.encode())

    def _clear_alarms(self) -> None:
        """Who has space again takes back its NOSPACE alarm; the leader does it for members that are
        gone."""
        runtime, member = self._runtime, self._runtime.member
        alarms = member.alarms
        if not alarms.nospace or not self._quota.has_room_again(runtime.long_work.in_use_bytes()):
            return
        for alarm in alarms.get(AlarmType.NOSPACE):
            is_gone = member.membership.get(alarm.memberID) is None
            if alarm.memberID == member.id or (is_gone and member.is_leader):
                self._log.info(
                    "space is back, clearing the NOSPACE alarm", member_id=format_id(alarm.memberID)
                )
                request = AlarmRequest(
                    action=AlarmAction.DEACTIVATE, memberID=alarm.memberID, alarm=alarm.alarm
                )
                self._propose(ALARM, request.encode())

    def _compact(self) -> None:
        runtime = self._runtime
        if self._compaction is None or not runtime.member.is_leader:
            return
        store = runtime.member.store
        revision = self._compaction.revision_due(self._loop.time(), store.revision)
        if revision is not None and revision > store.compact_revision:
            self._log.info("automatic compaction", revision=revision)
            self._propose(COMPACTION, CompactionRequest(revision=revision).encode())

    def _propose(self, field_number: int, body: bytes) -> None:
        request_id = self._runtime.next_request_id()
        data = internal_request(request_id, field_number, body)
        self._runtime.propose(request_id, data, _ignore, None)


def _ignore(context: None, outcome: object) -> None:
    """The outcome shows in the state: what was not done is due again at the next look."""
