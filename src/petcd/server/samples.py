"""Which numbers of a running member are exported, and where they are read.

What stands in `store_samples` is about keys, watches and leases, here is the rest.
"""

from petcd.cluster import format_id
from petcd.peer.counters import Family
from petcd.server.engine import Engine
from petcd.server.metrics import Sample
from petcd.storage.wal import Wal
from petcd.version import ETCD_VERSION
from petcd.wire.maintenance import AlarmType


def gauges(engine: Engine) -> list[Sample]:
    """Values that go up and down; some are called `_total`, since etcd does."""
    member, runtime, timers = engine.member, engine.runtime, engine.timers
    return [
        (
            "etcd_server_has_leader",
            "Whether or not a leader exists. 1 is existence, 0 is not.",
            lambda: int(member.leader_id != 0),
        ),
        (
            "etcd_server_is_leader",
            "Whether or not this member is a leader. 1 if is, 0 otherwise.",
            lambda: int(member.is_leader),
        ),
        (
            "etcd_server_is_learner",
            "Whether or not this member is a learner. 1 if is, 0 otherwise.",
            lambda: int(member.node.raft.is_learner),
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
            "etcd_server_snapshot_apply_in_progress_total",
            "1 if the server is applying the incoming snapshot. 0 if none.",
            lambda: int(engine.is_receiving_snapshot),
        ),
        (
            "petcd_loop_longest_stall_seconds",
            "The longest time since the start that the loop was late for a heartbeat.",
            lambda: timers.latest_s,
        ),
    ]


def disk_gauges(engine: Engine) -> list[Sample]:
    """Log and store on the disk."""
    operations, quota, log = engine.operations, engine.quota, engine.opened.log
    assert isinstance(log, Wal), log  # a process has no other
    return [
        (
            "etcd_server_quota_backend_bytes",
            "Current backend storage quota size in bytes.",
            lambda: quota.bytes_max,
        ),
        (
            "etcd_disk_defrag_inflight",
            "Whether or not defrag is active on the member. 1 means active, 0 means not.",
            lambda: int(operations.is_defragmenting),
        ),
        (
            "etcd_disk_wal_write_bytes_total",
            "Total number of bytes written in WAL.",
            lambda: log.bytes_written,
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
    ]


def counters(engine: Engine) -> list[Sample]:
    """Values that only grow."""
    member, runtime, slowness = engine.member, engine.runtime, engine.slowness
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
            "The total number of pending read indexes not in sync with leader's or timed out read "
            "index requests.",
            lambda: runtime.reads_slow,
        ),
        (
            "etcd_server_slow_apply_total",
            "The total number of slow apply requests (likely overloaded from slow disk).",
            lambda: slowness.slow_applies,
        ),
        (
            "etcd_server_heartbeat_send_failures_total",
            "The total number of leader heartbeat send failures (likely overloaded from slow "
            "disk).",
            lambda: slowness.late_heartbeats,
        ),
    ]


def facts(engine: Engine) -> list[Family]:
    """What is told by labels: who this is, the cluster's version, promotions and alarms."""
    member, reconfiguration = engine.member, engine.reconfiguration
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
            [((format_id(member.id),), 1)],
        ),
        Family(
            "etcd_server_version",
            "Which version is running. 1 for 'server_version' label with current version.",
            "gauge",
            ("server_version",),
            [((ETCD_VERSION,), 1)],
        ),
        Family(
            "etcd_cluster_version",
            "Which version is running. 1 for 'cluster_version' label with current cluster version",
            "gauge",
            ("cluster_version",),
            [((version.rpartition(".")[0],), 1)] if version else [],
        ),
        Family(
            "etcd_debugging_server_alarms",
            "Alarms for every member in cluster. 1 for 'server_id' label with current ID. "
            "2 for 'alarm_type' label with type of this alarm",
            "gauge",
            ("server_id", "alarm_type"),
            [((format_id(a.memberID), kinds.get(a.alarm, "NONE")), 1) for a in alarms],
        ),
        Family(
            "etcd_server_learner_promote_successes",
            "The total number of successful learner promotions while this member is leader.",
            "counter",
            (),
            [((), reconfiguration.promotions_total)],
        ),
        Family(
            "etcd_server_learner_promote_failures",
            "The total number of failed learner promotions (likely learner not ready) while this "
            "member is leader.",
            "counter",
            ("Reason",),
            [((reason,), count) for reason, count in sorted(failed.items())],
        ),
    ]
