"""From a member to a file to another member, by the commands."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import petcd.cli.etcdctl
import petcd.cli.etcdutl
from petcd.cli.ctl.console import Console
from petcd.cli.ctl.snapshot import SaveFailed, fetch
from petcd.member.meta import load_applied, load_conf_state, load_log_start
from petcd.server.config import default_config
from petcd.server.restore import restore
from petcd.storage.lmdb_backend import LmdbBackend
from petcd.storage.wal_reader import read_log
from petcd.wire.internal import Metadata
from petcd.wire.kv import PutRequest, PutResponse, RangeRequest, RangeResponse
from petcd.wire.maintenance import HashKVRequest, HashKVResponse, SnapshotResponse

PUT = b"/etcdserverpb.KV/Put"
RANGE = b"/etcdserverpb.KV/Range"
HASH_KV = b"/etcdserverpb.Maintenance/HashKV"

Outcome = tuple[int, str, str]


def run(program: Any, *words: object) -> Outcome:
    """(exit code, stdout, stderr) of a command line."""
    out, err = io.BytesIO(), io.BytesIO()
    code = program.run([str(word) for word in words], {}, Console(io.BytesIO(), out, err))
    return code, out.getvalue().decode(), err.getvalue().decode()


def etcdctl(*words: object) -> Outcome:
    return run(petcd.cli.etcdctl, *words)


def hash_of(member: Any) -> int:
    return int(member.call(HASH_KV, HashKVRequest(), HashKVResponse).hash)


@pytest.fixture
def saved(start: Callable[..., Any], tmp_path: Path) -> tuple[Path, int]:
    """A saved snapshot and the HashKV of the member that it came from."""
    member = start("source")
    for number in range(50):
        member.call(PUT, PutRequest(key=b"k%d" % (number % 20), value=b"v"), PutResponse)
    status, _ = member.http("PUT /v2/keys/dir/file?value=x&ttl=1000 HTTP/1.1\r\nHost: a")
    assert status == 201
    path = tmp_path / "saved.db"
    host, port = member.address
    endpoint = f"{host}:{port}"
    code, out, err = etcdctl("--endpoints", endpoint, "snapshot", "save", path)
    assert (code, out) == (0, f"Snapshot saved at {path}\n"), err
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(path).st_size % 512 == 32
    found = hash_of(member)
    member.stop()
    return path, found


def test_a_member_starts_from_a_restored_snapshot(
    start: Callable[..., Any], saved: tuple[Path, int], tmp_path: Path
) -> None:
    path, wanted = saved
    directory = tmp_path / "restored"
    assert etcdctl("snapshot", "restore", path, "--data-dir", directory)[0] == 0
    assert sorted(os.listdir(directory / "member")) == ["snap", "wal"]
    assert all(os.stat(p).st_mode & 0o777 == 0o700 for p in (directory, directory / "member"))
    for _ in range(2):
        member = start("restored")
        assert hash_of(member) == wanted
        _, body = member.http("GET /v2/keys/dir/file HTTP/1.1\r\nHost: a")
        node = json.loads(body)["node"]
        assert node["value"] == "x" and node["ttl"] > 900
        member.call(PUT, PutRequest(key=b"after", value=b"v"), PutResponse)
        wanted = hash_of(member)
        member.stop()


def test_members_of_a_new_cluster_begin_at_the_same_place(
    saved: tuple[Path, int], tmp_path: Path
) -> None:
    path, _ = saved
    urls = {name: f"http://127.0.0.1:{port}" for port, name in enumerate("abc", 1)}
    cluster = ",".join(f"{name}={url}" for name, url in urls.items())
    found = set()
    contents = []
    for name, url in urls.items():
        config = default_config(
            str(tmp_path / name),
            wal_dir=str(tmp_path / "logs" / name),
            name=name,
            initial_cluster=cluster,
            initial_advertise_peer_urls=(url,),
        )
        restore(str(path), config, False)
        backend = LmdbBackend(str(tmp_path / name / "member" / "snap" / "db"))
        conf_state = load_conf_state(backend)
        assert load_applied(backend) == load_log_start(backend) == (3, 1)
        contents.append(list(backend.scan(b"members", b"", None)))
        backend.close()
        replay = read_log(str(tmp_path / "logs" / name), (3, 1))
        assert (replay.hard_state.term, replay.hard_state.commit) == (1, 3)
        identity = Metadata.decode(replay.metadata)
        assert identity.NodeID in conf_state.voters and len(conf_state.voters) == 3
        found.add((identity.NodeID, identity.ClusterID))
    assert len(found) == 3 and len({cluster_id for _, cluster_id in found}) == 1
    assert contents[0] == contents[1] == contents[2] and len(contents[0]) == 3


def test_old_members_are_forgotten(saved: tuple[Path, int], tmp_path: Path) -> None:
    path, _ = saved
    outcome = etcdctl(
        *("snapshot", "restore", path, "--data-dir", tmp_path / "r", "--name", "n"),
        *("--initial-cluster", "n=http://a:1", "--initial-advertise-peer-urls", "http://a:1"),
        *("--initial-cluster-token", "other"),
    )
    assert outcome[0] == 0
    backend = LmdbBackend(str(tmp_path / "r" / "member" / "snap" / "db"))
    ((_, record),) = backend.scan(b"members", b"", None)
    assert json.loads(record)["name"] == "n" and json.loads(record)["peerURLs"] == ["http://a:1"]
    backend.close()


def test_what_cannot_be_restored_is_refused_and_leaves_nothing(
    saved: tuple[Path, int], tmp_path: Path
) -> None:
    path, _ = saved
    plain = tmp_path / "plain.db"
    plain.write_bytes(path.read_bytes()[:-32])
    wrong = tmp_path / "wrong.db"
    wrong.write_bytes(path.read_bytes()[:-33] + b"x" + path.read_bytes()[-32:])
    nonsense = tmp_path / "nonsense.db"
    nonsense.write_bytes(b"nonsense" * 800)
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    target = tmp_path / "target"

    def refusal(file: Path, *words: object, into: Path = target) -> tuple[int, str]:
        code, _, err = etcdctl("snapshot", "restore", file, "--data-dir", into, *words)
        return code, err.splitlines()[-1]

    assert refusal(path, into=full) == (
        1,
        f'Error: data-dir "{full}" not empty or could not be read',
    )
    assert refusal(path, "--wal-dir", full) == (1, f'Error: wal-dir "{full}" exists')
    assert refusal(plain) == (1, "Error: snapshot missing hash but --skip-hash-check=false")
    code, text = refusal(wrong)
    assert code == 1 and text.startswith("Error: expected sha256 [")
    assert refusal(nonsense, "--skip-hash-check") == (1, "Error: invalid database")
    assert refusal(tmp_path / "no") == (
        1,
        f"Error: open {tmp_path}/no: no such file or directory",
    )
    assert refusal(path, "--name", "x") == (
        1,
        'Error: couldn\'t find local name "x" in the initial cluster configuration',
    )
    assert not target.exists() and os.listdir(full) == ["file"]
    assert refusal(plain, "--skip-hash-check")[0] == 0


def test_damage_found_on_the_way_leaves_no_member(saved: tuple[Path, int], tmp_path: Path) -> None:
    path, _ = saved
    data = bytearray(path.read_bytes())
    data[3 * 4096 + 8] ^= 2  # a leaf that is none
    path.write_bytes(data)
    outcome = etcdctl(
        "snapshot", "restore", path, "--data-dir", tmp_path / "r", "--skip-hash-check"
    )
    assert outcome[0] == 1
    assert not (tmp_path / "r").exists() or os.listdir(tmp_path / "r") == []


@pytest.mark.parametrize("program", [petcd.cli.etcdctl, petcd.cli.etcdutl])
def test_status_in_every_format(program: Any, saved: tuple[Path, int]) -> None:
    path, _ = saved
    fields = json.loads(run(program, "snapshot", "status", path, "-w", "json")[1])
    assert list(fields) == ["hash", "revision", "totalKey", "totalSize"]
    assert fields["totalSize"] == path.stat().st_size - 32
    code, simple, _ = run(program, "snapshot", "status", path)
    shown = f"{fields['hash']:x}, {fields['revision']}, {fields['totalKey']}, "
    assert code == 0 and simple.startswith(shown)
    assert '"Keys" : ' in run(program, "snapshot", "status", path, "-w", "fields")[1]
    assert "| TOTAL SIZE |" in run(program, "snapshot", "status", path, "-w", "table")[1]
    assert run(program, "snapshot", "status", path, "-w", "protobuf")[0] == 4


def test_mistakes_in_the_command_line_are_told() -> None:
    for words, text in (
        (("status",), "snapshot status requires exactly one argument"),
        (("restore", "a", "b"), "snapshot restore requires exactly one argument"),
        (("save",), "snapshot save expects one argument"),
    ):
        assert etcdctl("snapshot", *words)[::2] == (128, f"Error: {text}\n")
    code, _, err = etcdctl("--endpoints", "a:1,b:2", "snapshot", "save", "x")
    assert code == 5 and err.endswith("to one selected node, not multiple [a:1 b:2]\n")
    assert etcdctl("snapshot", "status", "/nowhere")[::2] == (
        1,
        "Error: stat /nowhere: no such file or directory\n",
    )


def test_a_stopped_members_database_is_defragmented(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    member = start("m")
    for _ in range(30):
        member.call(PUT, PutRequest(key=b"k", value=bytes(100_000)), PutResponse)
    busy = run(petcd.cli.etcdutl, "defrag", "--data-dir", tmp_path / "m")
    assert busy[0] == 1 and "is in use by" in busy[2]
    member.stop()
    path = tmp_path / "m" / "member" / "snap" / "db"
    backend = LmdbBackend(str(path))
    for key, _ in list(backend.scan(b"key", b"", None))[:-1]:
        backend.delete(b"key", key)
    backend.commit()
    backend.close()
    before = path.stat().st_size
    assert run(petcd.cli.etcdutl, "defrag", "--data-dir", tmp_path / "m") == (0, "", "")
    assert path.stat().st_size < before / 5
    member = start("m")
    assert len(member.call(RANGE, RangeRequest(key=b"k"), RangeResponse).kvs[0].value) == 100_000
    member.stop()
    assert etcdctl("defrag", "--data-dir", tmp_path / "m") == (0, "", "")
    assert run(petcd.cli.etcdutl, "defrag")[::2] == (
        1,
        'Error: required flag(s) "data-dir" not set\n',
    )


def test_etcdutl_saves_nothing_and_does_not_look_as_if(tmp_path: Path) -> None:
    code, out, complaint = run(petcd.cli.etcdutl, "snapshot", "save", tmp_path / "s.db")
    assert (code, out) == (128, "")
    assert "`etcdctl snapshot save ...`" in complaint


class Stream:
    """What a server sends."""

    def __init__(self, *blobs: bytes) -> None:
        self.messages = [SnapshotResponse(blob=blob).encode() for blob in blobs]

    def receive(self, timeout_s: float | None = None) -> bytes | None:
        return self.messages.pop(0) if self.messages else None


def test_a_stream_that_is_cut_or_changed_saves_nothing() -> None:
    console = Console(io.BytesIO(), io.BytesIO(), io.BytesIO())
    for blobs, why in (
        ((bytes(1024),), "checksum not found"),
        ((bytes(1024), bytes(32)), "does not match"),
        ((), "checksum not found"),
    ):
        stream: Any = Stream(*blobs)
        with pytest.raises(SaveFailed, match=why):
            fetch(stream, io.BytesIO(), None, console)
    data = bytes(1024)
    whole: Any = Stream(data, hashlib.sha256(data).digest())
    assert fetch(whole, io.BytesIO(), None, console) == 1024 + 32
