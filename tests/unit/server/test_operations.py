"""Long work that fails: what ends the member, and what the next start makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from petcd.member.apply import COMPACTION
from petcd.storage.errors import BackendDamaged, CopyFailed, StorageFailed
from petcd.wire.hot import internal_request
from petcd.wire.kv import CompactionRequest


@pytest.fixture
def alone(in_memory_cluster: Callable[..., Any]) -> Any:
    """A cluster of one, with ten versions of a key."""
    cluster = in_memory_cluster("a")
    cluster.run_until(cluster.leader)
    for _ in range(10):
        put(cluster)
    return cluster


def put(cluster: Any) -> None:
    done = cluster.put("a", b"key", b"value")
    cluster.run_until(lambda: done)
    assert not isinstance(done[0], Exception)


def compact(cluster: Any, revision: int) -> None:
    runtime = cluster["a"].engine.runtime
    request_id = runtime.next_request_id()
    body = CompactionRequest(revision=revision).encode()
    data = internal_request(request_id, COMPACTION, body)
    runtime.propose(request_id, data, lambda context, outcome: None, None)


def rows(cluster: Any) -> int:
    return len(list(cluster["a"].engine.opened.backend.scan(b"key", b"", None)))


@pytest.mark.parametrize("part", ["store", "v2"])
def test_a_slice_of_compaction_that_fails_ends_the_member_and_the_next_start_goes_on(
    alone: Any, part: str
) -> None:
    node = alone["a"]
    operations = node.engine.operations

    class Broken:
        compacting = True

        def fail(self) -> bool:
            raise BackendDamaged("db", "a page that cannot be read")

        compact_step = trim_step = fail

    put(alone)
    compact(alone, 9)
    if part == "store":
        operations._store = Broken()
    else:
        operations._v2 = Broken()
    with pytest.raises(BackendDamaged):
        alone.run(1.0)
    assert len(node.deaths) == 1
    node.deaths.clear()
    alone.run(5.0)  # no slice more is tried
    alone.stop("a")
    alone.start("a")
    alone.run_until(lambda: node.member.store.finished_compact_revision == 9)
    assert rows(alone) == node.member.store.revision - 9 + 1


def defragment(cluster: Any) -> list[object]:
    outcomes: list[object] = []
    operations = cluster["a"].engine.operations
    operations.defragment(lambda context, outcome: outcomes.append(outcome), None)
    return outcomes


class Backend:
    """A backend of which one step of a defragmentation fails."""

    def __init__(self, plain: Any, call: str, error: Exception) -> None:
        self._plain = plain
        setattr(self, call, self._fail)
        self._error = error

    def _fail(self) -> None:
        raise self._error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


def test_a_defragmentation_that_cannot_swap_the_files_ends_the_member(alone: Any) -> None:
    operations = alone["a"].engine.operations
    failure = StorageFailed("db", "Input/output error")
    operations._backend = Backend(operations._backend, "end_defragment", failure)
    defragment(alone)
    with pytest.raises(StorageFailed):
        alone.run(1.0)
    assert alone["a"].deaths == [failure]


def test_a_defragmentation_that_has_no_room_for_its_copy_changes_nothing(alone: Any) -> None:
    operations = alone["a"].engine.operations
    plain = operations._backend
    failure = CopyFailed("db", "No space left on device")
    operations._backend = Backend(plain, "write_defragment", failure)
    outcomes = defragment(alone)
    alone.run_until(lambda: outcomes)
    assert outcomes == [failure]
    assert not operations.is_defragmenting
    put(alone)
    operations._backend = plain
    outcomes = defragment(alone)
    alone.run_until(lambda: outcomes)
    assert outcomes == [None]
