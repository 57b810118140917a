"""The Cluster service: members as clients see them.

How members are stored and replicated is ``membership``, which is another format.

Source: etcd's rpc.proto.
"""

from __future__ import annotations

from petcd.wire.codec import BOOL, REPEATED, STRING, UINT64, Message, field
from petcd.wire.header import ResponseHeader


class Member(Message):
    """A member; ``name`` and ``clientURLs`` are empty until it has started."""

    ID: int = field(1, UINT64)
    name: str = field(2, STRING)
    peerURLs: list[str] = field(3, STRING, REPEATED)
    clientURLs: list[str] = field(4, STRING, REPEATED)
    isLearner: bool = field(5, BOOL)


class MemberAddRequest(Message):
    """Add a voter or a learner."""

    peerURLs: list[str] = field(1, STRING, REPEATED)
    isLearner: bool = field(2, BOOL)


class MemberAddResponse(Message):
    """The new member and all of them."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    member: Member | None = field(2, Member)
    members: list[Member] = field(3, Member, REPEATED)


class MemberRemoveRequest(Message):
    """Remove a member."""

    ID: int = field(1, UINT64)


class MemberRemoveResponse(Message):
    """The members left."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    members: list[Member] = field(2, Member, REPEATED)


class MemberUpdateRequest(Message):
    """Give a member other peer URLs."""

    ID: int = field(1, UINT64)
    peerURLs: list[str] = field(2, STRING, REPEATED)


class MemberUpdateResponse(Message):
    """All members."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    members: list[Member] = field(2, Member, REPEATED)


class MemberListRequest(Message):
    """List the members; ``linearizable`` asks the quorum first."""

    linearizable: bool = field(1, BOOL)


class MemberListResponse(Message):
    """All members."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    members: list[Member] = field(2, Member, REPEATED)


class MemberPromoteRequest(Message):
    """Make a voter of a learner."""

    ID: int = field(1, UINT64)


class MemberPromoteResponse(Message):
    """All members."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    members: list[Member] = field(2, Member, REPEATED)
