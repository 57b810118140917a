"""Every bound of the transport in one place: its value, the reason, and what etcd uses.

What an operator may set is in `options`; these are fixed. Nothing here acts.
"""

from __future__ import annotations

# -- fixed by HTTP/2 itself ------------------------------------------------------------------------
DEFAULT_WINDOW = 65_535
"""Flow-control window before any SETTINGS (RFC 9113, 6.9.2)."""
WINDOW_MAX = (1 << 31) - 1
"""A window above this is an error (RFC 9113, 6.9.1)."""
FRAME_BYTES_MAX = 16_384
"""Largest frame payload that we accept: the protocol's default, as grpc-go. Bounds the reassembly
buffer."""
FRAME_BYTES_SEND_MAX = 65_536
"""Largest DATA frame that we send even when the peer takes more, so that streams share a connection
fairly."""

# -- what we give the peer -------------------------------------------------------------------------
STREAM_WINDOW = 65_535
"""Receive window of a stream, as grpc-go. A longer message gets credit for the rest from the
reserve below."""
CLIENT_STREAM_WINDOW = 1 << 20
"""The same in the client's role, where answers are long and the memory is the user's own."""
CONNECTION_WINDOW = 16 << 20
"""Receive window of a connection. Credit returns as bytes arrive, for streams are bounded on their
own."""
CONNECTION_CREDIT_AT = CONNECTION_WINDOW // 2
"""Connection-level credit goes back when this much came in."""
RESERVE_BYTES = 32 << 20
"""Credit beyond `STREAM_WINDOW` that the streams of one connection may hold together for long
messages; others wait their turn. grpc-go has no such bound."""
KEPT_BYTES_MAX = 128 << 20
"""Request bytes of one connection that no handler has taken yet: incomplete messages and bodies,
and requests that wait for room. The stream that goes beyond is refused. grpc-go has no such bound.
"""

# -- header blocks ---------------------------------------------------------------------------------
HEADER_BLOCK_BYTES_MAX = 64 << 10
"""Encoded header block with all its CONTINUATION frames (CVE-2024-27316 and kin). grpc-go: 16 MiB
decoded."""
CONTINUATION_FRAMES_MAX = 8
"""CONTINUATION frames of one block; 64 KiB need four."""
HEADER_LIST_BYTES_MAX = 64 << 10
"""Decoded header list, counted as SETTINGS_MAX_HEADER_LIST_SIZE does (name + value + 32)."""
HEADER_FIELDS_MAX = 100
"""Fields of one header block (CVE-2016-6581: many references to one big table entry)."""
HEADER_TABLE_BYTES = 4096
"""HPACK dynamic table, the protocol's default."""
HEAD_CACHE_ENTRIES_MAX = 128
"""Header blocks remembered per connection; real clients use as many as they have methods."""
ANNOUNCED_TABLE_BYTES = 3072
"""What a server asks clients to use of that table. Entries of a new `grpc-timeout` for every call
(52 bytes) then stay within reach of one-byte indices, which `timed_heads` relies on. etcd: 4096."""
HUFFMAN_REMEMBERED_MAX = 1024
HUFFMAN_REMEMBERED_BYTES = 64
"""Huffman strings remembered by the process, and the longest of them: 300 KB at most."""
TIMEOUTS_REMEMBERED_MAX = 16_384
"""Values of `grpc-timeout` remembered by the process, 4 MB at most."""
HEAD_CACHE_BLOCK_BYTES_MAX = 4096
"""Longer blocks are decoded every time: the cache stays below 512 KiB a connection."""

# -- abuse -----------------------------------------------------------------------------------------
RAPID_RESET_AGE_S = 1.0
"""A client that resets a stream younger than this is counted (CVE-2023-44487)."""
RAPID_RESETS_BURST = 1000
"""So many rapid resets are forgiven: a Go client whose context ends drops all its calls at once.
nghttp2: 1000."""
RAPID_RESETS_PER_S = 50.0
"""And so many more each second. nghttp2: 33."""
IDLE_FRAMES_MAX = 10_000
"""Control frames (SETTINGS, PING, PRIORITY, RST_STREAM, WINDOW_UPDATE, empty DATA, unknown) without
one request or one byte of answer in between."""
SETTINGS_ENTRIES_MAX = 64
"""Entries of one SETTINGS frame; the protocol defines eight."""
PING_STRIKES_MAX = 2
"""Pings that come too early, as grpc-go, then `too_many_pings`."""
PING_IDLE_INTERVAL_S = 7200.0
"""Without open streams a ping may come only so often, as grpc-go."""
UNSENT_PIECES_MAX = 10_000
"""Small answers (headers, trailers, errors) that may wait for a socket which is full; beyond it no
more requests are read."""
UNSENT_CONTROL_BYTES_MAX = 1 << 20
"""Control answers (PING and SETTINGS acknowledgements, resets) that may wait for a peer which does
not read."""

# -- output ----------------------------------------------------------------------------------------
OUTPUT_CHUNK_BYTES = 256 << 10
"""Queued DATA moved into one socket write; the next portion follows when the socket took it."""
STREAM_OUTPUT_HIGH_BYTES = 64 << 10
"""A stream with more unsent bytes gets no more receive credit: who does not read may not keep
asking."""
STREAM_OUTPUT_LOW_BYTES = 16 << 10
"""`on_drain` is called when a stream's unsent bytes fall to this."""

UNLIMITED_STREAMS = (1 << 32) - 1
"""etcd's default for `--max-concurrent-streams`."""

# -- HTTP/1.1 --------------------------------------------------------------------------------------
HTTP_HEAD_BYTES_MAX = 64 << 10
"""Request line and headers; Go's net/http allows 1 MiB."""
HTTP_PIPELINE_BYTES_MAX = 128 << 10
"""Input kept while a request is being answered; beyond it the socket is not read."""
CHUNK_LINE_BYTES_MAX = 4096
"""A chunk's size with its extensions, or one trailer line; Go's net/http: 4096."""
SINK_BODY_BYTES_MAX = 1 << 40
"""A body that is taken in pieces and never gathered; etcd's limit of a snapshot."""
TRAILER_BYTES_MAX = 16 << 10
"""All trailer lines of a request; they are dropped."""
HEADER_SECTIONS_MAX = 16
"""Header sections remembered per connection; a client's rarely change."""
