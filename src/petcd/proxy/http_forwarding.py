"""HTTP requests to a member and its answers back, as they come.

```
  client --request--> _Exchange --request bytes--> member
         <--respond--           <--head, body*, end--
```

A member that cannot be connected, or that ends before it answers, is left out for a while and the
next one is tried; but a request that may have changed something is never sent twice, its client is
told that no answer came (etcd sends it again, and a POST then makes two keys).

A short answer is gathered and sent with its length, a long one or one without end (a watch) is
passed on piece by piece; while the client does not read, the member is not read either. A client
that goes away takes its request to the member with it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from petcd.proxy import metrics as m
from petcd.proxy.log import Log
from petcd.proxy.metrics import ProxyMetrics
from petcd.proxy.request_lines import Unspeakable, end_to_end, request_bytes
from petcd.proxy.upstreams import Upstreams
from petcd.transport.http import Header, HttpRequest, HttpResponder
from petcd.transport.http1_answer import ExchangeFailed, ResponseHead
from petcd.transport.http1_connection import Connection
from petcd.transport.http_client import HttpClient

GATHERED_BYTES_MAX = 64 << 10
"""Announced answers up to this are sent in one piece."""
UNSENT_BYTES_MAX = 256 << 10
"""Bytes that a client has not taken beyond which its member is not read."""
_REPEATABLE = frozenset(("GET", "HEAD", "OPTIONS"))
_WITHOUT_BODY = (204, 304)
_WRITTEN_BY_US = (b"content-length", b"date")
_CORS = b"access-control-"
"""The members' headers for browsers give way to the proxy's own."""


class Timeouts:
    """Seconds; 0 is none. `write_s`: until a member's socket has taken a request; `read_s`: between
    two pieces of an answer; `answer_s`: until the answer of a v2 request that does not wait for an
    event, which a member gives in a bounded time unless it hangs."""

    __slots__ = ("answer_s", "read_s", "write_s")

    def __init__(self, write_s: float, read_s: float, answer_s: float) -> None:
        self.write_s = write_s
        self.read_s = read_s
        self.answer_s = answer_s

    def until_answer_s(self, target: str) -> float | None:
        """For one request."""
        path, _, query = target.partition("?")
        bounded = path.startswith("/v2/") and "wait=" not in query
        return (
            min(self.read_s or self.answer_s, self.answer_s) if bounded else self.read_s
        ) or None


class HttpForwarding:
    """Passes requests on. Made inside a running loop."""

    def __init__(
        self,
        upstreams: Upstreams,
        client: HttpClient,
        timeouts: Timeouts,
        metrics: ProxyMetrics,
        log: Log,
    ) -> None:
        self.upstreams = upstreams
        self.client = client
        self.timeouts = timeouts
        self.metrics = metrics
        self.log = log
        self.loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(
        self, request: HttpRequest, respond: HttpResponder, more: Sequence[Header] = ()
    ) -> None:
        """Answer one request, now or later, with `more` headers."""
        self.metrics.received(request.method)
        exchange = _Exchange(self, request, respond, more)
        task = self.loop.create_task(exchange.run())
        respond.on_close = lambda: exchange.abandon(task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Drop the requests that no member has answered yet."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


class _Exchange:
    """One request; takes a member's answer (`ResponseSink`)."""

    def __init__(
        self,
        forwarding: HttpForwarding,
        request: HttpRequest,
        respond: HttpResponder,
        more: Sequence[Header],
    ) -> None:
        self._forwarding = forwarding
        self._request = request
        self._respond = respond
        self._more = more
        self._connection: Connection | None = None
        self._began: asyncio.Future[Exception | None] = forwarding.loop.create_future()
        self._started_at = time.perf_counter()
        self._head: ResponseHead | None = None
        self._gathered: bytearray | None = None
        self._timer: asyncio.TimerHandle | None = None

    # -- the request -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Find a member that answers; a failure of our own must not leave the client waiting."""
        try:
            await self._run()
        except Exception as error:
            self._forwarding.log.warn("failed to forward a request", error=repr(error))
            if self._head is None:
                self._refuse(500, "internal error")

    async def _run(self) -> None:
        forwarding, method = self._forwarding, self._request.method
        order = forwarding.upstreams.order_for(self._request.peer)
        if not order:
            forwarding.metrics.dropped(method, m.ZERO_ENDPOINTS)
            self._refuse(503, "zero endpoints currently available")
            return
        tried = 0
        for url in order:
            tried += 1
            try:
                again = await self._try(url)
            except Unspeakable as error:
                self._refuse(400, str(error))
                return
            if again is None:
                return
            if not again:
                break
        forwarding.metrics.dropped(method, m.FAILED_GETTING)
        self._refuse(502, f"unable to get response from {tried} endpoint(s)")

    async def _try(self, url: str) -> bool | None:
        """None when the member answers, else whether another one may be tried."""
        forwarding, method = self._forwarding, self._request.method
        data = request_bytes(self._request, urlsplit(url).netloc)
        may_repeat = method in _REPEATABLE
        while True:
            self._began = forwarding.loop.create_future()
            try:
                connection, kept = await forwarding.client.begin(url, data, self, method == "HEAD")
            except (ExchangeFailed, OSError, UnicodeError) as error:  # of a host that is no name
                self._note_failure(url, error)
                return True
            self._connection = connection
            fault = await self._answer(connection)
            if fault is None:
                return None
            connection.close()
            if kept and may_repeat:
                continue  # a member may close a kept connection in the moment when it is used
            self._note_failure(url, fault)
            return may_repeat

    async def _answer(self, connection: Connection) -> Exception | None:
        """Wait until the answer begins; what went wrong if it does not."""
        timeouts = self._forwarding.timeouts
        try:
            async with asyncio.timeout(timeouts.write_s or None):
                await connection.writable()
            async with asyncio.timeout(timeouts.until_answer_s(self._request.target)):
                return await self._began
        except (ExchangeFailed, TimeoutError) as error:
            began = self._began
            answered = began.done() and not began.cancelled()  # before it took the whole request
            return began.result() if answered else error

    def _note_failure(self, url: str, error: Exception) -> None:
        forwarding = self._forwarding
        forwarding.metrics.dropped(self._request.method, m.FAILED_SENDING)
        reason = str(error) or type(error).__name__
        forwarding.log.info("failed to direct request", url=url, error=reason)
        forwarding.upstreams.failed(url)

    def _refuse(self, status: int, reason: str) -> None:
        body = json.dumps({"message": f"httpproxy: {reason}"}, separators=(",", ":")).encode()
        self._respond.send(status, [*self._more, (b"content-type", b"application/json")], body)

    def abandon(self, task: asyncio.Task[None]) -> None:
        """The client is gone."""
        task.cancel()
        self._stop_timer()
        if self._connection is not None:
            self._connection.close()

    # -- the answer ------------------------------------------------------------------------------

    def head(self, head: ResponseHead) -> None:
        """See ResponseSink."""
        forwarding = self._forwarding
        if self._began.done():  # given up already
            return
        self._began.set_result(None)
        self._head = head
        took_s = time.perf_counter() - self._started_at
        forwarding.metrics.handled(self._request.method, head.status, took_s)
        self._restart_timer()
        length = head.header(b"content-length") or b""
        short = length.isdigit() and int(length) <= GATHERED_BYTES_MAX
        if short or head.status in _WITHOUT_BODY:
            self._gathered = bytearray()
        else:
            self._respond.start(head.status, self._headers(head))

    def body(self, data: bytes) -> None:
        """See ResponseSink."""
        self._restart_timer()
        if self._gathered is not None:
            self._gathered += data
            return
        respond, connection = self._respond, self._connection
        respond.write(data)
        if respond.queued_bytes > UNSENT_BYTES_MAX and connection is not None:
            connection.pause_reading()
            respond.on_drain = connection.resume_reading

    def end(self) -> None:
        """See ResponseSink."""
        self._stop_timer()
        self._respond.on_drain = None
        head = self._head
        assert head is not None
        if self._gathered is None:
            self._respond.end()
            return
        body = bytes(self._gathered)
        if self._request.method == "HEAD":
            body = bytes(int(head.header(b"content-length") or 0))  # only its length is told
        self._respond.send(head.status, self._headers(head), body)

    def failed(self, error: Exception) -> None:
        """See ResponseSink."""
        self._stop_timer()
        if not self._began.done():
            self._began.set_result(error)
        elif self._gathered is not None:
            self._refuse(502, "unable to get response from 1 endpoint(s)")
        elif self._head is not None:
            self._respond.end()  # as etcd: clients that watch then watch again

    def _headers(self, head: ResponseHead) -> list[Header]:
        passed_on = [
            field
            for field in end_to_end(head.headers)
            if field[0] not in _WRITTEN_BY_US and not field[0].startswith(_CORS)
        ]
        return [*passed_on, *self._more]

    def _restart_timer(self) -> None:
        read_s = self._forwarding.timeouts.read_s
        if read_s:
            self._stop_timer()
            self._timer = self._forwarding.loop.call_later(read_s, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self.failed(TimeoutError("the member sent nothing in time"))
