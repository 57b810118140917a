"""etcdctl with API 2, the real one and ours, at the real etcd and petcd: the outputs are the same.

Everything is compared with the real program at the real server: stdout, stderr and exit code.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import etcdctl_v2_script as script
import pytest
from etcdctl_runs import Seen, assert_same, flags_of_help, program
from peers import Peer, start
from v2_calls import Player, put

pytestmark = [pytest.mark.real_etcd, pytest.mark.timeout(300)]

COMBINATIONS = [("petcd", "etcd"), ("etcd", "petcd"), ("petcd", "petcd")]
IDS = ["our-etcdctl-at-etcd", "etcdctl-at-petcd", "our-etcdctl-at-petcd"]
HELP_TOPICS = (
    *("", "backup", "cluster-health", "mk", "mkdir", "rm", "rmdir", "get", "ls", "set", "setdir"),
    *("update", "updatedir", "watch", "exec-watch", "member", "user", "role", "auth"),
    *("member list", "user grant", "role grant", "role revoke", "auth enable"),
)


class Run:
    """One etcdctl at one server."""

    def __init__(self, ctl: str, peer: Peer) -> None:
        self.command = program(ctl)
        self.host = f"127.0.0.1:{peer.server.port}"
        self.hosts = (self.host, f"127.0.0.1:{peer.server.peer_port}")
        self.player = Player(peer.server.port)
        self.saved = self.player.base

    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
        return {**kept, "ETCDCTL_API": "2", "ETCDCTL_ENDPOINTS": f"http://{self.host}"}

    def do(self, line: str, env: dict[str, str]) -> Seen:
        shown, _, stdin = line.partition(" <<<")
        filled = re.sub(r"\{\+(\d+)\}", lambda m: str(self.player.base + int(m[1])), shown)
        filled = filled.replace("{index}", str(self.saved)).replace("HOST", self.host)
        ended = subprocess.run(
            [*self.command, *shlex.split(filled)],
            input=stdin.strip().encode(),
            capture_output=True,
            env=env,
            timeout=30,
            check=False,
        )
        # The original forgets the newline behind some complaints.
        err = self.comparable(ended.stderr).rstrip("\n")
        return Seen(line, ended.returncode, self.comparable(ended.stdout), err)

    def play(self, lines: str, endpoints: bool = True) -> list[Seen]:
        env = self.env()
        if not endpoints:
            del env["ETCDCTL_ENDPOINTS"]
        return [self.do(line, env) for line in lines.strip().split("\n")]

    def comparable(self, raw: bytes) -> str:
        text = raw.decode()
        for host, name in zip(self.hosts, ("HOST", "PEER"), strict=True):
            text = text.replace(host, name)
        text = re.sub(r"Incorrect Usage(.*?)\n.*", r"Incorrect Usage\1\n", text, flags=re.DOTALL)
        text = re.sub(r"NAME:\n.*", "(help)\n", text, flags=re.DOTALL)
        text = re.sub(r"\b[0-9a-f]{14,16}\b(?=[: \[\n])", "ID", text)
        text = re.sub(r"etcdctl version: .*", "etcdctl version: VERSION", text)
        text = re.sub(r'"expiration":"[^"]*"', '"expiration":"TIME"', text)
        base = self.player.base
        index = r"(?:(?<=\[)|(?<=Index: )|(?<=INDEX=)|(?<=Index\":)|(?<= != )|(?<=/0{16}))\d+|"
        index += r"(?<=waitIndex=)\d+"
        return re.sub(index, lambda m: f"+{int(m[0]) - base}" if int(m[0]) > base else m[0], text)


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[tuple[str, str], Run]]:
    """A server of its own for each combination of etcdctl and server."""
    with contextlib.ExitStack() as stack:
        yield {
            (ctl, kind): Run(
                ctl, stack.enter_context(contextlib.closing(start(kind, "--enable-v2=true")))
            )
            for ctl, kind in [("etcd", "etcd"), *COMBINATIONS]
        }


@pytest.mark.parametrize(
    "part", ["KEYS", "DIRECTORIES", "WATCHES", "CLUSTER", "FLAGS", "ELSEWHERE"]
)
def test_every_line_gives_the_same(runs, part: str) -> None:
    lines = getattr(script, part)
    played = {}
    for pair, run in runs.items():
        run.saved = int(run.player.ask(put("/mark", "value=x"))[1]["x-etcd-index"])
        played[pair] = run.play(lines, endpoints=part != "ELSEWHERE")
    for pair in COMBINATIONS:
        assert_same(played["etcd", "etcd"], played[pair])


@pytest.mark.parametrize("topic", HELP_TOPICS)
def test_help_names_the_same_command_and_flags(runs, topic: str) -> None:
    texts = [
        subprocess.run(
            [*runs[ctl, "etcd"].command, *topic.split(), "--help"],
            env=runs[ctl, "etcd"].env(),
            capture_output=True,
            check=True,
        ).stdout.decode()
        for ctl in ("etcd", "petcd")
    ]
    assert flags_of_help(texts[0]) == flags_of_help(texts[1])


@pytest.mark.parametrize(("ctl", "kind"), [("etcd", "etcd"), *COMBINATIONS])
def test_a_watch_for_ever_goes_on_until_it_is_interrupted(runs, ctl: str, kind: str) -> None:
    run = runs[ctl, kind]
    index = run.player.ask(put("/mark", "value=x"))[1]["x-etcd-index"]
    watch = subprocess.Popen(
        [*run.command, "watch", "--forever", "--recursive", "--after-index", index, "/ever"],
        env=run.env(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watch.stdout is not None
    with watch.stdout:
        for value in ("a", "b"):
            run.player.ask(put("/ever/k", f"value={value}"))
            assert watch.stdout.readline() == "[set] /ever/k\n"
            assert watch.stdout.readline() == f"{value}\n"
        watch.send_signal(signal.SIGINT)
        assert watch.wait(20) == 0


@pytest.mark.parametrize("ctl", ["etcd", "petcd"])
def test_updatedir_works_at_petcd(runs, ctl: str) -> None:
    """At etcd 3.5.1 it fails: the server answers 500, a bug of that version."""
    run = runs[ctl, "petcd"]
    seen = run.play(f"mkdir /up-{ctl}\nupdatedir /up-{ctl} --ttl 100\nupdatedir /up-none")
    assert [one.code for one in seen] == [0, 0, 4]
    assert "Key not found (/up-none)" in seen[2].err


def test_access_control_is_managed_alike(runs) -> None:
    wanted, seen = (runs[ctl, "etcd"].play(script.ACCESS) for ctl in ("etcd", "petcd"))
    assert_same(wanted, seen)


def in_any_order(seen: Seen) -> Seen:
    """Members come by their ids, which chance decides."""
    lines = [",".join(sorted(re.split('[",]', line))) for line in seen.out.splitlines()]
    return replace(seen, out="\n".join(sorted(lines)))


def test_a_member_is_added_alike(runs) -> None:
    """Last, for then half of the cluster is missing."""
    played = {
        pair: [in_any_order(seen) for seen in run.play(script.ADDING)] for pair, run in runs.items()
    }
    assert [seen.code for seen in played["etcd", "etcd"]] == [0, 0, 1]
    for pair in COMBINATIONS:
        assert_same(played["etcd", "etcd"], played[pair])
