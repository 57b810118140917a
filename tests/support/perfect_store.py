"""Random histories of a perfect store: many clients at once, every answer right.

Each operation takes effect at one moment between call and return; some answers are lost, before or
after that moment; leases end by themselves; serializable reads see a past state. What it records is
linearizable by construction, and a test that changes an answer knows what it broke.
"""

from __future__ import annotations

import random
from typing import Any

from sim.check.history import (
    LEASE_NOT_FOUND,
    Compact,
    Compare,
    Delete,
    Done,
    Event,
    Grant,
    History,
    LeaseResponse,
    Operation,
    Put,
    Range,
    Refused,
    Revoke,
    Txn,
)
from sim.check.model import Model

KEYS = [b"a", b"b", b"c", b"d"]


class PerfectStore:
    """`history` is what clients saw, `changes` what happened."""

    def __init__(
        self,
        seed: int,
        operations: int,
        clients: int = 5,
        lost: float = 0.05,
        leases: bool = True,
        unique_values: bool = True,
    ) -> None:
        self.chance = random.Random(seed)
        self.history = History()
        self.model = Model()
        self.changes: dict[int, list[Event]] = {}
        self.lost = lost
        self.with_leases = leases
        self.unique_values = unique_values
        self.leases: list[int] = []
        self.granted: list[int] = []
        self.time_s = 0.0
        self.count = 0
        self.sessions = {client: client * 1000 for client in range(clients)}
        self.stale_revision: dict[int, int] = {}
        self.busy: dict[int, tuple[Operation, bool]] = {}
        while self.count < operations or self.busy:
            self.time_s += self.chance.random() / 100
            self.move(self.chance.randrange(clients), self.count < operations)

    def move(self, client: int, may_begin: bool) -> None:
        """One client calls, or its operation takes effect, or returns."""
        if client not in self.busy:
            if may_begin:
                self.count += 1
                op = self.history.begin(
                    client, self.sessions[client], 1, self.time_s, self.request()
                )
                self.busy[client] = op, False
            if self.leases and self.chance.random() < 0.02:
                self.run(Revoke(self.leases.pop()))
            return
        op, is_done = self.busy[client]
        if not is_done:
            if self.chance.random() < self.lost / 2:
                self.forget(client)
                return
            self.take_effect(client, op)
            self.busy[client] = op, True
            if self.chance.random() < self.lost / 2:
                op.response, op.revision = None, 0
                self.forget(client)
            return
        op.return_s = self.time_s
        del self.busy[client]

    def forget(self, client: int) -> None:
        """The connection breaks; the client goes on with another one."""
        del self.busy[client]
        self.sessions[client] += 1
        self.stale_revision.pop(client, None)

    def take_effect(self, client: int, op: Operation) -> None:
        request = op.request
        oldest = self.stale_revision.get(client, 1)
        if type(request) is Range and request.serializable:
            revision = self.chance.randint(oldest, self.model.revision)
            op.response = self.model.read(request._replace(revision=revision))
            op.revision = revision
        elif type(request) is Grant:
            self.leases.append(request.id)
            self.granted.append(request.id)
            op.response, op.revision = LeaseResponse(request.id, request.ttl_s), self.model.revision
        elif type(request) is Compact:
            op.response, op.revision = Done(), self.model.revision
        elif self.needs_a_lost_lease(request):
            op.response = Refused(LEASE_NOT_FOUND)
        else:
            if type(request) is Revoke:
                self.leases.remove(request.id)
            op.response = self.run(request)
            op.revision = self.model.revision
        self.stale_revision[client] = max(oldest, op.revision)

    def needs_a_lost_lease(self, request: Any) -> bool:
        if type(request) is Txn:
            return any(self.needs_a_lost_lease(one) for one in request.then)
        lease = request.lease if type(request) is Put else 0
        lease = request.id if type(request) is Revoke else lease
        return lease != 0 and lease not in self.leases

    def run(self, request: Any) -> Any:
        response, changes = self.model.apply(request)
        if changes:
            self.changes[self.model.revision] = changes
        return response

    def request(self) -> Any:
        chance = self.chance
        key = chance.choice(KEYS)
        kind = chance.random()
        if kind < 0.4:
            return self.put(key)
        if kind < 0.6:
            return Range(key, chance.choice([b"", b"", b"\0", b"c"]))
        if kind < 0.7:
            return Range(key, chance.choice([b"", b"\0"]), serializable=True)
        if kind < 0.75:
            revision = chance.randint(1, self.model.revision)
            return Range(key, b"\0", revision=revision, limit=chance.randrange(3))
        if kind < 0.82:
            return Delete(key, chance.choice([b"", b"", b"c"]), prev_kv=chance.random() < 0.5)
        if kind < 0.95:
            return self.txn(key)
        if not self.with_leases:
            return self.put(key)
        if kind < 0.98 or not self.granted:
            return Grant(1000 + self.count, 5)
        return Revoke(chance.choice(self.granted))

    def put(self, key: bytes) -> Put:
        lease = 0
        if self.granted and self.chance.random() < 0.3:
            lease = self.chance.choice(self.granted[-3:])
        value = b"%d" % (self.count if self.unique_values else self.chance.randrange(2))
        return Put(key, value, lease, prev_kv=self.chance.random() < 0.3)

    def txn(self, key: bytes) -> Txn:
        kv = self.model.kvs.get(key)
        mod = kv.mod_revision if kv and self.chance.random() < 0.7 else 0
        compare = Compare(key, "mod", "equal", mod)
        return Txn((compare,), (self.put(key), Range(b"a", b"\0")), (Range(key),))
