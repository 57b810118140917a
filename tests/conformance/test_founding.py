"""Mistakes in how a cluster is founded or joined end the start as they do with the real etcd: the
same exit code, the same reason, before anything is served."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from bench.servers import ServerFailed, command_of, free_ports, real_etcd

pytestmark = pytest.mark.real_etcd

SILENCE_S = 60.0  # far more than the end of a start takes
ADVERTISED = "--initial-advertise-peer-urls {peer} --initial-cluster "
# Flags that no cluster can be founded with, or none be joined; a variable may stand before them.
MISTAKES = {
    "the member itself is missing": ADVERTISED + "b={peer}",
    "nobody is there": ADVERTISED + "''",
    "two at one address": ADVERTISED + "a={peer},b={peer}",
    "a peer URL with a path": ADVERTISED + "a={peer}/x",
    "a peer URL without a port": ADVERTISED + "a=http://127.0.0.1",
    "it advertises another address": (
        "--initial-advertise-peer-urls {other} --initial-cluster a={peer}"
    ),
    "it advertises localhost": ("--initial-advertise-peer-urls {local} --initial-cluster a={peer}"),
    "it joins and nobody answers": ADVERTISED
    + "a={peer},b={other} --initial-cluster-state existing",
    "it joins and asks for discovery": (
        "--discovery {other}/v2/keys/d --initial-cluster-state existing"
    ),
    "it listens at a name": "--listen-metrics-urls http://example.com:1",
    "the election is too short": "--election-timeout 100",
    "one flag is a variable, too": "ETCD_NAME=b",
}


@pytest.fixture(scope="module", autouse=True)
def with_real_etcd() -> None:
    try:
        real_etcd()
    except ServerFailed as error:
        pytest.skip(f"no real etcd to compare with: {error}")


def reason_of(line: str) -> str:
    """What a last line of a log says: the error of a line in JSON, or the line."""
    try:
        fields = json.loads(line)
    except ValueError:
        return line
    return str(fields.get("error", fields["msg"]))


def end_of_start(kind: str, words: list[str], folder: Path) -> tuple[int, str]:
    """Exit code and reason."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
    env |= dict(word.split("=") for word in words if word.startswith("ETCD_"))
    flags = [word for word in words if not word.startswith("ETCD_")]
    command = [*command_of(kind), "--data-dir", str(folder / kind), *flags]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SILENCE_S)
    return ended.returncode, reason_of(ended.stderr.strip().splitlines()[-1])


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_start_that_cannot_be_ends_as_that_of_etcd(mistake: str, tmp_path: Path) -> None:
    client, peer, other = (f"http://127.0.0.1:{port}" for port in free_ports(3))
    words = ["--name", "a", "--listen-client-urls", client, "--advertise-client-urls", client]
    words += ["--listen-peer-urls", peer]
    local = peer.replace("127.0.0.1", "localhost")
    words += shlex.split(MISTAKES[mistake].format(peer=peer, other=other, local=local))
    etcd_code, etcd_reason = end_of_start("etcd", words, tmp_path)
    code, reason = end_of_start("petcd", words, tmp_path)
    assert code == etcd_code != 0
    # etcd adds how it looked up names; petcd the variable, which etcd logs as a field.
    assert etcd_reason.startswith(reason) or reason.startswith(etcd_reason.rstrip(")"))
