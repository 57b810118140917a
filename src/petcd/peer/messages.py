"""raft's messages as bytes: `petcd.raft.types.Message` <-> raftpb.Message of etcd 3.5.

```
  08 type  10 to  18 from  20 term  28 log term  30 index  [3a entry]*  40 commit
  4a snapshot  50 reject  58 reject hint  [62 context]
```

Every number is written, zero or not, and so is an absent snapshot (twelve bytes that say nothing).
Writers join ready-made pieces. The reader walks the fields in the order in which every member
writes them; whatever is written differently goes through the general codec, so that it is right
for any bytes and fast for usual ones.

Invariants: what is written here is what `wire.raftpb` writes; any bytes decode or raise
`MalformedPeerData`. Messages that only pass inside a member (and could command its storage) are
refused from outside. `vote` and `responses` stay inside a member and are neither written nor read.

Does not do: check what a message says; that is raft's task. No tricks, so that mypyc can compile
it. Source: raft.proto of etcd 3.5.
"""

from __future__ import annotations

from petcd.peer.errors import MalformedPeerData
from petcd.raft.types import (
    ConfState,
    Entry,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
)
from petcd.wire import raftpb
from petcd.wire.hot import parse_raft_entry, raft_entry
from petcd.wire.varint import DecodeError, read_varint, uvarint

TRAVELLING = frozenset(
    (
        MessageType.PROP,
        MessageType.APP,
        MessageType.APP_RESP,
        MessageType.VOTE,
        MessageType.VOTE_RESP,
        MessageType.SNAP,
        MessageType.HEARTBEAT,
        MessageType.HEARTBEAT_RESP,
        MessageType.TRANSFER_LEADER,
        MessageType.TIMEOUT_NOW,
        MessageType.READ_INDEX,
        MessageType.READ_INDEX_RESP,
        MessageType.PRE_VOTE,
        MessageType.PRE_VOTE_RESP,
        MessageType.FORGET_LEADER,
    )
)
"""Kinds of messages that one member may send to another."""

_NO_SNAPSHOT = b"\x4a" + uvarint(len(raftpb.Snapshot().encode())) + raftpb.Snapshot().encode()
_NO_SNAPSHOT_SIZE = len(_NO_SNAPSHOT)
_SNAPSHOT = MessageType.SNAP
# Pairs of ids whose encoding is remembered; a cluster of seven has twelve.
_ROUTES_MAX = 256
_routes: dict[tuple[int, int], bytes] = {}


class Route:
    """The two ids of the messages that come from one peer, and their bytes.

    Ids are ten bytes long more often than not, and the same in all messages of a stream.
    """

    __slots__ = ("end", "prefix", "sender", "to")

    def __init__(self, to: int, sender: int) -> None:
        self.to = to
        self.sender = sender
        self.prefix = _route(to, sender)
        self.end = 2 + len(self.prefix)


def _route(to: int, sender: int) -> bytes:
    known = _routes.get((to, sender))
    if known is None:
        known = b"\x10" + uvarint(to) + b"\x18" + uvarint(sender)
        if len(_routes) < _ROUTES_MAX:
            _routes[to, sender] = known
    return known


# ---------------------------------------------------------------- writing


def encode_message(m: Message) -> bytes:
    """A message's bytes."""
    route = _routes.get((m.to, m.from_)) or _route(m.to, m.from_)
    parts = [
        b"\x08",
        uvarint(m.type),
        route,
        b"\x20",
        uvarint(m.term),
        b"\x28",
        uvarint(m.log_term),
        b"\x30",
        uvarint(m.index),
    ]
    for entry in m.entries:
        encoded = raft_entry(entry.type, entry.term, entry.index, entry.data)
        parts += (b"\x3a", uvarint(len(encoded)), encoded)
    parts += (
        b"\x40",
        uvarint(m.commit),
        _NO_SNAPSHOT if m.snapshot is None else _encode_snapshot(m.snapshot),
        b"\x50\x01\x58" if m.reject else b"\x50\x00\x58",
        uvarint(m.reject_hint),
    )
    if m.context:
        parts += (b"\x62", uvarint(len(m.context)), m.context)
    return b"".join(parts)


