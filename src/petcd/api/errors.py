"""The one place where petcd's errors become gRPC codes and etcd's exact texts.

Clients match on the text, byte for byte, so the texts are part of the protocol. Two of them go
out with code Unknown, because that is what etcd's clients get and expect.
Source: the error table of etcd's client API as of 3.5.
"""

from typing import Final

from petcd.cluster import (
    ChangeRefused,
    LastVoter,
    MemberKnown,
    MemberUnknown,
    NotALearner,
    PeerUrlKnown,
    TooManyLearners,
)
from petcd.lease import LeaseExists, LeaseNotFound, TtlTooLarge
from petcd.member import errors as member
from petcd.mvcc import errors as mvcc
from petcd.wire.codec import DecodeError

OK: Final = 0
CANCELLED: Final = 1
UNKNOWN: Final = 2
INVALID_ARGUMENT: Final = 3
DEADLINE_EXCEEDED: Final = 4
NOT_FOUND: Final = 5
PERMISSION_DENIED: Final = 7
RESOURCE_EXHAUSTED: Final = 8
FAILED_PRECONDITION: Final = 9
OUT_OF_RANGE: Final = 11
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14
DATA_LOSS: Final = 15
UNAUTHENTICATED: Final = 16

_LEASE_NOT_FOUND = (NOT_FOUND, "etcdserver: requested lease not found")
_NOT_ENOUGH_STARTED = "etcdserver: re-configuration failed due to not enough started members"

_STATUS: dict[type[Exception], tuple[int, str]] = {
    mvcc.EmptyKey: (INVALID_ARGUMENT, "etcdserver: key is not provided"),
    mvcc.KeyNotFound: (INVALID_ARGUMENT, "etcdserver: key not found"),
    mvcc.ValueProvided: (INVALID_ARGUMENT, "etcdserver: value is provided"),
    mvcc.LeaseProvided: (INVALID_ARGUMENT, "etcdserver: lease is provided"),
    mvcc.TooManyOperations: (
        INVALID_ARGUMENT,
        "etcdserver: too many operations in txn request",
    ),
    mvcc.DuplicateKey: (INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request"),
    mvcc.InvalidSortOption: (INVALID_ARGUMENT, "etcdserver: invalid sort option"),
    mvcc.Compacted: (OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted"),
    mvcc.FutureRevision: (
        OUT_OF_RANGE,
        "etcdserver: mvcc: required revision is a future revision",
    ),
    mvcc.LeaseNotFound: _LEASE_NOT_FOUND,
    mvcc.StoreReplaced: (UNAVAILABLE, "etcdserver: a snapshot was installed, try again"),
    LeaseNotFound: _LEASE_NOT_FOUND,
    LeaseExists: (FAILED_PRECONDITION, "etcdserver: lease already exists"),
    TtlTooLarge: (OUT_OF_RANGE, "etcdserver: too large lease TTL"),
    member.NoSpace: (RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"),
    member.ClusterCorrupt: (DATA_LOSS, "etcdserver: corrupt cluster"),
    member.RequestTooLarge: (INVALID_ARGUMENT, "etcdserver: request is too large"),
    member.TooManyRequests: (UNKNOWN, "etcdserver: too many requests"),
    member.NoLeader: (UNAVAILABLE, "etcdserver: no leader"),
    member.TimedOut: (UNAVAILABLE, "etcdserver: request timed out"),
    member.TimedOutByLeaderFailure: (
        UNAVAILABLE,
        "etcdserver: request timed out, possibly due to previous leader failure",
    ),
    member.TimedOutByConnectionLoss: (
        UNAVAILABLE,
        "etcdserver: request timed out, possibly due to connection lost",
    ),
    member.NotLeader: (FAILED_PRECONDITION, "etcdserver: not leader"),
    member.NotEnoughStarted: (UNKNOWN, _NOT_ENOUGH_STARTED),
    member.Unhealthy: (UNAVAILABLE, "etcdserver: unhealthy cluster"),
    member.LearnerNotReady: (
        FAILED_PRECONDITION,
        "etcdserver: can only promote a learner member which is in sync with leader",
    ),
    member.BadLeaderTransferee: (FAILED_PRECONDITION, "etcdserver: bad leader transferee"),
    member.TransferTimedOut: (
        UNKNOWN,
        "etcdserver: request timed out, leader transfer took too long",
    ),
    member.NotServedByLearner: (UNAVAILABLE, "etcdserver: rpc not supported for learner"),
    member.V2NotWritable: (
        FAILED_PRECONDITION,
        "petcd: v2 writes are refused while the cluster has members of etcd, or members that have "
        "not started and may be: etcd keeps the data of v2 apart",
    ),
    member.Stopped: (UNAVAILABLE, "etcdserver: server stopped"),
    LastVoter: (UNKNOWN, _NOT_ENOUGH_STARTED),
    MemberKnown: (FAILED_PRECONDITION, "etcdserver: member ID already exist"),
    MemberUnknown: (NOT_FOUND, "etcdserver: member not found"),
    PeerUrlKnown: (FAILED_PRECONDITION, "etcdserver: Peer URLs already exists"),
    TooManyLearners: (
        FAILED_PRECONDITION,
        "etcdserver: too many learner members in cluster",
    ),
    NotALearner: (FAILED_PRECONDITION, "etcdserver: can only promote a learner member"),
}

# What grpc-go answers when a message does not parse.
_UNPARSABLE = "grpc: error unmarshalling request: {}"


def status_of(error: Exception) -> tuple[int, str]:
    """(gRPC code, text) for an error; anything unknown is Unknown with its own text, as in etcd."""
    status = _STATUS.get(type(error))
    if status is not None:
        return status
    if isinstance(error, DecodeError):
        return INTERNAL, _UNPARSABLE.format(error)
    if isinstance(error, ChangeRefused):
        return FAILED_PRECONDITION, str(error)
    return UNKNOWN, str(error)
