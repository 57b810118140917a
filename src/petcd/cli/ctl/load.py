"""Load for `check`: many clients, a connection each, one call at a time, at a given rate.

One thread and one selector drive them all; a client is a socket under the HTTP/2 engine.  Calls are
handed out evenly over time; when all clients are busy, up to one call per client waits, and what
falls behind that is not made up for, so that a slow server is measured and not buried.

Latency counts from the moment a client takes a call until its answer is read.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence

from petcd.client.channel import USER_AGENT
from petcd.client.connection import Metadata
from petcd.client.dialing import DialError, connect_any
from petcd.client.endpoint import Endpoint
from petcd.client.errors import error_of
from petcd.transport.h2_client import ClientCall, Http2ClientEngine

READ_BYTES = 64 << 10
CATCH_UP_S = 0.02
"""A delay of our own loop up to this is made up for at once."""
TICK_S = 0.2
"""The progress is shown this often."""
CONNECT_S = 5.0
REDIAL_S = 0.2
DRAIN_S = 30.0
"""How long the last answers are waited for."""


class Load:
    """How much: `rate` calls a second (0: as fast as it goes), until `seconds` have passed or
    `calls` have been made (0: no bound)."""

    __slots__ = ("calls", "clients", "rate", "seconds")

    def __init__(self, clients: int, rate: float = 0, seconds: float = 0, calls: int = 0) -> None:
        assert clients > 0 and (seconds or calls)
        self.clients = clients
        self.rate = rate
        self.seconds = seconds
        self.calls = calls


class Outcome:
    """What came out.  `latencies` in seconds, of calls that succeeded; `errors` by text."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.errors: dict[str, int] = {}
        self.total_s = 0.0

    @property
    def rate(self) -> float:
        """Successful calls a second."""
        return len(self.latencies) / self.total_s if self.total_s else 0.0

    @property
    def slowest_s(self) -> float:
        return max(self.latencies, default=0.0)

    @property
    def stddev_s(self) -> float:
        """Standard deviation of the latencies."""
        count = len(self.latencies)
        if not count:
            return 0.0
        mean = sum(self.latencies) / count
        return float((sum([(value - mean) ** 2 for value in self.latencies]) / count) ** 0.5)


class _Client:
    """One connection and the call it is waiting for."""

    __slots__ = ("call", "engine", "sock", "started", "unsent")

    def __init__(self, endpoint: Endpoint, sock: socket.socket) -> None:
        self.sock = sock
        self.engine = Http2ClientEngine(endpoint.authority.encode(), user_agent=USER_AGENT)
        self.call: ClientCall | None = None
        self.started = 0.0
        self.unsent = b""


