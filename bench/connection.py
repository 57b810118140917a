"""A gRPC client just light enough not to be the bottleneck: one HTTP/2 connection, asyncio.

    connection = await connect(port)
    reply = await connection.call(RANGE, body)               # one unary call
    connection.send_request(block, body, done)               # the same in a load loop, by callback
    stream = connection.open_stream(WATCH, on_message)       # a stream both ways

Requests are header blocks that were encoded beforehand: `static_block` makes one that never
changes the HPACK table; whoever changes the table (as Go's clients do) hands over blocks in the
right order. Replies are parsed just as far as needed: a message's bytes and the grpc-status.

Writes of one turn leave together. Flow control is kept for what is sent; for what is received the
windows are opened to their maximum at once, and the connection's is topped up each gibibyte.

Not done: TLS, padding, CONTINUATION, priorities, GOAWAY (a server stops only when told to).
Source: RFC 9113, RFC 7541, gRPC over HTTP/2.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Callable
from typing import cast

from hpack import Decoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
HEAD = struct.Struct(">IBI")  # length and kind in one number, flags, stream
PREFIX = struct.Struct(">BI")  # of a message: compressed or not, its length
WINDOW_MAX = (1 << 31) - 1
TOP_UP_BYTES = 1 << 30
CONNECT_TIMEOUT_S = 5.0

UNKNOWN_STATUS = 2
UNAVAILABLE = 14
Done = Callable[[int, bytes], None]  # grpc status and the reply's message


class GrpcError(Exception):
    """A call that ended with a status other than 0."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"grpc-status {code}: {message}")
        self.code = code
        self.message = message


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header field that neither uses nor changes the HPACK table (both under 127 bytes)."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def static_block(path: str) -> bytes:
    """The header block of a call that is the same each time: POST, http, then literals."""
    return b"".join(
        (
            b"\x83\x86",  # :method POST, :scheme http
            literal(b":path", path.encode()),
            literal(b":authority", b"127.0.0.1"),
            literal(b"content-type", b"application/grpc"),
            literal(b"te", b"trailers"),
        )
    )


class _Call:
    """One stream as the client sees it: what arrived of it, and whom to tell."""

    __slots__ = ("buffer", "done", "fields", "on_message", "reply", "send_window")

    def __init__(self, done: Done, on_message: Callable[[bytes], None] | None, window: int) -> None:
        self.done = done
        self.on_message = on_message
        self.send_window = window
        self.buffer = bytearray()
        self.reply = b""
        self.fields: dict[bytes, bytes] = {}

    def receive(self, data: bytes) -> None:
        """Takes DATA bytes; whole messages go to `on_message`, the last one stays in `reply`."""
        if not self.buffer and int.from_bytes(data[1:5], "big") == len(data) - 5:
            self._message(data[5:])
            return
        self.buffer += data
        while len(self.buffer) >= 5:
            end = 5 + int.from_bytes(self.buffer[1:5], "big")
            if len(self.buffer) < end:
                return
            message = bytes(self.buffer[5:end])
            del self.buffer[:end]
            self._message(message)

    def _message(self, message: bytes) -> None:
        if self.on_message is not None:
            self.on_message(message)
        else:
            self.reply = message


class Stream:
    """The sending half of a stream that is open both ways."""

    def __init__(self, connection: "Connection", stream_id: int) -> None:
        self.connection = connection
        self.stream_id = stream_id

    def send(self, message: bytes, last: bool = False) -> None:
        self.connection.send_data(self.stream_id, message, END_STREAM if last else 0)
        self.connection.flush()


