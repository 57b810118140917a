"""Clients that use a cluster while it is harmed, and write down all they see.

| client | does |
| --- | --- |
| keys | puts of values that come once, reads (linearizable or not, of a key or of all), deletes |
| guards | reads a key, then writes it if nobody did meanwhile |
| leases | grants, puts keys with it, revokes it or lets it expire |
| watchers | watch everything from the first revision on, and go on where they were cut off |
| compaction | every few seconds, history older than a thousand revisions |

A client has one request on its way at a time, and a pause after each that keeps the whole load
near `PER_SECOND`: enough to hit every moment, little enough for two cores and a checker. After a
time-out or a lost connection it goes to another member that is chosen by chance.
"""

import asyncio
import contextlib
import random
from typing import Any

from bench.connection import Connection, GrpcError, Stream
from bench.requests import WATCH
from bench.servers import Server
from faults.recording import Recorder, Session, event
from petcd.wire.watch import (
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)
from sim.check import history as h

KEYS = tuple(b"key/%02d" % number for number in range(24))
KEY_CLIENTS, GUARD_CLIENTS, LEASE_CLIENTS, WATCHERS = 5, 2, 1, 2
PER_SECOND = 250
ANSWER_TIMEOUT_S = 1.0
RETRY_S = 0.05  # after a failure, so that a dead member is not asked all the time
LEASE_TTL_S = 7_200  # longer than a run: they are revoked
SHORT_TTL_S = 2  # they expire by themselves
EXPIRING = 0.3
COMPACT_PERIOD_S = 4.0
KEPT_REVISIONS = 1_000
PROGRESS_PERIOD_S = 0.5
SILENCE_S = 5.0  # a watcher that hears nothing for so long tries another member
SETTLE_TIMEOUT_S = 30.0
POLL_S = 0.02
FAILURES = (OSError, GrpcError, TimeoutError)
EVERYTHING = (b"\0", b"\0")


class Workload:
    """All clients of one run; `begin` starts them, `end` waits until each has finished."""

    def __init__(
        self, members: list[Server], recorder: Recorder, seed: int, per_second: int = PER_SECOND
    ) -> None:
        self.members = members
        self.recorder = recorder
        self.seed = seed
        self.enough = asyncio.Event()  # nothing more is written
        self.going = asyncio.Event()  # cleared: everybody rests
        self.going.set()
        self.stopping = asyncio.Event()  # nobody watches any more
        self.writers: list[asyncio.Task[None]] = []
        self.listeners: list[asyncio.Task[None]] = []
        self.values = 0
        self.leases = 0
        self.revision = 1  # the newest that any client has seen
        clients = KEY_CLIENTS + GUARD_CLIENTS + LEASE_CLIENTS
        self.pause_s = clients / per_second
        self.watchers = [Watching(self, 100 + number) for number in range(WATCHERS)]

    def begin(self) -> None:
        plans = [keys] * KEY_CLIENTS + [guards] * GUARD_CLIENTS + [leases] * LEASE_CLIENTS
        loops = [Client(self, number).run(plan) for number, plan in enumerate(plans, 1)]
        loops.append(Client(self, 90).run(compaction))
        self.writers = [asyncio.ensure_future(loop) for loop in loops]
        self.listeners = [asyncio.ensure_future(watcher.run()) for watcher in self.watchers]

    async def end(self) -> None:
        """Raises what ended a client before its time."""
        await asyncio.gather(*self.stopped())

    def stopped(self) -> list[asyncio.Task[None]]:
        """Tells everybody to stop; what they do until they have."""
        self.enough.set()
        self.going.set()
        self.stopping.set()
        return [*self.writers, *self.listeners]

    async def settle(self) -> int:
        """Ends writing, reads all, and waits until the watchers have seen all; returns up to which
        revision. Raises TimeoutError."""
        self.enough.set()
        self.going.set()
        await asyncio.gather(*self.writers)
        last = Client(self, 99)
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            while True:
                with contextlib.suppress(*FAILURES):
                    await last.ask(h.Range(*EVERYTHING))
                    break
                last.leave()
            last.leave()
            revision = self.recorder.history.operations[-1].revision
            while any(watcher.next_revision <= revision for watcher in self.watchers):
                await asyncio.sleep(POLL_S)
        return revision

    def check_clients(self) -> None:
        """Raises at once what a client died of; it would be missing from the load."""
        for task in (*self.writers, *self.listeners):
            if task.done():
                task.result()

    def value(self) -> bytes:
        self.values += 1
        return b"%d" % self.values

    async def pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.enough.wait(), seconds)


