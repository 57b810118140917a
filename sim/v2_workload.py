"""Clients that speak both APIs: what they ask API 2 for, with all its conditions and times to live.

They are clients as in `workload`, with another mix. Only one file is refreshed, and in one way, for
a refresh makes a copy of a value, and what was written twice tells the judge less.
"""

from __future__ import annotations

from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Any

from sim.calls import Connection
from sim.check import history as h
from sim.check.v2_records import V2Delete, V2Get, V2Response, V2Set
from sim.cluster import EPOCH_S
from sim.requests import failure_text
from sim.v2_requests import answer, sent
from sim.workload import MIX, V2_KEYS, Client, Maker, v2_put

if TYPE_CHECKING:
    from sim.world import World

REFRESHED_KEY = V2_KEYS[0]
# Files that are written so seldom that their time comes.
QUIET_KEYS = tuple(b"/q%d" % number for number in range(8))
TTL_S = (1, 2, 4, 8)
_REQUESTS = (V2Set, V2Delete, V2Get)


class V2Client(Client):
    """See the module. `known` is what it last saw of each file: modified index and value."""

    def __init__(self, world: World, number: int, pause_s: float, random: Random) -> None:
        self.known: dict[bytes, tuple[int, bytes]] = {}
        super().__init__(world, number, pause_s, random)

    def _next_request(self) -> Any:
        make: Maker = self.random.choices(MAKERS, cum_weights=WEIGHTS)[0]
        return make(self)

    def _send(self, connection: Connection, operation: h.Operation, request: Any) -> None:
        if type(request) not in _REQUESTS:
            super()._send(connection, operation, request)
            return
        method, target, body = sent(request)
        connection.http(method, target, body, lambda told: self._told(operation, request, told))

    def _told(self, operation: h.Operation, request: Any, body: bytes) -> None:
        if operation is not self._operation:
            return
        response, revision, expirations = answer(body, EPOCH_S)
        if response is None:
            self._failed(operation, failure_text(body))
            return
        self._world.history.expirations += expirations
        if type(response) is V2Response:
            node = response.node
            self.known[node.key] = (node.modified, node.value)
        self._conclude(operation, request, response, revision)


def _file(client: Client) -> bytes:
    return client.random.choice(V2_KEYS)


def _time(client: Client) -> int:
    return client.random.choice(TTL_S) if client.random.random() < 0.4 else 0


def _set(client: Client) -> Any:
    return V2Set(_file(client), client.value(), _time(client))


def _create(client: Client) -> Any:
    return V2Set(_file(client), client.value(), _time(client), prev_exist="false")


def _update(client: Client) -> Any:
    return V2Set(_file(client), client.value(), _time(client), prev_exist="true")


def _refresh(client: Client) -> Any:
    ttl_s = client.random.choice(TTL_S)
    return V2Set(REFRESHED_KEY, b"", ttl_s, prev_exist="true", refresh=True)


def _known(client: Client) -> tuple[bytes, int, bytes]:
    """A file, with an index or a value or both that it may have."""
    key = _file(client)
    assert isinstance(client, V2Client)
    index, value = client.known.get(key, (1, b"nothing"))
    kind = client.random.random()
    return key, index if kind < 0.6 else 0, (value or b"nothing") if kind > 0.4 else b""


def _swap(client: Client) -> Any:
    key, index, value = _known(client)
    return V2Set(key, client.value(), _time(client), index, value)


def _delete(client: Client) -> Any:
    if client.random.random() < 0.5:
        return V2Delete(_file(client))
    return V2Delete(*_known(client))


def _get(client: Client) -> Any:
    return V2Get(_file(client), quorum=client.random.random() < 0.7)


def _quiet_set(client: Client) -> Any:
    return V2Set(client.random.choice(QUIET_KEYS), client.value(), client.random.choice(TTL_S))


def _quiet_get(client: Client) -> Any:
    return V2Get(client.random.choice(QUIET_KEYS), quorum=True)


V2_MIX: tuple[tuple[float, Maker], ...] = (
    *((weight, make) for weight, make in MIX if make is not v2_put),
    (12, _set),
    (3, _create),
    (3, _update),
    (4, _refresh),
    (10, _swap),
    (5, _delete),
    (13, _get),
    (1, _quiet_set),
    (3, _quiet_get),
)
MAKERS = [make for _, make in V2_MIX]
WEIGHTS = list(accumulate(weight for weight, _ in V2_MIX))
