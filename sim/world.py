"""One simulated world from one seed: a cluster, its clients, its misfortunes, and the verdict.

    safety     clients and faults together; anything may fail but the promises
    liveness   everything is healed: within bounded time all members are alike and writes succeed
    verdict    the checkers read the record of the whole run

Everything is drawn from the seed, so a failure repeats. It does not print; `sim.__main__` does.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from petcd.cluster import MemberInfo, cluster_id, member_id
from petcd.member import Member
from petcd.peer.messages import decode_message, encode_message
from petcd.server.config import default_config
from sim.admin import Admin
from sim.calls import Connection
from sim.check import history as h
from sim.check.alarms import AlarmRecord
from sim.check.invariants import Invariants
from sim.check.judge import Judgement, judge
from sim.check.v2_records import LEASE_BASE
from sim.cluster import Slot, leader_of, running, state_of
from sim.faults import RESTART_S, Nemesis
from sim.features import features_of
from sim.keeper import Keeper
from sim.loop import Process, Schedule
from sim.network import Wires
from sim.options import Options
from sim.v2_watchers import V2Watching
from sim.v2_workload import V2Client
from sim.watchers import SlowWatching, Watching
from sim.workload import Client

TOKEN = "sim"
# After healing: everything must be well within this time, by a wide margin.
LIVENESS_S = 30.0
# Fair weather before the rate is measured, and while it is.
CALM_S = 5.0
FAIR_S = 5.0
# Clients ask whenever they like, or all upon a common beat, which makes their requests meet.
BEATS_S = (0.0, 0.05, 0.1, 0.2)
PROGRESS_S = 5.0
# What fits into one watch response where watchers want fragments: an event or two.
FRAGMENT_BYTES = 120
V2_WATCHERS = 2
# How often members are looked at; one look in so many compares hashes.
SAMPLE_S = 5.0
HASH_ONE_IN = 4
COMPARED = (b"alarm", b"cluster", b"lease", b"members", b"members_removed", b"v2")
# Below this many committed requests a simulated second in fair weather a run proves nothing.
COMMITTED_PER_S_MIN = 20


class Failed(Exception):
    """The run broke a promise; the message says which."""


class World:
    """A cluster with its clients. `run` once."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.features = features_of(options)
        self.schedule = Schedule()
        self.history = h.History()
        self.invariants = Invariants()
        quota_bytes = self.features.quota_bytes
        self.alarm_record = AlarmRecord(quota_bytes) if quota_bytes else None
        self.errors: dict[str, int] = {}
        self.written: dict[bytes, int] = {}
        self.random = Random(f"world {options.seed}")
        self.wires = Wires(Random(f"network {options.seed}"))
        self.wires.look = self.invariants.sent
        self.wires.encode, self.wires.decode = encode_message, decode_message
        self.clients_process = Process(self.schedule, 0)
        self.beat_s = self.random.choice(BEATS_S)
        self.slots = self._found()
        self.clients: list[Client] = []
        self.keeper: Keeper | None = None
        self.watchings: list[Watching] = []
        self.v2_watchings: list[V2Watching] = []
        self.nemesis: Nemesis | None = None
        self.admin: Admin | None = None
        self.fair_per_s = 0.0
        self.healed_s = 0.0
        self.judgement: Judgement | None = None
        self._by_number = {slot.number: slot for slot in self.slots}
        self._connections = 0
        self._samples = 0
        self.schedule.ran = self._ran
        self.schedule.killed = self._killed

    def _found(self) -> list[Slot]:
        infos = []
        for number in range(1, self.features.members + 1):
            urls = (f"http://m{number}:2380",)
            infos.append(MemberInfo(member_id(urls, TOKEN), urls, f"m{number}"))
        cluster = self.cluster_id = cluster_id(info.id for info in infos)
        return [
            self.make_slot(number, info, cluster, tuple(infos))
            for number, info in enumerate(infos, 1)
        ]

    def make_slot(
        self, number: int, info: MemberInfo, cluster: int, founders: tuple[MemberInfo, ...]
    ) -> Slot:
        """A place for a member that has never run."""
        options = self.options
        config = default_config(
            "/",
            name=info.name,
            initial_advertise_peer_urls=info.peer_urls,
            advertise_client_urls=(f"http://{info.name}:2379",),
            snapshot_count=options.snapshot_count,
            snapshot_catchup_entries=options.catchup_entries,
            backend_batch_interval_s=0.1,
            watch_progress_interval_s=PROGRESS_S,
            auto_compaction_retention="0",
            quota_backend_bytes=self.features.quota_bytes,
        )
        random = Random(f"member {number} {options.seed}")
        slot = Slot(
            number, self.schedule, self.wires, random, info, cluster, founders, config,
            options.segment_bytes, self.invariants,
        )  # fmt: skip
        slot.fragment_bytes = FRAGMENT_BYTES if self.features.slow_watchers else 0
        return slot

    # -- events -------------------------------------------------------------------------------

    def _ran(self, process: Process) -> None:
        if process.is_unchanged:
            process.is_unchanged = False
        elif process.number:
            slot = self._by_number[process.number]
            slot.look()
            if self.alarm_record is not None:
                slot.look_at_alarms(self.alarm_record)

    def _killed(self, process: Process) -> None:
        slot = self._by_number[process.number]
        slot.ended(process)
        if slot.deaths:
            raise Failed(f"{slot.info.name} ended itself: {slot.deaths[0]}")
        self.supervise(slot, self.random.uniform(*RESTART_S))

    def connect(self, random: Random) -> Connection | None:
        """A client's connection to any member that serves; None when it found none."""
        return self.connect_to(random.choice(self.slots), random)

    def connect_to(self, slot: Slot, random: Random) -> Connection | None:
        """A connection to this member, None when it does not serve."""
        run = slot.run
        if run is None or run.engine is None:
            return None
        self._connections += 1
        connection = Connection(
            self._connections, slot.number, self.clients_process, run.process, run.router,
            run.http, random,
        )  # fmt: skip
        patience_s = random.choice((0.001, 0.5, 5.0))
        run.on_end.append(lambda: connection.break_off(patience_s))
        return connection

    def refused(self, text: str) -> None:
        """Count what clients are told."""
        self.errors[text] = self.errors.get(text, 0) + 1

    def add(self, slot: Slot) -> None:
        """One more place."""
        self.slots.append(slot)
        self._by_number[slot.number] = slot
        if self.nemesis is not None:
            self.nemesis.prepare(slot)

    def retire(self, slot: Slot) -> None:
        """A place whose member was removed."""
        slot.is_retired = True
        self.slots.remove(slot)
        if slot.run is not None:
            slot.end(power_lost=False)

    def supervise(self, slot: Slot, delay_s: float) -> None:
        """Start a member again after a while, if nobody else did."""

        self.clients_process.call_later(delay_s, slot.start)

    # -- the run ------------------------------------------------------------------------------

    def run(self) -> None:
        """The whole of it. Raises Failed."""
        options = self.options
        self._start()
        if options.faults:
            self.admin = Admin(self, Random(f"admin {options.seed}"))
            self.nemesis = Nemesis(self, Random(f"faults {options.seed}"))
        self._sample()
        self.schedule.run(options.duration_s)
        if self.nemesis is not None:
            self.nemesis.heal()
        try:
            self._settle()
        except Failed as complaint:
            # Why there is no agreement is told best by the promise that was broken before.
            self._judge_what_was(complaint)
            raise
        self._judge()

    def _start(self) -> None:
        """Members, clients, watchers."""
        options = self.options
        for slot in self.slots:
            slot.start()
        pause_s = max(0.0, options.clients / options.operations_per_s - self.beat_s / 2)
        client = V2Client if self.features.v2 else Client
        self.clients = [
            client(self, number, pause_s, Random(f"client {number} {options.seed}"))
            for number in range(1, options.clients + 1)
        ]
        if self.features.quota_bytes:
            self.keeper = Keeper(self, options.clients + 1, Random(f"keeper {options.seed}"))
        if self.features.v2:
            numbers = range(2001, 2001 + V2_WATCHERS)
            self.v2_watchings = [V2Watching(self, number) for number in numbers]
        watching = SlowWatching if self.features.slow_watchers else Watching
        self.watchings = [
            watching(self, 1000 + number, Random(f"watching {number} {options.seed}"))
            for number in range(1, options.watchers + 1)
        ]

    def _settle(self) -> None:
        """Nothing is in the way any more: the cluster must serve at full rate, and then agree."""
        schedule = self.schedule
        for slot in self.slots:
            if slot.run is None:
                slot.start()
            elif slot.run.process.held_until_s > schedule.now_s:
                slot.run.process.resume()
        self.healed_s = schedule.now_s
        for watching in self.watchings:
            watching.hurry()
        self._until(self.healed_s + LIVENESS_S, "no leader after healing", self._has_leader)
        if self.keeper is not None:
            self.keeper.hurry()
            self._until(schedule.now_s + LIVENESS_S, "there is no room again", self._has_room)
        # Whoever asked before has either been answered or given up by now.
        schedule.run(schedule.now_s + CALM_S)
        answered = self.answered
        schedule.run(schedule.now_s + FAIR_S)
        self.fair_per_s = (self.answered - answered) / FAIR_S
        rate = self.options.operations_per_s
        if self.fair_per_s < min(COMMITTED_PER_S_MIN, rate / 2):
            raise Failed(f"void: {self.fair_per_s:.0f} answers a second in fair weather")
        self._until(schedule.now_s + LIVENESS_S, "members are not placed", self._is_placed)
        for client in self._everybody():
            client.stop()
        self._until(schedule.now_s + LIVENESS_S, "members do not agree in time", self._agree)
        schedule.run(schedule.now_s + CALM_S)

    def _until(self, limit_s: float, complaint: str, done: Callable[[], bool]) -> None:
        schedule = self.schedule
        while not done():
            if schedule.now_s >= limit_s:
                raise Failed(complaint)
            schedule.run(schedule.now_s + 0.25)

    def _has_leader(self) -> bool:
        leader = leader_of(self.slots)
        return leader is not None and all(
            engine is not None and engine.member.leader_id == leader.id
            for engine in (slot.engine for slot in self.slots)
        )

    def _has_room(self) -> bool:
        """The operator has made room, and no alarm is left."""
        return self.keeper is None or self.keeper.has_room

    def _is_placed(self) -> bool:
        return self.admin is None or self.admin.is_idle

    def _agree(self) -> bool:
        """Whether all members have applied the same and no lease of API 3 is left to expire."""
        members = [slot.engine.member for slot in self.slots if slot.engine is not None]
        states = {
            (m.applied_index, m.committed_index, m.store.revision, _leases_left(m)) for m in members
        }
        return (
            len(members) == len(self.slots)
            and len(states) == 1
            and all(state[3] == 0 for state in states)
        )

    # -- the verdict --------------------------------------------------------------------------

    def _sample(self) -> None:
        """Look at what members say of themselves, every now and then."""
        history, now_s = self.history, self.schedule.now_s
        for slot in running(self.slots):
            assert slot.engine is not None
            if slot.engine.runtime.is_syncing:
                continue  # the term that it has heard of meanwhile may be lost with it
            member = slot.engine.member
            store = member.store
            history.members.append(
                h.MemberSample(
                    slot.number, slot.runs, now_s, member.term, member.applied_index,
                    store.revision, store.compact_revision,
                )
            )  # fmt: skip
        self._samples += 1
        if self._samples % HASH_ONE_IN == 0:
            self._sample_hashes()
        self.clients_process.call_later(SAMPLE_S, self._sample)

    def _sample_hashes(self) -> None:
        """HashKV of all members at the newest revision that all of them have."""
        stores = [
            (slot.number, slot.engine.member.store)
            for slot in self.slots
            if slot.engine is not None
        ]
        revision = min(store.revision for _, store in stores) if stores else 0
        for number, store in stores:
            if revision <= 1 or store.compacting or revision < store.compact_revision:
                continue
            found, _ = store.hash_kv(revision)
            self.history.hashes.append(
                h.HashSample(
                    number, self.schedule.now_s, revision, found.compact_revision, found.hash
                )
            )

    def _judge_what_was(self, complaint: Failed) -> None:
        """Judge a history that has no proper end."""
        self._sample_hashes()
        drift = 0.0 if self.nemesis is None else self.nemesis.drift
        found = judge(self.history, drift=drift, alarm_record=self.alarm_record)
        violations = found.violations
        if violations:
            raise Failed(f"{violations[0]}; {complaint}") from complaint

    def _judge(self) -> None:
        """Equal data on all members, and a history without a broken promise."""
        self._sample_hashes()
        stores = [slot.engine.member.store for slot in self.slots if slot.engine is not None]
        drift = 0.0 if self.nemesis is None else self.nemesis.drift
        self.judgement = judge(
            self.history,
            drift=drift,
            calm_since_s=CALM_S if self.nemesis is None else self.healed_s,
            alive={watching.watcher_id for watching in self.watchings},
            final_revision=stores[0].revision,
            alarm_record=self.alarm_record,
            v2_resting={watching.resting_id for watching in self.v2_watchings},
        )
        if self.judgement.violations:
            raise Failed("; ".join(str(each) for each in self.judgement.violations[:3]))
        self._compare_buckets()

    def _compare_buckets(self) -> None:
        """What else is replicated is the same as well, row by row."""
        for bucket in COMPARED:
            rows = []
            for slot in self.slots:
                assert slot.engine is not None
                rows.append(list(slot.engine.opened.backend.scan(bucket, b"", None)))
            if any(other != rows[0] for other in rows):
                raise Failed(f"bucket {bucket.decode()} differs: {rows}")

    def _everybody(self) -> list[Client]:
        return [*self.clients, *([self.keeper] if self.keeper is not None else ())]

    @property
    def answered(self) -> int:
        """Requests that were answered."""
        return sum(client.answered for client in self.clients)

    def digest(self) -> int:
        """A number that two runs of the same options have in common."""
        parts: list[object] = [self.schedule.digest, self.schedule.steps, self.wires.sent]
        for slot in self.slots:
            parts.append((slot.disk.bytes_written, slot.disk.syncs, slot.runs))
        for operation in self.history.operations:
            parts.append((operation.call_s, operation.return_s or 0.0, operation.revision))
        for watcher in self.history.watchers:
            parts.append(tuple((each.time_s, each.revision) for each in watcher.messages))
        return hash(tuple(parts)) & (1 << 64) - 1

    def states(self) -> list[str]:
        """What the members look like, for a failure."""
        leader = leader_of(self.slots)
        lines = [str(state_of(slot)) for slot in self.slots]
        lines.append(f"leader: {leader.info.name if leader else 'none'}")
        lines.append(f"running: {len(running(self.slots))}")
        return lines


def _leases_left(member: Member) -> int:
    """Leases but those of API 2, whose nodes end by the time of day: some tomorrow."""
    return sum(lease >> 48 != LEASE_BASE >> 48 for lease in member.lessor.leases())
