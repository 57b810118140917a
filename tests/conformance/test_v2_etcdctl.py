"""The real etcdctl with its v2 commands says the same of petcd as of the real etcd."""

import contextlib
import os
import re
import shlex
import subprocess

import pytest
from peers import start
from v2_calls import Player

from bench.servers import real_etcd

pytestmark = pytest.mark.real_etcd

COMMANDS = """
set /message Hello
get /message
-o json get /message
-o extended get /message
mk /message x
mk /other x
mkdir /dir
mkdir /dir
set /dir/k v --ttl 100
ls --sort
ls --sort -r -p /
ls /none
update /message World
update /none x
setdir /dir2
rm /dir
rmdir /dir
rm --recursive /dir
rmdir /dir2
set /message x --swap-with-value World
set /message x --swap-with-value World
set /message y --swap-with-index {+99}
rm /message --with-value bad
watch --after-index {+1} /message
watch --recursive --after-index {+1} /
exec-watch --after-index {+1} /message -- sh -c 'kill $PPID'
rm /message
get /message
mk --in-order /q job
ls --sort /q
-o extended get --quorum /other
member list
cluster-health
"""


def run(port: int, command: str) -> tuple[int, str]:
    """Exit code and output, both kinds, with ports and ids taken out."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
    done = subprocess.run(
        [
            str(real_etcd() / "etcdctl"),
            *("--endpoints", f"http://127.0.0.1:{port}"),
            *shlex.split(command),
        ],
        env={**env, "ETCDCTL_API": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=30,
    )
    text = re.sub(r"127\.0\.0\.1:\d+", "HOST", done.stdout.decode())
    return done.returncode, re.sub(r"\b[0-9a-f]{14,16}\b", "ID", text)


def without_indexes(text: str, base: int) -> str:
    """Indexes become distances from where the server began."""

    def distance(number: re.Match[str]) -> str:
        return f"+{int(number[0]) - base}" if int(number[0]) >= base else number[0]

    return re.sub(r"\b(?<!Error:  )\d+", distance, text)


def play(port: int) -> list[tuple[str, int, str]]:
    """(command, exit code, output) for each command."""
    base = Player(port).base
    answers = []
    for line in COMMANDS.strip().splitlines():
        command = re.sub(r"\{\+(\d+)\}", lambda match: str(base + int(match[1])), line)
        code, text = run(port, command)
        answers.append((line, code, without_indexes(text, base)))
    return answers


def test_etcdctl_says_the_same_of_both():
    answers = []
    for kind in ("petcd", "etcd"):
        with contextlib.closing(start(kind, "--enable-v2=true")) as peer:
            answers.append(play(peer.server.port))
    assert answers[0] == answers[1]
