"""Metrics under etcd's names, so that its dashboards and alert rules work.

The hot paths keep plain integers; what Prometheus wants is put together when it asks. Only what has
a meaning here is exported: no Go run time, no peers without peers.
Source: the metric list of etcd 3.5; bucket bounds are etcd's.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from petcd.transport.grpc_status import CODE_NAMES
from petcd.transport.router import BIDI, CLIENT_STREAM, SERVER_STREAM, UNARY, Router
from petcd.version import ETCD_VERSION

_TYPES = {
    UNARY: "unary",
    SERVER_STREAM: "server_stream",
    CLIENT_STREAM: "client_stream",
    BIDI: "bidi_stream",
}
_DISK_BUCKETS_S = [0.001 * 2**n for n in range(14)]
_DEFRAG_BUCKETS_S = [0.1 * 2**n for n in range(13)]

Sample = tuple[str, str, Callable[[], float]]


class Durations:
    """A histogram that costs less than a microsecond an observation."""

    def __init__(self, name: str, text: str, bounds_s: list[float]) -> None:
        self._name = name
        self._text = text
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_s = 0.0

    def observe(self, duration_s: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self._bounds_s, duration_s)] += 1
        self._sum_s += duration_s

    def family(self) -> HistogramMetricFamily:
        """The histogram as Prometheus reads it: cumulative buckets."""
        totals = list(accumulate(self._counts))
        bounds = [*(f"{bound:g}" for bound in self._bounds_s), "+Inf"]
        buckets = list(zip(bounds, totals, strict=True))
        return HistogramMetricFamily(self._name, self._text, buckets, self._sum_s)


class Metrics:
    """The registry of one member."""

    def __init__(self, gauges: list[Sample], counters: list[Sample]) -> None:
        """`gauges` and `counters`: (name, help, function that gives the value now)."""
        self._registry = CollectorRegistry()
        self._gauges = gauges
        self._counters = counters
        self._router: Router | None = None
        self.wal_fsync = Durations(
            "etcd_disk_wal_fsync_duration_seconds",
            "The latency distributions of fsync called by WAL.",
            _DISK_BUCKETS_S,
        )
        self.backend_commit = Durations(
            "etcd_disk_backend_commit_duration_seconds",
            "The latency distributions of commit called by backend.",
            _DISK_BUCKETS_S,
        )
        self.defrag = Durations(
            "etcd_disk_backend_defrag_duration_seconds",
            "The latency distribution of backend defragmentation.",
            _DEFRAG_BUCKETS_S,
        )
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def watch_router(self, router: Router) -> None:
        """Export the call counters of these methods too."""
        self._router = router

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """For the registry: nothing is known before `collect`."""
        return []

    def collect(self) -> Iterator[Metric]:
        """For the registry: everything that is kept as plain numbers."""
        for name, text, value in self._gauges:
            yield GaugeMetricFamily(name, text, value=value())
        for name, text, value in self._counters:
            yield CounterMetricFamily(name, text, value=value())
        for durations in (self.wal_fsync, self.backend_commit, self.defrag):
            yield durations.family()
        version = GaugeMetricFamily(
            "etcd_server_version",
            "Which version is running. 1 for 'server_version' label with current version.",
            labels=["server_version"],
        )
        version.add_metric([ETCD_VERSION], 1)
        yield version
        if self._router is not None:
            yield from _calls(self._router)


def _calls(router: Router) -> Iterator[Metric]:
    labels = ["grpc_type", "grpc_service", "grpc_method"]
    started = CounterMetricFamily(
        "grpc_server_started", "Total number of RPCs started on the server.", labels=labels
    )
    handled = CounterMetricFamily(
        "grpc_server_handled",
        "Total number of RPCs completed on the server, regardless of success or failure.",
        labels=[*labels, "grpc_code"],
    )
    received = CounterMetricFamily(
        "grpc_server_msg_received",
        "Total number of RPC stream messages received on the server.",
        labels=labels,
    )
    sent = CounterMetricFamily(
        "grpc_server_msg_sent",
        "Total number of gRPC stream messages sent by the server.",
        labels=labels,
    )
    for method in router.methods():
        names = [_TYPES[method.kind], method.service, method.name]
        started.add_metric(names, method.started)
        received.add_metric(names, method.msg_received)
        sent.add_metric(names, method.msg_sent)
        for code, count in method.handled.items():
            if count:
                handled.add_metric([*names, CODE_NAMES[code]], count)
    return iter((started, handled, received, sent))
