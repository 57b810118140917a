"""What a member writes for itself and its peers: the request in a log entry, stored metadata.

An entry of the replicated log holds one ``InternalRaftRequest``: a header with a request ID and
exactly one of its request fields.  ``Metadata`` opens each WAL file (proto2, always written),
``StoredLease`` (leasepb.Lease) is a row of the lease bucket.

Does not hold: raftpb's entry around the request (``raftpb``), membership changes, which are
``raftpb.ConfChange`` entries.

Source: etcd's raft_internal.proto, etcdserver.proto and lease.proto.
"""

from __future__ import annotations

from petcd.wire.auth import (
    AuthDisableRequest,
    AuthEnableRequest,
    AuthRoleAddRequest,
    AuthRoleDeleteRequest,
    AuthRoleGetRequest,
    AuthRoleGrantPermissionRequest,
    AuthRoleListRequest,
    AuthRoleRevokePermissionRequest,
    AuthStatusRequest,
    AuthUserAddRequest,
    AuthUserChangePasswordRequest,
    AuthUserDeleteRequest,
    AuthUserGetRequest,
    AuthUserGrantRoleRequest,
    AuthUserListRequest,
    AuthUserRevokeRoleRequest,
)
from petcd.wire.codec import ALWAYS, INT64, STRING, UINT64, Message, field
from petcd.wire.kv import (
    CompactionRequest,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    TxnRequest,
)
from petcd.wire.lease import (
    LeaseCheckpointRequest,
    LeaseGrantRequest,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from petcd.wire.maintenance import AlarmRequest, DowngradeVersionTestRequest
from petcd.wire.membership import (
    ClusterMemberAttrSetRequest,
    ClusterVersionSetRequest,
    DowngradeInfoSetRequest,
)
from petcd.wire.v2request import Request


class RequestHeader(Message):
    """Who asks, and under which revision of users and roles."""

    ID: int = field(1, UINT64)
    username: str = field(2, STRING)
    auth_revision: int = field(3, UINT64)


class EmptyResponse(Message):
    """Nothing to say."""


class InternalAuthenticateRequest(Message):
    """An Authenticate with the token that the serving member made."""

    name: str = field(1, STRING)
    password: str = field(2, STRING)
    simple_token: str = field(3, STRING)


class InternalRaftRequest(Message):
    """One replicated request: ``header`` and one request field are set."""

    ID: int = field(1, UINT64)  # before 3.0's header; unused since
    v2: Request | None = field(2, Request)
    range: RangeRequest | None = field(3, RangeRequest)
    put: PutRequest | None = field(4, PutRequest)
    delete_range: DeleteRangeRequest | None = field(5, DeleteRangeRequest)
    txn: TxnRequest | None = field(6, TxnRequest)
    compaction: CompactionRequest | None = field(7, CompactionRequest)
    lease_grant: LeaseGrantRequest | None = field(8, LeaseGrantRequest)
    lease_revoke: LeaseRevokeRequest | None = field(9, LeaseRevokeRequest)
    alarm: AlarmRequest | None = field(10, AlarmRequest)
    lease_checkpoint: LeaseCheckpointRequest | None = field(11, LeaseCheckpointRequest)
    header: RequestHeader | None = field(100, RequestHeader)
    auth_enable: AuthEnableRequest | None = field(1000, AuthEnableRequest)
    auth_disable: AuthDisableRequest | None = field(1011, AuthDisableRequest)
    authenticate: InternalAuthenticateRequest | None = field(1012, InternalAuthenticateRequest)
    auth_status: AuthStatusRequest | None = field(1013, AuthStatusRequest)
    auth_user_add: AuthUserAddRequest | None = field(1100, AuthUserAddRequest)
    auth_user_delete: AuthUserDeleteRequest | None = field(1101, AuthUserDeleteRequest)
    auth_user_get: AuthUserGetRequest | None = field(1102, AuthUserGetRequest)
    auth_user_change_password: AuthUserChangePasswordRequest | None = field(
        1103, AuthUserChangePasswordRequest
    )
    auth_user_grant_role: AuthUserGrantRoleRequest | None = field(1104, AuthUserGrantRoleRequest)
    auth_user_revoke_role: AuthUserRevokeRoleRequest | None = field(1105, AuthUserRevokeRoleRequest)
    auth_user_list: AuthUserListRequest | None = field(1106, AuthUserListRequest)
    auth_role_list: AuthRoleListRequest | None = field(1107, AuthRoleListRequest)
    auth_role_add: AuthRoleAddRequest | None = field(1200, AuthRoleAddRequest)
    auth_role_delete: AuthRoleDeleteRequest | None = field(1201, AuthRoleDeleteRequest)
    auth_role_get: AuthRoleGetRequest | None = field(1202, AuthRoleGetRequest)
    auth_role_grant_permission: AuthRoleGrantPermissionRequest | None = field(
        1203, AuthRoleGrantPermissionRequest
    )
    auth_role_revoke_permission: AuthRoleRevokePermissionRequest | None = field(
        1204, AuthRoleRevokePermissionRequest
    )
    cluster_version_set: ClusterVersionSetRequest | None = field(1300, ClusterVersionSetRequest)
    cluster_member_attr_set: ClusterMemberAttrSetRequest | None = field(
        1301, ClusterMemberAttrSetRequest
    )
    downgrade_info_set: DowngradeInfoSetRequest | None = field(1302, DowngradeInfoSetRequest)
    downgrade_version_test: DowngradeVersionTestRequest | None = field(
        9900, DowngradeVersionTestRequest
    )


class Metadata(Message):
    """First record of each WAL file: whose log it is."""

    NodeID: int = field(1, UINT64, ALWAYS)
    ClusterID: int = field(2, UINT64, ALWAYS)


class StoredLease(Message):
    """leasepb.Lease: a lease in the lease bucket; seconds."""

    ID: int = field(1, INT64)
    TTL: int = field(2, INT64)
    RemainingTTL: int = field(3, INT64)


class LeaseInternalRequest(Message):
    """leasepb: a member without the lease's clock asks the leader."""

    LeaseTimeToLiveRequest: LeaseTimeToLiveRequest | None = field(1, LeaseTimeToLiveRequest)


class LeaseInternalResponse(Message):
    """leasepb: the leader's answer."""

    LeaseTimeToLiveResponse: LeaseTimeToLiveResponse | None = field(1, LeaseTimeToLiveResponse)
