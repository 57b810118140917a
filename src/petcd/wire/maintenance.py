"""The Maintenance service: alarms, status, defragmentation, hashes, snapshot, leader, downgrade.

Fields that came with 3.6 are marked; a 3.5 peer skips them.

Source: etcd's rpc.proto.
"""

from __future__ import annotations

from petcd.wire.codec import (
    BOOL,
    BYTES,
    INT64,
    REPEATED,
    STRING,
    UINT32,
    UINT64,
    EnumType,
    Message,
    field,
)
from petcd.wire.header import ResponseHeader


class AlarmType(EnumType):
    """What is wrong; NONE in a request means all."""

    NONE = 0
    NOSPACE = 1
    CORRUPT = 2


class AlarmAction(EnumType):
    """What to do with an alarm."""

    GET = 0
    ACTIVATE = 1
    DEACTIVATE = 2


class DowngradeAction(EnumType):
    """Step of a downgrade."""

    VALIDATE = 0
    ENABLE = 1
    CANCEL = 2


class AlarmRequest(Message):
    """Read, raise or clear alarms; memberID 0 means all members."""

    action: int = field(1, AlarmAction)
    memberID: int = field(2, UINT64)
    alarm: int = field(3, AlarmType)


class AlarmMember(Message):
    """An alarm of a member; also its form in the alarm bucket."""

    memberID: int = field(1, UINT64)
    alarm: int = field(2, AlarmType)


class AlarmResponse(Message):
    """The alarms concerned."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    alarms: list[AlarmMember] = field(2, AlarmMember, REPEATED)


class DowngradeRequest(Message):
    """Check, start or stop a downgrade to a version."""

    action: int = field(1, DowngradeAction)
    version: str = field(2, STRING)


class DowngradeResponse(Message):
    """The cluster's version."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    version: str = field(2, STRING)


class DowngradeVersionTestRequest(Message):
    """Log entry of 3.6 that tests whether all members know a version."""

    ver: str = field(1, STRING)


class DowngradeInfo(Message):
    """Whether a downgrade is under way, and to what [3.6]."""

    enabled: bool = field(1, BOOL)
    targetVersion: str = field(2, STRING)


class StatusRequest(Message):
    """Ask a member how it is."""


class StatusResponse(Message):
    """Version, sizes in bytes, Raft's positions, and what is wrong."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    version: str = field(2, STRING)
    dbSize: int = field(3, INT64)  # bytes of file
    leader: int = field(4, UINT64)
    raftIndex: int = field(5, UINT64)
    raftTerm: int = field(6, UINT64)
    raftAppliedIndex: int = field(7, UINT64)
    errors: list[str] = field(8, STRING, REPEATED)
    dbSizeInUse: int = field(9, INT64)  # bytes of live data
    isLearner: bool = field(10, BOOL)
    storageVersion: str = field(11, STRING)  # [3.6]
    dbSizeQuota: int = field(12, INT64)  # [3.6]
    downgradeInfo: DowngradeInfo | None = field(13, DowngradeInfo)  # [3.6]


class DefragmentRequest(Message):
    """Rewrite the database file."""


class DefragmentResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class MoveLeaderRequest(Message):
    """Hand leadership to a member."""

    targetID: int = field(1, UINT64)


class MoveLeaderResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class HashRequest(Message):
    """Hash of the whole database (differs between members)."""


class HashResponse(Message):
    """CRC-32C of all buckets."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    hash: int = field(2, UINT32)


class HashKVRequest(Message):
    """Hash of the keys up to a revision (equal on all members)."""

    revision: int = field(1, INT64)


class HashKVResponse(Message):
    """CRC-32C and the revisions it covers."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    hash: int = field(2, UINT32)
    compact_revision: int = field(3, INT64)
    hash_revision: int = field(4, INT64)  # [3.6]


class SnapshotRequest(Message):
    """Send the database."""


class SnapshotResponse(Message):
    """A piece of the database file."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    remaining_bytes: int = field(2, UINT64)
    blob: bytes = field(3, BYTES)
    version: str = field(4, STRING)  # [3.6]
