"""Watchers of API 2: long polls that come back for the next event, and streams."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING

from sim.calls import Connection, HttpClient
from sim.check.v2_records import CLEARED, V2Watch
from sim.cluster import EPOCH_S
from sim.v2_requests import event, sent
from sim.workload import RECONNECT_S, V2_KEYS

if TYPE_CHECKING:
    from sim.world import World

EVERYTHING = b"/"
# A watch that was asked for so long ago has been told of everything.
CATCH_UP_S = 2.0
# After this time somebody moves to another member of his own accord.
STAYS_S = (5.0, 40.0)


class V2Watching:
    """Follows a file, or all of them, over changes of members; a request is a watch of its own."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._random = Random(f"v2 watching {number} {world.options.seed}")
        self._key = self._random.choice((EVERYTHING, *V2_KEYS))
        self._stream = self._random.random() < 0.5
        self._next_index = 0
        self._connection: Connection | None = None
        self._place = -1
        self._began_s = 0.0
        self._connect()

    @property
    def resting_id(self) -> int:
        """The watch that waits now, if it has done so for a while; else 0."""
        rested = self._world.schedule.now_s - self._began_s > CATCH_UP_S
        if self._connection is None or self._connection.broken or not rested:
            return 0
        return self._world.history.v2_watches[self._place].id

    def _connect(self) -> None:
        world = self._world
        connection = self._connection = world.connect(self._random)
        if connection is None:
            world.clients_process.call_later(RECONNECT_S, self._connect)
            return
        connection.on_broken = lambda: self._lost(connection)
        stays_s = self._random.uniform(*STAYS_S)
        world.clients_process.call_later(stays_s, self._lost, connection)
        self._ask(connection)

    def _ask(self, connection: Connection) -> None:
        world = self._world
        watches = world.history.v2_watches
        if self._random.random() < 0.05:
            self._next_index = self._random.choice((0, max(1, self._next_index - 20)))
        self._place, self._began_s = len(watches), world.schedule.now_s
        watch = V2Watch(len(watches) + 1, self._key, self._next_index, self._stream)
        watches.append(watch)
        place = self._place
        client = HttpClient(
            lambda body: self._refused(connection, place, body),
            lambda index: self._began(place, index),
            lambda body: self._heard(place, body),
            lambda: self._ended(connection, place),
        )
        connection.http_stream(sent(watch).target, client)

    def _began(self, place: int, index: int) -> None:
        watches = self._world.history.v2_watches
        watches[place] = watches[place]._replace(began_at=index)
        if not self._next_index:
            self._next_index = index + 1

    def _heard(self, place: int, body: bytes) -> None:
        history = self._world.history
        happened, expirations = event(json.loads(body), EPOCH_S)
        watch = history.v2_watches[place]
        history.v2_watches[place] = watch._replace(events=(*watch.events, happened))
        history.expirations += expirations
        self._next_index = happened.node.modified + 1

    def _refused(self, connection: Connection, place: int, body: bytes) -> None:
        if json.loads(body.split(b" ", 2)[2]).get("errorCode") == CLEARED:
            watches = self._world.history.v2_watches
            watches[place] = watches[place]._replace(is_cleared=True)
            self._next_index = 0
        self._lost(connection)

    def _ended(self, connection: Connection, place: int) -> None:
        """After its event a poll comes back at once; else the member stops, or cut a stream."""
        if not self._stream and self._world.history.v2_watches[place].events:
            self._ask(connection)
        else:
            self._lost(connection)

    def _lost(self, connection: Connection) -> None:
        if connection is self._connection:
            connection.close()
            self._connection = None
            self._world.clients_process.call_later(RECONNECT_S, self._connect)
