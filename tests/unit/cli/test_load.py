"""The load driver of `check`, its progress line, its verdict."""

import io

import pytest

from petcd.cli.ctl.check import RandomPut, verdict
from petcd.cli.ctl.console import Console
from petcd.cli.ctl.load import Load, LoadDriver, Outcome
from petcd.cli.ctl.progress import Progress
from petcd.cli.ctl.server_metrics import MetricFault, metric
from petcd.client.dialing import DialError
from petcd.client.endpoint import parse_endpoint
from petcd.wire.kv import PutRequest

PATH = b"/t.T/Put"


def driver(load: Load, *ways, **settings) -> LoadDriver:
    endpoints = [getattr(way, "endpoint", way) for way in ways]
    return LoadDriver(endpoints, load, PATH, lambda: b"body", **settings)


def ran(one: LoadDriver) -> Outcome:
    try:
        one.connect()
        return one.run()
    finally:
        one.close()


class Counting:
    """A handler that answers, fails or keeps silent, and counts."""

    def __init__(self, fail_every: int = 0) -> None:
        self.calls = 0
        self.fail_every = fail_every
        self.peers: set[str] = set()

    def __call__(self, call, body: bytes) -> None:
        self.calls += 1
        self.peers.add(call.peer)
        if self.fail_every and self.calls % self.fail_every == 0:
            call.fail(8, "etcdserver: mvcc: database space exceeded")
        else:
            call.reply(b"")


def test_a_load_of_calls_makes_exactly_so_many(serve) -> None:
    handler = Counting()
    outcome = ran(driver(Load(clients=5, calls=500), serve().unary(PATH, handler).start()))
    assert (len(outcome.latencies), handler.calls, outcome.errors) == (500, 500, {})
    assert len(handler.peers) == 5
    assert 0 < outcome.slowest_s <= outcome.total_s and outcome.rate > 0


def test_a_rate_is_kept_by_the_clock(serve) -> None:
    """The clock passes a millisecond a look, however long a look takes."""

    class Clock:
        now = 0.0

        def __call__(self) -> float:
            self.now += 0.001
            return self.now

    handler = Counting()
    one = driver(
        Load(clients=50, rate=100, seconds=0.2), serve().unary(PATH, handler).start(), clock=Clock()
    )
    outcome = ran(one)
    assert 18 <= len(outcome.latencies) <= 21


def test_failures_are_counted_by_their_text(serve) -> None:
    handler = Counting(fail_every=10)
    outcome = ran(driver(Load(clients=3, calls=100), serve().unary(PATH, handler).start()))
    assert outcome.errors == {"etcdserver: mvcc: database space exceeded": 10}
    assert len(outcome.latencies) == 90


def test_clients_spread_over_the_endpoints(serve) -> None:
    handlers = [Counting(), Counting()]
    servers = [serve().unary(PATH, handler).start() for handler in handlers]
    ran(driver(Load(clients=4, calls=100), *servers))
    assert all(len(handler.peers) == 2 for handler in handlers)


def test_stopping_makes_no_further_call(serve) -> None:
    one: list[LoadDriver] = []

    def handler(call, body: bytes) -> None:
        one[0].stopping = True
        call.reply(b"")

    one.append(driver(Load(clients=1, calls=1000), serve().unary(PATH, handler).start()))
    assert len(ran(one[0]).latencies) < 1000


def test_without_a_server_nothing_starts() -> None:
    with pytest.raises(DialError):
        ran(driver(Load(clients=1, calls=1), parse_endpoint("127.0.0.1:1")))


def test_progress_is_told(serve) -> None:
    seen: list[int] = []
    server = serve().unary(PATH, Counting()).start()
    ran(driver(Load(clients=1, calls=5), server, on_tick=lambda elapsed, done: seen.append(done)))
    assert seen[0] == 0


def test_random_puts_have_the_size_asked_for_and_differ() -> None:
    make = RandomPut(b"/p/\xff\xff\xff\xff\xff\xff\xff\xff", 256, 1024)
    one, other = PutRequest.decode(make()), PutRequest.decode(make())
    assert (len(one.key), len(one.value)) == (11 + 256, 1024)
    assert one.key != other.key and one.key.startswith(b"/p/\xff\xff\xff\xff\xff\xff\xff\xff")


def outcome_of(latencies: list[float], total_s: float) -> Outcome:
    outcome = Outcome()
    outcome.latencies = latencies
    outcome.total_s = total_s
    return outcome


@pytest.mark.parametrize(
    ("latencies", "total_s", "good", "lines"),
    [
        (
            [0.001] * 100,
            1.0,
            True,
            [
                "PASS: Throughput is 101 writes/s",
                "PASS: Slowest request took 0.001000s",
                "PASS: Stddev is 0.000000s",
            ],
        ),
        (
            [0.0] * 50 + [1.0] * 40,
            1.0,
            False,
            [
                "FAIL: Throughput too low: 91 writes/s",
                "Slowest request took too long: 1.000000s",
                "Stddev too high: 0.496904s",
            ],
        ),
        (
            [],
            1.0,
            False,
            [
                "FAIL: Throughput too low: 1 writes/s",
                "PASS: Slowest request took 0.000000s",
                "PASS: Stddev is 0.000000s",
            ],
        ),
    ],
)
def test_the_verdict_judges_rate_slowest_and_deviation(latencies, total_s, good, lines) -> None:
    assert verdict(outcome_of(latencies, total_s), 100) == (lines, good)


def shown(total: int, columns: int, *steps: tuple[int, float]) -> str:
    out = io.BytesIO()
    progress = Progress(Console(io.BytesIO(), out, io.BytesIO()), total, columns)
    for done, elapsed_s in steps:
        progress.show(done, elapsed_s)
    progress.finish()
    return out.getvalue().decode()


def test_progress_is_a_line_that_is_drawn_over() -> None:
    assert shown(60, 0, (0, 0), (30, 30), (30, 30), (60, 60)) == (
        "\r 0 / 60    0.00%\r 30 / 60   50.00% 00m30s\r 60 / 60  100.00%\n"
    )


def test_on_a_terminal_there_is_a_bar() -> None:
    assert "\r 30 / 60 Boooooooom          !  50.00% 00m30s" in shown(60, 45, (30, 30))


def test_a_metric_is_found_in_the_text_format() -> None:
    text = '# HELP x y\nx_total 5\nx 1.5e+07\nx{a="b"} 3\n'
    assert metric(text, "x") == 15_000_000.0
    with pytest.raises(MetricFault, match="could not find: z"):
        metric(text, "z")
    with pytest.raises(MetricFault, match="parse error"):
        metric("x y\n", "x")
