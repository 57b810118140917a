"""The record of what clients asked and saw, in memory and as JSON lines.

    history = History()
    op = history.begin(client=1, session=7, member=2, time_s=0.51, request=Put(b"k", b"v"))
    history.end(op, 0.53, PutResponse(None), revision=5)     # it was answered
    history.end(op, 0.53, Refused("no leader"))              # it was surely not done
    ... and never ended: nobody knows                        # time-out, lost connection, crash

Law of outcomes: an operation without a response may have happened at any time after its call, or
never. Whoever records must leave an operation open when in doubt (deadline, cancelled, connection
lost, "request timed out", "leader changed", stopped member), and may call it `Refused` only when
the request certainly never takes effect (a validation error, a refusal that apply returned).

Fields of an operation:
* `client`: one logical thread; its operations do not overlap, except by its own wish.
* `session`: one connection to one run of one member. A reconnect, or a restart of the member,
  begins a new session. Within a session no answer may be older than an earlier one.
* `member`: the id or number of the member that was asked (0: not known).
* `call_s`, `return_s`: one clock for all clients. The call is noted before anything is sent, the
  return after everything has arrived, so that the interval contains the truth.
* `revision`: the header's revision (0: none came).

A watcher is one watch from its creation to its end; a client that watches on after a broken
connection is another watcher that names the first in `resumes`. Its messages are kept as they
came: created, events, progress, compacted, cancelled.

As JSON lines every record is a list that begins with its kind. Bytes are strings that begin with
"=", in Latin-1. It does not record what members think; `invariants` looks at them directly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sim.check.v2_records import (
    ClockSet,
    V2Delete,
    V2Error,
    V2Expiration,
    V2Get,
    V2Node,
    V2Response,
    V2Set,
    V2Watch,
)

# ---- requests ------------------------------------------------------------------------------------


class Put(NamedTuple):
    """`ignore_value` and `ignore_lease` keep what the key has and need it to exist."""

    key: bytes
    value: bytes
    lease: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


class Range(NamedTuple):
    """Keys in [key, end); `end` empty: the key alone; `end` b"\\0": everything from the key on.

    `revision` 0 is the present. Keys come in ascending order (sorted requests are not recorded).
    """

    key: bytes
    end: bytes = b""
    revision: int = 0
    serializable: bool = False
    limit: int = 0
    count_only: bool = False
    keys_only: bool = False


class Delete(NamedTuple):
    """`end` as in `Range`."""

    key: bytes
    end: bytes = b""
    prev_kv: bool = False


class Compare(NamedTuple):
    """`target`: version, create, mod, lease, value. `result`: equal, not_equal, greater, less.

    `operand` is bytes for a value, an integer else. With `end` it must hold for every key there.
    """

    key: bytes
    target: str
    result: str
    operand: int | bytes
    end: bytes = b""


class Txn(NamedTuple):
    """All compares hold: `then`, or else `otherwise`. Operations are Put, Range, Delete, Txn."""

    compares: tuple[Compare, ...]
    then: tuple[Any, ...] = ()
    otherwise: tuple[Any, ...] = ()


class Grant(NamedTuple):
    """A lease; `id` is 0 when the server is to choose it."""

    id: int
    ttl_s: int


class Revoke(NamedTuple):
    """End of a lease."""

    id: int


class KeepAlive(NamedTuple):
    """One renewal of a lease."""

    id: int


class TimeToLive(NamedTuple):
    """Ask what is left of a lease."""

    id: int
    keys: bool = False


class Compact(NamedTuple):
    """Forget what is older than `revision`."""

    revision: int
    physical: bool = False


class Alarms(NamedTuple):
    """Which alarms are raised."""


class Disarm(NamedTuple):
    """Clear the NOSPACE alarm of a member."""

    member: int


# ---- responses -----------------------------------------------------------------------------------


class KeyValue(NamedTuple):
    """A key at a revision. With `keys_only` the value is empty."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


class PutResponse(NamedTuple):
    """`prev` only if it was asked for and there was one."""

    prev: KeyValue | None = None


class RangeResponse(NamedTuple):
    """`total` counts beyond `limit` (the count of the response); `more`: the limit has cut."""

    kvs: tuple[KeyValue, ...]
    total: int
    more: bool = False


class DeleteResponse(NamedTuple):
    """`prevs` only if asked for."""

    deleted: int
    prevs: tuple[KeyValue, ...] = ()


