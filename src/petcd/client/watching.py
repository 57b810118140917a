"""What a watch stream has to know: its watches, where each resumes, what an answer means.

Sans-IO.  A `WatchSession` outlives its streams:

```
watch = session.create(WatchCreateRequest(...))
session.opened()                      a new stream is there: every watch is asked for again
for message in session.take(): send
session.received(message)             -> updates
session.failed(error)                 -> updates; no stream will come any more
```

Invariants
* A watch that is asked for again starts behind the last event it delivered, so none is lost and
  none comes twice.  A watch from "now" is bound to the revision at which it was created.
* One creation is under way at a time, since the answer does not say which request it is for.
* A watch ends exactly once: `watch.ended` is set and its last update says why.

Does not: retry, keep time, decode values.  Source: the behaviour of etcd's client/v3 watcher.
"""

from __future__ import annotations

from collections import deque

from petcd.client.errors import COMPACTED
from petcd.wire.header import ResponseHeader
from petcd.wire.kv import Event
from petcd.wire.watch import (
    WatchCancelRequest,
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)

BROADCAST = -1
"""Watch id of progress notifications meant for all watches of a stream."""
FUTURE_REVISION = "etcdserver: mvcc: required revision is a future revision"


class Watch:
    """One watch.  `next_revision` is the first that was not delivered, 0 while unknown."""

    __slots__ = ("ended", "id", "next_revision", "request")

    def __init__(self, request: WatchCreateRequest) -> None:
        self.request = request
        self.next_revision = request.start_revision
        self.id: int | None = None
        self.ended = False


class WatchUpdate:
    """What came for a watch.

    `events` is None in an end that the server did not announce with a message of its own.
    `canceled`: the watch ended, `reason` says why in the server's words ("": it just ended).
    """

    __slots__ = ("canceled", "compact_revision", "events", "header", "reason", "watch")

    def __init__(
        self,
        watch: Watch,
        header: ResponseHeader | None = None,
        events: list[Event] | None = None,
        compact_revision: int = 0,
        canceled: bool = False,
        reason: str = "",
    ) -> None:
        self.watch = watch
        self.header = header or ResponseHeader()
        self.events = events
        self.compact_revision = compact_revision
        self.canceled = canceled
        self.reason = reason

    @property
    def is_progress(self) -> bool:
        """Nothing happened up to `header.revision`."""
        return not (self.events or self.canceled or self.compact_revision) and bool(
            self.header.revision
        )


class WatchSession:
    """The watches of one client; see the module."""

    def __init__(self) -> None:
        self.by_id: dict[int, Watch] = {}
        self.wanted: deque[Watch] = deque()
        self._asking: Watch | None = None
        self._out: list[WatchRequest] = []
        self._fragments: dict[int, list[Event]] = {}

    @property
    def idle(self) -> bool:
        """No watch is left and nothing is to be said."""
        return not (self.by_id or self.wanted or self._asking or self._out)

    # -- what the user wants -----------------------------------------------------------------------

    def create(self, request: WatchCreateRequest) -> Watch:
        """Ask for a watch; its `watch_id` must be 0, for ids are the session's own business."""
        assert not request.watch_id
        watch = Watch(request)
        self.wanted.append(watch)
        self._ask_next()
        return watch

    def request_progress(self) -> None:
        """Ask the server how far all watches are."""
        self._out.append(WatchRequest(progress_request=WatchProgressRequest()))

    def cancel(self, watch: Watch) -> None:
        """End a watch; nothing comes for it any more."""
        watch.ended = True
        if watch in self.wanted:
            self.wanted.remove(watch)
        elif watch.id is not None:
            self._drop(watch.id)

    # -- what goes to and comes from the stream ----------------------------------------------------

    def opened(self) -> None:
        """There is a new stream, on which nothing has been asked for yet."""
        again = list(self.by_id.values())
        if self._asking is not None:
            again.append(self._asking)
        for watch in again:
            watch.id = None
        self.wanted = deque(w for w in (*again, *self.wanted) if not w.ended)
        self.by_id.clear()
        self._fragments.clear()
        self._asking = None
        self._out = [request for request in self._out if request.progress_request is not None]
        self._ask_next()

    def take(self) -> list[bytes]:
        """Messages to be sent now."""
        out, self._out = self._out, []
        return [request.encode() for request in out]

    def received(self, message: bytes) -> list[WatchUpdate]:
        """A message of the stream.  Raises wire's DecodeError."""
        answer = WatchResponse.decode(message)
        if answer.created:
            return self._created(answer)
        if answer.watch_id == BROADCAST:
            return [self._delivered(watch, answer) for watch in list(self.by_id.values())]
        watch = self.by_id.get(answer.watch_id)
        if watch is None:
            return []  # ended on our side while this was under way
        if answer.canceled:
            return [self._canceled(watch, answer)]
        pieces = self._fragments.pop(answer.watch_id, None)
        if pieces is not None:
            answer.events = pieces + answer.events
        if answer.fragment:
            self._fragments[answer.watch_id] = answer.events
            return []
        return [self._delivered(watch, answer)]

    def failed(self, reason: str) -> list[WatchUpdate]:
        """The stream is gone for good: every watch ends."""
        asking = [] if self._asking is None else [self._asking]
        watches = [*self.by_id.values(), *asking, *self.wanted]
        self.by_id.clear()
        self.wanted.clear()
        self._asking = None
        return [_end(watch, reason) for watch in watches if not watch.ended]

    # -- answers -----------------------------------------------------------------------------------

    def _created(self, answer: WatchResponse) -> list[WatchUpdate]:
        watch, self._asking = self._asking, None
        self._ask_next()
        if watch is None:
            return []
        if answer.canceled or answer.watch_id == BROADCAST:
            return [] if watch.ended else [_end(watch, answer.cancel_reason)]
        watch.id = answer.watch_id
        self.by_id[answer.watch_id] = watch
        if watch.ended:
            self._drop(answer.watch_id)
        elif not watch.next_revision and answer.header is not None:
            watch.next_revision = answer.header.revision + 1
        return []

    def _delivered(self, watch: Watch, answer: WatchResponse) -> WatchUpdate:
        last = answer.events[-1].kv if answer.events else None
        if last is not None:
            watch.next_revision = last.mod_revision + 1
        elif answer.header is not None:
            watch.next_revision = max(watch.next_revision, answer.header.revision + 1)
        return WatchUpdate(watch, answer.header, answer.events, answer.compact_revision)

    def _canceled(self, watch: Watch, answer: WatchResponse) -> WatchUpdate:
        del self.by_id[answer.watch_id]
        self._fragments.pop(answer.watch_id, None)
        watch.ended = True
        if answer.compact_revision:
            reason = COMPACTED
        else:
            reason = answer.cancel_reason or FUTURE_REVISION
        return WatchUpdate(
            watch, answer.header, answer.events, answer.compact_revision, True, reason
        )

    def _ask_next(self) -> None:
        if self._asking is None and self.wanted:
            watch = self._asking = self.wanted.popleft()
            watch.request.start_revision = watch.next_revision
            self._out.append(WatchRequest(create_request=watch.request))

    def _drop(self, watch_id: int) -> None:
        self.by_id.pop(watch_id, None)
        self._fragments.pop(watch_id, None)
        self._out.append(WatchRequest(cancel_request=WatchCancelRequest(watch_id=watch_id)))


def _end(watch: Watch, reason: str) -> WatchUpdate:
    watch.ended = True
    return WatchUpdate(watch, canceled=True, reason=reason)
