"""Metrics under etcd's names, so that its dashboards and alert rules work.

The hot paths keep plain integers; what Prometheus wants is put together when it asks. Only what has
a meaning here is exported: no Go run time, no pages of bbolt, no peers without peers.
Source: the metric list of etcd 3.5; names, help texts, labels and bucket bounds are etcd's.
"""

from collections.abc import Callable, Iterator

from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from petcd.peer.counters import Family, Histogram
from petcd.server.exposition import text_of

Sample = tuple[str, str, Callable[[], float]]
Source = Callable[[], list[Family]]


def doubling(first: float, count: int) -> list[float]:
    """Bucket bounds, each twice the one before."""
    return [first * 2**n for n in range(count)]


_SYNCS_S = doubling(0.001, 14)


class Durations:
    """A histogram without labels; `observe` costs less than a microsecond."""

    def __init__(self, name: str, text: str, bounds: list[float]) -> None:
        self._name = name
        self._text = text
        self._histogram = Histogram(bounds)
        self.observe = self._histogram.observe

    def family(self) -> Family:
        """The histogram under its name."""
        return Family(self._name, self._text, "histogram", (), [((), self._histogram)])


class Metrics:
    """The registry of one member."""

    def __init__(self, gauges: list[Sample], counters: list[Sample]) -> None:
        """`gauges` and `counters`: (name, help, function that gives the value now)."""
        self._gauges = gauges
        self._counters = counters
        self._sources: list[Source] = []
        self._scrapes = 0
        registry = CollectorRegistry()
        self._process = (ProcessCollector(registry=registry), PlatformCollector(registry=registry))
        self.wal_fsync = Durations(
            "etcd_disk_wal_fsync_duration_seconds",
            "The latency distributions of fsync called by WAL.",
            _SYNCS_S,
        )
        self.backend_commit = Durations(
            "etcd_disk_backend_commit_duration_seconds",
            "The latency distributions of commit called by backend.",
            _SYNCS_S,
        )
        self.defrag = Durations(
            "etcd_disk_backend_defrag_duration_seconds",
            "The latency distribution of backend defragmentation.",
            doubling(0.1, 13),
        )
        self.export = Durations(
            "etcd_disk_backend_snapshot_duration_seconds",
            "The latency distribution of backend snapshots.",
            doubling(0.01, 17),
        )
        self.hash = Durations(
            "etcd_mvcc_hash_duration_seconds",
            "The latency distribution of storage hash operation.",
            doubling(0.01, 15),
        )
        self.compaction_pause_ms = Durations(
            "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
            "Bucketed histogram of db compaction pause duration.",
            doubling(1, 13),
        )
        self.compaction_ms = Durations(
            "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
            "Bucketed histogram of db compaction total duration.",
            doubling(100, 14),
        )
        self.snap_save = Durations(
            "etcd_debugging_snap_save_total_duration_seconds",
            "The total latency distributions of save called by snapshot.",
            _SYNCS_S,
        )
        self.snap_fsync = Durations(
            "etcd_snap_fsync_duration_seconds",
            "The latency distributions of fsync called by snap.",
            _SYNCS_S,
        )
        self.loop_delay = Durations(
            "petcd_loop_delay_seconds",
            "How late the loop came to its heartbeats, which it looks at once an interval.",
            _SYNCS_S,
        )

    def add(self, source: Source) -> None:
        """Export what this gives, too."""
        self._sources.append(source)

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        self._scrapes += 1
        return text_of(self._families())

    def _families(self) -> Iterator[Family]:
        for kind, samples in (("gauge", self._gauges), ("counter", self._counters)):
            for name, text, value in samples:
                yield Family(name, text, kind, (), [((), value())])
        for durations in vars(self).values():
            if isinstance(durations, Durations):
                yield durations.family()
        for source in self._sources:
            yield from source()
        yield from _process_families(self._process)
        yield Family(
            "promhttp_metric_handler_requests_total",
            "Total number of scrapes by HTTP status code.",
            "counter",
            ("code",),
            [(("200",), self._scrapes)],
        )


def _process_families(collectors: tuple[Collector, ...]) -> Iterator[Family]:
    """What the system knows of this process; etcd tells of its files twice."""
    for collector in collectors:
        for metric in collector.collect():
            sample = metric.samples[0]
            labels, values = tuple(sample.labels), tuple(sample.labels.values())
            found = Family(
                sample.name, metric.documentation, metric.type, labels, [(values, sample.value)]
            )
            yield found
            if sample.name == "process_open_fds":
                text = "The number of used file descriptors."
                yield Family("os_fd_used", text, "gauge", (), found.samples)
            elif sample.name == "process_max_fds":
                text = "The file descriptor limit."
                yield Family("os_fd_limit", text, "gauge", (), found.samples)
