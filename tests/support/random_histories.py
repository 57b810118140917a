"""Random histories of requests, and what of two servers' answers must be equal.

A history is drawn from a `random.Random`: by a seed, or by hypothesis, which then shrinks what
fails. A few keys are used over and over, so that keys meet, ranges overlap and leases are shared; a
part of the requests is wrong on purpose, since errors must be equal to the letter. What is drawn
does not depend on the store: a revision is drawn as a place between the oldest and the newest.

Left out, because etcd itself does not answer them the same way twice: lease ids that the server
chooses, the order of equal elements in a sorted answer, the order of a lease's keys. Left out too:
compaction at a revision that deleted something, whose tombstone etcd keeps since 3.5.16 and dropped
before; HashKV at a revision that was compacted at, which 3.5.33 remembers and 3.5.1 refuses; sort
values out of range, and a put that keeps the value or lease of a key which the same transaction
deletes, of both of which 3.5.1 dies.
"""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from petcd.wire.codec import Message
from petcd.wire.kv import (
    CompactionRequest,
    CompactionResponse,
    Compare,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    TxnRequest,
    TxnResponse,
)
from petcd.wire.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from petcd.wire.maintenance import HashKVRequest, HashKVResponse

KEYS = (b"a", b"a/1", b"a/2", b"ab", b"b", b"b/x", b"c", b"\x00", b"\x00\x00", b"z\xff", b"\xff")
RANGE_ENDS = (b"", b"\x00", b"b", b"a0", b"c", b"\xff", b"\xff\xff", b"a")
VALUES = (b"", b"", b"1", b"2", b"\x00\xff", b"long " * 20)
LEASES = (11, 12, 13, 14)
MISSING_LEASE = 999
LEASE_TTL_S = 100_000
TXN_DEPTH_MAX = 2


class Step(NamedTuple):
    """One request of a history."""

    path: str
    request: Message
    response: type[Message]

    def __str__(self) -> str:
        return f"{self.path.rsplit('/', 1)[1]} {self.request!r}"


