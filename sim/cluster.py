"""Simulated members: the production engine in a simulated process, on a simulated disk.

    Slot        a place for a member: its name, its disk, all its runs
      run       Process, Executors, Port, Engine, services; ends with the process

A run ends by a clean stop, by kill -9 (what was written reaches the disk) or by a loss of power
(it reaches the disk in part), between two events or in the middle of a call of the disk. What the
slot's disk holds is all that the next run knows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, NoReturn

from petcd.api.v2.endpoints import V2Endpoints
from petcd.api.v3.cluster import ClusterService
from petcd.api.v3.kv import KvService
from petcd.api.v3.lease import LeaseService
from petcd.api.v3.maintenance import MaintenanceService
from petcd.api.v3.watch import WatchService
from petcd.cluster import MemberInfo
from petcd.member.meta import load_applied
from petcd.server.bootstrap import UNREADABLE
from petcd.server.config import ServerConfig
from petcd.server.engine import Engine
from petcd.server.log import Logger
from petcd.server.opening import DataUnusable, Opened, Opening, log_start
from petcd.server.surroundings import Surroundings
from petcd.storage.errors import BackendDamaged, StorageError, StorageFailed, WalError
from petcd.storage.memory import MemoryBackend
from petcd.storage.snapshot_store import settle_memory
from petcd.storage.wal import Wal
from petcd.storage.wal_reader import valid_snapshots
from petcd.transport.http import HttpRequest, HttpResponder
from petcd.transport.router import Router
from petcd.wire.internal import Metadata
from sim.check.alarms import AlarmRecord
from sim.check.durable import RecordingWal
from sim.check.invariants import Invariants
from sim.comparing import compare_with_others, counts, hash_of
from sim.disk import Disk
from sim.loop import Executor, Process, ProcessKilled, Schedule
from sim.network import Port, Wires

WAL_DIR = "/wal"
# Since 1970, when a world begins.
EPOCH_S = 1_700_000_000
WORLD_BEGINS_NS = EPOCH_S * 1_000_000_000
# Duration of a commit of the backend, at most.
COMMIT_S = 0.02


class RunLog(Logger):
    """The lines of one run; the last few are kept, for whoever looks into a failure."""

    def __init__(self, name: str, schedule: Schedule) -> None:
        super().__init__("debug", "json", ())
        self.lines: deque[str] = deque(maxlen=200)
        self._name = name
        self._schedule = schedule

    def _write(self, level: str, message: str, fields: dict[str, object]) -> None:
        self.lines.append(f"{self._schedule.now_s:.3f} {self._name} {level} {message} {fields}")


class Run:
    """One run of one member."""

    def __init__(self, slot: Slot, number: int, config: ServerConfig) -> None:
        random, wires = slot.random, slot.wires
        self.slot = slot
        self.number = number
        self.ready = False
        self._is_stopping = False
        rate = 1.0 + slot.drift * random.uniform(-1.0, 1.0)
        self.process = Process(slot.schedule, slot.number, rate, random.uniform(1.0, 1e6))
        self.log_worker = Executor(self.process, random, 1, lambda: slot.disk.sync_s())
        self.backend_worker = Executor(self.process, random, 2, lambda: random.uniform(0, COMMIT_S))
        self.router = Router()
        self.log = RunLog(slot.info.name, slot.schedule)
        self.wal: RecordingWal | None = None
        self.engine: Engine | None = None
        self.v2: V2Endpoints | None = None
        self.port: Port | None = None
        self.on_end: list[Callable[[], object]] = []
        self._config = config
        self._wires = wires
        slot.disk.stall = self.process.stall
        slot.disk.is_taken = lambda: self.log_worker.is_busy and not self.process.in_worker
        slot.disk.kill = self.kill_in_the_middle
        self.process.call_soon(self._boot)

    def _boot(self) -> None:
        """Open what the disk holds, and begin to take turns."""
        slot, process = self.slot, self.process
        try:
            opened = self._open()
        except (StorageError, DataUnusable, OSError) as error:  # the process says so and ends
            self._die(error)
        assert isinstance(opened.log, RecordingWal)
        self.wal = opened.log
        surroundings = Surroundings(
            process,
            self.log_worker,
            self.backend_worker,
            process.time,
            self._wall_ns,
            slot.random.randrange,
        )
        self.port = Port(self._wires, opened.member.id, process)
        self._examine(opened, self.port)
        engine = self.engine = Engine(
            opened, self.port, surroundings, self._config, self.log, self._die, self.port
        )
        if slot.fragment_bytes:
            engine.hub._fragment_bytes = slot.fragment_bytes
        self.port.events = engine.mailbox
        self.port.answer = engine.peer_requests.handle
        for service in (KvService, LeaseService, ClusterService, MaintenanceService):
            service(engine.runtime).register(self.router)
        WatchService(engine.hub).register(self.router)
        audience = engine.audience
        self.v2 = V2Endpoints(engine.runtime, audience.v2, audience.listings, self._wall_ns)
        engine.removed = self._removed
        engine.start(self._published, slot.hosts)
        self._prepare_segment()

    def _open(self) -> Opened:
        slot, disk = self.slot, self.slot.disk
        opening = Opening(self._config, slot.random.randrange)
        backend = MemoryBackend(disk.store)
        if not Wal.exists(WAL_DIR, disk):
            identity = slot.identity
            created = Wal.create(
                WAL_DIR, identity.encode(), files=disk,
                segment_bytes=slot.segment_bytes, background=False,
            )  # fmt: skip
            log = self._recorded(created)
            if slot.founders:
                return opening.found(log, backend, identity, slot.founders)
            return opening.join(log, backend, identity)
        settle_memory(
            disk.store,
            lambda staged: load_applied(staged)[0],
            lambda index: any(r.index == index for r in valid_snapshots(WAL_DIR, disk)),
        )
        start = log_start(backend, WAL_DIR, disk)
        reopened, replay = Wal.open(
            WAL_DIR, start, files=disk, segment_bytes=slot.segment_bytes, background=False
        )
        log = self._recorded(reopened)
        log.record.resumed(start, replay)
        try:
            return opening.reopen(log, replay, start, backend, lambda identity: slot.founders)
        except UNREADABLE as error:
            raise BackendDamaged("backend", f"{type(error).__name__}: {error}") from error

    def _examine(self, opened: Opened, port: Port) -> None:
        """Harm that was done to the disk is told now, or does not matter."""
        disk, store = self.slot.disk, opened.member.store
        port.hash_kv = lambda revision: hash_of(store, revision)
        if self.slot.compares_first and not opened.is_new:
            try:
                was_compared = compare_with_others(store, port)
            except (DataUnusable, StorageError) as error:  # the process says so and ends
                self._die(error)
            rotten, disk.rotten = disk.rotten, None
            if rotten is not None and not (was_compared and counts(rotten, store)):
                disk.mend_row(rotten)
                self.kill_in_the_middle()
        disk.mend()

    def _recorded(self, wal: Wal) -> RecordingWal:
        """From now on it is known what of the log is on the disk."""
        return RecordingWal(wal, self.slot.invariants.durable(self.slot.id))

    def _published(self) -> None:
        self.ready = True

    def _prepare_segment(self) -> None:
        """What the log's own thread does in production."""
        assert self.wal is not None
        self.wal.prepare()
        self.process.call_later(0.5, self._prepare_segment)

    def _wall_ns(self) -> int:
        slot = self.slot
        return WORLD_BEGINS_NS + int((slot.schedule.now_s + slot.wall_offset_s) * 1e9)

    def http(self, request: HttpRequest, respond: HttpResponder) -> None:
        """What clients of API 2 ask."""
        assert self.v2 is not None
        self.v2.handle(request, respond, ())

    # -- the end ------------------------------------------------------------------------------

    def stop(self) -> None:
        """A clean stop, as by SIGTERM. It runs as an event of the process."""
        if self.engine is not None and not self._is_stopping:
            self._is_stopping = True
            self.engine.reconfiguration.leave(self._stop_serving)

    def _stop_serving(self) -> None:
        engine = self.engine
        assert engine is not None
        engine.audience.v2.close()
        engine.stop()
        self._finish()

    def _removed(self) -> None:
        self.process.call_soon(self._end_removed)

    def _end_removed(self) -> None:
        """The cluster has removed this member: it ends, for good."""
        self.slot.is_retired = True
        if not self._is_stopping:
            self._is_stopping = True
            self._stop_serving()

    def _finish(self) -> None:
        """Once nothing is under way any more, everything is made durable."""
        engine, wal = self.engine, self.wal
        assert engine is not None and wal is not None
        if engine.committer.is_running or self.log_worker.is_busy:
            self.process.call_later(0.001, self._finish)
            return
        try:
            engine.finish()
            wal.close()
        except StorageFailed as error:  # the process says so and ends
            self._die(error)
        self.process.end()
        raise ProcessKilled

    def kill_in_the_middle(self) -> NoReturn:
        """The process dies in what it is doing."""
        self.process.end()
        raise ProcessKilled

    def _die(self, error: BaseException) -> NoReturn:
        self.slot.died_of(error)
        self.kill_in_the_middle()

    def bury(self, power_lost: bool) -> None:
        """The process has ended: what it leaves behind."""
        disk = self.slot.disk
        self.process.end()
        disk.crash_in = 0
        self.log_worker.crash()
        self.backend_worker.crash()
        if power_lost:
            disk.crash()
        else:
            disk.settle()
        if self.port is not None:
            self.port.close()
        for tell in self.on_end:
            tell()


