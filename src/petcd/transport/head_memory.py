"""Request heads by header block, so that a request is understood once however often it comes.

```
  heads    block bytes -> head          while the HPACK table stands as it is
  timed    the same but for a timeout   Go's clients with deadlines (timed_heads)
  shapes   decoded fields -> head       everything else
```

One memory per connection; the HPACK decoder is its own. Bounds are in `limits`.
"""

from __future__ import annotations

from petcd.transport.grpc_status import parse_timeout
from petcd.transport.h2_connection import decode_block
from petcd.transport.hpack import Field, HpackDecoder
from petcd.transport.limits import HEAD_CACHE_BLOCK_BYTES_MAX, HEAD_CACHE_ENTRIES_MAX
from petcd.transport.request_head import RequestHead, understand
from petcd.transport.router import Router
from petcd.transport.timed_heads import TimedHeads


class HeadMemory:
    """`heads` may be looked into directly; its heads carry their timeout. After `read` the timeout
    is `timeout_s`."""

    __slots__ = ("_decoder", "_http", "_router", "_shapes", "_timed", "heads", "timeout_s")

    def __init__(self, decoder: HpackDecoder, router: Router, http: bool) -> None:
        """`http` tells whether requests that are not gRPC have somewhere to go."""
        self._decoder = decoder
        self._router = router
        self._http = http
        self._timed = TimedHeads(decoder)
        self._shapes: dict[tuple[Field, ...], RequestHead] = {}
        self.heads: dict[bytes, RequestHead] = {}
        self.timeout_s: float | None = None

    def read(self, block: bytes) -> RequestHead:
        """The head of any block. Raises Http2Error."""
        head = self.heads.get(block)
        if head is None:
            return self.read_new(block)
        self.timeout_s = head.timeout_s
        return head

    def read_new(self, block: bytes) -> RequestHead:
        """The head of a block that is not in `heads`. Raises Http2Error."""
        timed = self._timed
        head = timed.find(block)
        if head is None:
            return self._learn(block)
        if self.heads:
            self.heads.clear()
        self.timeout_s = timed.timeout_s
        return head

    def pass_over(self, block: bytes) -> None:
        """Decode a block that begins no request. Raises Http2Error."""
        changes = self._decoder.changes
        decode_block(self._decoder, block)
        if changes != self._decoder.changes:
            self.heads.clear()

    def _learn(self, block: bytes) -> RequestHead:
        decoder = self._decoder
        changes = decoder.changes
        fields = decode_block(decoder, block)
        count = len(fields)
        at = 0
        timeout: bytes | None = None
        for index, field in enumerate(fields):
            if field[0] == b"grpc-timeout":
                at = index
                timeout = field[1]
                del fields[index]
                break
        small = len(block) <= HEAD_CACHE_BLOCK_BYTES_MAX
        head = self._shape(tuple(fields), small)
        self.timeout_s = None
        if timeout is not None:
            try:
                self.timeout_s = parse_timeout(timeout)
            except ValueError:
                fields.append((b"grpc-timeout", timeout))
                head = understand(fields, self._router, self._http)
        if changes != decoder.changes:
            self.heads.clear()
            if self.timeout_s is not None and small:
                self._timed.learn(block, at, count, changes, head)
        elif small:
            if len(self.heads) >= HEAD_CACHE_ENTRIES_MAX:
                self.heads.clear()
            if self.timeout_s is not None:
                head = head.with_timeout(self.timeout_s)
            self.heads[block] = head
        return head

    def _shape(self, shape: tuple[Field, ...], keep: bool) -> RequestHead:
        head = self._shapes.get(shape)
        if head is None:
            head = understand(list(shape), self._router, self._http)
            if keep:
                if len(self._shapes) >= HEAD_CACHE_ENTRIES_MAX:
                    self._shapes.clear()
                self._shapes[shape] = head
        return head
