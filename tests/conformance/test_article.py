"""An introduction to etcd that thousands have followed, followed once more, command by command.

With our etcdctl on petcd: on a cluster of one member and on clusters of three. And with the real
programs, so that what is expected here is what etcd does.
"""

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from article import (
    ADD_MEMBER,
    HEALTHY,
    MEMBER_OF_ONE,
    MESSAGES,
    REMOVE_MEMBER,
    SNAPSHOT,
    WITH_KEYS,
    Step,
    backup_to,
    pattern_of,
    status_of_cluster,
)
from etcdctl_runs import StartServer, program
from v2_calls import Call, Player

from bench.clusters import Cluster
from bench.servers import Server, command_of
from petcd.cli.render import Place, environment_file

pytestmark = [pytest.mark.real_etcd, pytest.mark.timeout(240)]

STEP_TIMEOUT_S = 30
# Members must have been connected so long before one of them may go.
CONNECTED_S = 6
FILES = ("Documentation", "config", "etcd", "etcdctl")


class Terminal:
    """Where the commands are typed: a folder, and the endpoints in the environment."""

    def __init__(self, kind: str, servers: Sequence[Server], folder: Path) -> None:
        self.kind = kind
        self.program = program(kind)
        self.servers = servers
        self.folder = folder
        for name in FILES:
            (folder / name).touch()
        self.saved = {
            "endpoint": f"127.0.0.1:{servers[0].port}",
            "data_dir": str(servers[0].folder / "data"),
            "backup_dir": str(folder.parent / "etcd_backup"),
            "restore_dir": str(folder.parent / "restored"),
        }

    def start(self, line: str, api: str = "2") -> subprocess.Popen[str]:
        for name, value in self.saved.items():
            line = line.replace("{" + name + "}", value)
        env = {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
        env["ETCDCTL_API"] = api
        if api == "2":
            urls = [f"http://127.0.0.1:{server.port}" for server in self.servers]
            env["ETCDCTL_ENDPOINTS"] = ",".join(urls)
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*self.program, *shlex.split(line)],
            stdout=pipe,
            stderr=pipe,
            text=True,
            env=env,
            cwd=self.folder,
        )

    def prepare(self, line: str) -> None:
        """A command that the text does not show."""
        if line.startswith("(wait"):
            until_gone(Player(self.servers[0].port), "/testkey")
            return
        with self.start(line) as process:
            _, err = process.communicate(timeout=STEP_TIMEOUT_S)
        assert process.returncode == 0, f"{line}: {err}"

    def output(self, line: str) -> str:
        with self.start(line) as process:
            return process.communicate(timeout=STEP_TIMEOUT_S)[0]

    def type(self, steps: Sequence[Step]) -> None:
        """Type the commands that this kind of etcd can do."""
        for step in steps:
            if self.kind == "petcd" or not step.only_petcd:
                self.follow(step)

    def follow(self, step: Step) -> None:
        """Type the step's command and compare what comes."""
        for line in step.before:
            self.prepare(line)
        players = [Player(server.port) for server in self.servers]
        until(lambda: len({player.index() for player in players}) == 1, "members differ")
        if step.during:
            until(lambda: not watched(players), "there are watchers already")
        with self.start(step.line, step.api) as process:
            if step.during:
                out, err = self._while_it_waits(process, step)
            else:
                out, err = process.communicate(timeout=STEP_TIMEOUT_S)
        shown = f"$ etcdctl {step.line}\n{out}{err}exit {process.returncode}"
        assert process.returncode == step.code, shown
        for expected, seen in ((step.out, out), (step.err, err)):
            assert matches(step, expected, seen), f"expected:\n{expected}\nseen:\n{shown}"
        found = re.search(step.names[1], out) if step.names is not None else None
        if step.names is not None and found is not None:
            self.saved[step.names[0]] = found[1]

    def _while_it_waits(self, process: subprocess.Popen[str], step: Step) -> tuple[str, str]:
        players = [Player(server.port) for server in self.servers]
        until(lambda: watched(players), "nobody watches")
        for line in step.during:
            self.prepare(line)
        if step.lines is None:
            return process.communicate(timeout=STEP_TIMEOUT_S)
        assert process.stdout is not None
        out = "".join([process.stdout.readline() for _ in range(step.lines)])
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=STEP_TIMEOUT_S)
        return out + rest, err


def until_gone(player: Player, key: str) -> None:
    until(lambda: player.ask(Call("GET", f"/v2/keys{key}"))[0] == 404, f"{key} does not expire")


