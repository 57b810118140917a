"""What is counted, under etcd's names."""

from petcd.peer.counters import Histogram, NetworkCounters


def test_each_peer_has_a_sample_in_each_family() -> None:
    counters = NetworkCounters(0xA)
    counters.of(0xB).sent_bytes = 7
    counters.of(0xC).active = True
    counters.of(0xB).snapshot_receives.successes = 2
    families = {family.name: family for family in counters.samples()}
    assert families["etcd_network_peer_sent_bytes_total"].samples == [(("b",), 7), (("c",), 0)]
    assert families["etcd_network_active_peers"].samples == [(("a", "b"), 0.0), (("a", "c"), 1.0)]
    assert families["etcd_network_active_peers"].labels == ("Local", "Remote")
    received = families["etcd_network_snapshot_receive_success"]
    assert received.samples == [(("b",), 2), (("c",), 0)] and received.labels == ("From",)
    assert len(families) == 18


def test_a_histogram_counts_each_duration_once() -> None:
    histogram = Histogram([0.1, 0.2])
    for duration_s in (0.05, 0.1, 0.15, 5.0):
        histogram.observe(duration_s)
    assert histogram.counts == [2, 1, 1] and abs(histogram.sum - 5.3) < 1e-9