class LoadDriver:
    """Runs one `Load`.  `next_body` makes the request of each call."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        load: Load,
        path: bytes,
        next_body: Callable[[], bytes],
        metadata: Metadata = (),
        on_tick: Callable[[float, int], None] = lambda elapsed_s, done: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.endpoints = list(endpoints)
        self.load = load
        self.path = path
        self.next_body = next_body
        self.metadata = metadata
        self.on_tick = on_tick
        self.clock = clock
        self.outcome = Outcome()
        self.stopping = False
        """Set from outside (a signal) to make no further call."""
        self.selector = selectors.DefaultSelector()
        self.idle: deque[_Client] = deque()
        self.busy = 0
        self.lost = 0
        self._redial_at = 0.0
        self._waiting = 0
        self._made = 0
        self._due = 0.0
        self._turn = 0

    # -- the run -----------------------------------------------------------------------------------

    def connect(self) -> None:
        """Open all connections.  Raises DialError."""
        _allow_files(self.load.clients)
        for _ in range(self.load.clients):
            self._open()

    def run(self) -> Outcome:
        """Make the calls and wait for their answers."""
        started = self._due = self.clock()
        next_tick = started
        ending = started + self.load.seconds if self.load.seconds else None
        drained_by: float | None = None
        while True:
            now = self.clock()
            if now >= next_tick:
                self.on_tick(now - started, len(self.outcome.latencies))
                next_tick = now + TICK_S
            if self._finished(now, ending):
                drained_by = drained_by or now + DRAIN_S
                if not (self.busy or (self._waiting and self.idle)) or now >= drained_by:
                    break
            else:
                self._plan(now)
            self._hand_out(now)
            self._redial(now)
            for key, _ in self.selector.select(self._patience_s(now, next_tick)):
                self._advance(key.data)
        self.outcome.total_s = self.clock() - started
        if self.busy:
            self._note_error("no answer in time", self.busy)
        return self.outcome

    def close(self) -> None:
        """Close all connections."""
        for key in list(self.selector.get_map().values()):
            key.data.sock.close()
        self.selector.close()

    def _finished(self, now: float, ending: float | None) -> bool:
        """Whether no further call is to be planned."""
        if self.stopping or (ending is not None and now >= ending):
            return True
        return bool(self.load.calls) and self._made + self._waiting >= self.load.calls

    def _plan(self, now: float) -> None:
        """Put the calls that are due by now in front of the clients."""
        room = self.load.clients - self._waiting
        if not self.load.rate:
            left = self.load.calls - self._made - self._waiting if self.load.calls else room
            self._waiting += max(min(room, left), 0)
            return
        interval = 1.0 / self.load.rate
        self._due = max(self._due, now - CATCH_UP_S)
        due = int((now - self._due) * self.load.rate) + 1 if now >= self._due else 0
        self._waiting += min(due, room)
        self._due += due * interval

    def _hand_out(self, now: float) -> None:
        while self._waiting and self.idle:
            client = self.idle.popleft()
            self._waiting -= 1
            self._made += 1
            self.busy += 1
            client.started = self.clock()
            client.call = client.engine.unary(self.path, self.next_body(), self.metadata)
            self._send(client)

    def _patience_s(self, now: float, next_tick: float) -> float:
        wake = next_tick
        if self.load.rate and self.idle:
            wake = min(wake, self._due)
        if self.lost:
            wake = min(wake, self._redial_at)
        return max(wake - now, 0.0)

    # -- one client --------------------------------------------------------------------------------

    def _open(self) -> None:
        turn = self._turn % len(self.endpoints)
        self._turn += 1
        order = self.endpoints[turn:] + self.endpoints[:turn]
        endpoint, sock = connect_any(order, time.monotonic() + CONNECT_S, time.monotonic)
        client = _Client(endpoint, sock)
        self.selector.register(sock, selectors.EVENT_READ, client)
        self.idle.append(client)

    def _send(self, client: _Client) -> None:
        data = client.unsent + client.engine.take_output()
        if not data:
            return
        try:
            sent = client.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._drop(client, f"error writing to server: {error.strerror}")
            return
        if client.unsent or sent < len(data):
            client.unsent = data[sent:]
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
            self.selector.modify(client.sock, wanted, client)

    def _advance(self, client: _Client) -> None:
        """Read what came for a client (or go on writing)."""
        try:
            data = client.sock.recv(READ_BYTES)
        except BlockingIOError:
            self._send(client)
            return
        except OSError as error:
            self._drop(client, f"error reading from server: {error.strerror}")
            return
        if not data:
            self._drop(client, "error reading from server: EOF")
            return
        now = self.clock()
        client.engine.receive(data, now)
        call = client.call
        if call is not None and call.status is not None:
            self._ended(client, call, now)
        if client.engine.closed or client.engine.goaway is not None:
            self._drop(client, "the server is going away")
        elif client.engine.out:
            self._send(client)

    def _ended(self, client: _Client, call: ClientCall, now: float) -> None:
        client.call = None
        self.busy -= 1
        if call.status == 0:
            self.outcome.latencies.append(now - client.started)
        else:
            self._note_error(str(error_of(call.status or 2, call.details)))
        self.idle.append(client)

    def _drop(self, client: _Client, reason: str) -> None:
        """Give a connection up; its call failed."""
        if client.call is not None:
            self.busy -= 1
            client.call = None
            self._note_error(str(error_of(14, reason)))
        else:
            self.idle.remove(client)
        self.selector.unregister(client.sock)
        client.sock.close()
        self.lost += 1

    def _note_error(self, text: str, count: int = 1) -> None:
        self.outcome.errors[text] = self.outcome.errors.get(text, 0) + count

    def _redial(self, now: float) -> None:
        if not self.lost or now < self._redial_at:
            return
        self._redial_at = now + REDIAL_S
        try:
            while self.lost:
                self._open()
                self.lost -= 1
        except DialError:
            return


def _allow_files(count: int) -> None:
    """Raise the limit of open files, as far as we may, so that `count` sockets fit."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 64
    if soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
