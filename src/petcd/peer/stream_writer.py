"""A stream to a peer: messages into the answer that the peer asked for.

What is given to `send` is encoded at once and leaves with `flush`, all of it in one write. What
the peer does not take fast enough is dropped: at most `STREAM_BYTES_MAX` wait.
"""

from __future__ import annotations

from time import perf_counter

from petcd.cluster import format_id
from petcd.peer.context import Context, PeerStatus
from petcd.peer.stream_kind import StreamKind
from petcd.raft.types import Message, MessageType
from petcd.transport.http import HttpResponder

_APP = MessageType.APP
STREAM_BYTES_MAX = 16 << 20
"""Bytes that wait for one peer's socket on one stream. etcd: 4096 messages of whatever size."""


class StreamWriter:
    """One stream to one peer; it works while a connection is attached."""

    def __init__(
        self, context: Context, peer_id: int, kind: StreamKind, status: PeerStatus
    ) -> None:
        self._context = context
        self._peer_id = peer_id
        self._kind = kind
        self._status = status
        self._counters = context.counters.of(peer_id)
        self._respond: HttpResponder | None = None
        self._encoder = kind.writer()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._pending_appends = 0
        self._wrote_at = 0.0

    @property
    def working(self) -> bool:
        """Whether a connection is attached."""
        return self._respond is not None

    @property
    def queued_bytes(self) -> int:
        """Bytes that the socket has not taken."""
        waiting = 0 if self._respond is None else self._respond.queued_bytes
        return waiting + self._pending_bytes

    def attach(self, respond: HttpResponder) -> None:
        """The peer has dialled; its older connection, if any, is ended."""
        self.detach()
        self._respond = respond
        self._encoder = self._kind.writer()
        self._wrote_at = self._context.clock.time()
        respond.on_close = lambda: self._lost(respond)
        self._status.activate()
        self._tell("established TCP streaming connection with remote peer")

    def detach(self) -> None:
        """End the stream properly."""
        respond, self._respond = self._respond, None
        if respond is not None:
            self._drop_pending()
            respond.on_close = None
            respond.end()

    def send(self, message: Message) -> bool:
        """Take a message for the next `flush`; False when too much waits already."""
        assert self._respond is not None
        if self.queued_bytes > STREAM_BYTES_MAX:
            return False
        encoded = self._encoder.encode(message)
        self._pending.append(encoded)
        self._pending_bytes += len(encoded)
        if message.type == _APP:
            self._pending_appends += 1
        return True

    def flush(self) -> None:
        """Write what was taken."""
        respond = self._respond
        if respond is None or not self._pending:
            return
        began = perf_counter()
        data = b"".join(self._pending)
        appends = self._pending_appends
        self._drop_pending()
        self._counters.sent_bytes += len(data)
        now = self._wrote_at = self._context.clock.time()
        respond.write(data)
        if appends:
            self._counters.follower.succeeded(appends, perf_counter() - began)
            self._context.counters.sent_appends.add(now, appends, len(data))

    def tick(self, now: float) -> None:
        """Keep a silent stream alive."""
        silent_s = now - self._wrote_at
        if self._respond is not None and silent_s >= self._context.timeouts.heartbeat_s:
            self._pending.append(self._encoder.heartbeat)
            self.flush()

    def _drop_pending(self) -> None:
        self._pending.clear()
        self._pending_bytes = 0
        self._pending_appends = 0

    def _lost(self, respond: HttpResponder) -> None:
        if respond is not self._respond:
            return
        self._respond = None
        self._drop_pending()
        self._counters.sent_failures += 1
        self._status.deactivate("write", self._kind.name, "connection lost")
        self._tell("lost TCP streaming connection with remote peer")
        self._context.events.unreachable(self._peer_id)

    def _tell(self, what: str) -> None:
        write = self._context.log.info if what.startswith("established") else self._context.log.warn
        write(
            what,
            stream_writer_type=self._kind.name,
            local_member_id=format_id(self._context.identity.member_id),
            remote_peer_id=format_id(self._peer_id),
        )
