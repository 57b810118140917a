"""One connection, used by blocking: unary calls and streams over the sans-IO engine.

```
connection.unary(path, request, timeout_s)        -> response bytes, or ClientError
stream = connection.stream(path)
stream.send(message); stream.receive(timeout_s)   -> message, None at the end, or ClientError
connection.turn(until, beside=fd)                 one wait and what it brought
```

Every call drives the whole connection: while one waits, messages of the others gather in their
streams.  Single-threaded; no call may be made from a callback of the engine.

A connection that went away ends its calls with Unavailable and stays `closed`; to open another is
the channel's business.
"""

from __future__ import annotations

import select
import socket
import time

from petcd.client.dialing import Clock
from petcd.client.errors import CONTEXT_DEADLINE, DeadlineExceeded, error_of
from petcd.transport.grpc_status import DEADLINE_EXCEEDED
from petcd.transport.h2_client import ClientCall, Http2ClientEngine

READ_BYTES = 256 << 10
UNSENT_PAUSE_BYTES = 256 << 10
"""Output beyond this that the socket has not taken makes the engine hold streams back."""
KEEPALIVE_MIN_S = 10.0
"""Pings go out no more often, as grpc-go; servers punish more than one in five seconds."""

Metadata = tuple[tuple[bytes, bytes], ...]


