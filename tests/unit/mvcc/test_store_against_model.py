"""Random histories on the store and on the slow model of conftest: every answer must be equal.

One history is a series of random requests, reads in slices, compactions, commits, restarts and
crashes, all drawn from one ``Random``.  Long ones come from numbered seeds (a failure names its
seed), short ones from hypothesis, which shrinks them.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from petcd.mvcc import compaction, hashing
from petcd.mvcc import range as ranges
from petcd.mvcc.errors import MvccError
from petcd.mvcc.validation import check_put, check_txn
from petcd.wire.kv import (
    Compare,
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)

KEYS = [b"a", b"b", b"b\0", b"ba", b"c", b"ca", b"cb", b"d", b"e", b"\xff"]
ENDS = [b"", b"", b"\0", b"b", b"ca", b"d", b"z"]
VALUES = [b"", b"1", b"2", b"33"]
SEEDS = 60
STEPS = 500


class Requests:
    """Draws requests that mean something at the model's present revision."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.revision = 1

    def one_in(self, n: int) -> bool:
        return self.rng.randrange(n) == 0

    def near_revision(self) -> int:
        return self.revision - self.rng.randrange(-1, 9)

    def bound(self) -> int:
        return max(self.near_revision(), 0) if self.one_in(5) else 0

    def key(self) -> bytes:
        return self.rng.choice(KEYS)

    def range(self) -> RangeRequest:
        rng = self.rng
        request = RangeRequest(key=self.key(), range_end=rng.choice(ENDS))
        request.revision = self.near_revision() if self.one_in(2) else 0
        request.limit = rng.randrange(-1, 5)
        request.keys_only, request.count_only = self.one_in(4), self.one_in(6)
        if self.one_in(2):
            request.sort_order, request.sort_target = rng.randrange(3), rng.randrange(5)
        if self.one_in(3):
            request.min_mod_revision, request.max_mod_revision = self.bound(), self.bound()
            request.min_create_revision, request.max_create_revision = self.bound(), self.bound()
        return request

    def put(self) -> PutRequest:
        rng = self.rng
        request = PutRequest(key=self.key(), prev_kv=self.one_in(3))
        request.ignore_value, request.ignore_lease = self.one_in(6), self.one_in(6)
        if not request.ignore_value:
            request.value = rng.choice(VALUES)
        if not request.ignore_lease and self.one_in(2):
            request.lease = rng.choice((7, 8, 7, 8, 9))
        return request

    def delete(self) -> DeleteRangeRequest:
        return DeleteRangeRequest(
            key=self.key(), range_end=self.rng.choice(ENDS), prev_kv=self.one_in(2)
        )

    def compare(self) -> Compare:
        rng = self.rng
        compare = Compare(key=self.key(), range_end=rng.choice(ENDS))
        compare.result, compare.target = rng.randrange(4), rng.randrange(5)
        name = ("version", "create_revision", "mod_revision", "value", "lease")[rng.randrange(5)]
        if name == "value":
            compare.value = rng.choice(VALUES)
        else:
            setattr(compare, name, rng.choice((0, 1, 2, 7, self.near_revision())))
        return compare

    def op(self, depth: int) -> RequestOp:
        kind = self.rng.randrange(6)
        if kind < 2:
            return RequestOp(request_put=self.put())
        if kind == 2:
            request = self.range() if self.one_in(2) else RangeRequest(key=self.key())
            return RequestOp(request_range=request)
        if kind == 3 or depth == 0:
            return RequestOp(request_delete_range=self.delete())
        return RequestOp(request_txn=self.txn(depth - 1))

    def txn(self, depth: int = 2) -> TxnRequest:
        rng = self.rng
        return TxnRequest(
            compare=[self.compare() for _ in range(rng.choice((0, 0, 1, 2)))],
            success=[self.op(depth) for _ in range(rng.randrange(5))],
            failure=[self.op(depth) for _ in range(rng.randrange(4))],
        )


