"""Leases: never early, not too late, not after a revoke.

    grant or renewal called at c, returned at r; time to live T
       c            r                  c + T                    r + T + slack
    ---+============+------------------+------------------------+------------>
                     it must be alive  |  it may end            |  it must have ended

* never early: the lease lives T after the renewal, which happened after its call; so it may not be
  seen to have ended before c + T. Clocks of members may run fast by `drift`.
* not too late: once nothing disturbs the members (after `calm_since_s`), a lease that nobody
  renewed for T and `slack_s` (for an election, which extends leases, and for the revoke's way
  through the log) has no keys. What is not known to have failed counts as a renewal.
* what is attached after a revoke had returned is attached to nothing.

That a lease ended is seen from its keys' removal (a revision that nobody else made, found by
`linear`), and from refusals. A change of leader may give a lease more time, never less.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf

from sim.check.history import (
    LEASE_NOT_FOUND,
    Grant,
    KeepAlive,
    LeaseResponse,
    Operation,
    Put,
    PutResponse,
    Range,
    Refused,
    Revoke,
    Violation,
    Watcher,
)
from sim.check.model import seen_kvs

REQUEST_LIMIT_S = 10.0
"""An operation without an outcome takes effect within this time, or never."""


class _Life:
    """All that is known about one lease."""

    def __init__(self) -> None:
        self.ttl_s = 0
        self.renewals: list[Operation] = []
        """Grants and renewals that succeeded."""
        self.latest_s = 0.0
        """When it may have been renewed last, at the latest."""
        self.granted_s = inf
        """When the first grant returned."""
        self.revoke_called_s = inf
        self.revoked_s = inf
        """When a revoke had returned."""
        self.gone: list[tuple[float, str]] = []
        """(by then, how it was seen) it had ended."""


def check(
    operations: Sequence[Operation],
    watchers: Iterable[Watcher] = (),
    ended: Mapping[int, int] | None = None,
    drift: float = 0.0,
    calm_since_s: float = inf,
    slack_s: float = 5.0,
) -> list[Violation]:
    """Judge all leases whose ids are known. `ended`: revision -> lease that ended by itself then
    (`linear.Verdict.ended_leases`)."""
    lives = _lives(operations)
    seen_s = first_seen(operations, watchers)
    for revision, lease in (ended or {}).items():
        if revision in seen_s and lease in lives:
            lives[lease].gone.append((seen_s[revision], f"its keys went at revision {revision}"))
    violations = []
    for lease, life in lives.items():
        violations += _early(lease, life, drift)
    violations += _used_after_revoke(operations, lives)
    if calm_since_s < inf:
        violations += _late(operations, lives, calm_since_s, slack_s)
    return violations


def _lives(operations: Sequence[Operation]) -> dict[int, _Life]:
    lives: dict[int, _Life] = {}
    for op in operations:
        request, response = op.request, op.response
        if type(request) not in (Grant, KeepAlive, Revoke, Put):
            continue
        id = request.lease if type(request) is Put else request.id
        if type(request) is Grant and isinstance(response, LeaseResponse):
            id = response.id
        if id:
            _note(lives.setdefault(id, _Life()), op)
    return lives


def _note(life: _Life, op: Operation) -> None:
    request, response = op.request, op.response
    return_s = op.call_s + REQUEST_LIMIT_S if op.return_s is None else op.return_s
    if type(request) is Revoke:
        if response is None or type(response) is not Refused:
            life.revoke_called_s = min(life.revoke_called_s, op.call_s)
        if response is not None and type(response) is not Refused:
            life.revoked_s = min(life.revoked_s, return_s)
    elif type(request) in (Grant, KeepAlive):
        if isinstance(response, LeaseResponse) and response.ttl_s > 0:
            life.ttl_s = response.ttl_s
            life.renewals.append(op)
        if type(request) is Grant and isinstance(response, LeaseResponse):
            life.granted_s = min(life.granted_s, return_s)
        if type(response) is not Refused:
            life.latest_s = max(life.latest_s, return_s)
    is_refused = type(response) is Refused and response.reason == LEASE_NOT_FOUND
    is_spent = isinstance(response, LeaseResponse) and response.ttl_s <= 0
    if (is_refused or is_spent) and op.call_s > life.granted_s:
        life.gone.append((return_s, str(op)))


def first_seen(operations: Sequence[Operation], watchers: Iterable[Watcher]) -> dict[int, float]:
    """By revision: when it was first seen in a response or by a watcher."""
    seen: dict[int, float] = {}
    for op in operations:
        if op.return_s is not None and op.revision:
            seen[op.revision] = min(op.return_s, seen.get(op.revision, inf))
    for watcher in watchers:
        for message in watcher.messages:
            for event in message.events:
                revision = event.kv.mod_revision
                seen[revision] = min(message.time_s, seen.get(revision, inf))
    return seen


def _early(lease: int, life: _Life, drift: float) -> list[Violation]:
    if sum(type(renewal.request) is Grant for renewal in life.renewals) > 1:
        return []  # one id for two leases: not known which of them ended
    for gone_s, how in life.gone:
        if gone_s > life.revoke_called_s:
            continue
        for renewal in life.renewals:
            until_s = renewal.call_s + life.ttl_s * (1 - drift)
            if renewal.call_s < gone_s < until_s:
                detail = f"lease {lease} had ended by {gone_s:.6f} ({how})\n  after {renewal}"
                return [Violation("a lease ended early", detail)]
            if renewal.call_s >= gone_s and type(renewal.request) is KeepAlive:
                detail = f"lease {lease} had ended by {gone_s:.6f} ({how})\n  before {renewal}"
                return [Violation("a lease was renewed after its end", detail)]
    return []


def _used_after_revoke(
    operations: Sequence[Operation], lives: Mapping[int, _Life]
) -> list[Violation]:
    return [
        Violation("a revoked lease was used", str(op))
        for op in operations
        if type(op.request) is Put
        and type(op.response) is PutResponse
        and op.request.lease
        and op.call_s > lives[op.request.lease].revoked_s
        and not _granted_again(lives[op.request.lease])
    ]


def _granted_again(life: _Life) -> bool:
    grants = [op for op in life.renewals if type(op.request) is Grant]
    return any((op.return_s or inf) > life.revoke_called_s for op in grants)


def _late(
    operations: Sequence[Operation],
    lives: Mapping[int, _Life],
    calm_since_s: float,
    slack_s: float,
) -> list[Violation]:
    """Linearizable reads in calm times that show keys of leases which must have ended."""
    for op in operations:
        if type(op.request) is not Range or op.request.serializable or op.request.revision:
            continue
        for kv in seen_kvs(op.request, op.response):
            life = lives.get(kv.lease)
            if life is None or not life.ttl_s:
                continue
            until_s = max(life.latest_s, calm_since_s) + life.ttl_s + slack_s
            if op.call_s > until_s:
                detail = f"lease {kv.lease} should have ended by {until_s:.6f}: {op}"
                return [Violation("a lease outlived its time", detail)]
    return []
