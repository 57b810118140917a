"""One client's watch stream: many watches, told apart by their ids.

    create --> "created" --> events ... --> cancel           --> "canceled"
                                        '-> history compacted --> "canceled" + compact_revision
    create --> "created" and "canceled" at once, watch_id -1, with a reason: refused

Invariants
* Answers go into the same sink as events, in the order in which things happen: nothing of a watch
  comes before its "created" or after its "canceled".
* An id belongs to one watch from its creation until the client cancels it.  A watch that ended
  because its history was compacted keeps its id until then, as in etcd.
* Progress says "you have everything up to this revision" and is sent only when that is so.

Does not do: gRPC, permissions (the caller passes the reason of a refusal), timers.
Source: etcd 3.5.33, server/etcdserver/api/v3rpc/watch.go and server/mvcc/watcher.go.
"""

from __future__ import annotations

from typing import Protocol

from petcd.mvcc.watch_events import HeaderFactory
from petcd.mvcc.watch_groups import (
    FRAGMENT,
    NO_DELETE,
    NO_PUT,
    PREV_KV,
    Outlet,
    Watcher,
    WatchSink,
)
from petcd.wire.hot import watch_response
from petcd.wire.watch import FilterType, WatchCreateRequest, WatchRequest

# The id in answers that belong to no watch: refusals, and progress of the whole stream.
NO_WATCH_ID = -1

# Clients match these texts.
REASON_COMPACTED = "etcdserver: mvcc: required revision has been compacted"
REASON_EMPTY_RANGE = "mvcc: watcher range is empty"
REASON_DUPLICATE_ID = "mvcc: duplicate watch ID provided on the WatchStream"


class Watching(Protocol):
    """What a stream needs of the hub."""

    @property
    def revision(self) -> int:
        """The store's revision."""
        ...

    @property
    def notified_revision(self) -> int:
        """Up to where watchers in sync were handed their events."""
        ...

    @property
    def header(self) -> HeaderFactory:
        """Encodes a ResponseHeader for a revision."""
        ...

    def add(self, watcher: Watcher) -> None:
        """Begin to hand events to a new watcher."""
        ...

    def remove(self, watcher: Watcher) -> None:
        """Stop handing it events, for good."""
        ...

    def in_sync(self, watcher: Watcher) -> bool:
        """Whether it has all its events up to `notified_revision`."""
        ...

    def drained(self, outlet: Outlet) -> None:
        """The outlet's sink takes more again."""
        ...

    def forget(self, stream: WatchStream) -> None:
        """The stream is closed."""
        ...


class WatchStream:
    """See the module's text.  Made by ``WatchHub.open``."""

    __slots__ = ("_closed", "_hub", "_next_id", "_outlet", "_watchers")

    def __init__(self, hub: Watching, sink: WatchSink) -> None:
        self._hub = hub
        self._outlet = Outlet(sink)
        self._watchers: dict[int, Watcher] = {}
        self._next_id = 0
        self._closed = False

    def __len__(self) -> int:
        """How many ids are taken."""
        return len(self._watchers)

    # ------------------------------------------------------------ what clients ask

    def receive(self, request: WatchRequest, refusal: str = "") -> None:
        """Do what the client asks; a request without content, or after `close`, is ignored.

        `refusal` is the reason why a create is not permitted, "" if it is.
        """
        if self._closed:
            return
        if request.create_request is not None:
            self.create(request.create_request, refusal)
        elif request.cancel_request is not None:
            self.cancel(request.cancel_request.watch_id)
        elif request.progress_request is not None:
            self.progress()

    def create(self, request: WatchCreateRequest, refusal: str = "") -> int:
        """Start a watch and answer; returns its id, NO_WATCH_ID when it was refused."""
        key = request.key or b"\0"
        end: bytes | None = request.range_end or None
        if end == b"\0":
            end = b""
        if request.start_revision < 0:
            return self._refuse(REASON_COMPACTED)
        if refusal:
            return self._refuse(refusal)
        if end and key >= end:
            return self._refuse(REASON_EMPTY_RANGE)
        watch_id = request.watch_id or self._free_id()
        if watch_id in self._watchers:
            return self._refuse(REASON_DUPLICATE_ID)
        watcher = Watcher(
            watch_id,
            key,
            end,
            request.start_revision,
            options_of(request),
            self._outlet,
            request.progress_notify,
        )
        self._watchers[watch_id] = watcher
        self._answer(watch_id, created=True)
        self._hub.add(watcher)
        return watch_id

    def cancel(self, watch_id: int) -> None:
        """End a watch and answer; an unknown id gets no answer."""
        watcher = self._watchers.pop(watch_id, None)
        if watcher is None:
            return
        if not watcher.ended:
            self._hub.remove(watcher)
        self._answer(watch_id, canceled=True)

    def progress(self) -> None:
        """Tell how far all watches of the stream are, if they all are in sync; else say nothing."""
        watchers = [w for w in self._watchers.values() if not w.ended]
        if watchers and all(self._may_progress(w) for w in watchers):
            self._send_progress(NO_WATCH_ID)

    # ------------------------------------------------------------ what the shell tells

    def progress_tick(self) -> None:
        """The progress interval has passed: tell each watch that wants it and was sent nothing
        since the last tick how far it is, if it is in sync."""
        for watcher in self._watchers.values():
            if not watcher.wants_progress or watcher.ended:
                continue
            if watcher.quiet and self._may_progress(watcher):
                self._send_progress(watcher.watch_id)
            watcher.quiet = True

    def drained(self) -> None:
        """The sink, which was not ready, takes more again."""
        self._hub.drained(self._outlet)

    def close(self) -> None:
        """The client is gone: end all watches without an answer.  A second call does nothing."""
        self._closed = True
        for watcher in self._watchers.values():
            if not watcher.ended:
                self._hub.remove(watcher)
        self._watchers.clear()
        self._hub.forget(self)

    # ------------------------------------------------------------ inside

    def _free_id(self) -> int:
        """The lowest id that the counter has not passed and nobody has taken."""
        while self._next_id in self._watchers:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    def _may_progress(self, watcher: Watcher) -> bool:
        # A watch that waits for a later revision is not to be told of an earlier one.
        hub = self._hub
        return hub.in_sync(watcher) and hub.notified_revision >= watcher.start_revision

    def _send_progress(self, watch_id: int) -> None:
        outlet = self._outlet
        if not outlet.blocked and outlet.sink.ready():
            header = self._hub.header(self._hub.notified_revision)
            outlet.sink.send(watch_response(header, watch_id, b""))

    def _refuse(self, reason: str) -> int:
        self._answer(NO_WATCH_ID, created=True, canceled=True, reason=reason)
        return NO_WATCH_ID

    def _answer(
        self, watch_id: int, created: bool = False, canceled: bool = False, reason: str = ""
    ) -> None:
        header = self._hub.header(self._hub.revision)
        self._outlet.sink.send(watch_response(header, watch_id, b"", created, canceled, 0, reason))


def options_of(request: WatchCreateRequest) -> int:
    """What the watcher wants, as bits of ``watch_groups``; unknown filters are ignored."""
    options = 0
    if FilterType.NOPUT in request.filters:
        options |= NO_PUT
    if FilterType.NODELETE in request.filters:
        options |= NO_DELETE
    if request.prev_kv:
        options |= PREV_KV
    if request.fragment:
        options |= FRAGMENT
    return options
