"""The cluster: who is a member, who was removed, and at which version the members agree.

A replicated state machine like the store: it changes only while a log entry is applied, and it
keeps itself in the backend, so that membership and applied index are saved in one transaction.
It does not decide whether a change is wise (the server's strict check does) and opens no
connection.
"""

from petcd.cluster.ids import cluster_id, format_id, member_id, parse_id
from petcd.cluster.membership import (
    ChangeRefused,
    LastVoter,
    MemberInfo,
    MemberKnown,
    Membership,
    MemberUnknown,
    NotALearner,
    PeerUrlKnown,
    TooManyLearners,
    is_promotion,
    promotion,
)

__all__ = [
    "ChangeRefused",
    "LastVoter",
    "MemberInfo",
    "MemberKnown",
    "MemberUnknown",
    "Membership",
    "NotALearner",
    "PeerUrlKnown",
    "TooManyLearners",
    "cluster_id",
    "format_id",
    "is_promotion",
    "member_id",
    "parse_id",
    "promotion",
]
