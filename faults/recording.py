"""Between a client and the wire: sends a request of the history, records how it ended.

Doubt is kept: only an answer, or a refusal that the applied entry itself gave, ends an operation.
A time-out, a lost connection, "leader changed" and the like leave it open for ever.
"""

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

from bench.connection import Connection, GrpcError
from bench.requests import (
    COMPACT,
    DELETE_RANGE,
    LEASE_GRANT,
    LEASE_REVOKE,
    PUT,
    RANGE,
    TXN,
)
from faults.stand import Stand
from petcd.wire import kv as wire
from petcd.wire.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
)
from petcd.wire.maintenance import HashKVResponse, StatusResponse
from sim.check import history as h

REFUSALS = {
    "etcdserver: mvcc: required revision has been compacted": h.COMPACTED,
    "etcdserver: mvcc: required revision is a future revision": h.FUTURE_REVISION,
    "etcdserver: requested lease not found": h.LEASE_NOT_FOUND,
    "etcdserver: lease already exists": h.LEASE_EXISTS,
    "etcdserver: key not found": h.KEY_NOT_FOUND,
}
TARGETS = {"version": 0, "create": 1, "mod": 2, "value": 3, "lease": 4}
RESULTS = {"equal": 0, "greater": 1, "less": 2, "not_equal": 3}
KV_CALLS: dict[type, tuple[str, Callable[[bytes], Any]]] = {
    h.Put: (PUT, wire.PutResponse.decode),
    h.Range: (RANGE, wire.RangeResponse.decode),
    h.Delete: (DELETE_RANGE, wire.DeleteRangeResponse.decode),
    h.Txn: (TXN, wire.TxnResponse.decode),
}
OPERANDS = {
    "version": "version",
    "create": "create_revision",
    "mod": "mod_revision",
    "value": "value",
    "lease": "lease",
}


class Recorder:
    """One history for all clients of a run, with one clock."""

    def __init__(self) -> None:
        self.history = h.History()
        self.begin = time.monotonic()
        self.sessions = itertools.count(1)
        self.answered = 0

    def now(self) -> float:
        return time.monotonic() - self.begin

    def samples(
        self,
        stand: Stand,
        statuses: dict[str, StatusResponse],
        hashes: dict[str, HashKVResponse],
        revision: int,
    ) -> None:
        """How members are, and the hashes that they gave for a revision."""
        now, history = self.now(), self.history
        for name, number in stand.ids.items():
            status, hashed = statuses[name], hashes[name]
            assert status.header is not None
            run, applied, newest = stand.runs[name], status.raftAppliedIndex, status.header.revision
            history.members.append(
                h.MemberSample(number, run, now, status.raftTerm, applied, newest)
            )
            history.hashes.append(
                h.HashSample(number, now, revision, hashed.compact_revision, hashed.hash)
            )

    def note(self, text: str) -> None:
        self.history.notes.append(h.Note(self.now(), text))


class Session:
    """One connection of one client to one member."""

    def __init__(self, recorder: Recorder, client: int, member: int, wire: Connection) -> None:
        self.recorder = recorder
        self.client = client
        self.member = member
        self.number = next(recorder.sessions)
        self.wire = wire

    async def ask(self, request: Any, timeout_s: float) -> Any:
        """The response, or `Refused`. Raises GrpcError or TimeoutError when nobody knows."""
        recorder = self.recorder
        path, body, decode = encoded(request)
        operation = recorder.history.begin(
            self.client, self.number, self.member, recorder.now(), request
        )
        try:
            reply = await asyncio.wait_for(self.wire.call(path, body), timeout_s)
        except GrpcError as error:
            if error.message not in REFUSALS:
                raise
            response, revision = h.Refused(REFUSALS[error.message]), 0
        else:
            answer = decode(reply)
            response, revision = understood(answer), answer.header.revision
        recorder.history.end(operation, recorder.now(), response, revision)
        recorder.answered += 1
        return response

    def close(self) -> None:
        self.wire.close()


