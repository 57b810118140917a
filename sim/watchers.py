"""Watchers, and a record of all they were told.

    Watching       a watch that goes on at another member when its connection ends
    SlowWatching   the same, and it stops reading for a while now and then

A slow one asks for what others seldom do, too: revisions of the past and of the future, events in
fragments, and how far it is. What a member keeps for it is bounded: HELD_BYTES_MAX.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from sim.calls import Connection, ServerCall
from sim.check import history as h
from sim.check.invariants import broken
from sim.requests import WATCH_PROGRESS, watch_create, watch_message
from sim.workload import ALL_KEYS, EVERY_KEY, RECONNECT_S

if TYPE_CHECKING:
    from sim.world import World

# A watcher that has been connected for this long has everything.
CATCH_UP_S = 2.0
# How many bytes each byte counts that a slow client has not accepted: a member's bound for a stream
# is made for busier clusters, and so becomes 4 KiB.
MAGNIFIED = 256
# Beyond that bound a member may have made one more slice of history, or one more turn's events.
HELD_BYTES_MAX = 96 * 1024
# For how long it reads, and then does not.
READS_S = (1.0, 10.0)
RESTS_S = (0.5, 3.0, 15.0, 60.0)
ASKS_PROGRESS_S = (0.1, 5.0)

Step = Callable[[Connection, ServerCall], None]


class Watching:
    """A watch over restarts and changes of members; each part of it is a watcher of its own."""

    def __init__(self, world: World, number: int, random: Random) -> None:
        self._world = world
        self._number = number
        self._random = random
        self._wish = self._any_wish()
        self._watcher: h.Watcher | None = None
        self._connection: Connection | None = None
        self._call: ServerCall | None = None
        self._stopped = False
        self._began_s = 0.0
        self._begin()

    def _any_wish(self) -> h.Watch:
        return any_watch(self._random)

    def hurry(self) -> None:
        """From now on it takes what comes."""

    @property
    def watcher_id(self) -> int:
        """The watcher that hears now, if it has done so for a while; else 0."""
        connection = self._connection
        rested = self._world.schedule.now_s - self._began_s > CATCH_UP_S
        if connection is None or connection.broken or self._watcher is None or not rested:
            return 0
        return self._watcher.id

    def stop(self) -> None:
        """Hear nothing more."""
        self._stopped = True
        if self._connection is not None:
            self._connection.close()

    def _begin(self) -> None:
        if self._stopped:
            return
        world = self._world
        connection = self._connection = world.connect(self._random)
        if connection is None:
            world.clients_process.call_later(RECONNECT_S, self._begin)
            return
        connection.on_broken = self._ended
        self._began_s = world.schedule.now_s
        before = self._watcher
        if before is not None:
            self._wish = self._wish._replace(start_revision=next_revision(before))
        self._watcher = world.history.watch(
            self._number,
            connection.number,
            connection.member,
            self._wish,
            before.id if before is not None and self._wish.start_revision else 0,
        )
        watcher = self._watcher
        self._call = connection.call(
            b"/etcdserverpb.Watch/Watch",
            watch_create(self._wish),
            lambda body: self._heard(watcher, body),
            lambda code, text: self._ended(),
        )
        self._created(connection, self._call)
        # Now and then somebody moves to another member of his own accord.
        world.clients_process.call_later(20 + 40 * self._random.random(), self._move, connection)

    def _created(self, connection: Connection, call: ServerCall) -> None:
        """A watch was asked for."""

    def _heard(self, watcher: h.Watcher, body: bytes) -> None:
        message = watch_message(body, self._world.schedule.now_s)
        watcher.messages.append(message)
        if message.kind in ("compacted", "cancelled"):
            self._ended()

    def _move(self, connection: Connection) -> None:
        if connection is self._connection:
            self._ended()

    def _ended(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._world.clients_process.call_later(RECONNECT_S, self._begin)


class SlowWatching(Watching):
    """See the module. It has a random of its own for what others do not do."""

    def __init__(self, world: World, number: int, random: Random) -> None:
        self._slowness = Random(f"slow {number} {world.options.seed}")
        self._is_slow = True
        self._is_held = False
        super().__init__(world, number, random)

    def _any_wish(self) -> h.Watch:
        wish, random = super()._any_wish(), self._slowness
        return wish._replace(fragment=random.random() < 0.5)

    def hurry(self) -> None:
        self._is_slow = False
        if self._connection is not None and self._call is not None:
            self._read_on(self._connection, self._call)

    def _begin(self) -> None:
        """A new watch begins somewhere; one that carries on has no choice."""
        random = self._slowness
        if self._is_slow and random.random() < 0.3:
            known = max([1, *(client.known_revision for client in self._world.clients)])
            revision = max(1, known + random.choice((-200, -50, -5, 5, 50)))
            self._wish, self._watcher = self._wish._replace(start_revision=revision), None
        super()._begin()

    def _created(self, connection: Connection, call: ServerCall) -> None:
        self._is_held = False
        call.magnified = MAGNIFIED
        self._later(READS_S, self._stop_reading, connection, call)
        self._later(ASKS_PROGRESS_S, self._ask_progress, connection, call)

    def _later(self, within_s: tuple[float, float], work: Step, *of: Any) -> None:
        self._world.clients_process.call_later(self._slowness.uniform(*within_s), work, *of)

    def _stop_reading(self, connection: Connection, call: ServerCall) -> None:
        if call is self._call and not connection.broken and self._is_slow:
            self._is_held = True
            connection.hold(call)
            rest_s = self._slowness.choice(RESTS_S)
            self._later((rest_s / 2, rest_s), self._read_on, connection, call)

    def _read_on(self, connection: Connection, call: ServerCall) -> None:
        if call.held_bytes_max > HELD_BYTES_MAX:
            detail = f"{call.held_bytes_max} bytes for {self._watcher}"
            broken("too much waits for a slow client", detail)
        if call is self._call and not connection.broken and self._is_held:
            self._is_held = False
            self._began_s = self._world.schedule.now_s
            connection.release(call)
            self._later(READS_S, self._stop_reading, connection, call)

    def _ask_progress(self, connection: Connection, call: ServerCall) -> None:
        if call is self._call and not connection.broken:
            connection.send(call, WATCH_PROGRESS)
            self._later(ASKS_PROGRESS_S, self._ask_progress, connection, call)


def any_watch(random: Random) -> h.Watch:
    """What somebody may want to hear of: everything more often than not."""
    key, end = ALL_KEYS
    if random.random() < 0.4:
        key, end = random.choice(EVERY_KEY), b""
        if random.random() < 0.5:
            key, end = sorted(random.sample(EVERY_KEY, 2))
    return h.Watch(
        key,
        end,
        start_revision=random.choice((0, 0, 1)),
        prev_kv=random.random() < 0.5,
        no_put=random.random() < 0.1,
        no_delete=random.random() < 0.1,
        progress_notify=random.random() < 0.5,
    )


def next_revision(watcher: h.Watcher) -> int:
    """Where a watch that carries on must begin; 0 when it may begin with the next change."""
    position = watcher.request.start_revision
    for message in watcher.messages:
        if message.kind == "events":
            # Of the last revision in a fragment a part may be still to come.
            last = message.events[-1].kv.mod_revision
            position = max(position, last if message.fragment else last + 1)
        elif message.kind == "compacted":
            position = max(position, message.compact_revision)
        elif message.kind == "progress" or (message.kind == "created" and position == 0):
            position = max(position, message.revision + 1)
    return position