class History:
    """Draws requests one by one, and learns from the answers where the store stands."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.revision = 1
        self.begun_at = 1
        self.txn_deletes = False  # whether the transaction being drawn deletes
        self.compacted = 0
        self.compactions: set[int] = set()
        self.revisions_that_delete: set[int] = set()

    def go_on_from(self, before: "History") -> None:
        """Another history ended here, and `fresh_start` comes first."""
        self.revision = self.begun_at = before.revision
        self.compacted = before.compacted
        self.compactions = before.compactions
        self.revisions_that_delete = before.revisions_that_delete

    def fresh_start(self) -> list[Step]:
        """Leaves no key and no lease, so that only the revision tells of histories before."""
        everything = DeleteRangeRequest(key=b"\x00", range_end=b"\x00")
        steps = [Step("/etcdserverpb.KV/DeleteRange", everything, DeleteRangeResponse)]
        for lease in LEASES:
            request = LeaseRevokeRequest(ID=lease)
            steps.append(Step("/etcdserverpb.Lease/LeaseRevoke", request, LeaseRevokeResponse))
        return steps

    # --- drawing ---

    def step(self) -> Step:
        makers: list[Callable[[], Step]] = [
            self.put,
            self.range,
            self.delete,
            self.txn,
            self.grant,
            self.revoke,
            self.time_to_live,
            self.leases,
            self.compact,
            self.hash,
        ]
        weights = [26, 24, 8, 26, 3, 2, 2, 1, 2, 6]
        (maker,) = self.chance.choices(makers, weights)
        return maker()

    def put(self) -> Step:
        return Step("/etcdserverpb.KV/Put", self.put_request(), PutResponse)

    def range(self) -> Step:
        return Step("/etcdserverpb.KV/Range", self.range_request(), RangeResponse)

    def delete(self) -> Step:
        return Step("/etcdserverpb.KV/DeleteRange", self.delete_request(), DeleteRangeResponse)

    def txn(self) -> Step:
        self.txn_deletes = self.odds(0.5)
        return Step("/etcdserverpb.KV/Txn", self.txn_request(0), TxnResponse)

    def grant(self) -> Step:
        ttl = self.chance.choice((LEASE_TTL_S, LEASE_TTL_S, 9_000_000_001))
        request = LeaseGrantRequest(TTL=ttl, ID=self.chance.choice(LEASES))
        return Step("/etcdserverpb.Lease/LeaseGrant", request, LeaseGrantResponse)

    def revoke(self) -> Step:
        request = LeaseRevokeRequest(ID=self.a_lease())
        return Step("/etcdserverpb.Lease/LeaseRevoke", request, LeaseRevokeResponse)

    def time_to_live(self) -> Step:
        request = LeaseTimeToLiveRequest(ID=self.a_lease(), keys=self.odds(0.7))
        return Step("/etcdserverpb.Lease/LeaseTimeToLive", request, LeaseTimeToLiveResponse)

    def leases(self) -> Step:
        return Step("/etcdserverpb.Lease/LeaseLeases", LeaseLeasesRequest(), LeaseLeasesResponse)

    def compact(self) -> Step:
        revision = self.chance.choice(
            (self.revision, self.a_revision(), self.revision - 3, self.compacted, self.revision + 5)
        )
        while revision in self.revisions_that_delete:
            revision -= 1
        request = CompactionRequest(revision=max(0, revision), physical=True)
        return Step("/etcdserverpb.KV/Compact", request, CompactionResponse)

    def hash(self) -> Step:
        revision = self.chance.choice((0, 0, self.a_revision(), self.revision, self.revision + 1))
        while revision in self.compactions:
            revision += 1
        request = HashKVRequest(revision=revision)
        return Step("/etcdserverpb.Maintenance/HashKV", request, HashKVResponse)

    # --- parts of requests ---

    def odds(self, probability: float) -> bool:
        return self.chance.random() < probability

    def a_key(self) -> bytes:
        return b"" if self.odds(0.01) else self.chance.choice(KEYS)

    def a_range_end(self) -> bytes:
        return b"" if self.odds(0.5) else self.chance.choice(RANGE_ENDS)

    def a_lease(self) -> int:
        return MISSING_LEASE if self.odds(0.1) else self.chance.choice(LEASES)

    def a_revision(self) -> int:
        """Mostly one that can be read; sometimes compacted, sometimes in the future."""
        if self.odds(0.05):
            return self.chance.choice((-1, 1, self.compacted - 1, self.revision + 3))
        first = max(1, self.compacted, self.begun_at)
        return first + int(self.chance.random() * (self.revision - first + 1))

    def put_request(self) -> PutRequest:
        request = PutRequest(key=self.a_key(), value=self.chance.choice(VALUES))
        if self.odds(0.2):
            request.lease = self.a_lease()
        request.prev_kv = self.odds(0.3)
        if self.odds(0.08):
            request.ignore_value = True
            if self.odds(0.8):
                request.value = b""
        if self.odds(0.08):
            request.ignore_lease = True
            if self.odds(0.8):
                request.lease = 0
        return request

    def range_request(self) -> RangeRequest:
        request = RangeRequest(key=self.a_key(), range_end=self.a_range_end())
        if self.odds(0.3):
            request.revision = self.a_revision()
        if self.odds(0.3):
            request.limit = self.chance.choice((1, 2, 3, 100, -1))
        if self.odds(0.3):
            request.sort_order = self.chance.choice((0, 1, 2))
            request.sort_target = self.chance.choice((0, 1, 2, 3, 4))
        request.serializable = self.odds(0.2)
        request.keys_only = self.odds(0.1)
        request.count_only = self.odds(0.05)
        for name in ("min_mod", "max_mod", "min_create", "max_create"):
            if self.odds(0.06):
                setattr(request, f"{name}_revision", self.a_revision())
        return request

    def delete_request(self) -> DeleteRangeRequest:
        end = self.a_range_end() if self.odds(0.5) else b""
        return DeleteRangeRequest(key=self.a_key(), range_end=end, prev_kv=self.odds(0.4))

    def txn_request(self, depth: int) -> TxnRequest:
        return TxnRequest(
            compare=[self.compare() for _ in range(self.chance.choice((0, 1, 1, 1, 1, 2)))],
            success=self.operations(depth),
            failure=self.operations(depth),
        )

    def compare(self) -> Compare:
        target = self.chance.choice((0, 1, 2, 3, 4))
        compare = Compare(key=self.a_key(), result=self.chance.choice((0, 1, 2, 3)), target=target)
        if self.odds(0.2):
            compare.range_end = self.chance.choice(RANGE_ENDS)
        if self.odds(0.9):
            match target:
                case 0:
                    compare.version = self.chance.choice((0, 0, 1, 2))
                case 1:
                    compare.create_revision = self.a_revision() if self.odds(0.7) else 0
                case 2:
                    compare.mod_revision = self.a_revision() if self.odds(0.7) else 0
                case 3:
                    compare.value = self.chance.choice(VALUES)
                case _:
                    compare.lease = self.chance.choice((0, *LEASES))
        return compare

    def operations(self, depth: int) -> list[RequestOp]:
        """Mostly of distinct keys, or nearly every transaction would be refused as duplicate."""
        count = self.chance.choice((0, 1, 1, 2, 3, 4))
        operations = [self.operation(depth) for _ in range(count)]
        if self.odds(0.9):
            seen: set[bytes] = set()
            kept = []
            for operation in operations:
                put = operation.request_put
                if put is not None and put.key in seen:
                    continue
                if put is not None:
                    seen.add(put.key)
                kept.append(operation)
            return kept
        return operations

    def operation(self, depth: int) -> RequestOp:
        dice = self.chance.random()
        if dice < 0.45:
            put = self.put_request()
            if self.txn_deletes:
                put.ignore_value = put.ignore_lease = False
            return RequestOp(request_put=put)
        if dice < 0.75:
            return RequestOp(request_range=self.range_request())
        if dice < 0.88 and self.txn_deletes:
            return RequestOp(request_delete_range=self.delete_request())
        if dice < 0.99 and depth < TXN_DEPTH_MAX:
            return RequestOp(request_txn=self.txn_request(depth + 1))
        if dice < 0.99:
            return RequestOp(request_range=self.range_request())
        return RequestOp()

    # --- learning ---

    def learn(self, step: Step, message: Message | None) -> None:
        """Takes the answer of either server (they are equal) when the call succeeded."""
        header = getattr(message, "header", None)
        if header is None or header.revision == 0:
            return
        if header.revision > self.revision:
            self.revision = header.revision
            if not isinstance(step.request, PutRequest):
                self.revisions_that_delete.add(header.revision)
        if isinstance(step.request, CompactionRequest):
            self.compacted = step.request.revision
            self.compactions.add(self.compacted)


# --- what must be equal ---


def comparable(step: Step, code: int, text: str, message: Message | None) -> Any:
    """The answer without what may differ between two servers or two runs."""
    if message is None:
        return code, text
    return code, text, _plain(message, step.request)


def _plain(message: Message, request: Message | None) -> Any:
    """A message as nested tuples; ids and terms of headers left out."""
    fields: dict[str, Any] = {}
    for name in message.__slots__:
        value = getattr(message, name)
        if name == "header":
            fields[name] = None if value is None else value.revision
        elif isinstance(value, Message):
            fields[name] = _plain(value, None)
        elif isinstance(value, list):
            fields[name] = [_plain(v, None) if isinstance(v, Message) else v for v in value]
        else:
            fields[name] = value
    if isinstance(message, LeaseTimeToLiveResponse):
        fields["keys"] = sorted(fields["keys"])
        fields["TTL"] = fields["TTL"] > 0
    elif isinstance(message, LeaseLeasesResponse):
        fields["leases"] = sorted(lease["ID"] for lease in fields["leases"])
    elif isinstance(message, RangeResponse):
        fields["kvs"] = _unordered_ties(fields["kvs"], request)
    elif isinstance(message, TxnResponse) and isinstance(request, TxnRequest):
        branch = request.success if message.succeeded else request.failure
        for operation, answer, plain in zip(
            branch, message.responses, fields["responses"], strict=True
        ):
            if answer.response_range is not None:
                plain["response_range"] = _plain(answer.response_range, operation.request_range)
            if answer.response_txn is not None:
                plain["response_txn"] = _plain(answer.response_txn, operation.request_txn)
    return fields


SORT_FIELDS = ("key", "version", "create_revision", "mod_revision", "value")


def _unordered_ties(kvs: list[dict[str, Any]], request: Message | None) -> Any:
    """etcd's sort is not stable: of elements that are equal in the sort field, order is free.

    When a limit cuts the answer, even which of them are in it is free.
    """
    if not isinstance(request, RangeRequest) or not request.sort_target:
        return kvs
    name = SORT_FIELDS[request.sort_target]
    order = [kv[name] for kv in kvs]
    if 0 < request.limit <= len(kvs):
        return order
    return order, sorted(kvs, key=lambda kv: kv["key"])
