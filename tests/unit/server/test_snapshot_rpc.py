"""Maintenance.Snapshot of a running member."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from petcd.client.errors import ClientError
from petcd.server.operations import EXPORTS_MAX
from petcd.storage.bbolt_reader import BoltFile
from petcd.storage.snapshot_file import ETCD_BUCKETS, read_status
from petcd.wire.kv import PutRequest, PutResponse
from petcd.wire.maintenance import SnapshotRequest, SnapshotResponse

PUT = b"/etcdserverpb.KV/Put"
SNAPSHOT = b"/etcdserverpb.Maintenance/Snapshot"


def put(member: Any, key: bytes, value: bytes) -> None:
    member.call(PUT, PutRequest(key=key, value=value), PutResponse)


def open_stream(member: Any) -> Any:
    stream = member.connection.stream(SNAPSHOT)
    stream.send(SnapshotRequest().encode(), last=True)
    return stream


def pieces_of(stream: Any) -> list[SnapshotResponse]:
    found = []
    while (message := stream.receive(10.0)) is not None:
        found.append(SnapshotResponse.decode(message))
    return found


def test_the_pieces_make_a_database_and_the_last_is_its_digest(start: Any, tmp_path: Path) -> None:
    member = start()
    for number in range(40):
        put(member, b"key%d" % number, b"v" * 9000)
    *pieces, last = pieces_of(open_stream(member))
    data = b"".join(piece.blob for piece in pieces)
    left = len(data)
    for piece in pieces:
        left -= len(piece.blob)
        assert piece.remaining_bytes == left
        assert len(piece.blob) == 32 * 1024 or not left
    assert last.blob == hashlib.sha256(data).digest() and last.remaining_bytes == 0
    path = tmp_path / "saved"
    path.write_bytes(data)
    assert read_status(str(path)).revision == 41
    with BoltFile(str(path)) as file:
        assert set(file.names) == ETCD_BUCKETS
        meta = dict(row for rows in file.scan_chunks(b"meta") for row in rows)
        assert meta.keys() >= {b"consistent_index", b"term", b"confState"}
        assert list(file.scan_chunks(b"members"))


def test_a_snapshot_holds_everything_acknowledged_before_it(start: Any, tmp_path: Path) -> None:
    member = start(backend_batch_interval_s=60.0)
    for number in range(3):
        put(member, b"k", b"%d" % number)
        path = tmp_path / "saved"
        path.write_bytes(b"".join(piece.blob for piece in pieces_of(open_stream(member))))
        assert read_status(str(path)).revision == number + 2


def test_so_many_snapshots_at_a_time_and_no_more(start: Any) -> None:
    """Clients that do not read keep files on the disk; the next one is told to come later."""
    member = start()
    operations = member.server._engine.operations
    held: list[Any] = []

    async def hold() -> None:
        done = asyncio.Event()

        def finish(context: None, outcome: object) -> None:
            held.append(outcome)
            if len(held) == EXPORTS_MAX:
                done.set()

        for _ in range(EXPORTS_MAX):
            operations.export(finish, None)
        await done.wait()

    async def let_go() -> None:
        for export in held:
            operations.end_export(export)

    member.on_loop(hold())
    with pytest.raises(ClientError, match="too many requests"):
        open_stream(member).receive(10.0)
    member.on_loop(let_go())
    assert pieces_of(open_stream(member))[-1].remaining_bytes == 0


def open_files(directory: str) -> list[str]:
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    targets = [os.readlink(link) for link in links if os.path.islink(link)]
    return [target for target in targets if target.startswith(directory) and "deleted" in target]


def until_none_is_open(member: Any) -> None:
    """A worker closes the file; the loop goes on meanwhile."""
    for _ in range(2000):
        put(member, b"a", b"b")
        if not open_files(member.server.config.data_dir):
            return
    raise AssertionError("a file stays open")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no list of open files")
def test_the_file_goes_with_the_call(start: Any) -> None:
    member = start()
    directory = member.server.config.data_dir
    for number in range(300):
        put(member, b"key%d" % number, b"v" * 20_000)
    stream = open_stream(member)
    assert stream.receive(10.0)
    assert len(open_files(directory)) == 1
    stream.cancel()
    until_none_is_open(member)
    assert pieces_of(open_stream(member))[-1].remaining_bytes == 0
    until_none_is_open(member)
    assert not [name for name in os.listdir(f"{directory}/member/snap") if "db" not in name]
