"""`./dev cluster`: members start, take commands from another terminal, and stop clean."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.log_lines import readable

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "faults.local"]
WAIT_S = 30.0


class Terminal:
    """One that runs a cluster, and others that send commands to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "screen"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments, "--data-dir", str(self.folder / "c.etcd")],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def send(self, line: str) -> subprocess.CompletedProcess[str]:
        words = [*COMMAND, *line.split(), "--data-dir", str(self.folder / "c.etcd")]
        return subprocess.run(
            words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=WAIT_S
        )

    def until(self, line: str, wanted: str) -> str:
        """Sends a command until the answer matches."""
        begin = time.monotonic()
        while True:
            answer = self.send(line)
            if re.search(wanted, answer.stdout):
                return answer.stdout
            screen = self.log.read_text()
            assert time.monotonic() - begin < WAIT_S, f"{answer}\n{screen}"
            time.sleep(0.1)

    def end(self) -> int:
        """Ctrl-C."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(WAIT_S)
        self.process = None
        return code


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    if terminal.process is not None:
        terminal.end()


def pids(status: str) -> list[int]:
    return [int(found) for found in re.findall(r"pid (\d+)", status)]


def test_members_start_take_commands_and_stop_with_ctrl_c(terminal: Terminal) -> None:
    terminal.start("3", "--free-ports")
    status = terminal.until("status", "(?s)follower.*leader|leader.*follower")
    assert len(pids(status)) == 3
    assert terminal.send("kill leader").stdout.startswith("kill: m")
    status = terminal.until("status", "(?s)down.*leader|leader.*down")
    assert terminal.send("pause leader").stdout.startswith("pause: m")
    assert "paused (pid" in terminal.send("status").stdout
    assert terminal.send("heal").returncode == 0
    status = terminal.until("status", "(?s)(follower.*){2}|follower.*leader.*follower")
    assert "down" not in status
    terminal.send("partition m1")
    assert "apart from m2, m3" in terminal.send("status").stdout
    assert terminal.send("kill m9").returncode == 1
    assert "no command 'jump'" in terminal.send("jump m1").stdout
    running = pids(terminal.send("status").stdout)
    assert terminal.end() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in running)
    screen = terminal.log.read_text()
    assert "export ETCDCTL_ENDPOINTS=127.0.0.1:" in screen
    assert re.search(r"(?m)^m2 \d\d:\d\d:\d\d\.\d{3} info ", screen)
    assert "Traceback" not in screen


def test_nobody_to_talk_to_and_a_taken_directory_are_told_in_one_line(terminal: Terminal) -> None:
    answer = terminal.send("kill m1")
    assert answer.returncode == 1 and answer.stderr.count("\n") == 1
    (terminal.folder / "c.etcd" / "m1" / "data").mkdir(parents=True)
    terminal.start("3", "--free-ports")
    assert terminal.process is not None and terminal.process.wait(WAIT_S) == 1
    terminal.process = None
    assert "holds 1 members, not 3" in terminal.log.read_text()


def test_a_log_line_becomes_readable() -> None:
    line = '{"level":"info","ts":"2026-01-02T03:04:05.678901Z","caller":"x","msg":"hi","a":1}'
    assert readable(line) == "03:04:05.678 info  hi a=1"
    assert readable("panic: no json") == "panic: no json"
