"""What a member of petcd publishes of itself: etcd's message with a field of our own.

etcd skips the field, and never writes it. So the members of a cluster know who of them keeps the
data of v2 together with that of v3.
"""

from __future__ import annotations

from petcd.wire.codec import STRING, UINT64, Message, field
from petcd.wire.membership import Attributes


class PublishRequest(Message):
    """membershippb.ClusterMemberAttrSetRequest and the version of petcd; "" from an etcd member."""

    member_ID: int = field(1, UINT64)
    member_attributes: Attributes | None = field(2, Attributes)
    petcd_version: str = field(100, STRING)