class Connection:
    """An open socket and the engine on it.

    `keepalive_s`: silence after which a connection with open calls is pinged (0: never);
    `keepalive_timeout_s`: it counts as lost when nothing came back for this long.
    """

    __slots__ = (
        "_pinged_at",
        "_poll",
        "_read_at",
        "_unsent",
        "_writing",
        "clock",
        "engine",
        "heard",
        "keepalive_s",
        "keepalive_timeout_s",
        "sock",
    )

    def __init__(
        self,
        sock: socket.socket,
        authority: str,
        user_agent: bytes = b"petcd",
        keepalive_s: float = 0.0,
        keepalive_timeout_s: float = 20.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self.sock = sock
        self.clock = clock
        name = authority.encode("utf-8", "surrogateescape")
        self.engine = Http2ClientEngine(name, user_agent=user_agent)
        self.keepalive_s = max(keepalive_s, KEEPALIVE_MIN_S) if keepalive_s > 0 else 0.0
        self.keepalive_timeout_s = keepalive_timeout_s
        self.heard = False
        """Whether the peer ever sent a byte: before that it may be anything."""
        self._unsent = memoryview(b"")
        self._read_at = clock()
        self._pinged_at: float | None = None
        self._writing = False
        self._poll = select.poll()
        self._poll.register(sock.fileno(), select.POLLIN)

    @property
    def closed(self) -> bool:
        """No new call can be made."""
        return self.engine.closed or self.engine.goaway is not None

    # -- calls -------------------------------------------------------------------------------------

    def unary(
        self,
        path: bytes,
        request: bytes,
        timeout_s: float | None = None,
        metadata: Metadata = (),
    ) -> bytes:
        """The response's bytes.  Raises ClientError; DeadlineExceeded is local when time is up."""
        until = None if timeout_s is None else self.clock() + timeout_s
        call = self.engine.unary(path, request, metadata, timeout_s)
        self._run(call, until)
        if call.status == 0 and call.messages:
            return call.messages[0]
        raise_end(call)
        raise error_of(13, "server closed the stream without an answer")

    def stream(self, path: bytes, metadata: Metadata = ()) -> ClientStream:
        """A stream both sides may write to."""
        return ClientStream(self, self.engine.open(path, metadata))

    def _run(self, call: ClientCall, until: float | None) -> None:
        while call.status is None:
            if until is not None and self.clock() >= until:
                call.cancel(DEADLINE_EXCEEDED, CONTEXT_DEADLINE)
                self._write()
                raise DeadlineExceeded(CONTEXT_DEADLINE, local=True)
            self.turn(until)

    # -- the socket --------------------------------------------------------------------------------

    def turn(self, until: float | None = None, beside: int = -1) -> bool:
        """Write what is to be written, wait until something comes or `until`, read it.

        `beside` is a further file descriptor to wait for; True when it can be read.
        """
        self._write()
        if self.engine.closed and beside < 0:
            return False
        if beside >= 0:
            self._poll.register(beside, select.POLLIN)
        try:
            events = self._poll.poll(self._patience_ms(until))
        finally:
            if beside >= 0:
                self._poll.unregister(beside)
        ready = False
        for fd, _ in events:
            if fd == beside:
                ready = True
            else:
                self._read()
        if not events:
            self._check_silence()
        self._write()
        return ready

    def _patience_ms(self, until: float | None) -> float | None:
        times = [] if until is None else [until]
        due = self._silence_due()
        if due is not None:
            times.append(due)
        return max(min(times) - self.clock(), 0.0) * 1000 + 1 if times else None

    def _write(self) -> None:
        if self.engine.closed and not self.engine.out and not self._unsent:
            self._stop_writing()
            return
        while True:
            if not self._unsent:
                self._unsent = memoryview(self.engine.take_output())
            if not self._unsent:
                self._stop_writing()
                return
            try:
                sent = self.sock.send(self._unsent)
            except BlockingIOError:
                break
            except OSError as error:
                self._lost(f"error writing to server: {error.strerror}")
                return
            self._unsent = self._unsent[sent:]
        if not self._writing:
            self._writing = True
            self._poll.modify(self.sock.fileno(), select.POLLIN | select.POLLOUT)
        if len(self._unsent) > UNSENT_PAUSE_BYTES:
            self.engine.pause_writing()

    def _stop_writing(self) -> None:
        if self._writing:
            self._writing = False
            self._poll.modify(self.sock.fileno(), select.POLLIN)
            self.engine.resume_writing()

    def _read(self) -> None:
        try:
            data = self.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(f"error reading from server: {error.strerror}")
            return
        if not data:
            self._lost("error reading from server: EOF")
            return
        self.heard = True
        self._read_at = self.clock()
        self._pinged_at = None
        self.engine.receive(data, self._read_at)

    def _lost(self, reason: str) -> None:
        self._unsent = memoryview(b"")
        self.engine.connection_lost(reason)

    # -- keepalive ---------------------------------------------------------------------------------

    def _silence_due(self) -> float | None:
        """When to look again at a silent connection."""
        if not self.keepalive_s or not self.engine.streams:
            return None
        if self._pinged_at is not None:
            return self._pinged_at + self.keepalive_timeout_s
        return self._read_at + self.keepalive_s

    def _check_silence(self) -> None:
        due = self._silence_due()
        if due is None or self.clock() < due:
            return
        if self._pinged_at is None:
            self._pinged_at = self.clock()
            self.engine.ping()
        else:
            self._lost("keepalive ping failed to receive ACK within timeout")

    def close(self) -> None:
        """Say goodbye and close the socket; open calls end."""
        if not self.engine.closed:
            self.engine.finish()
            self._write()
        self.sock.close()


class ClientStream:
    """One streaming call."""

    __slots__ = ("call", "connection")

    def __init__(self, connection: Connection, call: ClientCall) -> None:
        self.connection = connection
        self.call = call

    def send(self, message: bytes, last: bool = False) -> None:
        """Queue a message; it leaves with the connection's next turn."""
        self.call.send(message, last)

    def receive(self, timeout_s: float | None = None) -> bytes | None:
        """The next message, None when the stream ended well.

        Raises ClientError when it ended otherwise, DeadlineExceeded (local) when nothing came in
        time; the stream stays open then.
        """
        clock = self.connection.clock
        until = None if timeout_s is None else clock() + timeout_s
        while not self.call.messages:
            if self.ended():
                return None
            if until is not None and clock() >= until:
                raise DeadlineExceeded(CONTEXT_DEADLINE, local=True)
            self.connection.turn(until)
        return self.call.messages.popleft()

    def take(self) -> bytes | None:
        """A message that is there already, without waiting."""
        return self.call.messages.popleft() if self.call.messages else None

    def ended(self) -> bool:
        """Whether the server ended the stream; raises ClientError if not with success."""
        if self.call.status is None:
            return False
        raise_end(self.call)
        return True

    def cancel(self) -> None:
        """Give the stream up; the server is told with the next write."""
        self.call.cancel()


def raise_end(call: ClientCall) -> None:
    """Raise what a call ended with, unless it ended well."""
    if call.status:
        raise error_of(call.status, call.details, call.unprocessed)
