"""The two stream formats between members.

```
  message   8 bytes length, message; repeated
  msgapp    one byte kind, then
            0  link heartbeat: nothing
            1  entries: 8 bytes count, count x (8 bytes length, entry), 8 bytes commit index
            2  message: 8 bytes length, message
```

All lengths are big endian. The append stream (etcd: msgapp v2) leaves out what both ends know:
while a leader replicates, each message goes on behind the one before, in the same term. Both ends
keep that (term, index): kind 2 sets it, each entry of kind 1 moves the index on. On the message
stream the link heartbeat is a MsgHeartbeat from nobody to nobody.

The readers are fed bytes as they come, in pieces of any size, and give whole messages. Raises
`MalformedPeerData` for anything else, also for entries that do not follow one another; after that a
reader is of no more use. What is announced longer than `MESSAGE_BYTES_MAX` is refused before
anything is kept.

Does not do: sockets, time, queues. Source: etcd's rafthttp package, msg_codec.go and
msgappv2_codec.go.
"""

from __future__ import annotations

from petcd.peer.errors import MalformedPeerData
from petcd.peer.messages import Route, decode_entry, decode_message, encode_message
from petcd.raft.types import Entry, Message, MessageType
from petcd.wire.hot import raft_entry

MESSAGE_BYTES_MAX = 512 << 20
"""The longest message that is read, as in etcd."""

_HEARTBEAT_MESSAGE = encode_message(Message(MessageType.HEARTBEAT))
_HEARTBEAT = 0
_ENTRIES = 1
_MESSAGE = 2
_APP = MessageType.APP


def frame(message: Message) -> bytes:
    """A message with its length before it: the message stream, and a snapshot's head."""
    body = encode_message(message)
    return len(body).to_bytes(8, "big") + body


class MessageWriter:
    """Writes the message stream. Stateless."""

    __slots__ = ()

    heartbeat = len(_HEARTBEAT_MESSAGE).to_bytes(8, "big") + _HEARTBEAT_MESSAGE

    def encode(self, message: Message) -> bytes:
        """The bytes of one message on the stream."""
        return frame(message)


class AppendWriter:
    """Writes the append stream. `_term` and `_index` are where the last message ended."""

    __slots__ = ("_index", "_term")

    heartbeat = b"\x00"

    def __init__(self) -> None:
        self._term = 0
        self._index = 0

    def encode(self, message: Message) -> bytes:
        """The bytes of one MsgApp on the stream. Every message must be written in its turn."""
        term = message.term
        entries = message.entries
        if self._index != message.index or self._term != message.log_term or self._term != term:
            self._term = term
            self._index = entries[-1].index if entries else message.index
            return b"\x02" + frame(message)
        parts = [b"\x01", len(entries).to_bytes(8, "big")]
        for entry in entries:
            encoded = raft_entry(entry.type, entry.term, entry.index, entry.data)
            parts.append(len(encoded).to_bytes(8, "big"))
            parts.append(encoded)
        self._index += len(entries)
        parts.append(message.commit.to_bytes(8, "big"))
        return b"".join(parts)


class _Pieces:
    """Bytes that came and are not read yet; joined only when enough is there."""

    __slots__ = ("_parts", "_size", "_wanted")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._wanted = 0

    def keep(self, rest: bytes, wanted: int) -> None:
        """`rest` is the beginning of something that is `wanted` bytes long."""
        self._wanted = wanted
        self._size = len(rest)
        self._parts = [rest] if rest else []

    def join(self, data: bytes) -> bytes | None:
        """What was kept and `data`; None when it is still too short."""
        if not self._parts and len(data) >= self._wanted:
            return data
        self._parts.append(data)
        self._size += len(data)
        if self._size < self._wanted:
            return None
        return b"".join(self._parts)


