"""One gRPC call as a handler sees it.

A UNARY handler gets the whole request and answers, now or later, exactly once with `reply` or
`fail`. A streaming handler sets `on_message`, `on_half_close`, `on_cancel` and uses `send` and
`finish`. After the client has cancelled, the deadline has passed or the connection is gone,
`cancelled` is true, `on_cancel` has been called once and every answer is dropped in silence, so
that a handler need not look.

It does not frame: the connection does (`h2_server`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from petcd.transport import grpc_status as status
from petcd.transport.compression import CannotInflate, inflate
from petcd.transport.h2_stream import DONE, MessageStream, prefix_refusal
from petcd.transport.hpack import Field
from petcd.transport.router import UNARY, Method

if TYPE_CHECKING:
    from petcd.transport.h2_server import Http2ServerEngine
    from petcd.transport.request_head import RequestHead


class UnaryCall(Protocol):
    """What it takes to answer one request, whatever it came by."""

    def reply(self, body: bytes) -> None: ...

    def reply_parts(self, parts: list[bytes]) -> None: ...

    def fail(self, code: int, message: str) -> None: ...


class Call(MessageStream):
    """One call. `deadline` is in the clock's seconds (None: none), `context` is the handler's
    own."""

    __slots__ = (
        "code",
        "context",
        "deadline",
        "engine",
        "head",
        "headers_sent",
        "message",
        "method",
        "on_cancel",
        "on_half_close",
        "on_message",
        "text",
        "trailers",
    )

    def __init__(
        self,
        engine: Http2ServerEngine,
        sid: bytes,
        state: int,
        started: float,
        head: RequestHead,
        method: Method,
        deadline: float | None,
    ) -> None:
        self.connection = engine
        self.sid = sid
        self.state = state
        self.started = started
        self.half_closed = False
        self.cancelled = False
        self.read_paused = False
        self.sender = None
        self.intake = None
        self.engine = engine
        self.head = head
        self.method = method
        self.deadline = deadline
        self.headers_sent = False
        self.message: bytes | None = None
        self.on_cancel: Callable[[], Any] | None = None
        self.on_message: Callable[[bytes], Any] | None = None
        self.on_half_close: Callable[[], Any] | None = None
        self.context: Any = None
        self.code = 0
        self.text = ""
        self.trailers: list[Field] | None = None
        """Metadata that goes out with the status; names in lower case, values as they travel."""

    # -- what the client sent ----------------------------------------------------------------------

    @property
    def peer(self) -> str:
        """The client's address, `host:port`."""
        return self.engine.peer

    @property
    def has_ended(self) -> bool:
        """Whether nothing more can be answered."""
        return self.state == DONE or self.cancelled

    def metadata(self) -> dict[bytes, bytes]:
        """The request's metadata with lower-case names, `-bin` values decoded; of repeated names
        the first value."""
        return self.head.metadata()

    # -- answering ---------------------------------------------------------------------------------

    def reply(self, body: bytes) -> None:
        """Answer a unary call with a message and status OK."""
        self.engine.reply(self, body)

    def reply_parts(self, parts: list[bytes]) -> None:
        """`reply` with a message whose bytes come in parts; they are not joined."""
        if self.state != DONE:
            self.engine.send_parts(self, parts)
            self.finish()

    def fail(self, code: int, message: str) -> None:
        """Answer with an error status."""
        self.finish(code, message)

    def begin(self, metadata: list[Field]) -> None:
        """Send the headers of a streaming answer with metadata, before its first message."""
        if self.state != DONE:
            self.engine.begin(self, metadata)

    def send(self, body: bytes) -> None:
        """Send one message of a streaming answer."""
        if self.state != DONE:
            self.engine.send_message(self, body)

    def send_many(self, bodies: list[bytes]) -> None:
        """Send several messages of a streaming answer; together they cost little more than one."""
        if self.state != DONE:
            self.engine.send_messages(self, bodies)

    def finish(self, code: int = 0, message: str = "") -> None:
        """End a streaming call with a status; messages already sent go out first."""
        if self.state != DONE:
            self.engine.finish(self, code, message)

    @property
    def on_drain(self) -> Callable[[], None] | None:
        """Called whenever `queued_bytes` has fallen to 16 KiB or less after something was
        queued."""
        return None if self.sender is None else self.sender.on_drain

    @on_drain.setter
    def on_drain(self, callback: Callable[[], None] | None) -> None:
        self.engine.sender_of(self).on_drain = callback

    # -- from the connection -----------------------------------------------------------------------

    def _message_bytes_max(self) -> int:
        limit = self.method.max_message_bytes
        return self.engine.limits.max_message_bytes if limit is None else limit

    def accepts(self, compressed: int, size: int) -> bool:
        refusal = prefix_refusal(compressed, size, self._message_bytes_max(), self.head.is_gzip)
        if refusal is not None:
            self.finish(refusal[0], refusal[1])
        return refusal is None

    def take_compressed(self, message: bytes) -> None:
        try:
            inflated = inflate(message, self._message_bytes_max())
        except CannotInflate as error:
            self.finish(error.code, error.text)
        else:
            self.take(inflated)

    def take(self, message: bytes) -> None:
        if self.method.kind == UNARY:
            if self.message is None:
                self.message = message
            return
        self.method.msg_received += 1
        self.engine.message_bytes_received += len(message)
        if self.on_message is not None:
            self.engine.guard(self, self.on_message, message)

    def kept_bytes(self) -> int:
        return 0 if self.message is None else len(self.message)

    def drop_request(self) -> None:
        self.message = None

    def take_message(self) -> bytes:
        """The request of a unary call, for the last time."""
        message, self.message = self.message, None
        assert message is not None
        return message

    def ended(self) -> None:
        if self.intake is not None and self.intake.buffer:
            self.finish(status.INTERNAL, "unexpected EOF")
        elif self.method.kind != UNARY:
            if self.on_half_close is not None:
                self.engine.guard(self, self.on_half_close)
        elif self.message is None:
            self.finish(status.INTERNAL, "EOF")
        else:
            self.engine.dispatch(self, self.take_message())

    def aborted(self, code: int) -> None:
        self.engine.count(self, status.CANCELLED)
        self.cancel()

    def cancel(self) -> None:
        """Mark as cancelled and tell the handler, once."""
        if not self.cancelled:
            self.cancelled = True
            callback = self.on_cancel
            if callback is not None:
                self.engine.guard(self, callback)

    def last_frames(self) -> bytes:
        return self.engine.status_frames(self)

    def sent(self) -> None:
        self.engine.close(self)
