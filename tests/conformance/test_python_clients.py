"""Programs written for the Python clients `etcd3` and `aetcd` see the same on petcd as on etcd.

Each client gets an environment of its own in `.cache/clients`, made on first use: `etcd3` needs a
protobuf and a tenacity older than what everybody else has. The scripts in `clients/` print what
they saw; they run against the real etcd first, so that a script that is wrong cannot blame petcd.
"""

import contextlib
import fcntl
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from peers import start

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent / "clients"
SCRIPT_TIMEOUT_S = 60


class Client(NamedTuple):
    name: str
    requirements: tuple[str, ...]


CLIENTS = (
    # 0.12.0 of 2020: generated code for protobuf 3, a wait function as tenacity 6 calls it
    Client("etcd3", ("etcd3==0.12.0", "protobuf<4", "tenacity<7", "grpcio", "six")),
    Client("aetcd", ("aetcd==1.0.0",)),
)

pytestmark = [pytest.mark.real_etcd, pytest.mark.timeout(400)]


def python_with(client: Client) -> Path:
    """The Python of an environment that holds the client; made when it is not there."""
    folder = ROOT / ".cache" / "clients" / client.name
    stamp = folder / "installed"
    wanted = " ".join(client.requirements)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            run([sys.executable, "-m", "venv", "--clear", str(folder)])
            run([str(folder / "bin" / "pip"), "install", "--quiet", *client.requirements])
            stamp.write_text(wanted)
    return folder / "bin" / "python"


def run(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{' '.join(command)}: {ended.stdout}{ended.stderr}"


def seen_by(client: Client, kind: str) -> list[str]:
    """What the client's script prints about a fresh server of this kind."""
    command = [str(python_with(client)), str(SCRIPTS / f"{client.name}_script.py")]
    with contextlib.closing(start(kind)) as peer:
        ended = subprocess.run(
            [*command, str(peer.server.port)],
            capture_output=True,
            text=True,
            timeout=SCRIPT_TIMEOUT_S,
            check=False,
        )
    assert ended.returncode == 0, f"{client.name} on {kind}:\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout.splitlines()


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_the_client_sees_the_same_on_both(client: Client) -> None:
    etcd = seen_by(client, "etcd")
    assert len(etcd) > 20
    assert seen_by(client, "petcd") == etcd
