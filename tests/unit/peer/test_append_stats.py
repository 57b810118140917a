"""Appends as /v2/stats shows them."""

import json

import pytest

from petcd.peer.append_stats import SAMPLES_MAX, AppendRate, FollowerStats
from petcd.peer.counters import NetworkCounters


def test_a_follower_that_was_sent_nothing_has_etcds_shortest_latency() -> None:
    assert json.dumps(FollowerStats().numbers()) == (
        '{"latency": {"current": 0.0, "average": 0.0, "standardDeviation": 0.0, '
        '"minimum": 9223372036854775808, "maximum": 0.0}, "counts": {"fail": 0, "success": 0}}'
    )


def test_latencies_are_milliseconds_of_each_message() -> None:
    stats = FollowerStats()
    stats.succeeded(1, 0.002)
    stats.succeeded(3, 0.012)
    stats.fail += 1
    numbers = stats.numbers()
    assert numbers["counts"] == {"fail": 1, "success": 4}
    latency = numbers["latency"]
    assert latency == {
        "current": pytest.approx(4.0),
        "average": pytest.approx(3.5),
        "standardDeviation": pytest.approx(0.75**0.5),
        "minimum": pytest.approx(2.0),
        "maximum": pytest.approx(4.0),
    }


def test_rates_are_of_the_last_samples_and_fade() -> None:
    rate = AppendRate()
    assert rate.numbers("send", 5.0) == {"sendAppendRequestCnt": 0}
    for n in range(SAMPLES_MAX + 100):
        rate.add(10 + n / 100, 2, 50)
    now = 10 + (SAMPLES_MAX + 99) / 100
    assert rate.numbers("send", now + 0.5) == {
        "sendAppendRequestCnt": 2 * (SAMPLES_MAX + 100),
        "sendPkgRate": pytest.approx(2 * SAMPLES_MAX / 1.99),
        "sendBandwidthRate": pytest.approx(50 * SAMPLES_MAX / 1.99),
    }
    assert rate.numbers("send", now + 1.5) == {"sendAppendRequestCnt": 2 * (SAMPLES_MAX + 100)}


def test_one_sample_makes_no_rate() -> None:
    rate = AppendRate()
    rate.add(10.0, 1, 50)
    assert rate.numbers("recv", 10.1) == {"recvAppendRequestCnt": 1}


def test_only_present_peers_are_followers() -> None:
    counters = NetworkCounters(0xA)
    counters.of(0xB).known = True
    counters.of(0xC).follower.fail = 1
    assert list(counters.follower_numbers()) == ["b"]
    assert counters.append_numbers(1.0) == {"recvAppendRequestCnt": 0, "sendAppendRequestCnt": 0}