class Client:
    """One client: at one member at a time, one request at a time."""

    def __init__(self, workload: Workload, number: int) -> None:
        self.workload = workload
        self.number = number
        self.chance = random.Random(f"{workload.seed} {number}")
        self.session: Session | None = None

    async def run(self, plan: Any) -> None:
        while not self.workload.enough.is_set():
            await self.workload.going.wait()
            try:
                await plan(self)
                await self.workload.pause(self.workload.pause_s * self.chance.uniform(0.5, 1.5))
            except FAILURES:
                self.leave()
                await self.workload.pause(RETRY_S)
        self.leave()

    async def ask(self, request: Any) -> Any:
        if self.session is None:
            number, connection = await somewhere(self.workload, self.chance)
            self.session = Session(self.workload.recorder, self.number, number, connection)
        return await self.session.ask(request, ANSWER_TIMEOUT_S)

    def leave(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None


async def somewhere(workload: Workload, chance: random.Random) -> tuple[int, Connection]:
    """A connection to some member, and that member's number. Raises OSError."""
    number = chance.randrange(len(workload.members))
    return number + 1, await workload.members[number].connect()


# --- what clients do ------------------------------------------------------------------------------


async def keys(client: Client) -> None:
    chance = client.chance
    key, dice = chance.choice(KEYS), chance.random()
    if dice < 0.45:
        await client.ask(h.Put(key, client.workload.value(), prev_kv=dice < 0.05))
    elif dice < 0.65:
        await client.ask(h.Range(key))
    elif dice < 0.75:
        await client.ask(h.Range(key, serializable=True))
    elif dice < 0.85:
        await client.ask(h.Range(b"key/", b"key0", serializable=dice < 0.80))
    elif dice < 0.92:
        await client.ask(h.Delete(key, prev_kv=dice < 0.88))
    else:
        other = chance.choice(KEYS)
        puts = tuple(h.Put(one, client.workload.value()) for one in sorted({key, other}))
        await client.ask(h.Txn((), puts))


async def guards(client: Client) -> None:
    """Optimistic locking, on few keys so that clients meet."""
    key = client.chance.choice(KEYS[:4])
    found = await client.ask(h.Range(key))
    revision = found.kvs[0].mod_revision if found.kvs else 0
    guard = h.Compare(key, "mod", "equal", revision)
    put = h.Put(key, client.workload.value())
    await client.ask(h.Txn((guard,), (put,), (h.Range(key),)))


async def leases(client: Client) -> None:
    workload = client.workload
    workload.leases += 1
    lease = 1_000_000 * client.number + workload.leases
    expires = client.chance.random() < EXPIRING
    await client.ask(h.Grant(lease, SHORT_TTL_S if expires else LEASE_TTL_S))
    for key in client.chance.sample(KEYS, 2):
        await client.ask(h.Put(key, workload.value(), lease=lease))
    await workload.pause(workload.pause_s)
    if not expires:
        await client.ask(h.Revoke(lease))


async def compaction(client: Client) -> None:
    workload = client.workload
    await workload.pause(COMPACT_PERIOD_S)
    revision = min(watcher.next_revision for watcher in workload.watchers) - KEPT_REVISIONS
    if revision > 1 and not workload.enough.is_set():
        await client.ask(h.Compact(revision))


# --- watching -------------------------------------------------------------------------------------


class Watching:
    """A watcher that survives its connections: each goes on behind the last event it got."""

    def __init__(self, workload: Workload, client: int) -> None:
        self.workload = workload
        self.client = client
        self.chance = random.Random(f"{workload.seed} {client}")
        self.next_revision = 1
        self.before = 0  # id of the watcher that the next one goes on for: the present one's

    async def run(self) -> None:
        while not self.workload.stopping.is_set():
            try:
                number, connection = await somewhere(self.workload, self.chance)
            except FAILURES:
                await asyncio.sleep(RETRY_S)
                continue
            try:
                await self.watch(number, connection)
            finally:
                connection.close()

    async def watch(self, member: int, connection: Connection) -> None:
        """Until the connection is lost, the member is silent for long, or all is over."""
        recorder = self.workload.recorder
        request = h.Watch(*EVERYTHING, start_revision=self.next_revision, prev_kv=False)
        session = next(recorder.sessions)
        watcher = recorder.history.watch(self.client, session, member, request, self.before)
        self.before = watcher.id
        heard = asyncio.Event()
        ended = asyncio.Event()

        def on_message(message: bytes) -> None:
            heard.set()
            response = WatchResponse.decode(message)
            watcher.messages.append(self.understood(response))
            if response.canceled:
                ended.set()

        stream = connection.open_stream(WATCH, on_message, lambda status, reply: ended.set())
        create = WatchCreateRequest(
            key=request.key, range_end=request.end, start_revision=request.start_revision
        )
        stream.send(WatchRequest(create_request=create).encode())
        # etcd 3.5.1 answers these before events that came earlier
        asks = self.workload.members[member - 1].kind == "petcd"
        await self.listen(stream, heard, ended, asks)

    async def listen(
        self, stream: Stream, heard: asyncio.Event, ended: asyncio.Event, asks_progress: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while not self.workload.stopping.is_set() and not ended.is_set():
            await asyncio.sleep(PROGRESS_PERIOD_S)
            if heard.is_set():
                heard.clear()
                last = loop.time()
            elif loop.time() - last > SILENCE_S:
                return
            if asks_progress and not ended.is_set():
                stream.send(WatchRequest(progress_request=WatchProgressRequest()).encode())
        await asyncio.sleep(0)

    def understood(self, response: WatchResponse) -> h.Message:
        assert response.header is not None
        if response.created:
            kind = "created"
        elif response.compact_revision:
            kind = "compacted"
            self.next_revision = response.compact_revision
            self.before = 0
        elif response.canceled:
            kind = "cancelled"
        else:
            kind = "events" if response.events else "progress"
        events = tuple(map(event, response.events))
        if events:
            self.next_revision = events[-1].kv.mod_revision + 1
        return h.Message(
            kind,
            self.workload.recorder.now(),
            response.header.revision,
            events,
            response.compact_revision,
            response.fragment,
        )
