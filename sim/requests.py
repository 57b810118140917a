"""Between the records of a history and etcd's messages: what is sent, what an answer means.

`encoded` gives the method's path and the body for a request, `answer` turns a response body into
the record and the header's revision, `refusal` tells an error that is certainly a "not done" from
one that leaves the outcome open.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from petcd.wire import kv, lease, maintenance
from petcd.wire.header import ResponseHeader
from petcd.wire.hot import decode_kv
from petcd.wire.varint import read_varint
from petcd.wire.watch import WatchCreateRequest, WatchProgressRequest, WatchRequest
from sim.check import history as h

_KV = b"/etcdserverpb.KV/"
_LEASE = b"/etcdserverpb.Lease/"
V2_PREFIX = b"/v2/"
_ALARM = b"/etcdserverpb.Maintenance/Alarm"
_NOSPACE = maintenance.AlarmType.NOSPACE
KEEP_ALIVE = _LEASE + b"LeaseKeepAlive"

# Errors that a member gives before or instead of doing anything. All others may have been done.
_REFUSALS = {
    "etcdserver: mvcc: required revision has been compacted": h.COMPACTED,
    "etcdserver: mvcc: required revision is a future revision": h.FUTURE_REVISION,
    "etcdserver: requested lease not found": h.LEASE_NOT_FOUND,
    "etcdserver: lease already exists": h.LEASE_EXISTS,
    "etcdserver: key not found": h.KEY_NOT_FOUND,
    "etcdserver: mvcc: database space exceeded": h.NO_SPACE,
    "etcdserver: too many requests": "too many requests",
}

_TARGETS = {
    "version": (kv.CompareTarget.VERSION, "version"),
    "create": (kv.CompareTarget.CREATE, "create_revision"),
    "mod": (kv.CompareTarget.MOD, "mod_revision"),
    "value": (kv.CompareTarget.VALUE, "value"),
    "lease": (kv.CompareTarget.LEASE, "lease"),
}
_RESULTS = {
    "equal": kv.CompareResult.EQUAL,
    "greater": kv.CompareResult.GREATER,
    "less": kv.CompareResult.LESS,
    "not_equal": kv.CompareResult.NOT_EQUAL,
}


class V2Put(NamedTuple):
    """A PUT of API 2; with `prev_index` only when the node was last changed there."""

    key: bytes
    value: bytes
    prev_index: int = 0

    @property
    def record(self) -> Any:
        """The same in the words of API 3, whose store it writes."""
        put = h.Put(self.key, self.value)
        if not self.prev_index:
            return put
        return h.Txn((h.Compare(self.key, "mod", "equal", self.prev_index),), (put,))


# ---- requests ------------------------------------------------------------------------------------


def _put(r: h.Put) -> kv.PutRequest:
    return kv.PutRequest(
        key=r.key,
        value=r.value,
        lease=r.lease,
        prev_kv=r.prev_kv,
        ignore_value=r.ignore_value,
        ignore_lease=r.ignore_lease,
    )


def _range(r: h.Range) -> kv.RangeRequest:
    return kv.RangeRequest(
        key=r.key,
        range_end=r.end,
        revision=r.revision,
        serializable=r.serializable,
        limit=r.limit,
        count_only=r.count_only,
        keys_only=r.keys_only,
    )


def _delete(r: h.Delete) -> kv.DeleteRangeRequest:
    return kv.DeleteRangeRequest(key=r.key, range_end=r.end, prev_kv=r.prev_kv)


def _compare(c: h.Compare) -> kv.Compare:
    target, operand = _TARGETS[c.target]
    found = kv.Compare(result=_RESULTS[c.result], target=target, key=c.key, range_end=c.end)
    setattr(found, operand, c.operand)
    return found


def _operation(r: Any) -> kv.RequestOp:
    if isinstance(r, h.Put):
        return kv.RequestOp(request_put=_put(r))
    if isinstance(r, h.Range):
        return kv.RequestOp(request_range=_range(r))
    if isinstance(r, h.Delete):
        return kv.RequestOp(request_delete_range=_delete(r))
    return kv.RequestOp(request_txn=_txn(r))


def _txn(r: h.Txn) -> kv.TxnRequest:
    return kv.TxnRequest(
        compare=[_compare(c) for c in r.compares],
        success=[_operation(one) for one in r.then],
        failure=[_operation(one) for one in r.otherwise],
    )


_ENCODERS: dict[type[Any], tuple[bytes, Callable[[Any], Any]]] = {
    h.Put: (_KV + b"Put", _put),
    h.Range: (_KV + b"Range", _range),
    h.Delete: (_KV + b"DeleteRange", _delete),
    h.Txn: (_KV + b"Txn", _txn),
    h.Compact: (
        _KV + b"Compact",
        lambda r: kv.CompactionRequest(revision=r.revision, physical=r.physical),
    ),
    h.Grant: (_LEASE + b"LeaseGrant", lambda r: lease.LeaseGrantRequest(TTL=r.ttl_s, ID=r.id)),
    h.Revoke: (_LEASE + b"LeaseRevoke", lambda r: lease.LeaseRevokeRequest(ID=r.id)),
    h.KeepAlive: (KEEP_ALIVE, lambda r: lease.LeaseKeepAliveRequest(ID=r.id)),
    h.TimeToLive: (
        _LEASE + b"LeaseTimeToLive",
        lambda r: lease.LeaseTimeToLiveRequest(ID=r.id, keys=r.keys),
    ),
    h.Alarms: (_ALARM, lambda r: maintenance.AlarmRequest(alarm=_NOSPACE)),
    h.Disarm: (
        _ALARM,
        lambda r: maintenance.AlarmRequest(
            action=maintenance.AlarmAction.DEACTIVATE, memberID=r.member, alarm=_NOSPACE
        ),
    ),
}


def encoded(request: Any) -> tuple[bytes, bytes]:
    """(path of the method, body of the request message)."""
    if type(request) is V2Put:
        condition = b"?prevIndex=%d" % request.prev_index if request.prev_index else b""
        return V2_PREFIX + b"keys" + request.key + condition, b"value=" + request.value
    path, message_of = _ENCODERS[type(request)]
    return path, message_of(request).encode()


WATCH_PROGRESS = WatchRequest(progress_request=WatchProgressRequest()).encode()
"""How far all watches of a stream are."""


def watch_create(watch: h.Watch) -> bytes:
    """The message that creates a watch."""
    filters = [kind for kind, wanted in ((0, watch.no_put), (1, watch.no_delete)) if wanted]
    create = WatchCreateRequest(
        key=watch.key,
        range_end=watch.end,
        start_revision=watch.start_revision,
        prev_kv=watch.prev_kv,
        progress_notify=watch.progress_notify,
        filters=filters,
        fragment=watch.fragment,
    )
    return WatchRequest(create_request=create).encode()


# ---- answers -------------------------------------------------------------------------------------
#
# The answers to most requests, and watch events, are read here by hand and with a memory: the
# simulator's speed depends on it. What is rare goes through the general codec.


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field: an int, or bytes."""
    position, end = 0, len(data)
    while position < end:
        tag = data[position]
        position += 1
        if tag & 7 == 2:
            size, position = read_varint(data, position)
            yield tag >> 3, data[position : position + size]
            position += size
        else:
            assert tag & 7 == 0, tag
            number, position = read_varint(data, position)
            yield tag >> 3, number


