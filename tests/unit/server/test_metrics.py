"""The text that Prometheus reads."""

from petcd.peer.counters import NetworkCounters
from petcd.server.call_samples import CallTimes, call_families
from petcd.server.metrics import Metrics
from petcd.transport.grpc_status import CODE_NAMES
from petcd.transport.router import BIDI, UNARY, Method, Router


def lines(metrics: Metrics) -> list[str]:
    return metrics.render().decode().splitlines()


def test_what_is_counted_about_peers_has_etcds_names_and_labels() -> None:
    counters = NetworkCounters(0xA)
    peer = counters.of(0xB2)
    peer.active = True
    peer.sent_bytes = 700
    peer.round_trips.observe(0.0003)
    peer.snapshot_sends.successes = 2
    metrics = Metrics([], [])
    metrics.add(counters.samples)
    found = lines(metrics)
    assert 'etcd_network_active_peers{Local="a",Remote="b2"} 1' in found
    assert 'etcd_network_peer_sent_bytes_total{To="b2"} 700' in found
    assert 'etcd_network_peer_received_failures_total{From="b2"} 0' in found
    assert 'etcd_network_snapshot_send_success{To="b2"} 2' in found
    name = "etcd_network_peer_round_trip_time_seconds"
    assert f'{name}_bucket{{To="b2",le="0.0002"}} 0' in found
    assert f'{name}_bucket{{To="b2",le="0.0004"}} 1' in found
    assert f'{name}_bucket{{To="b2",le="+Inf"}} 1' in found
    assert f'{name}_sum{{To="b2"}} 0.0003' in found


def test_a_member_that_is_alone_tells_of_no_peers() -> None:
    metrics = Metrics([], [])
    metrics.add(NetworkCounters(0xA).samples)
    assert not any("etcd_network" in line for line in lines(metrics))


def test_a_histogram_is_cumulative() -> None:
    metrics = Metrics([], [])
    for duration_s in (0.0005, 0.003, 99.0):
        metrics.wal_fsync.observe(duration_s)
    name = "etcd_disk_wal_fsync_duration_seconds"
    found = lines(metrics)
    assert f'{name}_bucket{{le="0.001"}} 1' in found
    assert f'{name}_bucket{{le="0.004"}} 2' in found
    assert f"{name}_count 3" in found


def a_router() -> Router:
    router = Router()
    router.add(Method(b"/pkg.S/One", UNARY, lambda call, body: None))
    router.add(Method(b"/pkg.S/Two", BIDI, lambda call: None))
    return router


def test_each_method_has_a_sample_for_each_code_before_the_first_call() -> None:
    metrics, router = Metrics([], []), a_router()
    metrics.add(lambda: call_families(router))
    found = lines(metrics)
    for code in CODE_NAMES:
        labels = f'grpc_type="unary",grpc_service="pkg.S",grpc_method="One",grpc_code="{code}"'
        assert f"grpc_server_handled_total{{{labels}}} 0" in found
    labels = 'grpc_type="bidi_stream",grpc_service="pkg.S",grpc_method="Two"'
    assert f"grpc_server_started_total{{{labels}}} 0" in found


def test_calls_are_counted_under_their_code() -> None:
    metrics, router = Metrics([], []), a_router()
    metrics.add(lambda: call_families(router))
    method = router.methods()[0]
    method.started, method.msg_received, method.msg_sent, method.handled[5] = 4, 3, 2, 1
    found = lines(metrics)
    labels = 'grpc_type="unary",grpc_service="pkg.S",grpc_method="One"'
    assert f"grpc_server_started_total{{{labels}}} 4" in found
    assert f"grpc_server_msg_received_total{{{labels}}} 3" in found
    assert f"grpc_server_msg_sent_total{{{labels}}} 2" in found
    assert f'grpc_server_handled_total{{{labels},grpc_code="NotFound"}} 1' in found


def test_the_times_of_calls_are_kept_by_method() -> None:
    metrics, router = Metrics([], []), a_router()
    times = CallTimes(router)
    metrics.add(lambda: [times.family(router)])
    observe_s = router.methods()[0].observe_s
    assert observe_s is not None
    observe_s(0.007)
    found = lines(metrics)
    labels = 'grpc_type="unary",grpc_service="pkg.S",grpc_method="One"'
    name = "grpc_server_handling_seconds"
    assert f'{name}_bucket{{{labels},le="0.005"}} 0' in found
    assert f'{name}_bucket{{{labels},le="0.01"}} 1' in found
    assert f"{name}_sum{{{labels}}} 0.007" in found
    assert (
        f"{name}_count{{{labels.replace('One', 'Two').replace('unary', 'bidi_stream')}}} 0" in found
    )


def test_files_are_told_of_under_both_names() -> None:
    found = dict(line.split(" ") for line in lines(Metrics([], [])) if not line.startswith("#"))
    assert int(float(found["os_fd_used"])) > 2 and found["os_fd_limit"] == found["process_max_fds"]


def test_scrapes_are_counted() -> None:
    metrics = Metrics([], [])
    metrics.render()
    assert 'promhttp_metric_handler_requests_total{code="200"} 2' in lines(metrics)