class History:
    """A store and a model that get the same requests."""

    def __init__(self, rng: random.Random, store: Any, model: Any, failure: Any) -> None:
        self.rng = rng
        self.requests = Requests(rng)
        self.store = store
        self.model = model
        self.failure = failure
        self.reads: list[tuple[Any, Any]] = []
        self.changes: list[Any] = []
        self.clean = True  # nothing but a compaction's work since the last commit

    def step(self) -> None:
        weighted: list[tuple[int, Callable[[], None]]] = [
            (10, self.put),
            (5, self.put_plain),
            (3, self.delete),
            (10, self.txn),
            (6, self.range),
            (2, self.start_sliced_range),
            (4, self.continue_sliced_range),
            (2, self.compact),
            (4, self.compaction_step),
            (3, self.hash_kv),
            (1, self.commit),
            (1, self.restart),
            (1, self.crash),
            (1, self.finish_compaction),
        ]
        steps = [step for weight, step in weighted for _ in range(weight)]
        self.requests.revision = self.model.revision
        self.rng.choice(steps)()
        self.check_state()

    def same(self, ours: Callable[[], Any], theirs: Callable[[], Any]) -> None:
        """Both give the same answer, or both fail in the same way and change nothing."""
        try:
            expected = theirs()
        except self.failure as refused:
            before = self.store.revision, self.store.rows()
            with pytest.raises(MvccError) as caught:
                ours()
            assert type(caught.value).__name__ == str(refused)
            assert before == (self.store.revision, self.store.rows())
            return
        assert ours() == expected

    # ------------------------------------------------------------ requests

    def put(self) -> None:
        request = self.requests.put()
        check_put(request)
        fields = (request.key, request.value, request.lease, request.prev_kv)

        def ours() -> Any:
            outcome = self.store.put(*fields, request.ignore_value, request.ignore_lease)
            return outcome.revision, outcome.prev and KeyValue.decode(outcome.prev)

        def theirs() -> Any:
            answer = self.model.apply(RequestOp(request_put=request)).response_put
            return answer.header.revision, answer.prev_kv

        self.same(ours, theirs)
        self.clean = False

    def put_plain(self) -> None:
        key, value = self.requests.key(), self.rng.choice(VALUES)
        self.model.apply(RequestOp(request_put=PutRequest(key=key, value=value)))
        assert self.store.put_plain(key, value) == self.model.revision
        self.clean = False

    def delete(self) -> None:
        request = self.requests.delete()
        answer = self.model.apply(RequestOp(request_delete_range=request)).response_delete_range
        outcome = self.store.delete_range(request)
        assert outcome.revision == answer.header.revision
        assert outcome.deleted == answer.deleted
        assert [KeyValue.decode(kv) for kv in outcome.prevs] == answer.prev_kvs
        self.clean = False

    def txn(self) -> None:
        request = self.requests.txn()
        try:
            check_txn(request)
        except MvccError:
            return
        self.same(
            lambda: self.store.txn(request).response(),
            lambda: self.model.apply(RequestOp(request_txn=request)).response_txn,
        )
        self.clean = False

    def range(self) -> None:
        request = self.requests.range()

        def ours() -> Any:
            found = self.store.range(request)
            return [KeyValue.decode(kv) for kv in found.kvs], found.more, found.count

        def theirs() -> Any:
            answer = self.model.range(request)
            return answer.kvs, answer.more, answer.count

        self.same(ours, theirs)

    def start_sliced_range(self) -> None:
        request = self.requests.range()
        try:
            expected = self.model.range(request)
        except self.failure:
            return
        steps = self.store.range_steps(request)
        if not self.take_slice(steps, expected):
            self.reads.append((steps, expected))

    def continue_sliced_range(self) -> None:
        if self.reads:
            i = self.rng.randrange(len(self.reads))
            if self.take_slice(*self.reads[i]):
                del self.reads[i]

    def take_slice(self, steps: Any, expected: Any) -> bool:
        try:
            next(steps)
        except StopIteration as done:
            found = done.value
            assert [KeyValue.decode(kv) for kv in found.kvs] == expected.kvs
            assert (found.more, found.count) == (expected.more, expected.count)
            assert found.revision == expected.header.revision
            return True
        return False

    # ------------------------------------------------------------ compaction, hash, restarts

    def compact(self) -> None:
        revision = self.requests.near_revision()

        def theirs() -> Any:
            self.model.compact(revision)
            return self.model.revision

        self.same(lambda: self.store.compact(revision), theirs)
        self.clean = False

    def compaction_step(self) -> None:
        self.store.compact_step()

    def finish_compaction(self) -> None:
        self.reads.clear()
        for _ in self.store.compaction_steps():
            pass
        assert self.store.rows() == [row.encode() for row in self.model.kept()]

    def hash_kv(self) -> None:
        revision = 0 if self.requests.one_in(2) else max(self.requests.near_revision(), 0)
        self.reads.clear()
        if revision > self.model.revision or 0 < revision < self.model.compact_revision:
            with pytest.raises(MvccError):
                self.store.hash_kv(revision)
            return
        found, current = self.store.hash_kv(revision)
        assert found.hash == self.model.hash(revision)
        assert found.compact_revision == self.model.compact_revision
        assert found.revision == (revision or current)
        assert current == self.model.revision

    def commit(self) -> None:
        self.store.backend.commit()
        self.clean = True

    def restart(self) -> None:
        self.commit()
        self.crash()

    def crash(self) -> None:
        if self.clean:
            self.changes += self.store.take_changes()
            self.reads.clear()
            self.store = self.store.reopened()

    # ------------------------------------------------------------ checks

    def check_state(self) -> None:
        assert self.store.revision == self.model.revision
        assert self.store.compact_revision == self.model.compact_revision
        pairs = self.model.pairs(self.model.revision)
        assert len(self.store) == len(pairs)
        for key in KEYS:
            found = self.store.get(key)
            assert (found and KeyValue.decode(found)) == pairs.get(key)
        for lease, keys in self.store.leases.keys.items():
            assert keys == {key for key, kv in pairs.items() if kv.lease == lease}

    def check_changes(self) -> None:
        """Watchers were told all, and the history read back says the same."""
        self.changes += self.store.take_changes()
        told = [(c.revision, c.sub, c.key, c.kind) for c in self.changes]
        rows = self.model.rows
        assert told == [(r.main, r.sub, r.kv.key, int(r.is_delete)) for r in rows]
        first = max(self.model.compact_revision + 1, 0)
        again = list(self.store.history(first, self.model.revision + 1))
        late = [c for c in self.changes if c.revision >= first]
        assert [fields_of(c) for c in again] == [fields_of(c) for c in late]
        for change in again:
            found = self.store.prev_kv(change)
            assert (found and KeyValue.decode(found)) == self.pair_before(change)

    def pair_before(self, change: Any) -> KeyValue | None:
        if change.revision - 1 < self.model.compact_revision:
            return None
        if change.kind == 0 and KeyValue.decode(change.kv).create_revision == change.revision:
            return None
        pair: KeyValue | None = self.model.pairs(change.revision - 1).get(change.key)
        return pair


def fields_of(change: Any) -> tuple[Any, ...]:
    when = (change.revision, change.sub, change.kind)
    return (*when, change.key, change.kv, change.prev_revision)


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of one or two, so that the small key space takes several."""
    monkeypatch.setattr(ranges, "SLICE_KEYS", 2)
    monkeypatch.setattr(hashing, "SLICE_ROWS", 2)
    monkeypatch.setattr(compaction, "SLICE_WORK", 2)
    monkeypatch.setattr(compaction, "KEY_ROWS_MAX", 1)


def play(history: History, steps: int) -> None:
    for _ in range(steps):
        history.step()
    history.check_changes()


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.usefixtures("small_slices")
def test_long_histories_answer_like_the_model(
    seed: int, new_store: Any, new_model: Any, failure: Any
) -> None:
    store = new_store(hash_compactions=False)
    play(History(random.Random(seed), store, new_model(), failure), STEPS)


@given(rng=st.randoms(use_true_random=False))
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.usefixtures("small_slices")
def test_short_histories_answer_like_the_model(
    rng: random.Random, new_store: Any, new_model: Any, failure: Any
) -> None:
    play(History(rng, new_store(hash_compactions=False), new_model(), failure), 25)
