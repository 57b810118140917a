"""Several endpoints used as one: choice, fail-over, retries, credentials.  Blocking.

One connection is open at a time.  Endpoints take turns (round robin) whenever a new one is needed.
A call waits for a connection until its deadline, as Go clients do, so a server that comes back in
time is not noticed.

| outcome of a call | what happens |
| --- | --- |
| the server certainly did not see it | again at once on the next connection |
| Unavailable, and the call only reads | again, up to `RETRIES_MAX` times, endpoint after endpoint |
| Unavailable, and the call writes | raised: it may have happened |
| token invalid or too old | a new token, then again |
| anything else | raised |

A pause lies between rounds over a majority of the endpoints.  Each failed attempt is logged.
Does not: balance load, learn further endpoints from the cluster.  Source: etcd's client/v3.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from petcd.client import errors as e
from petcd.client import methods
from petcd.client.connection import ClientStream, Connection, Metadata
from petcd.client.dialing import Clock, DialError, DialTimeout, connect_any
from petcd.client.endpoint import Endpoint, target_authority
from petcd.client.log import Log, silent
from petcd.version import CLUSTER_VERSION, PETCD_VERSION

RETRIES_MAX = 100
"""Attempts of one call, as etcd's client."""
BACKOFF_S = 0.025
BACKOFF_JITTER = 0.1
REDIAL_FIRST_S = 0.05
"""Pause after no endpoint could be connected; grows to `REDIAL_MAX_S`.  grpc-go begins with 1 s."""
REDIAL_GROWTH = 1.6
REDIAL_MAX_S = 1.0
CALLER = "client/channel.py"

USER_AGENT = f"petcd/{PETCD_VERSION}".encode()
_API_VERSION = (b"client-api-version", CLUSTER_VERSION.rpartition(".")[0].encode())
_STALE_TOKEN = (e.INVALID_AUTH_TOKEN, e.AUTH_OLD_REVISION, e.USER_EMPTY)


class Credentials:
    """A user and the token the server gave for it."""

    __slots__ = ("password", "token", "user")

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self.password = password
        self.token = b""