@lru_cache(maxsize=4096)
def _revision(header: bytes) -> int:
    return ResponseHeader.decode(header).revision


@lru_cache(maxsize=4096)
def _pair(data: bytes) -> h.KeyValue:
    key, create, mod, version, value, lease_id = decode_kv(data)
    return h.KeyValue(key, value, create, mod, version, lease_id)


def _put_answer(body: bytes) -> tuple[Any, int]:
    prev, revision = None, 0
    for number, value in _fields(body):
        if number == 1:
            revision = _revision(value)
        elif number == 2:
            prev = _pair(value)
    return h.PutResponse(prev), revision


def _range_answer(body: bytes) -> tuple[Any, int]:
    pairs, more, count, revision = [], False, 0, 0
    for number, value in _fields(body):
        if number == 1:
            revision = _revision(value)
        elif number == 2:
            pairs.append(_pair(value))
        elif number == 3:
            more = bool(value)
        elif number == 4:
            count = value
    return h.RangeResponse(tuple(pairs), count, more), revision


def _delete_answer(body: bytes) -> tuple[Any, int]:
    deleted, prevs, revision = 0, [], 0
    for number, value in _fields(body):
        if number == 1:
            revision = _revision(value)
        elif number == 2:
            deleted = value
        elif number == 3:
            prevs.append(_pair(value))
    return h.DeleteResponse(deleted, tuple(prevs)), revision