class TxnResponse(NamedTuple):
    """The responses of the branch that was taken, in order."""

    succeeded: bool
    responses: tuple[Any, ...] = ()


class LeaseResponse(NamedTuple):
    """Of a grant or a renewal; a renewal of a lease that is gone has `ttl_s` 0."""

    id: int
    ttl_s: int


class TimeToLiveResponse(NamedTuple):
    """`ttl_s` is -1 for a lease that is gone."""

    id: int
    ttl_s: int
    granted_ttl_s: int
    keys: tuple[bytes, ...] = ()


class AlarmsResponse(NamedTuple):
    """Members whose NOSPACE alarm is raised, or was cleared; other alarms are not known here."""

    members: tuple[int, ...]


class Done(NamedTuple):
    """Of a revoke or a compaction."""


class Refused(NamedTuple):
    """It was certainly not done. Reasons that checkers know are the constants below.

    Only NO_SPACE is different: the write that used up the space is done, and refused all the same.
    """

    reason: str


COMPACTED = "compacted"
FUTURE_REVISION = "future revision"
LEASE_NOT_FOUND = "lease not found"
LEASE_EXISTS = "lease exists"
KEY_NOT_FOUND = "key not found"
NO_SPACE = "no space"

# ---- watching ------------------------------------------------------------------------------------


class Watch(NamedTuple):
    """`start_revision` 0: from the next change on. `end` as in `Range`."""

    key: bytes
    end: bytes = b""
    start_revision: int = 0
    prev_kv: bool = False
    no_put: bool = False
    no_delete: bool = False
    progress_notify: bool = False
    fragment: bool = False


class Event(NamedTuple):
    """`kind`: put or delete. A delete's `kv` has only key and mod_revision."""

    kind: str
    kv: KeyValue
    prev: KeyValue | None = None


class Message(NamedTuple):
    """One watch response.

    `kind`: created, events, progress, compacted, cancelled. `revision` is the header's.
    `compact_revision` comes with compacted. `fragment`: more of the same revision follows.
    """

    kind: str
    time_s: float
    revision: int
    events: tuple[Event, ...] = ()
    compact_revision: int = 0
    fragment: bool = False


# ---- other observations --------------------------------------------------------------------------


class HashSample(NamedTuple):
    """HashKV of a member: the data from `compact_revision` up to `revision`."""

    member: int
    time_s: float
    revision: int
    compact_revision: int
    hash: int


class MemberSample(NamedTuple):
    """A look at a member; `run` counts its starts."""

    member: int
    run: int
    time_s: float
    term: int
    applied_index: int
    revision: int
    compact_revision: int = 0


class Note(NamedTuple):
    """For people: a fault begins, a fault ends, a leader changes."""

    time_s: float
    text: str


class Operation:
    """One request of a client; see the module. `response` is None while nobody knows."""

    __slots__ = (
        "call_s",
        "client",
        "member",
        "request",
        "response",
        "return_s",
        "revision",
        "session",
    )

    def __init__(
        self,
        client: int,
        session: int,
        member: int,
        call_s: float,
        request: Any,
        return_s: float | None = None,
        response: Any = None,
        revision: int = 0,
    ) -> None:
        self.client = client
        self.session = session
        self.member = member
        self.call_s = call_s
        self.request = request
        self.return_s = return_s
        self.response = response
        self.revision = revision

    def __repr__(self) -> str:
        end = "?" if self.return_s is None else f"{self.return_s:.6f}"
        return (
            f"client {self.client} session {self.session} [{self.call_s:.6f}, {end}] "
            f"{self.request} -> {self.response} at revision {self.revision}"
        )


class Watcher:
    """One watch and all it was told; `resumes` is the id of the watcher it carries on, or 0."""

    __slots__ = ("client", "id", "member", "messages", "request", "resumes", "session")

    def __init__(
        self, id: int, client: int, session: int, member: int, request: Watch, resumes: int = 0
    ) -> None:
        self.id = id
        self.client = client
        self.session = session
        self.member = member
        self.request = request
        self.resumes = resumes
        self.messages: list[Message] = []

    def __repr__(self) -> str:
        return f"watcher {self.id} of client {self.client} at member {self.member} {self.request}"


class Violation(NamedTuple):
    """A broken promise: which one, and what was seen."""

    law: str
    detail: str

    def __str__(self) -> str:
        return f"{self.law}: {self.detail}"


# ---- the history ---------------------------------------------------------------------------------


