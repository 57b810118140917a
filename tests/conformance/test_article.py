"""An introduction to etcd that thousands have followed, followed once more, command by command.

With our etcdctl on petcd: on a cluster of one member and on clusters of three. And with the real
programs, so that what is expected here is what etcd does.
"""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from article import IN_ORDER, SNAPSHOT, Step, backup_of, pattern_of, status_of_cluster
from etcdctl_runs import StartServer, program
from v2_calls import Call, Player

from bench.servers import Server

pytestmark = [pytest.mark.real_etcd, pytest.mark.timeout(240)]

STEP_TIMEOUT_S = 30
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

    def follow(self, step: Step) -> None:
        """Type the step's command and compare what comes."""
        for line in step.before:
            self.prepare(line)
        with self.start(step.line, step.api) as process:
            if step.during:
                out, err = self._while_it_waits(process, step)
            else:
                out, err = process.communicate(timeout=STEP_TIMEOUT_S)
        shown = f"$ etcdctl {step.line}\n{out}{err}exit {process.returncode}"
        assert process.returncode == step.code, shown
        assert matches(step.out, out, step.unordered), f"expected:\n{step.out}\nseen:\n{shown}"
        if step.err is not None:
            assert matches(step.err, err, step.unordered), f"expected:\n{step.err}\nseen:\n{shown}"
        if step.names is not None:
            found = re.search(step.names[1], out)
            assert found is not None, shown
            self.saved[step.names[0]] = found[1]

    def _while_it_waits(self, process: subprocess.Popen[str], step: Step) -> tuple[str, str]:
        until_watched([Player(server.port) for server in self.servers])
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


def until_watched(players: Sequence[Player]) -> None:
    """Wait until one of the servers has a watcher."""

    def watched() -> bool:
        return any(
            b'"watchers":0' not in player.ask(Call("GET", "/v2/stats/store"))[2]
            for player in players
        )

    until(watched, "nobody watches")


def until(holds: Callable[[], bool], complaint: str) -> None:
    ending = time.monotonic() + STEP_TIMEOUT_S
    while not holds():
        assert time.monotonic() < ending, complaint
        time.sleep(0.02)


def matches(expected: str, seen: str, unordered: bool) -> bool:
    if not unordered:
        return re.fullmatch(pattern_of(expected), seen) is not None
    left = seen.splitlines()
    for line in expected.splitlines():
        fitting = [one for one in left if re.fullmatch(pattern_of(line), one)]
        if not fitting:
            return False
        left.remove(fitting[0])
    return not left


@pytest.fixture
def terminal(start_server: StartServer, tmp_path: Path, request) -> Terminal:
    folder = tmp_path / "home"
    folder.mkdir()
    kind = request.param
    return Terminal(kind, [start_server(kind, "--enable-v2=true")], folder)


@pytest.mark.parametrize("terminal", ["petcd", "etcd"], indirect=True)
def test_on_one_member(terminal: Terminal) -> None:
    for step in [*status_of_cluster(1), *IN_ORDER, backup_of(1), *SNAPSHOT]:
        if terminal.kind == "petcd" or not step.only_petcd:
            terminal.follow(step)
