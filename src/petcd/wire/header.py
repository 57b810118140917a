"""The header that every etcd v3 response carries (etcdserverpb.ResponseHeader)."""

from __future__ import annotations

from petcd.wire.codec import INT64, UINT64, Message, field


class ResponseHeader(Message):
    """Who answered and at which revision."""

    cluster_id: int = field(1, UINT64)
    member_id: int = field(2, UINT64)
    revision: int = field(3, INT64)  # of the store when the request was applied
    raft_term: int = field(4, UINT64)