class History:
    """All records of one run. Lists are in order of calls; append freely."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.watchers: list[Watcher] = []
        self.hashes: list[HashSample] = []
        self.members: list[MemberSample] = []
        self.notes: list[Note] = []
        self.v2_watches: list[V2Watch] = []
        self.expirations: list[V2Expiration] = []
        self.clocks: list[ClockSet] = []

    def begin(
        self, client: int, session: int, member: int, time_s: float, request: Any
    ) -> Operation:
        """A request is about to be sent."""
        operation = Operation(client, session, member, time_s, request)
        self.operations.append(operation)
        return operation

    def end(self, operation: Operation, time_s: float, response: Any, revision: int = 0) -> None:
        """Its answer has come. Not to be called when the outcome is not known."""
        operation.return_s = time_s
        operation.response = response
        operation.revision = revision

    def watch(
        self, client: int, session: int, member: int, request: Watch, resumes: int = 0
    ) -> Watcher:
        """A watch is about to be created; append its messages to the result."""
        watcher = Watcher(len(self.watchers) + 1, client, session, member, request, resumes)
        self.watchers.append(watcher)
        return watcher

    # ---- JSON lines ----

    def lines(self) -> Iterator[str]:
        """One line for each record."""
        for operation in self.operations:
            yield _dump("operation", *[getattr(operation, name) for name in _OPERATION_FIELDS])
        for one in self.watchers:
            fields = [getattr(one, name) for name in _WATCHER_FIELDS]
            yield _dump("watcher", *fields, tuple(one.messages))
        for samples in self._samples().values():
            for sample in samples:
                yield _dump("sample", sample)

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> History:
        """The inverse of `lines`; raises `ValueError` when a line is none of ours."""
        history = cls()
        for line in lines:
            if line.strip():
                history._take(json.loads(line))
        return history

    def _take(self, record: Any) -> None:
        if not isinstance(record, list) or not record:
            raise ValueError(f"not a record of a history: {record!r}")
        kind, fields = record[0], [_load(field) for field in record[1:]]
        if kind == "operation":
            self.operations.append(Operation(*fields))
        elif kind == "watcher":
            watcher = Watcher(*fields[:-1])
            watcher.messages = list(fields[-1])
            self.watchers.append(watcher)
        elif kind == "sample":
            self._samples()[type(fields[0])].append(fields[0])
        else:
            raise ValueError(f"not a record of a history: {kind!r}")

    def _samples(self) -> dict[type[Any], list[Any]]:
        """The lists of what is neither an operation nor a watcher, by kind."""
        return {
            HashSample: self.hashes,
            MemberSample: self.members,
            Note: self.notes,
            V2Watch: self.v2_watches,
            V2Expiration: self.expirations,
            ClockSet: self.clocks,
        }


_CLASSES: dict[str, Any] = {
    one.__name__: one
    for one in (
        Put, Range, Delete, Compare, Txn, Grant, Revoke, KeepAlive, TimeToLive, Compact, Alarms,
        Disarm, AlarmsResponse,
        KeyValue, PutResponse, RangeResponse, DeleteResponse, TxnResponse, LeaseResponse,
        TimeToLiveResponse, Done, Refused, Watch, Event, Message, HashSample, MemberSample, Note,
        V2Set, V2Delete, V2Get, V2Node, V2Response, V2Error, V2Watch, V2Expiration, ClockSet,
    )
}  # fmt: skip


_OPERATION_FIELDS = (
    "client", "session", "member", "call_s", "request", "return_s", "response", "revision",
)  # fmt: skip
_WATCHER_FIELDS = ("id", "client", "session", "member", "request", "resumes")


def _dump(kind: str, *fields: Any) -> str:
    return json.dumps([kind, *map(_plain, fields)], separators=(",", ":"))


def _plain(value: Any) -> Any:
    """A record as lists that begin with the class's name; a plain tuple begins with ""."""
    if isinstance(value, bytes):
        return "=" + value.decode("latin-1")
    if isinstance(value, tuple):
        name = type(value).__name__
        return [name if name in _CLASSES else "", *map(_plain, value)]
    return value


def _load(value: Any) -> Any:
    if isinstance(value, str):
        return value[1:].encode("latin-1") if value.startswith("=") else value
    if isinstance(value, list):
        fields = [_load(field) for field in value[1:]]
        if value[0] == "":
            return tuple(fields)
        if value[0] not in _CLASSES:
            raise ValueError(f"not a record of a history: {value[0]!r}")
        return _CLASSES[value[0]](*fields)
    return value
