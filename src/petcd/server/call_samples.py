"""What is exported about gRPC calls, under the names that Go's gRPC servers use.

Each method has a sample for each code from the start, at zero, as in etcd: Prometheus sees a rate
only in a series that was there before its first increase.
"""

from petcd.peer.counters import Family, Histogram
from petcd.transport.grpc_status import CODE_NAMES
from petcd.transport.router import BIDI, CLIENT_STREAM, SERVER_STREAM, UNARY, Method, Router

_TYPES = {
    UNARY: "unary",
    SERVER_STREAM: "server_stream",
    CLIENT_STREAM: "client_stream",
    BIDI: "bidi_stream",
}
_LABELS = ("grpc_type", "grpc_service", "grpc_method")
# Those of go-grpc-prometheus.
_BOUNDS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]


class CallTimes:
    """How long the calls of each method took; kept with --metrics extensive."""

    def __init__(self, router: Router) -> None:
        self._histograms: dict[bytes, Histogram] = {}
        for method in router.methods():
            histogram = self._histograms[method.path] = Histogram(_BOUNDS_S)
            method.observe_s = histogram.observe

    def family(self, router: Router) -> Family:
        """The histograms of all methods."""
        return Family(
            "grpc_server_handling_seconds",
            "Histogram of response latency (seconds) of gRPC that had been application-level "
            "handled by the server.",
            "histogram",
            _LABELS,
            [(_names(method), self._histograms[method.path]) for method in router.methods()],
        )


def call_families(router: Router) -> list[Family]:
    """The counters of all methods."""
    methods = [(_names(method), method) for method in router.methods()]
    return [
        Family(
            "grpc_server_started_total",
            "Total number of RPCs started on the server.",
            "counter",
            _LABELS,
            [(names, method.started) for names, method in methods],
        ),
        Family(
            "grpc_server_handled_total",
            "Total number of RPCs completed on the server, regardless of success or failure.",
            "counter",
            (*_LABELS, "grpc_code"),
            [
                ((*names, CODE_NAMES[code]), count)
                for names, method in methods
                for code, count in method.handled.items()
            ],
        ),
        Family(
            "grpc_server_msg_received_total",
            "Total number of RPC stream messages received on the server.",
            "counter",
            _LABELS,
            [(names, method.msg_received) for names, method in methods],
        ),
        Family(
            "grpc_server_msg_sent_total",
            "Total number of gRPC stream messages sent by the server.",
            "counter",
            _LABELS,
            [(names, method.msg_sent) for names, method in methods],
        ),
    ]


def _names(method: Method) -> tuple[str, str, str]:
    return _TYPES[method.kind], method.service, method.name
