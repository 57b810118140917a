"""Connect to the first endpoint that answers.

The endpoints are tried in the given order.  One that refuses is left at once; one that stays silent
is kept while the next is started (`STAGGER_S`), and whoever connects first wins.  So a dead member
in front costs a quarter of a second, not a timeout.

Texts of failures are Go's, since users search for them:
`dial tcp 127.0.0.1:2379: connect: connection refused`.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from petcd.client.endpoint import AddressError, Endpoint, split_host_port

STAGGER_S = 0.25
"""Head start of an endpoint before the next is tried beside it (RFC 8305 advises as much)."""

Clock = Callable[[], float]


class DialError(Exception):
    """No endpoint can be connected; the text is the last failure's."""


class DialTimeout(DialError):
    """Time was up.  The text is the last failure's, empty when there was none."""


class _Attempt:
    """One endpoint being connected, address after address."""

    __slots__ = ("addresses", "endpoint", "first_error", "shown", "sock")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.addresses = deque(_resolve(endpoint))
        self.first_error = ""
        self.shown = ""
        self.sock: socket.socket | None = None

    def start(self) -> bool:
        """Begin with the next address; True when connected already.  DialError: none is left."""
        while self.addresses:
            family, where, self.shown = self.addresses.popleft()
            self.sock = socket.socket(family, socket.SOCK_STREAM)
            self.sock.setblocking(False)
            code = self.sock.connect_ex(where)
            if code == 0:
                return True
            if code == errno.EINPROGRESS:
                return False
            self._failed(code)
        raise DialError(self.first_error)

    def finish(self) -> bool:
        """After the socket became writable: True when connected, else on with the next address."""
        assert self.sock is not None
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            return True
        self._failed(code)
        return self.start()

    def _failed(self, code: int) -> None:
        self.close()
        reason = "i/o timeout" if code == errno.ETIMEDOUT else "connect: " + error_text(code)
        self.first_error = self.first_error or f"dial {self.shown}: {reason}"

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None


def error_text(code: int) -> str:
    """The operating system's text as Go prints it."""
    return os.strerror(code).lower()


def _resolve(endpoint: Endpoint) -> list[tuple[int, Any, str]]:
    """(family, socket address, what to call it) for each address.  Raises DialError."""
    if endpoint.network == "unix":
        return [(socket.AF_UNIX, endpoint.address, f"unix {endpoint.address}")]
    try:
        host, port = split_host_port(endpoint.address)
    except AddressError as error:
        raise DialError(f"dial tcp: {error}") from None
    try:
        # bytes, because a str would load the codec of international names
        found = socket.getaddrinfo(
            os.fsencode(host) or b"localhost", os.fsencode(port), type=socket.SOCK_STREAM
        )
    except socket.gaierror as error:
        if error.errno == getattr(socket, "EAI_SERVICE", None):
            raise DialError(f"dial tcp: lookup tcp/{port}: unknown port") from None
        raise DialError(f"dial tcp: lookup {host}: no such host") from None
    shown: list[tuple[int, Any, str]] = []
    for family, _, _, _, address in found:
        where: Any = address
        name = f"[{where[0]}]" if family == socket.AF_INET6 else where[0]
        shown.append((int(family), where, f"tcp {name}:{where[1]}"))
    return shown


class _Race:
    """The attempts that are under way."""

    def __init__(self, endpoints: Sequence[Endpoint], clock: Clock) -> None:
        self.waiting = deque(endpoints)
        self.clock = clock
        self.pending: dict[int, _Attempt] = {}
        self.poll = select.poll()
        self.next_start = clock()
        self.last_error = ""

    def run(self, until: float | None) -> _Attempt:
        while self.waiting or self.pending:
            now = self.clock()
            if until is not None and now >= until:
                raise DialTimeout(self.last_error)
            if self.waiting and (not self.pending or now >= self.next_start):
                attempt = self._advance(self.waiting.popleft())
                if attempt is not None:
                    return attempt
                continue
            for fd, _ in self.poll.poll(self._patience_ms(now, until)):
                attempt = self._writable(fd)
                if attempt is not None:
                    return attempt
        raise DialError(self.last_error)

    def _patience_ms(self, now: float, until: float | None) -> float | None:
        times = [] if until is None else [until]
        if self.waiting:
            times.append(self.next_start)
        return max(min(times) - now, 0.0) * 1000 + 1 if times else None

    def _advance(self, endpoint: Endpoint) -> _Attempt | None:
        self.next_start = self.clock() + STAGGER_S
        try:
            attempt = _Attempt(endpoint)
            if attempt.start():
                return attempt
        except DialError as error:
            self.last_error = str(error)
            return None
        self._watch(attempt)
        return None

    def _writable(self, fd: int) -> _Attempt | None:
        attempt = self.pending.pop(fd)
        self.poll.unregister(fd)
        try:
            if attempt.finish():
                return attempt
        except DialError as error:
            self.last_error = str(error)
            self.next_start = self.clock()
            return None
        self._watch(attempt)
        return None

    def _watch(self, attempt: _Attempt) -> None:
        assert attempt.sock is not None
        self.pending[attempt.sock.fileno()] = attempt
        self.poll.register(attempt.sock.fileno(), select.POLLOUT)

    def close(self) -> None:
        for attempt in self.pending.values():
            attempt.close()


def connect_any(
    endpoints: Sequence[Endpoint], until: float | None, clock: Clock
) -> tuple[Endpoint, socket.socket]:
    """The endpoint that won and its non-blocking socket.

    `until` is a time of `clock`, None for ever.  Raises DialTimeout or DialError.
    """
    race = _Race(endpoints, clock)
    try:
        attempt = race.run(until)
    finally:
        race.close()
    sock = attempt.sock
    assert sock is not None
    if attempt.endpoint.network == "tcp":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return attempt.endpoint, sock