def _encode_snapshot(snapshot: Snapshot) -> bytes:
    metadata = snapshot.metadata
    state = metadata.conf_state
    body = raftpb.Snapshot(
        data=snapshot.data or None,
        metadata=raftpb.SnapshotMetadata(
            conf_state=raftpb.ConfState(
                voters=state.voters,
                learners=state.learners,
                voters_outgoing=state.voters_outgoing,
                learners_next=state.learners_next,
                auto_leave=state.auto_leave,
            ),
            index=metadata.index,
            term=metadata.term,
        ),
    ).encode()
    return b"\x4a" + uvarint(len(body)) + body


# ---------------------------------------------------------------- reading


def decode_message(data: bytes, route: Route | None = None) -> Message:
    """Read a message; `route` makes those between its two members quick.

    Raises `MalformedPeerData`.
    """
    message = None
    if route is not None:
        try:
            message = _decode_usual(data, route)
        except (IndexError, DecodeError):
            message = None
    if message is None:
        message = _decode_any(data)
    if message.type not in TRAVELLING:
        raise MalformedPeerData(f"a message of type {message.type} from outside")
    return message


def _decode_usual(data: bytes, route: Route) -> Message | None:
    """The message, or None (or an error) when it is not written as members write theirs."""
    if data[0] != 0x08 or data[1] > 127 or not data.startswith(route.prefix, 2):
        return None
    pos = route.end
    if data[pos] != 0x20:
        return None
    term, pos = read_varint(data, pos + 1)
    if data[pos] != 0x28:
        return None
    log_term, pos = read_varint(data, pos + 1)
    if data[pos] != 0x30:
        return None
    index, pos = read_varint(data, pos + 1)
    entries: list[Entry] = []
    size = len(data)
    while data[pos] == 0x3A:
        length, pos = read_varint(data, pos + 1)
        end = pos + length
        if end > size:
            return None
        entries.append(decode_entry(data[pos:end]))
        pos = end
    if data[pos] != 0x40:
        return None
    commit, pos = read_varint(data, pos + 1)
    if not data.startswith(_NO_SNAPSHOT, pos):
        return None
    pos += _NO_SNAPSHOT_SIZE
    if data[pos] != 0x50 or data[pos + 1] > 1 or data[pos + 2] != 0x58:
        return None
    reject = data[pos + 1] == 1
    hint, pos = read_varint(data, pos + 3)
    context = b""
    if pos != size:
        if data[pos] != 0x62:
            return None
        length, pos = read_varint(data, pos + 1)
        if pos + length != size:
            return None
        context = data[pos:]
    if data[1] == _SNAPSHOT:
        return None
    return Message(
        data[1],
        route.to,
        route.sender,
        term,
        log_term,
        index,
        entries,
        commit,
        reject,
        hint,
        context,
    )


def decode_entry(data: bytes) -> Entry:
    """Read an entry. Raises `MalformedPeerData`."""
    try:
        kind, term, index, payload = parse_raft_entry(data)
    except DecodeError as error:
        raise MalformedPeerData(f"entry: {error}") from None
    return Entry(kind, term, index, payload)


def _decode_any(data: bytes) -> Message:
    try:
        m = raftpb.Message.decode(data)
    except DecodeError as error:
        raise MalformedPeerData(f"message: {error}") from None
    return Message(
        m.type,
        m.to,
        m.from_,
        m.term,
        m.logTerm,
        m.index,
        [Entry(e.Type, e.Term, e.Index, e.Data or b"") for e in m.entries],
        m.commit,
        m.reject,
        m.rejectHint,
        m.context or b"",
        _decoded_snapshot(m.snapshot, m.type),
    )


def _decoded_snapshot(snapshot: raftpb.Snapshot | None, kind: int) -> Snapshot | None:
    """None for the empty one that every message carries, unless it is what the message is about."""
    if snapshot is None:
        return Snapshot() if kind == _SNAPSHOT else None
    metadata = snapshot.metadata or raftpb.SnapshotMetadata()
    if kind != _SNAPSHOT and not (snapshot.data or metadata.index or metadata.term):
        return None
    state = metadata.conf_state or raftpb.ConfState()
    return Snapshot(
        snapshot.data or b"",
        SnapshotMetadata(
            ConfState(
                state.voters,
                state.learners,
                state.voters_outgoing,
                state.learners_next,
                state.auto_leave,
            ),
            metadata.index,
            metadata.term,
        ),
    )
