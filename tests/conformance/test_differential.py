"""The same random history on petcd and on the real etcd: answers, errors and hashes must be equal.

    PETCD_DIFF_SEED=7 PETCD_DIFF_OPERATIONS=20000 ./dev test tests/conformance/test_differential.py

runs one long history from a seed of your choice (`random` explores; without it each run is the
same). What fails prints its seed and the last requests.
"""

import contextlib
import os
import random
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from peers import start
from random_histories import History, Step, comparable

from petcd.wire.kv import (
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    PutResponse,
)
from petcd.wire.maintenance import HashKVRequest, HashKVResponse

OPERATIONS = int(os.environ.get("PETCD_DIFF_OPERATIONS", "6000"))
USUAL_SEED = "2379"
SEED = os.environ.get("PETCD_DIFF_SEED", USUAL_SEED)
if SEED == "random":
    SEED = str(random.randrange(1 << 31))
HISTORY_SHOWN = 12

pytestmark = pytest.mark.real_etcd


class Pair:
    """petcd and etcd with the same history; a difference spoils both for the next history."""

    def __init__(self) -> None:
        with contextlib.ExitStack() as stack:
            self.petcd, self.etcd = (
                stack.enter_context(contextlib.closing(start(kind))) for kind in ("petcd", "etcd")
            )
            self.close = stack.pop_all().close

    def both(self, step: Step) -> tuple[object, object]:
        waits = [
            peer.begin(step.path, step.request, step.response) for peer in (self.petcd, self.etcd)
        ]
        petcd, etcd = (wait() for wait in waits)
        self.last = etcd.message
        return comparable(step, *petcd), comparable(step, *etcd)


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.close()


def follow(pair: Pair, history: History, operations: int, how_to_repeat: str) -> None:
    """Sends a history to both and compares answer by answer."""
    recent: deque[str] = deque(maxlen=HISTORY_SHOWN)
    for number in range(operations):
        step = history.step()
        recent.append(f"{number}: {step}")
        petcd, etcd = pair.both(step)
        if petcd != etcd:
            told = "\n".join(recent)
            pytest.fail(
                f"after {number} equal answers, {how_to_repeat}\n{told}\n"
                f"petcd: {petcd}\netcd:  {etcd}",
                pytrace=False,
            )
        history.learn(step, pair.last)


def hashes_at(pair: Pair, revisions: list[int]) -> list[tuple[object, object]]:
    steps = [
        Step("/etcdserverpb.Maintenance/HashKV", HashKVRequest(revision=revision), HashKVResponse)
        for revision in revisions
    ]
    return [pair.both(step) for step in steps]


@pytest.mark.timeout(900)
def test_a_long_random_history_gets_equal_answers(pair: Pair) -> None:
    print(f"PETCD_DIFF_SEED={SEED}")
    history = History(random.Random(int(SEED)))
    follow(pair, history, OPERATIONS, f"PETCD_DIFF_SEED={SEED} repeats it")
    first = max(history.compacted, 1) + 1
    revisions = [0, *range(first, history.revision + 1, 1 + (history.revision - first) // 20)]
    for petcd, etcd in hashes_at(pair, revisions):
        assert petcd == etcd, f"PETCD_DIFF_SEED={SEED} repeats it"
    assert history.revision > OPERATIONS // 10, "too few requests changed anything"
    pair.petcd.restart()
    pair.etcd.restart()
    for petcd, etcd in hashes_at(pair, revisions):
        assert petcd == etcd, f"after a restart; PETCD_DIFF_SEED={SEED} repeats it"
    follow(pair, history, OPERATIONS // 10, f"PETCD_DIFF_SEED={SEED} repeats it")


class Pairs:
    """One pair for many short histories, made anew after a difference."""

    def __init__(self) -> None:
        self.pair: Pair | None = None
        self.told: History | None = None

    @contextlib.contextmanager
    def history(self, chance: random.Random) -> Iterator[tuple[Pair, History]]:
        history = History(chance)
        if self.pair is None:
            self.pair = Pair()
        elif self.told is not None:
            history.go_on_from(self.told)
        try:
            for step in history.fresh_start():
                assert len(set(map(repr, self.pair.both(step)))) == 1, step
                history.learn(step, self.pair.last)
            history.begun_at = history.revision
            yield self.pair, history
        except BaseException:
            self.close()
            raise
        self.told = history

    def close(self) -> None:
        if self.pair is not None:
            self.pair.close()
            self.pair = self.told = None


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    pairs = Pairs()
    yield pairs
    pairs.close()


@pytest.mark.timeout(600)
def test_short_histories_that_hypothesis_shrinks_get_equal_answers(pairs: Pairs) -> None:
    @settings(
        max_examples=25,
        derandomize=SEED == USUAL_SEED,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(chance=st.randoms(use_true_random=False), length=st.integers(1, 30))
    def equal_answers(chance: random.Random, length: int) -> None:
        with pairs.history(chance) as (pair, history):
            follow(pair, history, length, "hypothesis repeats it with the line below")

    equal_answers()


def test_compaction_without_waiting_leaves_equal_hashes(pair: Pair) -> None:
    for number in range(60):
        put = PutRequest(key=b"k%d" % (number % 7), value=b"%d" % number)
        pair.both(Step("/etcdserverpb.KV/Put", put, PutResponse))
    delete = DeleteRangeRequest(key=b"k3")
    pair.both(Step("/etcdserverpb.KV/DeleteRange", delete, DeleteRangeResponse))
    for revision in (20, 41):
        request = CompactionRequest(revision=revision)
        petcd, etcd = pair.both(Step("/etcdserverpb.KV/Compact", request, CompactionResponse))
        assert petcd == etcd
        for petcd, etcd in hashes_at(pair, [revision + 1, 50, 61, 62, 0]):
            assert petcd == etcd


def test_the_comparison_can_fail(pair: Pair) -> None:
    """A put on one side only must be seen at once."""
    put = Step("/etcdserverpb.KV/Put", PutRequest(key=b"k", value=b"v"), PutResponse)
    pair.petcd.call(put.path, put.request, put.response)
    petcd, etcd = hashes_at(pair, [0])[0]
    assert petcd != etcd
    with pytest.raises(pytest.fail.Exception, match="equal answers"):
        follow(pair, History(random.Random(1)), 100, "")