class Connection(asyncio.Protocol):
    """See the module. One instance serves one event loop."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.rest = b""
        self.out: list[bytes] = []
        self.calls: dict[int, _Call] = {}
        self.next_id = 1
        self.decoder = Decoder()
        self.known_blocks: dict[bytes, dict[bytes, bytes]] = {}
        self.received_bytes = 0
        self.send_window = 65535
        self.stream_window = 65535
        self.frame_bytes_max = 16384
        self.blocked: deque[tuple[int, bytes, int]] = deque()
        self.raw: Callable[[bytes], None] | None = None  # takes all bytes instead of the parser
        self.closed = asyncio.get_running_loop().create_future()

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        settings = b"\0\x02\0\0\0\0" + b"\0\x04" + WINDOW_MAX.to_bytes(4, "big")
        more = (WINDOW_MAX - 65535).to_bytes(4, "big")
        start = PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW_UPDATE, 0, 0, more)
        self.transport.write(start)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if not self.closed.done():
            self.closed.set_result(None)
        calls, self.calls = self.calls, {}
        for call in calls.values():
            call.fields = {b"grpc-message": b"connection lost"}
            call.done(UNAVAILABLE, b"")

    def data_received(self, data: bytes) -> None:
        if self.raw is not None:
            self.raw(data)
            return
        if self.rest:
            data = self.rest + data
        position, end, unpack = 0, len(data), HEAD.unpack_from
        while end - position >= 9:
            head, flags, stream_id = unpack(data, position)
            start = position + 9
            position = start + (head >> 8)
            if position > end:
                position = start - 9
                break
            self._frame(head & 255, flags, stream_id, data[start:position])
        self.rest = data[position:]
        if self.received_bytes > TOP_UP_BYTES:
            self.out.append(frame(WINDOW_UPDATE, 0, 0, self.received_bytes.to_bytes(4, "big")))
            self.received_bytes = 0
        self.flush()

    # --- receiving ---

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        call = self.calls.get(stream_id)
        if kind == HEADERS:
            fields = self.known_blocks.get(payload) or self._decode(payload)
            if call is not None:
                call.fields = fields
                if flags & END_STREAM:
                    self._end(stream_id, call)
        elif kind == DATA:
            self.received_bytes += len(payload)
            if call is not None:
                call.receive(payload)
                if flags & END_STREAM:
                    self._end(stream_id, call)
        elif kind == WINDOW_UPDATE:
            self._open_window(stream_id, int.from_bytes(payload, "big"))
        elif kind == SETTINGS and not flags & ACK:
            self._settings(payload)
        elif kind == PING and not flags & ACK:
            self.out.append(frame(PING, ACK, 0, payload))
        elif kind == RST_STREAM and call is not None:
            call.fields = {b"grpc-message": b"stream was reset"}
            self._end(stream_id, call)

    def _decode(self, block: bytes) -> dict[bytes, bytes]:
        """A header block as a dict; blocks that leave the table alone are decoded once."""
        table = self.decoder.header_table.dynamic_entries
        before = (len(table), table[0] if table else None)
        fields = {bytes(n): bytes(v) for n, v in self.decoder.decode(block, raw=True)}
        if before == (len(table), table[0] if table else None):
            self.known_blocks[block] = fields
        else:
            self.known_blocks.clear()
        return fields

    def _end(self, stream_id: int, call: _Call) -> None:
        del self.calls[stream_id]
        status = call.fields.get(b"grpc-status")
        if status == b"0":
            call.done(0, call.reply)
        else:
            call.done(UNKNOWN_STATUS if status is None else int(status), b"")

    def _settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            name = int.from_bytes(payload[at : at + 2], "big")
            value = int.from_bytes(payload[at + 2 : at + 6], "big")
            if name == 4:
                for call in self.calls.values():
                    call.send_window += value - self.stream_window
                self.stream_window = value
            elif name == 5:
                self.frame_bytes_max = value
        self.out.append(frame(SETTINGS, ACK, 0, b""))
        self._send_blocked()

    def _open_window(self, stream_id: int, increment: int) -> None:
        if stream_id == 0:
            self.send_window += increment
        elif stream_id in self.calls:
            self.calls[stream_id].send_window += increment
        self._send_blocked()

    # --- sending ---

    def flush(self) -> None:
        """One write for all that was queued in this turn."""
        if self.out and self.transport is not None:
            self.transport.write(b"".join(self.out))
            self.out.clear()

    def send_request(self, block: bytes, body: bytes, done: Done) -> None:
        """Queues a unary call; `done(status, message)` is called later. The caller flushes."""
        size = len(body) + 5
        call = _Call(done, None, self.stream_window)
        if self.blocked or size > min(self.send_window, self.stream_window, self.frame_bytes_max):
            self.send_data(self._open(block, call), body, END_STREAM)
            return
        stream_id = self.next_id
        self.next_id += 2
        self.calls[stream_id] = call
        self.send_window -= size
        headers = HEAD.pack(len(block) << 8 | HEADERS, END_HEADERS, stream_id)
        data = HEAD.pack(size << 8 | DATA, END_STREAM, stream_id)
        self.out += (headers, block, data, PREFIX.pack(0, len(body)), body)

    def open_stream(self, path: str, on_message: Callable[[bytes], None], done: Done) -> Stream:
        call = _Call(done, on_message, self.stream_window)
        return Stream(self, self._open(static_block(path), call))

    def _open(self, block: bytes, call: _Call) -> int:
        stream_id = self.next_id
        self.next_id += 2
        self.calls[stream_id] = call
        self.out.append(frame(HEADERS, END_HEADERS, stream_id, block))
        return stream_id

    def send_data(self, stream_id: int, message: bytes, flags: int) -> None:
        """Queues one message, cut into frames; waits in line while a window is closed."""
        data = PREFIX.pack(0, len(message)) + message
        while len(data) > self.frame_bytes_max:
            self.blocked.append((stream_id, data[: self.frame_bytes_max], 0))
            data = data[self.frame_bytes_max :]
        self.blocked.append((stream_id, data, flags))
        self._send_blocked()

    def _send_blocked(self) -> None:
        """In order of asking, so one stream with a closed window holds up those behind it."""
        while self.blocked:
            stream_id, data, flags = self.blocked[0]
            call = self.calls.get(stream_id)
            if call is not None:
                if self.send_window < len(data) or call.send_window < len(data):
                    return
                self.send_window -= len(data)
                call.send_window -= len(data)
                self.out.append(frame(DATA, flags, stream_id, data))
            self.blocked.popleft()

    async def call(self, path: str, body: bytes) -> bytes:
        """One unary call; returns the reply's message or raises GrpcError."""
        if self.closed.done():
            raise GrpcError(UNAVAILABLE, "connection lost")
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def done(status: int, message: bytes) -> None:
            if answer.done():
                return
            if status == 0:
                answer.set_result(message)
            else:
                text = call.fields.get(b"grpc-message", b"").decode()
                answer.set_exception(GrpcError(status, text))

        call = _Call(done, None, self.stream_window)
        stream_id = self._open(static_block(path), call)
        self.send_data(stream_id, body, END_STREAM)
        self.flush()
        return await answer

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


async def connect(port: int) -> Connection:
    """A connection to 127.0.0.1:port; OSError when nobody listens there."""
    loop = asyncio.get_running_loop()
    making = loop.create_connection(Connection, "127.0.0.1", port)
    _, connection = await asyncio.wait_for(making, CONNECT_TIMEOUT_S)
    return connection
