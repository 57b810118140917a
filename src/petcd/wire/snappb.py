"""The envelope of a Raft snapshot file (snappb, proto2): checksum and data.

Source: etcd's snap.proto.
"""

from __future__ import annotations

from petcd.wire.codec import ALWAYS, BYTES, OPTIONAL, UINT32, Message, field


class Snapshot(Message):
    """``data`` is an encoded raftpb.Snapshot, ``crc`` its CRC-32C."""

    crc: int = field(1, UINT32, ALWAYS)
    data: bytes | None = field(2, BYTES, OPTIONAL)