# --- requests -------------------------------------------------------------------------------------


def encoded(request: Any) -> tuple[str, bytes, Callable[[bytes], Any]]:
    """Path, message, and how to decode the answer."""
    if isinstance(request, h.Grant):
        grant = LeaseGrantRequest(ID=request.id, TTL=request.ttl_s)
        return LEASE_GRANT, grant.encode(), LeaseGrantResponse.decode
    if isinstance(request, h.Revoke):
        revoke = LeaseRevokeRequest(ID=request.id)
        return LEASE_REVOKE, revoke.encode(), LeaseRevokeResponse.decode
    if isinstance(request, h.Compact):
        compact = wire.CompactionRequest(revision=request.revision, physical=request.physical)
        return COMPACT, compact.encode(), wire.CompactionResponse.decode
    message = kv_message(request)
    path, decode = KV_CALLS[type(request)]
    return path, message.encode(), decode


def kv_message(
    request: Any,
) -> wire.PutRequest | wire.RangeRequest | wire.DeleteRangeRequest | wire.TxnRequest:
    if isinstance(request, h.Put):
        return wire.PutRequest(**request._asdict())
    if isinstance(request, h.Range):
        fields = request._asdict()
        return wire.RangeRequest(range_end=fields.pop("end"), **fields)
    if isinstance(request, h.Delete):
        return wire.DeleteRangeRequest(
            key=request.key, range_end=request.end, prev_kv=request.prev_kv
        )
    assert isinstance(request, h.Txn), request
    return wire.TxnRequest(
        compare=[compare(one) for one in request.compares],
        success=[branch_request(one) for one in request.then],
        failure=[branch_request(one) for one in request.otherwise],
    )


def compare(one: h.Compare) -> wire.Compare:
    operand: dict[str, Any] = {OPERANDS[one.target]: one.operand}
    return wire.Compare(
        result=RESULTS[one.result],
        target=TARGETS[one.target],
        key=one.key,
        range_end=one.end,
        **operand,
    )


def branch_request(request: Any) -> wire.RequestOp:
    message = kv_message(request)
    if isinstance(message, wire.PutRequest):
        return wire.RequestOp(request_put=message)
    if isinstance(message, wire.RangeRequest):
        return wire.RequestOp(request_range=message)
    if isinstance(message, wire.DeleteRangeRequest):
        return wire.RequestOp(request_delete_range=message)
    return wire.RequestOp(request_txn=message)


# --- responses ------------------------------------------------------------------------------------


def understood(answer: Any) -> Any:
    """An answer from the wire in the history's words."""
    if isinstance(answer, wire.PutResponse):
        return h.PutResponse(pair(answer.prev_kv) if answer.prev_kv else None)
    if isinstance(answer, wire.RangeResponse):
        return h.RangeResponse(tuple(map(pair, answer.kvs)), answer.count, answer.more)
    if isinstance(answer, wire.DeleteRangeResponse):
        return h.DeleteResponse(answer.deleted, tuple(map(pair, answer.prev_kvs)))
    if isinstance(answer, wire.TxnResponse):
        parts = tuple(understood(branch_answer(one)) for one in answer.responses)
        return h.TxnResponse(answer.succeeded, parts)
    if isinstance(answer, LeaseGrantResponse):
        return h.LeaseResponse(answer.ID, answer.TTL)
    return h.Done()


def branch_answer(one: wire.ResponseOp) -> Any:
    parts = (
        one.response_put,
        one.response_range,
        one.response_delete_range,
        one.response_txn,
    )
    return next(part for part in parts if part is not None)


def pair(kv: wire.KeyValue) -> h.KeyValue:
    return h.KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def event(one: wire.Event) -> h.Event:
    assert one.kv is not None
    kind = "delete" if one.type == wire.EventType.DELETE else "put"
    return h.Event(kind, pair(one.kv), pair(one.prev_kv) if one.prev_kv else None)
