"""A member's files after a crash in the middle of an install, and the start that follows."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from petcd.member.meta import (
    load_applied,
    load_conf_state,
    load_log_start,
    save_applied,
    save_log_start,
)
from petcd.raft.types import HardState
from petcd.storage.backend import Backend
from petcd.storage.lmdb_backend import LmdbBackend
from petcd.storage.snapshot_store import SnapshotFiles
from petcd.storage.wal import Wal
from petcd.wire.kv import PutRequest, PutResponse, RangeRequest, RangeResponse

PUT = b"/etcdserverpb.KV/Put"
RANGE = b"/etcdserverpb.KV/Range"
AHEAD = 50  # entries that the snapshot is ahead of the log


def stage(member_dir: Path) -> int:
    """Stage a state that is ahead of the member's own and has a key of another name; its index."""
    snap = member_dir / "snap"
    backend = LmdbBackend(str(snap / "db"))
    index, term = load_applied(backend)
    snapshots = SnapshotFiles(str(snap), backend)
    view = backend.snapshot_view()
    body = snapshots.save(view).body
    view.close()

    def edit(staged: Backend) -> None:
        ((row, pair),) = list(staged.scan(b"key", b"", None))
        staged.put(b"key", row, pair.replace(b"old", b"new"))
        save_applied(staged, index + AHEAD, term)
        save_log_start(staged, index + AHEAD, term)

    snapshots.stage(body, edit).close()
    backend.close()
    return index + AHEAD


def record(member_dir: Path, index: int, committed: bool) -> None:
    """Write the snapshot's record, and the hard state behind it if `committed`."""
    backend = LmdbBackend(str(member_dir / "snap" / "db"))
    start, conf_state = load_log_start(backend) or (0, 0), load_conf_state(backend)
    _, term = load_applied(backend)
    backend.close()
    wal, replay = Wal.open(str(member_dir / "wal"), start, background=False)
    wal.save_snapshot(index, term, conf_state)
    if committed:
        wal.save(HardState(replay.hard_state.term, replay.hard_state.vote, index), [])
        wal.sync()
    wal.close()


@pytest.mark.parametrize("reached", ["staged", "recorded", "committed"])
def test_the_next_start_has_the_old_state_or_the_new_one(
    start: Callable[..., Any], tmp_path: Path, reached: str
) -> None:
    member = start("m")
    member.call(PUT, PutRequest(key=b"old", value=b"v"), PutResponse)
    member.stop()
    member_dir = tmp_path / "m" / "member"
    index = stage(member_dir)
    (member_dir / "snap" / f"{index:016x}.snap.db").write_bytes(b"arrived")
    if reached != "staged":
        record(member_dir, index, reached == "committed")
    wanted = b"new" if reached == "committed" else b"old"
    for _ in range(2):
        member = start("m")
        found = member.call(RANGE, RangeRequest(key=b"\0", range_end=b"\0"), RangeResponse)
        assert wanted in [pair.key for pair in found.kvs]
        assert (b"new" in [pair.key for pair in found.kvs]) == (wanted == b"new")
        member.call(PUT, PutRequest(key=b"other", value=b"v"), PutResponse)
        applied = member.server._engine.member.applied_index
        assert (applied > index) == (reached == "committed")
        member.stop()
    assert sorted(os.listdir(member_dir / "snap")) == ["db", "db-lock"]
