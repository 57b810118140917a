"""The Election service (v3electionpb): leadership made of a key under a prefix and a lease.

Source: etcd's v3election.proto.
"""

from __future__ import annotations

from petcd.wire.codec import BYTES, INT64, Message, field
from petcd.wire.header import ResponseHeader
from petcd.wire.kv import KeyValue


class CampaignRequest(Message):
    """Wait to be leader of ``name``."""

    name: bytes = field(1, BYTES)
    lease: int = field(2, INT64)
    value: bytes = field(3, BYTES)


class LeaderKey(Message):
    """Proof of leadership."""

    name: bytes = field(1, BYTES)
    key: bytes = field(2, BYTES)
    rev: int = field(3, INT64)  # create revision of the key
    lease: int = field(4, INT64)


class CampaignResponse(Message):
    """Leadership is won."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    leader: LeaderKey | None = field(2, LeaderKey)


class LeaderRequest(Message):
    """Who leads (Leader), or who will from now on (Observe)?"""

    name: bytes = field(1, BYTES)


class LeaderResponse(Message):
    """The leader's key and value."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    kv: KeyValue | None = field(2, KeyValue)


class ResignRequest(Message):
    """Give leadership up."""

    leader: LeaderKey | None = field(1, LeaderKey)


class ResignResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class ProclaimRequest(Message):
    """Change the leader's value."""

    leader: LeaderKey | None = field(1, LeaderKey)
    value: bytes = field(2, BYTES)


class ProclaimResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)
