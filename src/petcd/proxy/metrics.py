"""What the proxy counts: etcd's `etcd_proxy_*` metrics and no others."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest

_BUCKETS = [0.0005 * 2**power for power in range(13)]
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"))
"""Others are counted together: a label must not be the client's to invent."""

ZERO_ENDPOINTS = "zero_endpoints"
FAILED_SENDING = "failed_sending_request"
FAILED_GETTING = "failed_getting_response"


class ProxyMetrics:
    """Counters of one proxy."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "etcd_proxy_requests", "Requests by method.", ["method"], registry=registry
        )
        self._handled = Counter(
            "etcd_proxy_handled",
            "Requests that a member answered.",
            ["method", "code"],
            registry=registry,
        )
        self._dropped = Counter(
            "etcd_proxy_dropped",
            "Requests that could not be passed on.",
            ["method", "proxying_error"],
            registry=registry,
        )
        self._durations = Histogram(
            "etcd_proxy_handling_duration_seconds",
            "Time until a member began to answer, by method.",
            ["method"],
            buckets=_BUCKETS,
            registry=registry,
        )

    def received(self, method: str) -> None:
        """A request came."""
        self._requests.labels(_label(method)).inc()

    def handled(self, method: str, status: int, took_s: float) -> None:
        """A member answered it."""
        self._handled.labels(_label(method), str(status)).inc()
        self._durations.labels(_label(method)).observe(took_s)

    def dropped(self, method: str, error: str) -> None:
        """It could not be passed on, or not to the first member that was tried."""
        self._dropped.labels(_label(method), error).inc()

    def render(self) -> bytes:
        """All of them as Prometheus text."""
        return generate_latest(self._registry)


def _label(method: str) -> str:
    return method if method in _METHODS else "OTHER"
