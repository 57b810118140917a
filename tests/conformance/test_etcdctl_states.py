"""etcdctl in states that take some arranging: alarms, restarts under a watch, load."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest
from etcdctl_runs import Run, Seen, StartServer, Step, assert_same, program

from bench.servers import Server
from petcd.client import methods
from petcd.client.channel import Channel
from petcd.client.endpoint import parse_endpoint
from petcd.wire.cluster import MemberListRequest, MemberListResponse
from petcd.wire.maintenance import AlarmAction, AlarmRequest, AlarmType

pytestmark = pytest.mark.real_etcd
PERF_TIMEOUT_S = 150

STATUS_HIDDEN = (r"3\.5\.\d+, \d+(\.\d)? [kM]?B", r"\d+, \d+, (?=memberID)", r"\| +[^|]*B \|[^\n]*")
ALARMS = [
    Step("alarm list"),
    Step("alarm list -w json"),
    Step("alarm list -w fields"),
    Step("alarm list -w protobuf"),
    Step("endpoint status", hide=STATUS_HIDDEN),
    Step("endpoint health"),
    Step("endpoint health -w json"),
    Step("endpoint health -w fields"),
    Step("alarm disarm"),
    Step("alarm list"),
    Step("endpoint health"),
]


def raise_alarm(server: Server) -> None:
    channel = Channel([parse_endpoint(f"127.0.0.1:{server.port}")])
    body = channel.unary(methods.MEMBER_LIST, MemberListRequest().encode())
    member = MemberListResponse.decode(body).members[0].ID
    request = AlarmRequest(action=AlarmAction.ACTIVATE, memberID=member, alarm=AlarmType.CORRUPT)
    channel.unary(methods.ALARM, request.encode())
    channel.close()


def with_an_alarm(start_server: StartServer, ctl: str, server: str) -> list[Seen]:
    run = Run(ctl, start_server(server))
    run.identities()
    raise_alarm(run.server)
    return run.play(ALARMS)


@pytest.mark.parametrize(
    ("ctl", "server"), [("petcd", "etcd"), ("etcd", "petcd"), ("petcd", "petcd")]
)
def test_an_alarm_is_shown_and_cleared_alike(
    start_server: StartServer, ctl: str, server: str
) -> None:
    wanted = with_an_alarm(start_server, "etcd", "etcd")
    seen = with_an_alarm(start_server, ctl, server)
    assert "\n".join(map(str, seen)) == "\n".join(map(str, wanted))


# -- users ----------------------------------------------------------------------------------------


ACCESS = [
    Step("auth status"),
    Step("auth status -w json"),
    Step("auth status --user root:secret"),
    Step("auth status extra"),
]


def test_etcdctl_learns_that_there_is_no_access_control(start_server: StartServer) -> None:
    def told(server: str) -> list[Seen]:
        run = Run("etcd", start_server(server))
        run.identities()
        return run.play(ACCESS)

    assert_same(told("etcd"), told("petcd"))


# -- a watch goes on ------------------------------------------------------------------------------


class Watching:
    """Our etcdctl watching; its lines can be waited for."""

    def __init__(self, server: Server, *words: str) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("ETCDCTL_", "ETCD_"))}
        command = [*program("petcd"), "--endpoints", f"127.0.0.1:{server.port}", "watch", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True)

    def lines(self, count: int) -> list[str]:
        assert self.process.stdout is not None
        return [self.process.stdout.readline().rstrip("\n") for _ in range(count)]

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        assert self.process.stdout is not None
        with self.process.stdout:
            return self.process.wait(20)


@pytest.mark.parametrize("kind", ["etcd", "petcd"])
def test_a_watch_goes_on_when_the_server_comes_back(start_server: StartServer, kind: str) -> None:
    server = start_server(kind)
    run = Run("petcd", server)
    run.do(Step("put w 1"))
    watching = Watching(server, "w", "--rev", "1")
    assert watching.lines(3) == ["PUT", "w", "1"]
    server.stop()
    asyncio.run(server.start())
    run.do(Step("put w 2"))
    assert watching.lines(3) == ["PUT", "w", "2"]
    server.kill()
    asyncio.run(server.start())
    run.do(Step("del w"))
    assert watching.lines(3) == ["DELETE", "w", ""]
    assert watching.end() == -signal.SIGINT


def test_output_into_a_closed_pipe_ends_the_program_quietly(start_server: StartServer) -> None:
    server = start_server("etcd")
    watching = Watching(server, "w", "--rev", "1")
    assert watching.process.stdout is not None
    watching.process.stdout.close()
    run = Run("petcd", server)
    run.do(Step("put w 1"))
    assert watching.process.wait(20) == -signal.SIGPIPE


# -- check perf -----------------------------------------------------------------------------------


@pytest.fixture
def side_by_side() -> Iterator[Callable[[list[Callable[[], Seen]]], list[Seen]]]:
    """Runs things at the same time, for each takes a minute and little else."""
    threads: list[threading.Thread] = []

    def run(works: list[Callable[[], Seen]]) -> list[Seen]:
        results: list[Seen | None] = [None] * len(works)

        def one(number: int) -> None:
            results[number] = works[number]()

        threads.extend(threading.Thread(target=one, args=(n,)) for n in range(len(works)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(150)
        return [result for result in results if result is not None]

    yield run
    with contextlib.suppress(RuntimeError):
        for thread in threads:
            thread.join(1)


# How each verdict is worded when the machine is too slow for it at this moment.
SLOW = {
    "FAIL: Throughput too low:": "PASS: Throughput is",
    "Slowest request took too long:": "PASS: Slowest request took",
    "Stddev too high:": "PASS: Stddev is",
}


def verdict_of(text: str) -> list[str]:
    """The lines without the progress, which the real program goes on drawing between them.

    Verdicts about the speed are all taken for good: how busy the machine is decides them.
    """
    text = re.sub(r"\r? \d+ / 60 +\d+\.\d+%( \w+)?", "\n", text)
    for slow, well in SLOW.items():
        text = text.replace(slow, well)
    text = re.sub(r"revision \d+|is \d+ writes", "N", text)
    lines = [line for line in text.splitlines() if line.strip()]
    assert lines[-1] in ("PASS", "FAIL"), text
    return lines[:-1]


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_check_perf_says_the_same_with_every_pair(start_server: StartServer, side_by_side) -> None:
    step = Step("check perf --auto-compact --auto-defrag --prefix /p/", hide=(r"\d\.\d{6}s",))
    runs = [
        Run(ctl, start_server(server))
        for ctl, server in (("etcd", "etcd"), ("petcd", "etcd"), ("petcd", "petcd"))
    ]
    seen = side_by_side([lambda run=run: run.do(step, PERF_TIMEOUT_S) for run in runs])
    texts = [verdict_of(one.out) for one in seen]
    for one in seen:
        assert one.code == int(one.out.rstrip().endswith("FAIL")), one
    assert texts[0] == texts[1] == texts[2]
