"""What stands in the frames of a WAL file (walpb, proto2).

The frames, the CRC chain and the meaning of the record types belong to the WAL itself.

Source: etcd's record.proto.
"""

from __future__ import annotations

from petcd.wire.codec import ALWAYS, BYTES, INT64, OPTIONAL, UINT32, UINT64, Message, field
from petcd.wire.raftpb import ConfState


class Record(Message):
    """One record: a type, the running CRC-32C, and data that the type explains."""

    type: int = field(1, INT64, ALWAYS)
    crc: int = field(2, UINT32, ALWAYS)
    data: bytes | None = field(3, BYTES, OPTIONAL)


class Snapshot(Message):
    """Data of a snapshot record: the log up to here is in a snapshot."""

    index: int = field(1, UINT64, ALWAYS)
    term: int = field(2, UINT64, ALWAYS)
    conf_state: ConfState | None = field(3, ConfState)  # since 3.5
