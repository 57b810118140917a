"""Paths of the RPCs, so that no caller spells one."""

RANGE = b"/etcdserverpb.KV/Range"
PUT = b"/etcdserverpb.KV/Put"
DELETE_RANGE = b"/etcdserverpb.KV/DeleteRange"
TXN = b"/etcdserverpb.KV/Txn"
COMPACT = b"/etcdserverpb.KV/Compact"

WATCH = b"/etcdserverpb.Watch/Watch"

LEASE_GRANT = b"/etcdserverpb.Lease/LeaseGrant"
LEASE_REVOKE = b"/etcdserverpb.Lease/LeaseRevoke"
LEASE_KEEP_ALIVE = b"/etcdserverpb.Lease/LeaseKeepAlive"
LEASE_TIME_TO_LIVE = b"/etcdserverpb.Lease/LeaseTimeToLive"
LEASE_LEASES = b"/etcdserverpb.Lease/LeaseLeases"

MEMBER_ADD = b"/etcdserverpb.Cluster/MemberAdd"
MEMBER_REMOVE = b"/etcdserverpb.Cluster/MemberRemove"
MEMBER_UPDATE = b"/etcdserverpb.Cluster/MemberUpdate"
MEMBER_PROMOTE = b"/etcdserverpb.Cluster/MemberPromote"
MEMBER_LIST = b"/etcdserverpb.Cluster/MemberList"

ALARM = b"/etcdserverpb.Maintenance/Alarm"
STATUS = b"/etcdserverpb.Maintenance/Status"
DEFRAGMENT = b"/etcdserverpb.Maintenance/Defragment"
HASH_KV = b"/etcdserverpb.Maintenance/HashKV"
MOVE_LEADER = b"/etcdserverpb.Maintenance/MoveLeader"
SNAPSHOT = b"/etcdserverpb.Maintenance/Snapshot"

AUTHENTICATE = b"/etcdserverpb.Auth/Authenticate"

REQUIRE_LEADER = ((b"hasleader", b"true"),)
"""Metadata of calls that shall fail rather than wait while the cluster has no leader."""
