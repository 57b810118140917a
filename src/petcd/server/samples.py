"""Which numbers of a running member are exported, and where they are read."""

from typing import TYPE_CHECKING

from petcd.cluster import format_id
from petcd.member import Member
from petcd.member.quota import Quota
from petcd.peer.counters import Family
from petcd.server.metrics import Sample
from petcd.wire.maintenance import AlarmType

if TYPE_CHECKING:
    from petcd.server.operations import Operations
    from petcd.server.reconfiguration import Reconfiguration
    from petcd.server.runtime import Runtime
    from petcd.server.timers import Timers


def gauges(
    member: Member, runtime: "Runtime", operations: "Operations", quota: Quota
) -> list[Sample]:
    """Values that go up and down; some are called `_total`, since etcd does."""
    return [
        (
            "etcd_server_has_leader",
            "Whether or not a leader exists. 1 is existence, 0 is not.",
            lambda: float(member.leader_id != 0),
        ),
        (
            "etcd_server_is_leader",
            "Whether or not this member is a leader. 1 if is, 0 otherwise.",
            lambda: float(member.is_leader),
        ),
        (
            "etcd_server_is_learner",
            "Whether or not this member is a learner. 1 if is, 0 otherwise.",
            lambda: float(member.node.raft.is_learner),
        ),
        (
            "etcd_server_proposals_committed_total",
            "The total number of consensus proposals committed.",
            lambda: member.committed_index,
        ),
        (
            "etcd_server_proposals_applied_total",
            "The total number of consensus proposals applied.",
            lambda: member.applied_index,
        ),
        (
            "etcd_server_proposals_pending",
            "The current number of pending proposals to commit.",
            lambda: runtime.proposals_pending,
        ),
        (
            "etcd_server_quota_backend_bytes",
            "Current backend storage quota size in bytes.",
            lambda: quota.bytes_max,
        ),
        (
            "etcd_mvcc_db_total_size_in_bytes",
            "Total size of the underlying database physically allocated in bytes.",
            operations.file_bytes,
        ),
        (
            "etcd_mvcc_db_total_size_in_use_in_bytes",
            "Total size of the underlying database logically in use in bytes.",
            operations.in_use_bytes,
        ),
        (
            "etcd_debugging_mvcc_keys_total",
            "Total number of keys.",
            lambda: len(member.store),
        ),
        (
            "etcd_debugging_mvcc_current_revision",
            "The current revision of store.",
            lambda: member.store.revision,
        ),
        (
            "etcd_debugging_mvcc_compact_revision",
            "The revision of the last compaction in store.",
            lambda: member.store.compact_revision,
        ),
    ]


def counters(member: Member, runtime: "Runtime", timers: "Timers") -> list[Sample]:
    """Values that only grow."""
    lessor = member.lessor
    return [
        (
            "etcd_server_leader_changes_seen_total",
            "The number of leader changes seen.",
            lambda: member.leader_changes,
        ),
        (
            "etcd_server_proposals_failed_total",
            "The total number of failed proposals seen.",
            lambda: runtime.proposals_failed,
        ),
        (
            "etcd_server_read_indexes_failed_total",
            "The total number of failed read indexes seen.",
            lambda: runtime.reads_failed,
        ),
        (
            "etcd_server_slow_read_indexes_total",
            "The total number of pending read indexes not in sync with leader's or timed out.",
            lambda: runtime.reads_slow,
        ),
        (
            "etcd_debugging_server_lease_expired_total",
            "The total number of expired leases.",
            lambda: timers.leases_expired,
        ),
        (
            "etcd_debugging_lease_granted_total",
            "The total number of granted leases.",
            lambda: lessor.granted_total,
        ),
        (
            "etcd_debugging_lease_revoked_total",
            "The total number of revoked leases.",
            lambda: lessor.revoked_total,
        ),
        (
            "etcd_debugging_lease_renewed_total",
            "The number of renewed leases seen by the leader.",
            lambda: lessor.renewed_total,
        ),
        (
            "etcd_debugging_mvcc_db_compaction_keys_total",
            "Total number of db keys compacted.",
            lambda: member.store.compacted_rows,
        ),
    ]


def facts(member: Member, reconfiguration: "Reconfiguration") -> list[Family]:
    """What is told by labels: who this is, the cluster's version, promotions and alarms."""
    failed = reconfiguration.promotions_failed
    kinds = {AlarmType.NOSPACE: "NOSPACE", AlarmType.CORRUPT: "CORRUPT"}
    alarms = member.alarms.get()
    version = member.membership.version
    return [
        Family(
            "etcd_server_id",
            "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
            "gauge",
            ("server_id",),
            [((format_id(member.id),), 1.0)],
        ),
        Family(
            "etcd_cluster_version",
            "Which version is running. 1 for 'cluster_version' label with current cluster version",
            "gauge",
            ("cluster_version",),
            [((version.rpartition(".")[0],), 1.0)] if version else [],
        ),
        Family(
            "etcd_debugging_server_alarms",
            "Alarms for every member in cluster. 1 for 'server_id' label with current ID. "
            "2 for 'alarm_type' label with type of this alarm",
            "gauge",
            ("server_id", "alarm_type"),
            [((format_id(a.memberID), kinds.get(a.alarm, "NONE")), 1.0) for a in alarms],
        ),
        Family(
            "etcd_server_learner_promote_successes",
            "The total number of successful learner promotions while this member is leader.",
            "gauge",
            (),
            [((), float(reconfiguration.promotions_total))],
        ),
        Family(
            "etcd_server_learner_promote_failures",
            "The total number of failed learner promotions (likely learner not ready) while this "
            "member is leader.",
            "gauge",
            ("Reason",),
            [((reason,), float(count)) for reason, count in sorted(failed.items())],
        ),
    ]
