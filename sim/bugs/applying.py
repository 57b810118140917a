"""Defects of applying, of leases and of answering."""

from __future__ import annotations

from collections.abc import Sequence

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
from sim.bugs.exhibit import Exhibit
from sim.bugs.switch import Patch

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
    """A lease's time is counted from before the new leader led."""

    def promote(self: Lessor, now_s: float, extend_s: float) -> None:
        _promote(self, now_s - 2.0, 0.0)

    return [Patch(Lessor, "promote", promote)]


_DIVERGED = ("hold different data", "bucket", "answered wrongly", "nobody wrote", "nobody made")

EXHIBITS = (
    Exhibit(
        "apply looks at the clock",
        "etcd-io/etcd#14571, #18667",
        "Members decide by what only they know whether a committed request is done.",
        _DIVERGED,
        _apply_looks_at_the_clock,
    ),
    Exhibit(
        "entries applied out of order",
        "Raft section 5.4.3",
        "A batch of committed entries is not applied in the order of the log.",
        _DIVERGED,
        _entries_applied_out_of_order,
    ),
    Exhibit(
        "forwarded twice, applied twice",
        "zhebrak/raftos#2",
        "A proposal that the network delivers twice is applied twice.",
        ("nobody wrote", "nobody made", "answered wrongly"),
        _forwarded_twice_applied_twice,
        options={"kinds": "bad-weather", "interval_s": 1.0},
    ),
    Exhibit(
        "late means not done",
        "Jepsen's report on etcd 3.4.3, unknown outcomes",
        "A client is told that its write failed, and later the write takes effect.",
        ("nobody wrote", "nobody made", "answered wrongly"),
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
    ),
    Exhibit(
        "new leader gives leases no time",
        "etcd's lease promise after a change of leader",
        "A change of leader ends leases before their time.",
        ("a lease ended early",),
        _new_leader_gives_no_time,
        options={"kinds": "leader-isolated,pause,kill", "interval_s": 3.0},
    ),
)
