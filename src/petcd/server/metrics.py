"""Metrics under etcd's names, so that its dashboards and alert rules work.

The hot paths keep plain integers; what Prometheus wants is put together when it asks. Only what has
a meaning here is exported: no Go run time, no peers without peers.
Source: the metric list of etcd 3.5; bucket bounds are etcd's.
"""

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

from petcd.peer.counters import Family, Histogram
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
    """A histogram without labels; `observe` costs less than a microsecond."""

    def __init__(self, name: str, text: str, bounds_s: list[float]) -> None:
        self._name = name
        self._text = text
        self._histogram = Histogram(bounds_s)
        self.observe = self._histogram.observe

    def family(self) -> HistogramMetricFamily:
        """The histogram as Prometheus reads it."""
        histogram = self._histogram
        return HistogramMetricFamily(self._name, self._text, buckets(histogram), histogram.sum_s)


def buckets(histogram: Histogram) -> list[tuple[str, int]]:
    """Cumulative counts by upper bound, as Prometheus reads them."""
    bounds = [*(f"{bound:g}" for bound in histogram.bounds_s), "+Inf"]
    return list(zip(bounds, accumulate(histogram.counts), strict=True))


class Metrics:
    """The registry of one member."""

    def __init__(self, gauges: list[Sample], counters: list[Sample]) -> None:
        """`gauges` and `counters`: (name, help, function that gives the value now)."""
        self._registry = CollectorRegistry()
        self._gauges = gauges
        self._counters = counters
        self._router: Router | None = None
        self._peers: Callable[[], list[Family]] = list
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

    def watch_peers(self, samples: Callable[[], list[Family]]) -> None:
        """Export what is counted about other members too."""
        self._peers = samples

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
        for family in self._peers():
            if family.samples:
                yield _labelled(family)
        if self._router is not None:
            yield from _calls(self._router)


def _labelled(family: Family) -> Metric:
    name, text, labels = family.name, family.text, family.labels
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(name, text, labels=labels)
        for values, value in family.samples:
            assert isinstance(value, Histogram)
            histogram.add_metric(values, buckets(value), value.sum_s)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(name, text, labels=labels)
    for values, value in family.samples:
        assert not isinstance(value, Histogram)
        metric.add_metric(values, value)
    return metric


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