class Channel:
    """The way to a cluster.  `endpoints` is not empty; `dial_timeout_s` bounds logging in only."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        credentials: Credentials | None = None,
        dial_timeout_s: float = 2.0,
        keepalive_s: float = 0.0,
        keepalive_timeout_s: float = 20.0,
        log: Log = silent,
        clock: Clock = time.monotonic,
    ) -> None:
        assert endpoints
        self.endpoints = list(endpoints)
        self.credentials = credentials
        self.dial_timeout_s = dial_timeout_s
        self.keepalive_s = keepalive_s
        self.keepalive_timeout_s = keepalive_timeout_s
        self.log = log
        self.clock = clock
        self._turn = 0
        self._connection: Connection | None = None
        self._why_lost = ""

    # -- calls -------------------------------------------------------------------------------------

    def unary(
        self,
        path: bytes,
        request: bytes,
        timeout_s: float | None = None,
        metadata: Metadata = (),
        repeatable: bool = False,
    ) -> bytes:
        """The response's bytes.  `repeatable`: the call only reads.  Raises ClientError."""
        until = None if timeout_s is None else self.clock() + timeout_s
        error: e.ClientError | None = None
        for attempt in range(RETRIES_MAX):
            self._back_off(attempt, until)
            try:
                return self._attempt(path, request, until, metadata)
            except e.ClientError as failure:
                error = failure
                self._log_failure(attempt, failure)
            if not self._may_repeat(error, until, repeatable):
                break
        assert error is not None
        timed_out = isinstance(error, e.DeadlineExceeded | e.Cancelled)
        if timed_out and until is not None and self.clock() >= until:
            raise e.DeadlineExceeded(error.message, local=True)  # whoever noticed it first
        raise error

    def _attempt(
        self, path: bytes, request: bytes, until: float | None, metadata: Metadata
    ) -> bytes:
        while True:
            connection = self.connection(until)
            left = None if until is None else until - self.clock()
            try:
                return connection.unary(path, request, left, self._with_token(metadata))
            except e.Unavailable as failure:
                if connection.heard and not failure.unprocessed:
                    raise
                self._why_lost = f"transport: {failure.message}"
            if connection.heard:
                self._pause(REDIAL_FIRST_S, until)  # a server that is stopping says so at once

    def stream(self, path: bytes, metadata: Metadata = ()) -> ClientStream:
        """A new stream; waits for a connection as long as it takes."""
        connection = self.connection(None)
        return connection.stream(path, self._with_token(metadata))

    def _with_token(self, metadata: Metadata) -> Metadata:
        token = self.credentials.token if self.credentials is not None else b""
        return (_API_VERSION, (b"token", token), *metadata) if token else (_API_VERSION, *metadata)

    def _may_repeat(self, error: e.ClientError, until: float | None, repeatable: bool) -> bool:
        if isinstance(error, e.DeadlineExceeded | e.Cancelled):
            return until is not None and self.clock() < until and not _is_local(error)
        if self.credentials is not None and error.message in _STALE_TOKEN:
            self.log_in(until)
            return bool(self.credentials.token)
        if error.message == e.NOT_SUPPORTED_FOR_LEARNER and len(self.endpoints) > 1:
            self.next_endpoint()
            return True
        if repeatable and isinstance(error, e.Unavailable):
            self.next_endpoint()
            return True
        return False

    def _back_off(self, attempt: int, until: float | None) -> None:
        if not attempt or attempt % (len(self.endpoints) // 2 + 1):
            return
        from random import uniform  # rarely needed, and slow to import

        pause = BACKOFF_S * (1 + BACKOFF_JITTER * uniform(-1, 1))
        if until is not None and self.clock() + pause >= until:
            time.sleep(max(until - self.clock(), 0.0))
            raise e.DeadlineExceeded(e.CONTEXT_DEADLINE, local=True)
        time.sleep(pause)

    def _log_failure(self, attempt: int, error: e.ClientError) -> None:
        authority = target_authority(self.endpoints[0].text)
        fields: dict[str, str | int] = {
            "target": f"etcd-endpoints://{id(self):#x}/{authority}",
            "attempt": attempt,
            "error": error.describe(),
        }
        self.log("warn", CALLER, "retrying of unary invoker failed", fields)

    # -- the connection ----------------------------------------------------------------------------

    def connection(self, until: float | None) -> Connection:
        """The open connection, or a new one.  Raises DeadlineExceeded (local) at `until`."""
        if self._connection is not None and not self._connection.closed:
            return self._connection
        unheard = self._connection is not None and not self._connection.heard
        self.next_endpoint()
        pause = REDIAL_FIRST_S
        while True:
            if unheard:
                self._pause(pause, until)
                pause = min(pause * REDIAL_GROWTH, REDIAL_MAX_S)
            try:
                endpoint, sock = connect_any(self._in_order(), until, self.clock)
            except DialTimeout as error:
                self._why_lost = _dial_text(str(error)) or self._why_lost
                raise self._too_late() from None
            except DialError as error:
                self._why_lost = _dial_text(str(error))
                unheard = True
                continue
            self._connection = Connection(
                sock,
                endpoint.authority,
                USER_AGENT,
                self.keepalive_s,
                self.keepalive_timeout_s,
                self.clock,
            )
            return self._connection

    def _in_order(self) -> list[Endpoint]:
        """All endpoints, beginning with the one whose turn it is."""
        turn = self._turn % len(self.endpoints)
        return self.endpoints[turn:] + self.endpoints[:turn]

    def next_endpoint(self) -> None:
        """Leave the connection; the next one begins with the next endpoint."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._turn += 1

    def _pause(self, pause: float, until: float | None) -> None:
        if until is not None and self.clock() + pause >= until:
            time.sleep(max(until - self.clock(), 0.0))
            raise self._too_late()
        time.sleep(pause)

    def _too_late(self) -> e.DeadlineExceeded:
        if not self._why_lost:
            return e.DeadlineExceeded(e.CONTEXT_DEADLINE, local=True)
        text = f'last connection error: connection error: desc = "{self._why_lost}"'
        return e.DeadlineExceeded(f"latest balancer error: {text}", local=True)

    # -- credentials -------------------------------------------------------------------------------

    def log_in(self, until: float | None = None) -> None:
        """Get a token for the credentials.  None is needed while authentication is off."""
        credentials = self.credentials
        if credentials is None or not credentials.user or not credentials.password:
            return
        from petcd.wire.auth import AuthenticateRequest, AuthenticateResponse

        credentials.token = b""
        if until is None:
            until = self.clock() + self.dial_timeout_s
        request = AuthenticateRequest(name=credentials.user, password=credentials.password)
        try:
            answer = self._attempt(methods.AUTHENTICATE, request.encode(), until, ())
        except e.ClientError as error:
            self._log_failure(0, error)
            if error.message != e.AUTH_NOT_ENABLED:
                raise
            return
        credentials.token = AuthenticateResponse.decode(answer).token.encode()

    def close(self) -> None:
        """Close the connection, if any."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _is_local(error: e.ClientError) -> bool:
    return isinstance(error, e.DeadlineExceeded) and error.local


def _dial_text(reason: str) -> str:
    return f"transport: Error while dialing {reason}" if reason else ""
