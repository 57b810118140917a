"""A clock, an HTTP client and an answer without sockets, for the parts of the peer room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from peer_endpoints import CLUSTER_ID, Lines, News

from petcd.peer.context import Context
from petcd.peer.counters import NetworkCounters
from petcd.peer.identity import Identity
from petcd.transport.http import Header
from petcd.transport.http1_answer import ResponseHead
from petcd.transport.http_client import Response

LOCAL_ID, REMOTE_ID = 0xAAAA000000000001, 0xB2


class FakeTimer:
    def __init__(self, due: float, callback: Callable[[], Any]) -> None:
        self.due = due
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """Time that passes when told; `at_once` are the calls that are due in the next turn."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[FakeTimer] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> FakeTimer:
        return self.call_later(0.0, callback, *args)

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> FakeTimer:
        timer = FakeTimer(self.now + delay, lambda: callback(*args))
        self.timers.append(timer)
        return timer

    def pass_by(self, seconds: float) -> None:
        """Let time pass, with every call in its turn."""
        end = self.now + seconds
        while due := [t for t in self.timers if not t.cancelled and t.due <= end + 1e-9]:
            timer = min(due, key=lambda t: t.due)
            self.timers.remove(timer)
            self.now = max(self.now, timer.due)
            timer.callback()
        self.now = end


class FakeStream:
    """A GET that was opened; the test plays the server on its `sink`."""

    def __init__(self, url: str, target: str, headers: list[Header], sink: Any) -> None:
        self.url = url
        self.target = target
        self.headers = dict(headers)
        self.sink = sink
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def answers(self, status: int, body: bytes = b"") -> None:
        """Head and body; an answer other than 200 ends."""
        self.sink.head(ResponseHead(status, [], True))
        if body:
            self.sink.body(body)
        if status != 200:
            self.sink.end()


class FakeClient:
    """Keeps what is opened; `answer` plays the server for short requests."""

    def __init__(self) -> None:
        self.streams: list[FakeStream] = []
        self.posts: list[tuple[str, str, bytes]] = []
        self.answer: Callable[[str, str, bytes], Response | Exception] = lambda *_: response(204)
        self.gate: asyncio.Event | None = None

    def open(self, url: str, target: str, headers: Any, sink: Any) -> FakeStream:
        self.streams.append(FakeStream(url, target, headers, sink))
        return self.streams[-1]

    async def fetch(
        self,
        url: str,
        method: str,
        target: str,
        headers: Any = (),
        body: bytes = b"",
        timeout_s: float = 5.0,
    ) -> Response:
        self.posts.append((url, target, body))
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answer(url, target, body)
        if isinstance(answer, Exception):
            raise answer
        return answer


def response(status: int, body: bytes = b"", *headers: Header, took_s: float = 0.001) -> Response:
    return Response(ResponseHead(status, list(headers), True), body, took_s)


class FakeResponder:
    """Where a server's answer goes."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.writes = 0
        self.closed = False
        self.queued_bytes = 0
        self.on_close: Callable[[], Any] | None = None
        self.on_drain: Callable[[], Any] | None = None

    def send(self, status: int, headers: Any, body: bytes) -> None:
        self.start(status, headers)
        self.body = body
        self.closed = True

    def start(self, status: int, headers: Any) -> None:
        assert not self.status, "answered twice"
        self.status = status
        self.headers = dict(headers)

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.body += data
        self.writes += 1

    def end(self) -> None:
        self.closed = True

    def lose(self) -> None:
        """The client is gone."""
        self.closed = True
        if self.on_close is not None:
            self.on_close()


class Bench:
    """A context made of fakes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.client = FakeClient()
        self.news = News()
        self.log = Lines()
        self.told_removed = 0
        self.counters = NetworkCounters(LOCAL_ID)
        self.context = Context(
            Identity(LOCAL_ID, CLUSTER_ID, ("http://here:2380",)),
            self.clock,
            cast(Any, self.client),
            self.news,
            self.log,
            self.counters,
            self._removed,
        )

    def _removed(self) -> None:
        self.told_removed += 1
