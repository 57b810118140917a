"""Snapshot files go from petcd to etcd and back: each one's commands take the other's file."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.servers import Server, ServerFailed, real_etcd

pytestmark = [pytest.mark.real_etcd, pytest.mark.timeout(180)]

OTHER = {"petcd": "etcd", "etcd": "petcd"}
StartAt = Callable[[str, str], Server]


def etcdctl(kind: str, *words: object, folder: Path | None = None) -> str:
    """Standard output of a command of the program of a kind; it must succeed."""
    program = [sys.executable, "-m", "petcd.cli.etcdctl"]
    if kind == "etcd":
        program = [str(real_etcd() / "etcdctl")]
    env = {**os.environ, "ETCDCTL_API": "3"}
    command = [*program, *(str(word) for word in words)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def hash_kv(server: Server) -> int:
    shown = etcdctl("petcd", "--endpoints", address(server), "endpoint", "hashkv", "-w", "json")
    found: int = json.loads(shown)[0]["HashKV"]["hash"]
    return found


def address(server: Server) -> str:
    return f"127.0.0.1:{server.port}"


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Servers put in here end with the test."""
    try:
        real_etcd()
    except ServerFailed as error:
        pytest.skip(f"no real etcd to compare with: {error}")
    started: list[Server] = []
    yield started
    for server in started:
        server.close()


def write(server: Server) -> None:
    """A history with everything: versions, deletes, leases, transactions, a compaction, large."""
    ctl = ("petcd", "--endpoints", address(server))
    for number in range(14):
        etcdctl(*ctl, "put", f"k{number % 5}", f"value {number}")
    lease = etcdctl(*ctl, "lease", "grant", 5000).split()[1]
    etcdctl(*ctl, "put", "--lease", lease, "leased", "x")
    etcdctl(*ctl, "put", "large", "x" * 60_000)
    etcdctl(*ctl, "del", "k3")
    etcdctl(*ctl, "compaction", 12)
    etcdctl(*ctl, "del", "k4")
    etcdctl(*ctl, "put", "k4", "again")


def restored(kind: str, file: Path, server: Server, cluster: str) -> None:
    """Make the data directory of a server by the command of its kind."""
    etcdctl(
        *(kind, "snapshot", "restore", file, "--data-dir", server.folder / "data"),
        *("--name", server.name, "--initial-cluster", cluster),
        *("--initial-advertise-peer-urls", server.peer_url, "--initial-cluster-token", "restored"),
    )


@pytest.mark.parametrize("kind", ["petcd", "etcd"])
def test_a_file_of_one_restores_into_the_other(
    servers: list[Server], tmp_path: Path, kind: str
) -> None:
    source = Server(kind)
    servers.append(source)
    asyncio.run(source.start())
    write(source)
    files = [tmp_path / "by-petcd", tmp_path / "by-etcd"]
    for program, file in zip(OTHER, files, strict=True):
        etcdctl(program, "--endpoints", address(source), "snapshot", "save", file)
    assert files[0].read_bytes() == files[1].read_bytes()
    wanted = hash_kv(source)
    for style in ("simple", "json", "fields", "table"):
        shown = [etcdctl(program, "snapshot", "status", files[0], "-w", style) for program in OTHER]
        assert shown[0] == shown[1]
    target = Server(OTHER[kind])
    servers.append(target)
    restored(target.kind, files[0], target, target.initial_cluster)
    asyncio.run(target.start())
    assert hash_kv(target) == wanted
    ctl = ("petcd", "--endpoints", address(target))
    assert etcdctl(*ctl, "get", "--prefix", "k") == etcdctl(
        "petcd", "--endpoints", address(source), "get", "--prefix", "k"
    )
    assert len(etcdctl(*ctl, "lease", "list").splitlines()) == 2
    etcdctl(*ctl, "put", "after", "1")
    assert hash_kv(target) != wanted
    members = etcdctl(*ctl, "member", "list")
    assert len(members.splitlines()) == 1 and target.name in members


def test_members_of_both_kinds_restored_from_one_file_are_a_cluster(
    servers: list[Server], tmp_path: Path
) -> None:
    source = Server("petcd")
    servers.append(source)
    asyncio.run(source.start())
    write(source)
    file = tmp_path / "saved"
    etcdctl("petcd", "--endpoints", address(source), "snapshot", "save", file)
    kinds = {"m1": "petcd", "m2": "etcd", "m3": "petcd"}
    members = [Server(kind, name=name) for name, kind in kinds.items()]
    cluster = ",".join(f"{member.name}={member.peer_url}" for member in members)
    for member in members:
        servers.append(member)
        member.initial_cluster = cluster
        restored(member.kind, file, member, cluster)
        member.spawn()

    async def serve() -> None:
        await asyncio.gather(*(member.start() for member in members))

    for member in members:  # start() spawns; what only waits is wanted here
        member.spawn = lambda member=member: member.process  # type: ignore[method-assign,misc]
    asyncio.run(serve())
    etcdctl("etcd", "--endpoints", address(members[1]), "put", "from", "etcd")
    etcdctl("petcd", "--endpoints", address(members[0]), "put", "from", "petcd")
    for member in members:
        shown = etcdctl(
            "petcd", "--endpoints", address(member), "get", "from", "--print-value-only"
        )
        assert shown == "petcd\n"
    assert len({hash_kv(member) for member in members}) == 1
    assert (
        len(etcdctl("etcd", "--endpoints", address(members[0]), "member", "list").splitlines()) == 3
    )
