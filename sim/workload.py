"""Clients: a mix of requests at a given rate, and a record of all they asked and saw.

    Client     one request after the other, at any member; what it is not told stays open

Keys are few, so that clients meet; values are all different, so that a checker knows who wrote
what. A request that is refused for certain, or answered, is recorded so; when the answer does not
come in time, nobody knows, and the client goes to another member.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Any

from sim.calls import Connection
from sim.check import history as h
from sim.loop import Handle
from sim.requests import V2_PREFIX, V2Put, answer, encoded, failure_text, refusal

if TYPE_CHECKING:
    from sim.world import World

KEYS = tuple(b"k%02d" % number for number in range(12))
V2_KEYS = tuple(b"/v%d" % number for number in range(4))
EVERY_KEY = KEYS + V2_KEYS
# All of them: "/" comes before the letters.
ALL_KEYS = (b"/", b"l")
# A client that hears nothing waits this long at least, and half as long again at most.
PATIENCE_S = 3.0
RECONNECT_S = 0.2
LEASE_TTL_S = (2, 3, 5, 10)
LEASES_KEPT = 8

Maker = Callable[["Client"], Any]


class Client:
    """One logical thread of requests."""

    def __init__(self, world: World, number: int, pause_s: float, random: Random) -> None:
        self.random = random
        self.number = number
        self.leases: list[int] = []
        self.known_revision = 0
        self.answered = 0
        self._world = world
        self._pause_s = pause_s
        self._writes = 0
        self._connection: Connection | None = None
        self._operation: h.Operation | None = None
        self._impatience: Handle | None = None
        self._stopped = False
        self._later(random.random() * pause_s * 2)

    def stop(self) -> None:
        """Ask nothing more."""
        self._stopped = True

    @property
    def waits(self) -> bool:
        """Whether an answer is awaited."""
        return self._operation is not None

    def value(self) -> bytes:
        """One that nobody else writes."""
        self._writes += 1
        return b"%d-%d" % (self.number, self._writes)

    def key(self) -> bytes:
        """Any of the few keys."""
        return EVERY_KEY[int(self.random.random() * len(EVERY_KEY))]

    def last_write(self, key: bytes) -> int:
        """The revision of the last write of a key that any client has heard of, or 0."""
        return self._world.written.get(key, 0)

    # -- asking -------------------------------------------------------------------------------

    def _later(self, delay_s: float) -> None:
        world = self._world
        due_s = world.schedule.now_s + delay_s
        beat_s = world.beat_s
        if beat_s:
            due_s = (int(due_s / beat_s) + 1) * beat_s
        world.clients_process.call_at_global(due_s, self._ask)

    def _ask(self) -> None:
        if self._stopped:
            return
        world = self._world
        connection = self._connection
        if connection is None or connection.broken or self.random.random() < 0.01:
            if connection is not None:
                connection.close()
            connection = self._connection = world.connect(self.random)
            if connection is None:
                self._later(RECONNECT_S)
                return
            connection.on_broken = self._lost
        request = self._next_request()
        operation = self._operation = world.history.begin(
            self.number,
            connection.number,
            connection.member,
            world.schedule.now_s,
            request.record if isinstance(request, V2Put) else request,
        )
        patience_s = PATIENCE_S * (1 + 0.5 * self.random.random())
        self._impatience = world.clients_process.call_later(patience_s, self._lost)
        self._send(connection, operation, request)

    def _send(self, connection: Connection, operation: h.Operation, request: Any) -> None:
        path, body = encoded(request)

        def answered(body: bytes) -> None:
            self._answered(operation, request, body)

        if path.startswith(V2_PREFIX):
            connection.put(path, body, answered)
        else:
            connection.call(path, body, answered, lambda _, text: self._failed(operation, text))

    def _next_request(self) -> Any:
        make: Maker = self.random.choices(MAKERS, cum_weights=WEIGHTS)[0]
        return make(self)

    # -- what comes back ----------------------------------------------------------------------

    def _answered(self, operation: h.Operation, request: Any, body: bytes) -> None:
        if operation is not self._operation:
            return
        response, revision = answer(request, body)
        if response is None:
            self._failed(operation, failure_text(body))
        else:
            self._conclude(operation, request, response, revision)

    def _conclude(self, operation: h.Operation, request: Any, response: Any, revision: int) -> None:
        world = self._world
        world.history.end(operation, world.schedule.now_s, response, revision)
        self._learn(request, response, revision)
        self._next()

    def _learn(self, request: Any, response: Any, revision: int) -> None:
        """Remember of an answer what later requests need."""
        self.known_revision = max(self.known_revision, revision)
        self.answered += 1
        if isinstance(request, V2Put | h.Put):
            self._world.written[request.key] = revision
        elif isinstance(request, h.Grant):
            self.leases = [*self.leases[1 - LEASES_KEPT :], response.id]

    def _failed(self, operation: h.Operation, text: str) -> None:
        if operation is not self._operation:
            return
        world = self._world
        world.refused(text)
        refused = refusal(text)
        if refused is not None:
            world.history.end(operation, world.schedule.now_s, refused)
        elif self._connection is not None:
            self._connection.close()
        self._next()

    def _lost(self) -> None:
        """No answer in time, or the connection ended: the outcome stays open."""
        if self._connection is not None:
            self._connection.close()
        if self._operation is not None:
            self._next()

    def _next(self) -> None:
        self._operation = None
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None
        self._later(self._pause_s * 2 * self.random.random())


# -- the mix ---------------------------------------------------------------------------------------


def _put(client: Client) -> Any:
    wants_prev = client.random.random() < 0.2
    return h.Put(client.key(), client.value(), prev_kv=wants_prev)


def _get(client: Client) -> Any:
    return h.Range(client.key())


def _serializable(client: Client) -> Any:
    return h.Range(client.key(), serializable=True)


def _list(client: Client) -> Any:
    revision = 0
    if client.known_revision and client.random.random() < 0.3:
        revision = max(1, client.known_revision - int(client.random.random() * 50))
    return h.Range(*ALL_KEYS, revision=revision)


def _delete(client: Client) -> Any:
    return h.Delete(client.key(), prev_kv=client.random.random() < 0.3)


def _swap(client: Client) -> Any:
    """Write when nobody wrote in between, as far as the client can guess."""
    random = client.random
    key = client.key()
    guess = h.Compare(key, "mod", "less", client.known_revision)
    if random.random() < 0.3:
        guess = h.Compare(key, "version", "equal", 0)
    then: tuple[Any, ...] = (h.Put(key, client.value()), h.Range(key))
    if random.random() < 0.3:
        other = client.key()
        if other != key:
            then = (h.Put(key, client.value()), h.Put(other, client.value()))
    return h.Txn((guess,), then, (h.Range(key),))


def v2_put(client: Client) -> Any:
    """API 2 writes into the same store; sometimes it compares first."""
    random = client.random
    key = random.choice(V2_KEYS)
    guess = client.last_write(key) if random.random() < 0.4 else 0
    return V2Put(key, client.value(), guess)


def _grant(client: Client) -> Any:
    return h.Grant(0, client.random.choice(LEASE_TTL_S))


def _with_lease(make: Callable[[Client, int], Any]) -> Maker:
    """Needs a lease, so the first one is a grant."""

    def made(client: Client) -> Any:
        if not client.leases:
            return _grant(client)
        return make(client, client.random.choice(client.leases))

    return made


MIX: tuple[tuple[float, Maker], ...] = (
    (36, _put),
    (26, _get),
    (6, _serializable),
    (4, _list),
    (5, _delete),
    (12, _swap),
    (2, _grant),
    (4, _with_lease(lambda client, lease: h.Put(client.key(), client.value(), lease))),
    (2, _with_lease(lambda client, lease: h.KeepAlive(lease))),
    (1, _with_lease(lambda client, lease: h.Revoke(lease))),
    (1, _with_lease(lambda client, lease: h.TimeToLive(lease, keys=True))),
    (6, v2_put),
    (0.1, lambda client: h.Compact(max(1, client.known_revision - 20))),
)
MAKERS = [make for _, make in MIX]
WEIGHTS = list(accumulate(weight for weight, _ in MIX))