class MessageReader:
    """Reads the message stream of one peer, without its link heartbeats."""

    __slots__ = ("_limit", "_pieces", "_route")

    def __init__(self, local_id: int, remote_id: int, limit: int = MESSAGE_BYTES_MAX) -> None:
        self._route = Route(local_id, remote_id)
        self._limit = limit
        self._pieces = _Pieces()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now. Raises `MalformedPeerData`."""
        found: list[Message] = []
        whole = self._pieces.join(data)
        if whole is None:
            return found
        pos, size = 0, len(whole)
        wanted = 8
        while size - pos >= 8:
            length = int.from_bytes(whole[pos : pos + 8], "big")
            if length > self._limit:
                raise MalformedPeerData(f"a message of {length} bytes")
            end = pos + 8 + length
            if end > size:
                wanted = 8 + length
                break
            body = whole[pos + 8 : end]
            if body != _HEARTBEAT_MESSAGE:
                message = decode_message(body, self._route)
                if message.from_ or message.to or message.type != MessageType.HEARTBEAT:
                    found.append(message)
            pos = end
        self._pieces.keep(whole[pos:], wanted)
        return found


class AppendReader:
    """Reads the append stream of one peer, without its link heartbeats.

    `_term` and `_index` as in the writer. Between entries of a message of kind 1, `_entries` holds
    those that came, `_left` counts those that are missing, and `_room` is how many bytes those may
    have; else `_entries` is None.
    """

    __slots__ = (
        "_entries",
        "_from",
        "_index",
        "_left",
        "_limit",
        "_pieces",
        "_room",
        "_route",
        "_term",
    )

    def __init__(self, local_id: int, remote_id: int, limit: int = MESSAGE_BYTES_MAX) -> None:
        self._route = Route(local_id, remote_id)
        self._limit = limit
        self._pieces = _Pieces()
        self._term = 0
        self._index = 0
        self._from = 0
        self._left = 0
        self._room = 0
        self._entries: list[Entry] | None = None

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now. Raises `MalformedPeerData`."""
        found: list[Message] = []
        whole = self._pieces.join(data)
        if whole is None:
            return found
        pos, size = 0, len(whole)
        wanted = 0
        while pos < size and not wanted:
            if self._entries is None:
                pos, wanted = self._take_start(whole, pos, size, found)
            elif self._left:
                pos, wanted = self._take_entry(whole, pos, size)
            else:
                pos, wanted = self._take_commit(whole, pos, size, found)
        self._pieces.keep(whole[pos:], wanted)
        return found

    def _take_start(
        self, data: bytes, pos: int, size: int, found: list[Message]
    ) -> tuple[int, int]:
        """The first bytes of a message. Here and below: (position behind it, bytes wanted)."""
        kind = data[pos]
        if kind == _HEARTBEAT:
            return pos + 1, 0
        if kind > _MESSAGE:
            raise MalformedPeerData(f"kind {kind} in an append stream")
        if size - pos < 9:
            return pos, 9
        length = int.from_bytes(data[pos + 1 : pos + 9], "big")
        if length > self._limit:
            raise MalformedPeerData(f"{length} bytes or entries in one message")
        pos += 9
        if kind == _ENTRIES:
            self._entries = []
            self._left = length
            self._room = self._limit
            self._from = self._index
            return pos, 0
        end = pos + length
        if end > size:
            return pos - 9, 9 + length
        message = decode_message(data[pos:end], self._route)
        self._term = message.term
        self._index = message.entries[-1].index if message.entries else message.index
        found.append(message)
        return end, 0

    def _take_entry(self, data: bytes, pos: int, size: int) -> tuple[int, int]:
        if size - pos < 8:
            return pos, 8
        length = int.from_bytes(data[pos : pos + 8], "big")
        if length > self._room:
            raise MalformedPeerData(f"an entry of {length} bytes")
        end = pos + 8 + length
        if end > size:
            return pos, 8 + length
        entry = decode_entry(data[pos + 8 : end])
        self._index += 1
        if entry.index != self._index:
            raise MalformedPeerData(f"entry {entry.index} where {self._index} should be")
        assert self._entries is not None
        self._entries.append(entry)
        self._left -= 1
        self._room -= 8 + length
        return end, 0

    def _take_commit(
        self, data: bytes, pos: int, size: int, found: list[Message]
    ) -> tuple[int, int]:
        if size - pos < 8:
            return pos, 8
        term, route = self._term, self._route
        message = Message(_APP, route.to, route.sender, term, term, self._from, self._entries)
        message.commit = int.from_bytes(data[pos : pos + 8], "big")
        self._entries = None
        found.append(message)
        return pos + 8, 0
