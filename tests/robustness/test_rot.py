"""Bits that rotted on a stopped member's disk: it says so in one line, and can be replaced."""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.clusters import Cluster, call, member_id, running_cluster, status
from bench.requests import HASH_KV, PUT
from bench.servers import Server, real_etcd
from petcd.wire.kv import PutRequest
from petcd.wire.maintenance import HashKVRequest, HashKVResponse

WAIT_S = 30.0
KEYS = 40
PAGE_BYTES = 4096


def in_the_log(data: Path) -> None:
    """A byte of an entry in the middle."""
    (segment,) = (data / "member" / "wal").glob("*.wal")
    flip(segment, segment.read_bytes().index(b"key-20"))


def in_a_page_of_the_database(data: Path) -> None:
    """The number of rows of a page that holds some."""
    path = data / "member" / "snap" / "db"
    for offset in pages_with(path, b"key-20"):
        flip(path, offset + 13)


def in_a_row_of_the_database(data: Path) -> None:
    """The size of a value."""
    path = data / "member" / "snap" / "db"
    for offset in pages_with(path, b"key-20"):
        first = path.read_bytes()[offset + 16 : offset + 18]
        flip(path, offset + int.from_bytes(first, "little") + 2)


def in_a_value_of_the_database(data: Path) -> None:
    """The length in front of the key in it."""
    path = data / "member" / "snap" / "db"
    for offset in pages_with(path, b"key-20"):
        flip(path, path.read_bytes().index(b"key-20", offset) - 1)


def in_the_head_of_the_database(data: Path) -> None:
    """The roots of both of its states."""
    for meta in (0, PAGE_BYTES):
        flip(data / "member" / "snap" / "db", meta + 16 + 24 + 48 + 41)


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def pages_with(path: Path, text: bytes) -> list[int]:
    """Where they begin; one of them is in use, and others may be of earlier commits."""
    data = path.read_bytes()
    starts = range(0, len(data), PAGE_BYTES)
    return [start for start in starts if text in data[start : start + PAGE_BYTES]]


async def put_some(server: Server) -> None:
    connection = await server.connect()
    for number in range(KEYS):
        request = PutRequest(key=b"key-%02d" % number, value=b"v" * 100)
        await connection.call(PUT, request.encode())
    connection.close()


def complaint(server: Server) -> dict[str, str]:
    """The one line of a start that must fail, and leave everything as it was."""
    db = server.folder / "data" / "member" / "snap" / "db"
    before = db.read_bytes()
    (server.folder / "log").unlink()
    assert server.spawn().wait(WAIT_S) == 1
    server.process = None
    (line,) = (server.folder / "log").read_text().splitlines()
    assert db.read_bytes() == before
    found: dict[str, str] = json.loads(line)
    assert found["level"] == "fatal"
    return found


@pytest.mark.parametrize(
    ("rot", "words"),
    [
        (in_the_log, ("log damaged", ".wal at offset ")),
        (in_a_page_of_the_database, ("/snap/db: page ", " is damaged: ")),
        (in_a_row_of_the_database, ("/snap/db: page ", " is damaged: ")),
        (in_a_value_of_the_database, ("/snap/db: DecodeError: ",)),
        (in_the_head_of_the_database, ("/snap/db: page ", " is damaged: ")),
    ],
)
def test_damage_is_told_in_one_line_and_nothing_is_touched(
    rot: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    server = Server("petcd")
    try:
        asyncio.run(server.start())
        asyncio.run(put_some(server))
        server.stop()
        rot(server.folder / "data")
        said = complaint(server)
        assert all(word in said["error"] for word in words), said
        assert "member remove" in said["advice"] and "snapshot restore" in said["advice"]
    finally:
        server.close()


def etcdctl(server: Server, *words: str) -> None:
    """The real one, again until it works: changes need members that are connected for a while."""
    endpoint = f"--endpoints=127.0.0.1:{server.port}"
    command = [str(real_etcd() / "etcdctl"), endpoint, *words]
    begin = time.monotonic()
    while (done := subprocess.run(command, capture_output=True, check=False)).returncode:
        assert time.monotonic() - begin < WAIT_S, done
        time.sleep(0.2)


def test_an_operator_replaces_a_damaged_member_with_the_real_etcdctl() -> None:
    async def hashes(cluster: Cluster) -> set[tuple[int, int]]:
        body = HashKVRequest(revision=KEYS + 1).encode()
        answers = [await call(one, HASH_KV, body, 10) for one in cluster.members]
        found = [HashKVResponse.decode(answer) for answer in answers]
        return {(one.hash, one.compact_revision) for one in found}

    async def scenario() -> None:
        async with running_cluster(["petcd"] * 3) as cluster:
            victim, leader = await cluster.follower(), await cluster.leader()
            await put_some(leader)
            answer = await status(victim)
            assert answer is not None
            victim.stop()
            in_a_page_of_the_database(victim.folder / "data")
            complaint(victim)
            etcdctl(leader, "member", "remove", f"{member_id(answer):x}")
            etcdctl(leader, "member", "add", victim.name, f"--peer-urls={victim.peer_url}")
            shutil.rmtree(victim.folder / "data")
            victim.initial_cluster_state = "existing"
            await victim.start()
            etcdctl(victim, "endpoint", "health")
            assert len(await hashes(cluster)) == 1

    asyncio.run(scenario())
