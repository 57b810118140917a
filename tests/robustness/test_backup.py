"""A backup holds every write that was acknowledged before it began, under load and after a kill."""

import asyncio
import contextlib
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from etcdctl_runs import program
from v2_calls import Player, get, put

from bench.servers import Server

pytestmark = pytest.mark.slow

WRITERS = 4
BEFORE = 100  # writes of each before the backup begins
TIMEOUT_S = 60


class Load:
    """Writers, each on its own keys; `done[n]` is how many of writer n are acknowledged."""

    def __init__(self, port: int) -> None:
        self.done = [0] * WRITERS
        self._player = Player(port)
        self._enough = threading.Semaphore(0)
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        for _ in self._threads:
            assert self._enough.acquire(timeout=TIMEOUT_S)
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping = True
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    def _write(self, number: int) -> None:
        with contextlib.suppress(OSError):  # the server was killed
            while not self._stopping:
                key = f"/w{number}/{self.done[number] + 1}"
                status, _, _ = self._player.ask(put(key, "value=x"))
                assert status == 201, key
                self.done[number] += 1
                if self.done[number] == BEFORE:
                    self._enough.release()


@pytest.fixture
def server() -> Iterator[Server]:
    with contextlib.closing(Server("petcd")) as made:
        asyncio.run(made.start())
        yield made


@pytest.mark.parametrize("how", ["running", "killed"])
def test_what_was_acknowledged_is_in_the_backup(server: Server, tmp_path: Path, how: str) -> None:
    copy = tmp_path / "backup"
    with Load(server.port) as load:
        if how == "killed":
            server.kill()
        acknowledged = list(load.done)
        words = ["backup", "--data-dir", str(server.folder / "data"), "--backup-dir", str(copy)]
        subprocess.run([*program("petcd"), *words], check=True, capture_output=True)
    with contextlib.closing(Server("petcd", "--force-new-cluster")) as restored:
        shutil.move(copy, restored.folder / "data")
        asyncio.run(restored.start())
        player = Player(restored.port)
        for number, count in enumerate(acknowledged):
            assert count >= BEFORE
            for write in range(1, count + 1):
                assert player.ask(get(f"/w{number}/{write}"))[0] == 200, f"/w{number}/{write}"
    if how == "running":
        assert Player(server.port).ask(put("/after", "value=x"))[0] == 201
