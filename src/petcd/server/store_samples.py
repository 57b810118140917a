"""What is exported about keys, watches, leases and the v2 API.

Counts are of the operations that this member applied or served since it started, as in etcd. Both
APIs work on one store here, so what came through v2 is in the counts of mvcc as well.
"""

from petcd.member.v2.stats import OPERATIONS
from petcd.peer.counters import Family, Histogram
from petcd.server.engine import Engine
from petcd.server.metrics import Sample, doubling
from petcd.transport.router import Router

_RANGE = b"/etcdserverpb.KV/Range"
_TTL_BOUNDS_S = doubling(1.0, 24)
# What etcd calls the actions of the v2 store; a read's depth is not counted apart here.
_ACTIONS = {"gets": "get", "sets": "set"}


def store_gauges(engine: Engine) -> list[Sample]:
    """Sizes of what is held in memory."""
    store, hub = engine.member.store, engine.hub
    v2_numbers = engine.member.applier.v2.stats.numbers
    return [
        ("etcd_debugging_mvcc_keys_total", "Total number of keys.", lambda: len(store)),
        (
            "etcd_debugging_mvcc_current_revision",
            "The current revision of store.",
            lambda: store.revision,
        ),
        (
            "etcd_debugging_mvcc_compact_revision",
            "The revision of the last compaction in store.",
            lambda: store.compact_revision,
        ),
        (
            "etcd_debugging_mvcc_db_compaction_last",
            "The unix time of the last db compaction. Resets to 0 on start.",
            lambda: engine.operations.compacted_unix_s,
        ),
        (
            "etcd_debugging_mvcc_total_put_size_in_bytes",
            "The total size of put kv pairs seen by this member.",
            lambda: store.counts.put_bytes,
        ),
        (
            "etcd_debugging_mvcc_watch_stream_total",
            "Total number of watch streams.",
            lambda: hub.stream_count,
        ),
        (
            "etcd_debugging_mvcc_watcher_total",
            "Total number of watchers.",
            lambda: hub.watcher_count,
        ),
        (
            "etcd_debugging_mvcc_slow_watcher_total",
            "Total number of unsynced slow watchers.",
            lambda: hub.slow_watcher_count,
        ),
        (
            "etcd_debugging_store_watchers",
            "Count of currently active watchers.",
            lambda: v2_numbers()["watchers"],
        ),
    ]


def store_counters(engine: Engine) -> list[Sample]:
    """Operations on keys and leases."""
    store, lessor = engine.member.store, engine.member.lessor
    return [
        (
            "etcd_mvcc_put_total",
            "Total number of puts seen by this member.",
            lambda: store.counts.puts,
        ),
        (
            "etcd_mvcc_delete_total",
            "Total number of deletes seen by this member.",
            lambda: store.counts.deletes,
        ),
        (
            "etcd_mvcc_txn_total",
            "Total number of txns seen by this member.",
            lambda: store.counts.txns,
        ),
        (
            "etcd_debugging_mvcc_events_total",
            "Total number of events sent by this member.",
            lambda: engine.hub.events_total,
        ),
        (
            "etcd_debugging_mvcc_db_compaction_keys_total",
            "Total number of db keys compacted.",
            lambda: store.compacted_rows,
        ),
        (
            "etcd_debugging_server_lease_expired_total",
            "The total number of expired leases.",
            lambda: engine.timers.leases_expired,
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
            "etcd_debugging_store_expires_total",
            "Total number of expired keys.",
            lambda: engine.member.applier.v2.stats.numbers()["expireCount"],
        ),
    ]


def range_families(engine: Engine, router: Router) -> list[Family]:
    """Ranges: those of calls, which the router counts, and those inside of transactions."""
    method = router.find(_RANGE)
    assert method is not None
    count = method.handled[0] + engine.member.store.counts.ranges
    text = "Total number of ranges seen by this member."
    return [
        Family(f"etcd{debugging}_mvcc_range_total", text, "counter", (), [((), count)])
        for debugging in ("", "_debugging")
    ]


def lease_times(engine: Engine) -> list[Family]:
    """The times to live that were granted."""
    lessor = engine.member.lessor
    times = Histogram(_TTL_BOUNDS_S)
    bounded = len(_TTL_BOUNDS_S)
    times.counts = [*lessor.ttl_counts[:bounded], sum(lessor.ttl_counts[bounded:])]
    times.sum = lessor.ttl_sum_s
    text = "Bucketed histogram of lease TTLs."
    return [Family("etcd_debugging_lease_ttl_total", text, "histogram", (), [((), times)])]


def v2_families(engine: Engine) -> list[Family]:
    """Operations of the v2 API by action, all and failed ones."""
    numbers = engine.member.applier.v2.stats.numbers()
    reads, writes = OPERATIONS[:1], OPERATIONS[1:]
    return [
        _actions("reads_total", _READS, reads, numbers, ("Success", "Fail")),
        _actions("reads_failed_total", _READS_FAILED, reads, numbers, ("Fail",)),
        _actions("writes_total", _WRITES, writes, numbers, ("Success", "Fail")),
        _actions("writes_failed_total", _WRITES_FAILED, writes, numbers, ("Fail",)),
    ]


_READS = "Total number of reads action by (get/getRecursive), local to this member."
_READS_FAILED = "Failed read actions by (get/getRecursive), local to this member."
_WRITES = "Total number of writes (e.g. set/compareAndDelete) seen by this member."
_WRITES_FAILED = "Failed write actions (e.g. set/compareAndDelete), seen by this member."


def _actions(
    name: str,
    text: str,
    operations: tuple[str, ...],
    numbers: dict[str, int],
    outcomes: tuple[str, ...],
) -> Family:
    samples: list[tuple[tuple[str, ...], float | Histogram]] = [
        (
            (_ACTIONS.get(operation, operation),),
            sum(numbers[operation + outcome] for outcome in outcomes),
        )
        for operation in operations
    ]
    return Family(f"etcd_debugging_store_{name}", text, "counter", ("action",), samples)
