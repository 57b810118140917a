"""The Watch service: one stream carries many watches, told apart by ``watch_id``.

Source: etcd's rpc.proto.
"""

from __future__ import annotations

from petcd.wire.codec import BOOL, BYTES, INT64, PACKED, REPEATED, STRING, EnumType, Message, field
from petcd.wire.header import ResponseHeader
from petcd.wire.kv import Event


class FilterType(EnumType):
    """Kinds of events that a watch does not want."""

    NOPUT = 0
    NODELETE = 1


class WatchCreateRequest(Message):
    """Watch [key, range_end) from ``start_revision`` on (0: from now)."""

    key: bytes = field(1, BYTES)
    range_end: bytes = field(2, BYTES)
    start_revision: int = field(3, INT64)
    progress_notify: bool = field(4, BOOL)
    filters: list[int] = field(5, FilterType, PACKED)
    prev_kv: bool = field(6, BOOL)
    watch_id: int = field(7, INT64)  # 0: the server chooses
    fragment: bool = field(8, BOOL)


class WatchCancelRequest(Message):
    """Stop one watch."""

    watch_id: int = field(1, INT64)


class WatchProgressRequest(Message):
    """Ask for a progress notification now."""


class WatchRequest(Message):
    """What a client sends on the stream: one member of the oneof ``request_union``."""

    create_request: WatchCreateRequest | None = field(1, WatchCreateRequest, oneof="request_union")
    cancel_request: WatchCancelRequest | None = field(2, WatchCancelRequest, oneof="request_union")
    progress_request: WatchProgressRequest | None = field(
        3, WatchProgressRequest, oneof="request_union"
    )


class WatchResponse(Message):
    """Created, cancelled, progress or events."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    watch_id: int = field(2, INT64)
    created: bool = field(3, BOOL)
    canceled: bool = field(4, BOOL)
    compact_revision: int = field(5, INT64)  # set when cancelled because history is gone
    cancel_reason: str = field(6, STRING)
    fragment: bool = field(7, BOOL)  # more of this revision follows
    events: list[Event] = field(11, Event, REPEATED)