class Slot:
    """A place for a member; `run` is None while it is not running."""

    def __init__(
        self,
        number: int,
        schedule: Schedule,
        wires: Wires,
        random: Random,
        info: MemberInfo,
        cluster: int,
        founders: tuple[MemberInfo, ...],
        config: ServerConfig,
        segment_bytes: int,
        invariants: Invariants,
    ) -> None:
        self.invariants = invariants
        self.number = number
        self.schedule = schedule
        self.wires = wires
        self.random = random
        self.info = info
        self.identity = Metadata(NodeID=info.id, ClusterID=cluster)
        self.founders = founders
        self.hosts: tuple[MemberInfo, ...] = ()
        self.is_lost = False  # its disk is gone, or was damaged; another member is to come
        self.is_retired = False
        self.config = config
        self.segment_bytes = segment_bytes
        self.disk = Disk(random)
        # Larger watch responses are cut; 0: as in production, where none is so large here.
        self.fragment_bytes = 0
        self.drift = 0.0
        # Whether it asks the others for their hashes before it serves.
        self.compares_first = False
        self.wall_offset_s = 0.0
        self.runs = 0
        self.run: Run | None = None
        self.power_lost = True
        self.deaths: list[str] = []

    @property
    def id(self) -> int:
        """The member's id."""
        return self.info.id

    def start(self) -> None:
        """Begin a run, unless there is one or this place is given up."""
        if self.run is not None or self.is_lost or self.is_retired:
            return
        self.runs += 1
        self.run = Run(self, self.runs, self.config)

    def end(self, power_lost: bool) -> None:
        """Kill it between two events."""
        run, self.run = self.run, None
        assert run is not None
        run.bury(power_lost)

    def ended(self, process: Process) -> None:
        """The process died in the middle of something."""
        run = self.run
        if run is not None and run.process is process:
            self.run = None
            run.bury(self.power_lost)

    def died_of(self, error: BaseException) -> None:
        """The member ended itself. Only an injected failure of the disk is a good reason.

        One that finds its log damaged is given up: it may have forgotten a vote.
        """
        if self.disk.is_harmed and isinstance(error, WalError | BackendDamaged | DataUnusable):
            self.is_lost = True
        elif not self.disk.failed:
            self.deaths.append(f"{type(error).__name__}: {error}")
        self.disk.failed = ""

    def look(self) -> None:
        """It has taken a step: Raft's laws must hold. Raises `sim.check.invariants.Broken`."""
        run = self.run
        if run is not None and run.engine is not None:
            member = run.engine.member
            self.invariants.look(self.info.id, member.node.raft)
            self.invariants.compare(self.info.id, member.node.raft, member.membership)

    def look_at_alarms(self, record: AlarmRecord) -> None:
        """The same for what is replicated besides keys. Raises `sim.check.invariants.Broken`."""
        engine = self.engine
        if engine is None:
            return
        member = engine.member
        applied = member.applied_index
        if record.has_moved(self.info.id, applied):
            raised = tuple(alarm.memberID for alarm in member.alarms.get())
            in_use_bytes = engine.opened.backend.size_in_use()
            record.look(self.info.id, applied, member.store.revision, raised, in_use_bytes)

    @property
    def engine(self) -> Engine | None:
        """The engine of the current run, once it is open."""
        return None if self.run is None else self.run.engine


def running(slots: list[Slot]) -> list[Slot]:
    """Those with an open engine."""
    return [slot for slot in slots if slot.engine is not None]


def leader_of(slots: list[Slot]) -> Slot | None:
    """The leader with the highest term, if there is one."""
    leaders = [slot for slot in running(slots) if _leads(slot)]
    return max(leaders, key=_term, default=None)


def _leads(slot: Slot) -> bool:
    return slot.engine is not None and slot.engine.member.is_leader


def _term(slot: Slot) -> int:
    assert slot.engine is not None
    return slot.engine.member.term


def state_of(slot: Slot) -> dict[str, Any]:
    """What to print of a member when something went wrong."""
    engine = slot.engine
    if engine is None:
        return {"name": slot.info.name, "running": slot.run is not None}
    member = engine.member
    return {
        "name": slot.info.name,
        "run": slot.runs,
        "state": member.state_name,
        "term": member.term,
        "leader": f"{member.leader_id:x}",
        "committed": member.committed_index,
        "applied": member.applied_index,
        "revision": member.store.revision,
    }
