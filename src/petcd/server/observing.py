"""Where a member's metrics come from: joins what counts and measures to the registry.

In two steps, since a member opens its data and finds its cluster before it listens to clients.
"""

import time

from petcd.api.http import HttpEndpoints
from petcd.peer.counters import Family, NetworkCounters
from petcd.server.call_samples import CallTimes, call_families
from petcd.server.engine import Engine
from petcd.server.metrics import Metrics
from petcd.server.samples import counters, disk_gauges, facts, gauges
from petcd.server.store_samples import (
    lease_times,
    range_families,
    store_counters,
    store_gauges,
    v2_families,
)
from petcd.transport.listener import Listener
from petcd.transport.router import Router

EXTENSIVE = "extensive"


def observe_member(engine: Engine, peers: NetworkCounters) -> Metrics:
    """The metrics of a member that is about to run."""
    metrics = Metrics(
        [*gauges(engine), *disk_gauges(engine), *store_gauges(engine)],
        [*counters(engine), *store_counters(engine)],
    )
    wal_fsync, slow = metrics.wal_fsync.observe, engine.slowness.synced

    def synced(duration_s: float) -> None:
        wal_fsync(duration_s)
        slow(duration_s)

    engine.runtime.effects.sync_durations_s = synced
    engine.committer.durations_s = metrics.backend_commit.observe
    engine.timers.delays_s = metrics.loop_delay.observe
    engine.truncation.durations_s = metrics.snap_save.observe
    engine.truncation.sync_durations_s = metrics.snap_fsync.observe
    operations = engine.operations
    operations.defrag_durations_s = metrics.defrag.observe
    operations.export_durations_s = metrics.export.observe
    operations.hash_durations_s = metrics.hash.observe
    operations.compaction_pauses_ms = metrics.compaction_pause_ms.observe
    operations.compaction_durations_ms = metrics.compaction_ms.observe
    metrics.add(peers.samples)
    metrics.add(lambda: [*facts(engine), *lease_times(engine), *v2_families(engine)])
    return metrics


def observe_clients(
    metrics: Metrics,
    engine: Engine,
    router: Router,
    listener: Listener,
    endpoints: HttpEndpoints,
    detail: str,
) -> None:
    """Add what is counted at the client port; `detail` is --metrics."""
    metrics.add(lambda: [*call_families(router), *range_families(engine, router)])
    metrics.add(lambda: _traffic(listener))
    metrics.add(lambda: _health(endpoints))
    if detail == EXTENSIVE:
        listener.clock = time.monotonic
        times = CallTimes(router)
        metrics.add(lambda: [times.family(router)])


def _traffic(listener: Listener) -> list[Family]:
    return [
        Family(
            f"etcd_network_client_grpc_{way}_bytes_total",
            text,
            "counter",
            (),
            [((), count)],
        )
        for way, text, count in (
            (
                "received",
                "The total number of bytes received from grpc clients.",
                listener.message_bytes_received,
            ),
            (
                "sent",
                "The total number of bytes sent to grpc clients.",
                listener.message_bytes_sent,
            ),
        )
    ]


def _health(endpoints: HttpEndpoints) -> list[Family]:
    return [
        Family(
            "etcd_server_health_success",
            "The total number of successful health checks",
            "counter",
            (),
            [((), endpoints.healthy_total)],
        ),
        Family(
            "etcd_server_health_failures",
            "The total number of failed health checks",
            "counter",
            (),
            [((), endpoints.unhealthy_total)],
        ),
        Family(
            "etcd_server_healthcheck",
            "The result of each kind of healthcheck.",
            "gauge",
            ("type", "name"),
            [(check, int(ok)) for check, ok in sorted(endpoints.checks_ok.items())],
        ),
        Family(
            "etcd_server_healthchecks_total",
            "The total number of each kind of healthcheck.",
            "counter",
            ("type", "name", "status"),
            sorted(endpoints.checks.items()),
        ),
    ]
