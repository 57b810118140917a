"""What an operator may set about the transport.

The fixed bounds, with their reasons, are in `limits`. Times are seconds, sizes bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from petcd.transport.limits import UNLIMITED_STREAMS


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Settable bounds of one listener; the defaults are etcd's where etcd has the setting."""

    max_concurrent_streams: int = UNLIMITED_STREAMS
    """Announced to clients when below 2^32-1 (`--max-concurrent-streams`)."""
    hard_concurrent_streams: int = 100_000
    """Refused above this even when nothing was announced. etcd has no such bound."""
    max_connections: int = 20_000
    """Of one listener; more are dropped at once. etcd has no such bound."""
    max_message_bytes: int = (1536 + 512) << 10
    """Default receive limit of a method: etcd's max-request-bytes + 512 KiB."""
    max_http_body_bytes: int = 4 << 20
    """Request body of the HTTP side; base64 makes a 1.5 MiB value 2 MiB."""
    output_bytes_max: int = 16 << 20
    """Unsent bytes of one connection beyond which its new requests wait."""
    keepalive_min_time_s: float = 5.0
    """`--grpc-keepalive-min-time`: pings of a client with open streams may come this often."""
    keepalive_interval_s: float = 7200.0
    """`--grpc-keepalive-interval`: a silent connection is pinged after this."""
    keepalive_timeout_s: float = 20.0
    """`--grpc-keepalive-timeout`: and closed when nothing came back for this long."""
    preface_timeout_s: float = 5.0
    """From accept until a connection has shown which protocol it speaks."""
    header_timeout_s: float = 10.0
    """From a request's first byte until its head is complete (slowloris)."""
    idle_timeout_s: float = 300.0
    """An HTTP/1.1 connection without a request is closed after this."""
    body_bytes_per_s_min: int = 240
    """HTTP/1.1 request body: slower than this on average after `header_timeout_s` is cut off
    (408)."""
