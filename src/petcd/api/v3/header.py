"""The header of every response: cluster, member, revision, raft term."""

from petcd.api.host import Host
from petcd.wire.header import ResponseHeader


def header_message(host: Host, revision: int) -> ResponseHeader:
    """The header as a message, for answers that are not hot."""
    member = host.member
    return ResponseHeader(
        cluster_id=member.membership.cluster_id,
        member_id=member.id,
        revision=revision,
        raft_term=member.term,
    )
