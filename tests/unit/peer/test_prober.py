"""Probes: what Go writes as time, smoothing, skew, silence."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from peer_fakes import Bench, response

from petcd.peer.prober import Prober, parse_probe
from petcd.peer.url_picker import UrlPicker
from petcd.transport.http_client import Unreachable


@pytest.mark.parametrize(
    ("now", "unix_s"),
    [
        ("2023-11-14T22:13:20Z", 1_700_000_000.0),
        ("2023-11-14T22:13:20.25Z", 1_700_000_000.25),
        ("2023-11-14T22:13:20.250000999Z", 1_700_000_000.25),
        ("2023-11-15T00:13:20.123456789+02:00", 1_700_000_000.123456),
    ],
)
def test_times_as_go_writes_them_are_read(now: str, unix_s: float) -> None:
    assert parse_probe(200, b'{"OK":true,"Now":"%s"}\n' % now.encode()) == pytest.approx(unix_s)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (200, b""),
        (200, b"[]"),
        (200, b'{"OK":false,"Now":"2023-11-14T22:13:20Z"}'),
        (200, b'{"OK":true}'),
        (200, b'{"OK":true,"Now":"yesterday"}'),
        (200, b'{"OK":true,"Now":7}'),
    ],
)
def test_anything_else_is_no_healthy_answer(status: int, body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_probe(status, body)


def run(bench: Bench, scenario: Callable[[Prober], Awaitable[None]]) -> None:
    async def main() -> None:
        prober = Prober(bench.context, 0xB2, UrlPicker(["http://one:2380"]), lambda: 1_700_000_000)
        await scenario(prober)
        prober.stop()

    asyncio.run(main())


def at(second: int) -> bytes:
    return b'{"OK":true,"Now":"2023-11-14T22:13:%02dZ"}' % second


def test_round_trips_are_averaged_and_counted(bench: Bench) -> None:
    async def scenario(prober: Prober) -> None:
        for took_s in (0.008, 0.016):
            bench.client.answer = lambda *_, took_s=took_s: response(200, at(20), took_s=took_s)
            await prober.probe()
        assert prober.round_trip_s == pytest.approx(0.009)
        assert bench.counters.of(0xB2).round_trips.sum == pytest.approx(0.024)
        assert not bench.log.lines

    run(bench, scenario)


@pytest.mark.parametrize("second", [18, 22])
def test_a_clock_that_is_off_is_told(bench: Bench, second: int) -> None:
    async def scenario(prober: Prober) -> None:
        bench.client.answer = lambda *_: response(200, at(second))
        await prober.probe()
        assert bench.log.has("high clock drift")
        assert prober.skew_s == pytest.approx(second - 20, abs=0.01)

    run(bench, scenario)


def test_a_peer_that_does_not_answer_is_told(bench: Bench) -> None:
    async def scenario(prober: Prober) -> None:
        bench.client.answer = lambda *_: Unreachable("down")
        await prober.probe()
        assert bench.log.has("unhealthy") and not sum(bench.counters.of(0xB2).round_trips.counts)

    run(bench, scenario)
