"""Membership in the replicated log (membershippb): attributes, cluster version, downgrade.

The member lists that clients see are ``cluster``.

Source: etcd's membership.proto.
"""

from __future__ import annotations

from petcd.wire.codec import BOOL, REPEATED, STRING, UINT64, Message, field


class RaftAttributes(Message):
    """What Raft must know of a member."""

    peer_urls: list[str] = field(1, STRING, REPEATED)
    is_learner: bool = field(2, BOOL)


class Attributes(Message):
    """What a member says of itself once it runs."""

    name: str = field(1, STRING)
    client_urls: list[str] = field(2, STRING, REPEATED)


class Member(Message):
    """A member with both."""

    ID: int = field(1, UINT64)
    raft_attributes: RaftAttributes | None = field(2, RaftAttributes)
    member_attributes: Attributes | None = field(3, Attributes)


class ClusterVersionSetRequest(Message):
    """The cluster's version is now ``ver``."""

    ver: str = field(1, STRING)


class ClusterMemberAttrSetRequest(Message):
    """A member publishes its attributes."""

    member_ID: int = field(1, UINT64)
    member_attributes: Attributes | None = field(2, Attributes)


class DowngradeInfoSetRequest(Message):
    """A downgrade to ``ver`` begins or ends."""

    enabled: bool = field(1, BOOL)
    ver: str = field(2, STRING)