def watched(players: Sequence[Player]) -> bool:
    """Whether one of the servers has a watcher."""
    return any(
        b'"watchers":0' not in player.ask(Call("GET", "/v2/stats/store"))[2] for player in players
    )


def until(holds: Callable[[], bool], complaint: str) -> None:
    ending = time.monotonic() + STEP_TIMEOUT_S
    while not holds():
        assert time.monotonic() < ending, complaint
        time.sleep(0.02)


def matches(step: Step, expected: str | None, seen: str) -> bool:
    """Whether an output of a step is as it should be."""
    if expected is None:
        return True
    if not step.unordered:
        return re.fullmatch(pattern_of(expected), seen) is not None
    left = [pattern_of(line) for line in expected.splitlines()]
    for line in seen.splitlines():
        fitting = [pattern for pattern in left if re.fullmatch(pattern, line)]
        if not fitting:
            return False
        left.remove(fitting[0])
    return step.fewer or not left


class FromFile(Server):
    """A member with all its settings in the environment, as systemd reads them from a file."""

    def command(self) -> list[str]:
        members = []
        for member in self.initial_cluster.split(","):
            name, _, url = member.partition("=")
            members.append(Place(name, "127.0.0.1", peer_port=int(url.rpartition(":")[2])))
        place = Place(self.name, "127.0.0.1", self.port, self.peer_port)
        text = environment_file(place, members, str(self.folder / "data"), "etcd-cluster")
        settings = [shlex.split(line)[0] for line in text.splitlines() if line.startswith("ETCD_")]
        return ["env", *settings, "ETCD_LOG_LEVEL=error", *command_of(self.kind)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def assert_copies_start(terminal: Terminal) -> None:
    """The last backup and the restored snapshot hold what the cluster holds."""
    listing = "ls --recursive --sort /"
    wanted = terminal.output(listing)
    for name, flags in (("backup_dir", ("--force-new-cluster",)), ("restore_dir", ())):
        with contextlib.closing(Server("petcd", *flags)) as server:
            copy = terminal.saved[name] + ("2" if name == "backup_dir" else "")
            shutil.move(copy, server.folder / "data")
            asyncio.run(server.start())
            of_copy = Terminal("petcd", [server], terminal.folder)
            assert of_copy.output(listing) == wanted
            of_copy.type([Step("cluster-health", HEALTHY + "cluster is healthy\n")])


@pytest.mark.parametrize("kind", ["petcd", "etcd"])
def test_on_one_member(start_server: StartServer, home: Path, kind: str) -> None:
    server = start_server(kind, "--enable-v2=true")
    terminal = Terminal(kind, [server], home)
    terminal.type(status_of_cluster(1))
    terminal.saved["member"] = terminal.output("member list").partition(":")[0]
    terminal.type(WITH_KEYS)
    terminal.type([backup_to("{backup_dir}", 1, 1)])
    terminal.type([*status_of_cluster(1), *MEMBER_OF_ONE, *MESSAGES])
    terminal.type([backup_to("{backup_dir}2", 1, 1), *SNAPSHOT])
    if kind == "petcd":
        assert_copies_start(terminal)


@pytest.mark.parametrize("member", [Server, FromFile], ids=["flags", "environment-file"])
def test_on_three_members(home: Path, member: type[Server]) -> None:
    servers = [member("petcd", name=f"etcd-0-{number}") for number in (8, 14, 17)]
    cluster = Cluster(servers)
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.callback(server.close)
        asyncio.run(cluster.start())
        started = time.monotonic()
        terminal = Terminal("petcd", servers, home)
        terminal.type(status_of_cluster(3))
        terminal.type(WITH_KEYS)
        terminal.type([backup_to("{backup_dir}", 3, 3)])
        terminal.type(status_of_cluster(3))
        until(lambda: time.monotonic() > started + CONNECTED_S, "the clock stands still")
        terminal.type([REMOVE_MEMBER])
        servers[2].stop()
        joined = Server("petcd", name="etcd3")
        stack.callback(joined.close)
        terminal.servers = servers[:2]
        terminal.saved["peer_url"] = joined.peer_url
        terminal.type(ADD_MEMBER)
        joined.initial_cluster = terminal.saved["initial_cluster"]
        joined.initial_cluster_state = "existing"
        asyncio.run(joined.start())
        terminal.servers = [*servers[:2], joined]
        terminal.type([*status_of_cluster(3), *MESSAGES])
        terminal.type([backup_to("{backup_dir}2", 5, 4, cut=True), *SNAPSHOT])
        assert_copies_start(terminal)
