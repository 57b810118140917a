"""The bytes of events and of the responses that carry them.

An event is encoded once, whoever gets it.  A response is three pieces joined:

    header field | watch_id field | events, each with its tag
    shared         per watcher      shared

Invariants
* All events of one revision travel in one response, unless the watcher asked for fragments.
* A response of several revisions ends, between two of them, when it is larger than
  EVENTS_BYTES_MAX, so that clients with gRPC's usual limit of 4 MiB can read it.

Source: etcd's server/etcdserver/api/v3rpc/watch.go for what a fragment holds.
"""

from __future__ import annotations

from collections.abc import Callable

from petcd.mvcc.revision import Change
from petcd.mvcc.watch_groups import PREV_KV
from petcd.wire.hot import uvarint, watch_event, watch_response

EVENTS_BYTES_MAX = 1024 * 1024

_FRAGMENT_FIELD = watch_response(b"", 0, b"", fragment=True)[len(watch_response(b"", 0, b"")) :]

HeaderFactory = Callable[[int], bytes]
PrevReader = Callable[[Change], bytes | None]


class Part:
    """Events for one response: whole revisions from ``first`` to ``last``."""

    __slots__ = ("events", "first", "last")

    def __init__(self, first: int) -> None:
        self.first = first
        self.last = first
        self.events: list[bytes] = []


class EventEncoder:
    """Encodes the events of one list of changes when somebody wants them."""

    __slots__ = ("_changes", "_plain", "_prev_kv", "_with_prev")

    def __init__(self, changes: list[Change], prev_kv: PrevReader) -> None:
        self._changes = changes
        self._prev_kv = prev_kv
        self._plain: dict[int, bytes] = {}
        self._with_prev: dict[int, bytes] = {}

    def parts(self, hits: list[int], options: int) -> list[Part]:
        """The events at these indexes that the options let through, as parts, oldest first."""
        parts: list[Part] = []
        part: Part | None = None
        size = 0
        for index in hits:
            change = self._changes[index]
            if options >> change.kind & 1:
                continue  # NO_PUT or NO_DELETE
            revision = change.revision
            if part is None or (size > EVENTS_BYTES_MAX and revision != part.last):
                part = Part(revision)
                parts.append(part)
                size = 0
            event = self._event(index, change, options)
            part.last = revision
            part.events.append(event)
            size += len(event)
        return parts

    def _event(self, index: int, change: Change, options: int) -> bytes:
        known = self._with_prev if options & PREV_KV else self._plain
        event = known.get(index)
        if event is None:
            prev = self._prev_kv(change) if options & PREV_KV else None
            event = known[index] = watch_event(change.kind, change.kv, prev)
        return event


def header_field(header: bytes) -> bytes:
    """A response's first field, of an encoded ResponseHeader."""
    return b"\x0a" + uvarint(len(header)) + header


def fragments(head: bytes, events: list[bytes], bytes_max: int) -> list[bytes]:
    """Split a response: as many events in each as stay below `bytes_max`, but at least one.

    `head` is what each of them begins with.  All but the last say that more follows.
    """
    size = len(head) + sum(map(len, events))
    if size < bytes_max or len(events) < 2:
        return [head + b"".join(events)]
    start = head + _FRAGMENT_FIELD
    responses: list[bytes] = []
    chunk: list[bytes] = []
    size = len(start)
    for event in events:
        if chunk and size + len(event) >= bytes_max:
            responses.append(start + b"".join(chunk))
            chunk = []
            size = len(start)
        chunk.append(event)
        size += len(event)
    responses.append(head + b"".join(chunk))
    return responses
