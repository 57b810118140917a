"""A stream from a peer: dialled, read, and dialled again when it ends, for as long as it is wanted.

```
  dialling --200--> reading --end, error, silence--> waiting --0.1 s after the last dial--> dialling
      '-----refused, no answer-------------------------^
```

The receiver dials and the sender writes into the answer, as in etcd's rafthttp.
"""

from __future__ import annotations

from petcd.cluster import format_id
from petcd.peer.answers import refusal
from petcd.peer.context import Context, PeerStatus, Timer
from petcd.peer.errors import MalformedPeerData, MemberRemoved, PeerError
from petcd.peer.stream_kind import APPEND, StreamKind
from petcd.peer.url_picker import UrlPicker
from petcd.transport.http1_answer import ResponseHead
from petcd.transport.http_client import Stream, Unreachable

DIAL_EVERY_S = 0.1
"""Two dials of a stream are so far apart, as in etcd."""
REFUSAL_BYTES_MAX = 1024
"""So much of a refusal's text is read."""


class StreamReader:
    """One stream from one peer. `start` once, `stop` once; `tick` now and then."""

    def __init__(
        self,
        context: Context,
        peer_id: int,
        kind: StreamKind,
        picker: UrlPicker,
        status: PeerStatus,
    ) -> None:
        self._context = context
        self._peer_id = peer_id
        self._kind = kind
        self._picker = picker
        self._status = status
        self._counters = context.counters.of(peer_id)
        self._target = f"{kind.path}/{format_id(context.identity.member_id)}"
        self._headers = context.identity.headers(to=peer_id)
        self._stream: Stream | None = None
        self._timer: Timer | None = None
        self._stopped = False
        self._begin("")

    def _begin(self, url: str) -> None:
        identity = self._context.identity
        self._url = url
        self._status_code = 0
        self._refusal = b""
        self._heard_at = self._dialled_at = self._context.clock.time()
        self._decoder = self._kind.reader(identity.member_id, self._peer_id)

    @property
    def reading(self) -> bool:
        """Whether the stream is open."""
        return self._stream is not None and self._status_code == 200

    def start(self) -> None:
        """Dial now."""
        self._timer = None
        self._begin(self._picker.pick())
        self._stream = self._context.client.open(self._url, self._target, self._headers, self)

    def stop(self) -> None:
        """End it for good."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        self._close()

    def tick(self, now: float) -> None:
        """Cut a stream, or a dial, that has brought nothing for too long."""
        if self._stream is not None and now - self._heard_at > self._context.timeouts.read_s:
            self.failed(Unreachable("i/o timeout"))

    # -- the answer --------------------------------------------------------------------------------

    def head(self, head: ResponseHead) -> None:
        """See `ResponseSink`."""
        self._heard_at = self._context.clock.time()
        self._status_code = head.status
        if head.status == 200:
            self._status.activate()
            self._tell("established TCP streaming connection with remote peer")

    def body(self, data: bytes) -> None:
        """See `ResponseSink`."""
        if self._status_code != 200:
            self._refusal = (self._refusal + data)[:REFUSAL_BYTES_MAX]
            return
        self._heard_at = self._context.clock.time()
        self._counters.received_bytes += len(data)
        try:
            messages = self._decoder.feed(data)
        except MalformedPeerData as error:
            self._counters.received_failures += 1
            self.failed(error)
            return
        if messages and self._kind is APPEND:
            self._context.counters.received_appends.add(self._heard_at, len(messages), len(data))
        received = self._context.received
        for message in messages:
            received(message)

    def end(self) -> None:
        """See `ResponseSink`. The end of an open stream is no failure: the next dial will tell."""
        if self._status_code == 200:
            self._tell("lost TCP streaming connection with remote peer")
            self._close()
            self._again()
        else:
            self.failed(refusal(self._status_code, self._refusal))

    def failed(self, error: Exception) -> None:
        """See `ResponseSink`."""
        was_open = self._status_code == 200
        self._close()
        self._status.deactivate("read" if was_open else "dial", self._kind.name, error)
        if was_open:
            self._tell("lost TCP streaming connection with remote peer", error)
        else:
            self._picker.unreachable(self._url)
            self._warn_of(error)
        self._again()
        if isinstance(error, MemberRemoved):
            self._context.removed()

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _again(self) -> None:
        if not self._stopped:
            clock = self._context.clock
            due = self._dialled_at + DIAL_EVERY_S
            self._timer = clock.call_later(max(due - clock.time(), 0.0), self.start)

    # -- for operators -----------------------------------------------------------------------------

    def _tell(self, what: str, error: Exception | None = None) -> None:
        fields: dict[str, object] = {} if error is None else {"error": str(error)}
        write = self._context.log.info if what.startswith("established") else self._context.log.warn
        write(
            what,
            stream_reader_type=self._kind.name,
            local_member_id=format_id(self._context.identity.member_id),
            remote_peer_id=format_id(self._peer_id),
            **fields,
        )

    def _warn_of(self, error: Exception) -> None:
        """A peer that is there and says no is worth a line; one that is down was told already."""
        if isinstance(error, PeerError):
            self._context.log.warn(
                "request sent was ignored by remote peer",
                local_member_id=format_id(self._context.identity.member_id),
                remote_peer_id=format_id(self._peer_id),
                error=str(error),
            )
