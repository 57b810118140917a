"""Defects of applying, of leases and of answering."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from petcd.lease import LeaseNotFound, Lessor
from petcd.member.apply import LEASE_REVOKE, Applier, Outcome
from petcd.member.errors import TooManyRequests
from petcd.member.member import Member
from petcd.raft.types import Entry, EntryType, Message
from petcd.server.messages import Mailbox
from petcd.server.timers import Timers
from petcd.server.waiting import Waiting
from petcd.wire.hot import parse_put
from petcd.wire.lease import LeaseRevokeRequest
from sim import workload
from sim.bugs.exhibit import DIVERGED, Exhibit
from sim.bugs.switch import Patch
from sim.check.history import KeepAlive, Put

_put = Applier._put
_apply = Member._apply
_promote = Lessor.promote


def _apply_looks_at_the_clock() -> list[Patch]:
    """Who tracks the lease's time refuses the put; the others do it."""

    def put(self: Applier, body: bytes) -> Outcome:
        lease = parse_put(body)[2]
        if lease and self.lessor.primary and self.lessor.expiring(lease, self.now_s):
            raise LeaseNotFound(lease)
        return _put(self, body)

    return [Patch(Applier, "_put", put)]


def _entries_applied_out_of_order() -> list[Patch]:
    """The requests of one batch are applied from the last to the first."""

    def apply(self: Member, entries: Sequence[Entry], now_s: float) -> list[tuple[int, Outcome]]:
        places = [i for i, e in enumerate(entries) if e.type == EntryType.NORMAL and e.data]
        turned = list(entries)
        for place, other in zip(places, reversed(places), strict=True):
            entry = entries[place]
            turned[place] = Entry(entry.type, entry.term, entry.index, entries[other].data)
        return _apply(self, turned, now_s)

    return [Patch(Member, "_apply", apply)]


def _forwarded_twice_applied_twice() -> list[Patch]:
    def is_copy(self: Mailbox, message: Message) -> bool:
        return False

    return [Patch(Mailbox, "_is_copy", is_copy)]


def _late_means_not_done() -> list[Patch]:
    """A request that was not applied in time is said to have failed for certain."""

    def expire(self: Waiting, now_s: float) -> list[int]:
        limit_s = now_s - 0.3
        late = [one for one, waiter in self.by_id.items() if waiter[2] <= limit_s]
        for request_id in late:
            finish, context, _ = self.by_id.pop(request_id)
            finish(context, TooManyRequests())
        return late

    return [Patch(Waiting, "expire", expire)]


def _old_leader_revokes() -> list[Patch]:
    """Nobody asks whether this member still leads, and what it wants goes to whoever does."""

    def lead(self: Timers) -> None:
        runtime = self._runtime
        if not runtime.member.is_leader:
            return
        for lease_id in runtime.member.lessor.expired(self._loop.time(), 100):
            self._propose(LEASE_REVOKE, LeaseRevokeRequest(ID=lease_id).encode())

    return [Patch(Timers, "_lead", lead)]


def _new_leader_gives_no_time() -> list[Patch]:
    """All leases count as old when somebody begins to lead."""

    def promote(self: Lessor, now_s: float, extend_s: float) -> None:
        _promote(self, now_s - 60.0, 0.0)

    return [Patch(Lessor, "promote", promote)]


def _leases_in_use() -> list[Patch]:
    """Clients that live with their leases: more renewals, and fewer leases at a time."""
    mix = [(0.3 * weight, make) for weight, make in workload.MIX]
    mix.append((30.0, workload._with_lease(lambda client, lease: KeepAlive(lease))))
    mix.append((20.0, workload._with_lease(_put_with_lease)))
    return [
        Patch(workload, "MAKERS", [make for _, make in mix]),
        Patch(workload, "WEIGHTS", list(accumulate(weight for weight, _ in mix))),
        Patch(workload, "LEASES_KEPT", 2),
        Patch(workload, "LEASE_TTL_S", (4, 6)),
    ]


def _put_with_lease(client: workload.Client, lease: int) -> Put:
    return Put(client.key(), client.value(), lease)


EXHIBITS = (
    Exhibit(
        "apply looks at the clock",
        "etcd-io/etcd#14571, #18667",
        "Members decide by what only they know whether a committed request is done.",
        DIVERGED,
        _apply_looks_at_the_clock,
        stage=_leases_in_use,
    ),
    Exhibit(
        "entries applied out of order",
        "Raft section 5.4.3",
        "A batch of committed entries is not applied in the order of the log.",
        DIVERGED,
        _entries_applied_out_of_order,
    ),
    Exhibit(
        "forwarded twice, applied twice",
        "zhebrak/raftos#2",
        "A proposal that the network delivers twice is applied twice.",
        DIVERGED,
        _forwarded_twice_applied_twice,
        options={"kinds": "bad-weather", "interval_s": 1.0},
    ),
    Exhibit(
        "late means not done",
        "Jepsen's report on etcd 3.4.3, unknown outcomes",
        "A client is told that its write failed, and later the write takes effect.",
        DIVERGED,
        _late_means_not_done,
        options={"kinds": "split,bad-weather,slow-disk,pause", "interval_s": 1.0},
    ),
    Exhibit(
        "old leader revokes leases",
        "etcd-io/etcd#16822",
        "A leader that was paused ends leases which were renewed at its successor.",
        ("a lease ended early",),
        _old_leader_revokes,
        options={"kinds": "pause", "interval_s": 3.0},
        stage=_leases_in_use,
    ),
    Exhibit(
        "new leader gives leases no time",
        "etcd's lease promise after a change of leader",
        "A change of leader ends leases before their time.",
        ("a lease ended early",),
        _new_leader_gives_no_time,
        options={"kinds": "leader-isolated,pause,kill", "interval_s": 3.0},
        stage=_leases_in_use,
    ),
)
