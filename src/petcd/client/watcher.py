"""Watches by blocking: one stream under a `WatchSession`, opened again whenever it breaks.

```
watcher = Watcher(channel)
watch = watcher.create(WatchCreateRequest(key=b"a"))
for update in watcher.wait(): ...
```

A stream that ends Unavailable or Internal is opened again on the next endpoint, and every watch
resumes where it stood.  Any other end is final, as is "no leader", which the caller asked to be
told about.
"""

from __future__ import annotations

import select
import time

from petcd.client import errors as e
from petcd.client import methods
from petcd.client.channel import Channel
from petcd.client.connection import ClientStream
from petcd.client.watching import Watch, WatchSession, WatchUpdate
from petcd.wire.codec import DecodeError
from petcd.wire.watch import WatchCreateRequest

BACKOFF_FIRST_S = 0.001
BACKOFF_GROWTH = 1.25
BACKOFF_MAX_S = 0.1
"""Pauses before a broken stream is opened again, as etcd's client."""


class Watcher:
    """Watches on one stream of a channel.  The cluster must have a leader."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.session = WatchSession()
        self._stream: ClientStream | None = None
        self._backoff_s = BACKOFF_FIRST_S

    def create(self, request: WatchCreateRequest) -> Watch:
        """Begin a watch."""
        return self.session.create(request)

    def request_progress(self) -> None:
        """Ask how far the watches are; the answer comes as an update to each."""
        self.session.request_progress()

    def wait(self, beside: int = -1) -> tuple[list[WatchUpdate], bool]:
        """Wait for updates, or until the file descriptor `beside` can be read (then True)."""
        updates: list[WatchUpdate] = []
        ready = False
        if beside >= 0 and self._stream is None and self.session.idle:
            poll = select.poll()
            poll.register(beside, select.POLLIN)
            return updates, bool(poll.poll())
        while not updates and not ready:
            stream = self._opened()
            for message in self.session.take():
                stream.send(message)
            if not stream.call.messages:
                ready = stream.connection.turn(None, beside)
            updates = self._received(stream)
        return updates, ready

    def close(self) -> None:
        """Give the stream up."""
        if self._stream is not None:
            self._stream.cancel()
            self._stream = None

    def _opened(self) -> ClientStream:
        if self._stream is None:
            self._stream = self.channel.stream(methods.WATCH, methods.REQUIRE_LEADER)
            self.session.opened()
        return self._stream

    def _received(self, stream: ClientStream) -> list[WatchUpdate]:
        updates: list[WatchUpdate] = []
        try:
            while (message := stream.take()) is not None:
                self._backoff_s = BACKOFF_FIRST_S
                updates += self.session.received(message)
            if stream.ended():
                raise e.Unavailable("the server ended the watch stream")
        except DecodeError as error:
            stream.cancel()
            updates += self.session.failed(f"malformed watch response: {error}")
        except e.ClientError as error:
            updates += self._broken(error)
        return updates

    def _broken(self, error: e.ClientError) -> list[WatchUpdate]:
        self._stream = None
        recoverable = isinstance(error, e.Unavailable | e.Internal)
        if not recoverable or error.message == e.NO_LEADER:
            return self.session.failed(str(error))
        self.channel.next_endpoint()
        time.sleep(self._backoff_s)
        self._backoff_s = min(self._backoff_s * BACKOFF_GROWTH, BACKOFF_MAX_S)
        return []
