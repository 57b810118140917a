"""What API 2 does with files, on the keys of `model`: the other half of the specification.

A node is a pair. Its created index is the revision of the last `set` or `create`; `update` and
`compareAndSwap` keep it, and API 3 knows of none, so its writes begin anew. A time to live is a
lease of the node's own, whose id is told by the revision: who writes the node again, with either
API, takes it off that lease.
Source: docs/v2.md, and etcd's v2 store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from sim.check.history import Event, KeyValue
from sim.check.v2_records import (
    EXISTS,
    LEASE_BASE,
    NOT_EQUAL,
    NOT_FOUND,
    V2Delete,
    V2Error,
    V2Expire,
    V2Get,
    V2Node,
    V2Response,
    V2Set,
)

if TYPE_CHECKING:
    from sim.check.model import Model

V2_REQUESTS = (V2Set, V2Delete, V2Get, V2Expire)


def run(model: Model, request: Any) -> V2Response | V2Error | None:
    """Carry out a request; None when the time of nothing was over."""
    kv = model.kvs.get(request.key)
    if type(request) is V2Set:
        return _set(model, request, kv)
    if type(request) is V2Expire:
        return _remove(model, kv, "expire") if kv is not None and has_time(kv) else None
    if kv is None:
        return V2Error(NOT_FOUND)
    if type(request) is V2Get:
        return V2Response("get", node_of(model, kv))
    if not request.prev_index and not request.prev_value:
        return _remove(model, kv, "delete")
    return _remove(model, kv, "compareAndDelete") if _holds(request, kv) else V2Error(NOT_EQUAL)


def has_time(kv: KeyValue) -> bool:
    """Whether a pair hangs on a lease of API 2."""
    return kv.lease >> 48 == LEASE_BASE >> 48


def node_of(model: Model, kv: KeyValue) -> V2Node:
    """A pair as API 2 shows it."""
    return V2Node(kv.key, kv.value, kv.mod_revision, model.created_of(kv))


def events_of(
    response: Any, changes: Iterable[Event], created_of: Callable[[KeyValue], int]
) -> list[V2Response]:
    """A write as watches of API 2 are told of it, were it no refresh."""
    if type(response) is V2Response:
        return [response]
    return [_of_api_3(event, created_of) for event in changes if event.kv.key.startswith(b"/")]


def _of_api_3(event: Event, created_of: Callable[[KeyValue], int]) -> V2Response:
    kv, prev = event.kv, None
    modified = kv.mod_revision
    if event.prev is not None:
        pair = event.prev
        prev = V2Node(pair.key, pair.value, pair.mod_revision, created_of(pair))
    if event.kind == "put":
        return V2Response("set", V2Node(kv.key, kv.value, modified, modified), prev)
    created = 0 if prev is None else prev.created
    return V2Response("delete", V2Node(kv.key, b"", modified, created), prev)


def _set(model: Model, request: V2Set, kv: KeyValue | None) -> V2Response | V2Error:
    keeps = False
    if request.prev_exist == "false":
        action = "create"
        if kv is not None:
            return V2Error(EXISTS)
    elif request.prev_index or request.prev_value:
        action, keeps = "compareAndSwap", True
    elif request.prev_exist == "true":
        action, keeps = "update", True
    else:
        action = "set"
    if kv is None and (keeps or request.refresh):
        return V2Error(NOT_FOUND)
    if kv is not None and action == "compareAndSwap" and not _holds(request, kv):
        return V2Error(NOT_EQUAL)
    prev = None if kv is None else node_of(model, kv)
    value = kv.value if kv is not None and request.refresh else request.value
    lease = LEASE_BASE | model.revision if request.ttl_s else 0
    created = prev.created if prev is not None and keeps else model.revision
    model.write(request.key, value, lease, created)
    return V2Response(action, V2Node(request.key, value, model.revision, created), prev)


def _remove(model: Model, kv: KeyValue, action: str) -> V2Response:
    prev = node_of(model, kv)
    model.remove(kv.key)
    return V2Response(action, V2Node(kv.key, b"", model.revision, prev.created), prev)


def _holds(request: V2Set | V2Delete, kv: KeyValue) -> bool:
    return (not request.prev_index or kv.mod_revision == request.prev_index) and (
        not request.prev_value or kv.value == request.prev_value
    )