def _txn_answer(body: bytes) -> tuple[Any, int]:
    succeeded, responses, revision = False, [], 0
    for number, value in _fields(body):
        if number == 1:
            revision = _revision(value)
        elif number == 2:
            succeeded = bool(value)
        elif number == 3:
            ((kind, inner),) = _fields(value)
            responses.append(_OPERATION_ANSWERS[kind](inner)[0])
    return h.TxnResponse(succeeded, tuple(responses)), revision


_OPERATION_ANSWERS: dict[int, Callable[[bytes], tuple[Any, int]]] = {
    1: _range_answer,
    2: _put_answer,
    3: _delete_answer,
    4: _txn_answer,
}


def _general(
    kind: type[Any], record_of: Callable[[Any], Any]
) -> Callable[[bytes], tuple[Any, int]]:
    def read(body: bytes) -> tuple[Any, int]:
        message = kind.decode(body)
        return record_of(message), message.header.revision

    return read


# What API 2 says of a comparison that failed: another index, or no such node.
_V2_NOT_EQUAL = (101, 100)


def _v2_answer(body: bytes) -> tuple[Any, int]:
    """The record of an HTTP answer, made of status, index and body; None when nobody knows."""
    status, _, text = body.split(b" ", 2)
    said = json.loads(text)
    if status in (b"200", b"201"):
        revision = said["node"]["modifiedIndex"]
        if said["action"] == "compareAndSwap":
            return h.TxnResponse(True, (h.PutResponse(),)), revision
        return h.PutResponse(), revision
    if said.get("errorCode") in _V2_NOT_EQUAL:
        return h.TxnResponse(False), said["index"]
    return None, 0


_alarms_answer = _general(
    maintenance.AlarmResponse,
    lambda r: h.AlarmsResponse(tuple(one.memberID for one in r.alarms if one.alarm == _NOSPACE)),
)

_READERS: dict[type[Any], Callable[[bytes], tuple[Any, int]]] = {
    h.Put: _put_answer,
    h.Range: _range_answer,
    h.Delete: _delete_answer,
    h.Txn: _txn_answer,
    V2Put: _v2_answer,
    h.Compact: _general(kv.CompactionResponse, lambda r: h.Done()),
    h.Grant: _general(lease.LeaseGrantResponse, lambda r: h.LeaseResponse(r.ID, r.TTL)),
    h.Revoke: _general(lease.LeaseRevokeResponse, lambda r: h.Done()),
    h.KeepAlive: _general(lease.LeaseKeepAliveResponse, lambda r: h.LeaseResponse(r.ID, r.TTL)),
    h.TimeToLive: _general(
        lease.LeaseTimeToLiveResponse,
        lambda r: h.TimeToLiveResponse(r.ID, r.TTL, r.grantedTTL, tuple(r.keys)),
    ),
    h.Alarms: _alarms_answer,
    h.Disarm: _alarms_answer,
}


def answer(request: Any, body: bytes) -> tuple[Any, int]:
    """(response, the header's revision) for the answer to a request."""
    return _READERS[type(request)](body)


def failure_text(body: bytes) -> str:
    """Why API 2 did not do what it was asked for, in the words of API 3 if it has them."""
    said = json.loads(body.split(b" ", 2)[2])
    return str(said.get("cause") or said.get("message"))


def refusal(text: str) -> h.Refused | None:
    """The record of an error, or None when nobody knows what became of the request."""
    reason = _REFUSALS.get(text)
    return None if reason is None else h.Refused(reason)


_WATCH_KINDS = {3: "created", 4: "cancelled", 5: "compacted"}


def watch_message(body: bytes, time_s: float) -> h.Message:
    """One watch response."""
    kind, revision, compact_revision, fragment = "", 0, 0, False
    events = []
    for number, value in _fields(body):
        if number == 11:
            events.append(_event(value))
        elif number == 1:
            revision = _revision(value)
        elif number in _WATCH_KINDS and value:
            kind = _WATCH_KINDS[number]
            compact_revision = value if number == 5 else compact_revision
        elif number == 7:
            fragment = bool(value)
    kind = kind or ("events" if events else "progress")
    return h.Message(kind, time_s, revision, tuple(events), compact_revision, fragment)


@lru_cache(maxsize=4096)
def _event(data: bytes) -> h.Event:
    kind, pair, prev = "put", None, None
    for number, value in _fields(data):
        if number == 1 and value:
            kind = "delete"
        elif number == 2:
            pair = _pair(value)
        elif number == 3:
            prev = _pair(value)
    assert pair is not None
    return h.Event(kind, pair, prev)
