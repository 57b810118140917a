"""The text that Prometheus reads."""

from petcd.peer.counters import NetworkCounters
from petcd.server.metrics import Metrics


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
