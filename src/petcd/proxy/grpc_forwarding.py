"""gRPC calls to a member and back, message by message, of whatever service.

```
  client  Call --messages, half-close, cancel--> _Passage --> ClientCall  member
          Call <--headers, messages, trailers--- _Passage <-- ClientCall
```

Every call is passed on as a stream, so that the proxy need not know methods. What one side does not
take stops the reading of the other: a slow reader costs its stream's window and no more. The
deadline goes along as the time that is left; a cancellation on either side ends the other.

Until a member has begun to answer, what the client sent is kept (up to `KEPT_BYTES_MAX`): a call
that a member certainly did not act on goes to the next one. Any other failure is the client's to
know about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from petcd.client.aio import AsyncConnection
from petcd.proxy.member_connections import MemberConnections
from petcd.proxy.upstreams import Upstreams
from petcd.transport.call import Call
from petcd.transport.grpc_status import (
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    UNIMPLEMENTED,
    decode_binary,
)
from petcd.transport.h2_client import ClientCall
from petcd.transport.hpack import Field
from petcd.transport.router import BIDI, Method, Router

KEPT_BYTES_MAX = 4 << 20
"""A call that sent more before it was answered is not tried elsewhere."""
UNTAKEN_BYTES_MAX = 64 << 10
"""Bytes that one side has not taken beyond which the other side is not read."""
READING = frozenset(
    (
        *(b"/etcdserverpb.KV/Range", b"/etcdserverpb.Watch/Watch"),
        *(b"/etcdserverpb.Lease/LeaseTimeToLive", b"/etcdserverpb.Lease/LeaseLeases"),
        *(b"/etcdserverpb.Cluster/MemberList", b"/etcdserverpb.Maintenance/Status"),
        *(b"/etcdserverpb.Maintenance/Hash", b"/etcdserverpb.Maintenance/HashKV"),
        *(b"/etcdserverpb.Maintenance/Snapshot", b"/etcdserverpb.Auth/Authenticate"),
        *(b"/grpc.health.v1.Health/Check", b"/grpc.health.v1.Health/Watch"),
    )
)
"""What a read-only proxy passes on."""
_NOT_PASSED_ON = frozenset(
    (
        *(b"te", b"host", b"content-type", b"user-agent", b"content-length"),
        *(b"grpc-timeout", b"grpc-encoding", b"grpc-accept-encoding", b"grpc-message"),
        *(b"grpc-status", b"grpc-message-type", b"date", b"server"),
    )
)


class GrpcForwarding:
    """Passes calls on. Made inside a running loop."""

    def __init__(
        self, upstreams: Upstreams, connections: MemberConnections, readonly: bool
    ) -> None:
        self.upstreams = upstreams
        self.connections = connections
        self.time = asyncio.get_running_loop().time
        self._readonly = readonly

    def router(self) -> Router:
        """A router that brings every call here."""
        return Router(Method(b"/any.Service/Any", BIDI, self.handle))

    def handle(self, call: Call) -> None:
        """Pass one call on."""
        path = call.head.first(b":path") or b""
        if self._readonly and path not in READING:
            call.fail(UNIMPLEMENTED, "httpproxy: this proxy is read-only")
            return
        _Passage(self, call, path).start()


class _Passage:
    """One call on its way. `_upstream` is None until a connection is there."""

    __slots__ = (
        "_call",
        "_connection",
        "_forwarding",
        "_half_closed",
        "_kept",
        "_order",
        "_over",
        "_path",
        "_sent_bytes",
        "_tried",
        "_upstream",
    )

    def __init__(self, forwarding: GrpcForwarding, call: Call, path: bytes) -> None:
        self._forwarding = forwarding
        self._call = call
        self._path = path
        self._order = forwarding.upstreams.order_for(call.peer)
        self._tried = 0
        self._connection: AsyncConnection | None = None
        self._upstream: ClientCall | None = None
        self._kept: list[bytes] | None = []
        """What the client sent, until the call cannot be tried elsewhere any more."""
        self._sent_bytes = 0
        self._half_closed = False
        self._over = False
        call.on_message = self._client_sent
        call.on_half_close = self._client_ended
        call.on_cancel = self._client_left

    def start(self) -> None:
        """Try the first member."""
        if self._order:
            self._next()
        else:
            self._fail("zero endpoints currently available")

    def _fail(self, reason: str) -> None:
        self._over = True
        self._call.fail(UNAVAILABLE, f"httpproxy: {reason}")

    # -- to a member -----------------------------------------------------------------------------

    def _next(self) -> None:
        """Try the next member, now or when it is connected."""
        if self._tried == len(self._order):
            self._fail(f"unable to get response from {self._tried} endpoint(s)")
            return
        url = self._order[self._tried]
        self._tried += 1
        connection = self._forwarding.connections.usable(url)
        if connection is not None:
            self._open(connection)
            return
        self._call.pause_reading()
        dialling = self._forwarding.connections.dial(url)
        dialling.add_done_callback(lambda done: self._dialled(url, done))

    def _dialled(self, url: str, dialling: asyncio.Task[AsyncConnection]) -> None:
        if dialling.cancelled():
            return
        fault = dialling.exception()
        if self._over:
            return
        if fault is None:
            self._open(dialling.result())
        else:
            self._forwarding.upstreams.failed(url)
            self._next()

    def _open(self, connection: AsyncConnection) -> None:
        call, deadline = self._call, self._call.deadline
        left_s = None if deadline is None else max(deadline - self._forwarding.time(), 0.0)
        upstream = connection.engine.open(self._path, metadata_of(call.head.fields), left_s)
        self._connection = connection
        self._upstream = upstream
        upstream.on_headers = self._member_began
        upstream.on_message = self._member_sent
        upstream.on_end = self._member_ended
        for message in self._kept or ():
            upstream.send(message)
        if self._half_closed:
            upstream.half_close()
        if upstream.status is not None:
            self._member_ended()
        elif upstream.queued_bytes > UNTAKEN_BYTES_MAX:
            upstream.on_drain = call.resume_reading
        else:
            call.resume_reading()

    # -- what the client does --------------------------------------------------------------------

    def _client_sent(self, message: bytes) -> None:
        call, upstream = self._call, self._upstream
        self._sent_bytes += len(message)
        if self._kept is not None:
            self._kept.append(message)
        if upstream is None:
            return
        if self._sent_bytes > KEPT_BYTES_MAX:
            self._kept = None
            if not upstream.sid:  # waits for its turn on a connection that has its full of calls
                self._over = True
                upstream.cancel()
                call.fail(RESOURCE_EXHAUSTED, "httpproxy: the member takes no more calls")
                return
        upstream.send(message)
        if upstream.queued_bytes > UNTAKEN_BYTES_MAX:
            call.pause_reading()
            upstream.on_drain = call.resume_reading

    def _client_ended(self) -> None:
        self._half_closed = True
        if self._upstream is not None:
            self._upstream.half_close()

    def _client_left(self) -> None:
        self._over = True
        if self._upstream is not None:
            self._upstream.cancel()

    # -- what the member does ----------------------------------------------------------------------

    def _member_began(self) -> None:
        self._kept = None
        assert self._upstream is not None
        self._call.begin(_plain_fields(self._upstream.headers or ()))

    def _member_sent(self, message: bytes) -> None:
        call, upstream = self._call, self._upstream
        assert upstream is not None
        call.send(message)
        if call.queued_bytes > UNTAKEN_BYTES_MAX:
            upstream.pause_reading()
            call.on_drain = upstream.resume_reading

    def _member_ended(self) -> None:
        upstream = self._upstream
        if self._over or upstream is None or upstream.status is None:
            return
        if upstream.unprocessed and self._kept is not None:
            self._upstream = None
            self._next()
            return
        self._over = True
        self._call.trailers = _plain_fields(upstream.trailers)
        self._call.finish(upstream.status, upstream.details)


def _plain_fields(fields: Iterable[Field]) -> list[Field]:
    """Metadata as it travels, without what HTTP/2 and gRPC write themselves."""
    return [
        (name, value) for name, value in fields if name[:1] != b":" and name not in _NOT_PASSED_ON
    ]


def metadata_of(fields: Iterable[Field]) -> list[Field]:
    """A request's metadata for `Http2ClientEngine.open`, which wants `-bin` values decoded; several
    values under one name may stand in one field. Names and values have been checked before."""
    found = []
    for name, value in _plain_fields(fields):
        if name[-4:] == b"-bin":
            found += [(name, decode_binary(part.strip())) for part in value.split(b",")]
        else:
            found.append((name, value))
    return found
