"""Watch streams of petcd and of the real etcd over the same random history: equal events, watch by
watch, and equal words about creation, cancellation and compaction.

How events are packed into responses, and the revision in a response's header, may differ; what a
client relies on may not, so each side is checked for it by itself: events in order, none twice, the
events of a revision never torn apart.

    PETCD_DIFF_SEED=7 ./dev test tests/conformance/test_watch_differential.py
"""

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from peers import Peer, start
from random_histories import KEYS, RANGE_ENDS, History, Step

from petcd.wire.kv import (
    CompactionRequest,
    CompactionResponse,
    KeyValue,
    PutRequest,
    RequestOp,
    TxnRequest,
    TxnResponse,
)
from petcd.wire.watch import (
    WatchCancelRequest,
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)

SEED = int(os.environ.get("PETCD_DIFF_SEED", "2379"))
QUIET_S = 0.25
QUIET_LIMIT_S = 10.0
EVERYTHING = {"key": b"\x00", "range_end": b"\x00"}

pytestmark = [pytest.mark.real_etcd, pytest.mark.timeout(300)]


class Watching:
    """One stream to one server, and all that came over it."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.stream = peer.stream("/etcdserverpb.Watch/Watch", WatchResponse)
        self.responses: list[WatchResponse] = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        for response in self.stream:
            self.responses.append(response)

    def close(self) -> None:
        self.stream.cancel()
        self.thread.join(5)

    def events(self) -> dict[int, list[Any]]:
        """What each watch was told of keys, in order."""
        told: dict[int, list[Any]] = {}
        for response in self.responses:
            for event in response.events:
                plain = (event.type, plain_kv(event.kv), plain_kv(event.prev_kv))
                told.setdefault(response.watch_id, []).append(plain)
        return told

    def words(self) -> list[Any]:
        """Creation, cancellation and progress, in order of the watch ids' first appearance."""
        return [
            (r.watch_id, r.created, r.canceled, r.compact_revision, r.cancel_reason)
            for r in self.responses
            if not r.events
        ]

    def check_promises(self) -> None:
        """Ordered, unique, atomic, and nothing before the created message."""
        newest: dict[int, int] = {}
        created: set[int] = set()
        torn: dict[int, int] = {}
        for response in self.responses:
            if response.created:
                created.add(response.watch_id)
            if not response.events:
                continue
            assert response.watch_id in created, "events before the created message"
            revisions = [event.kv.mod_revision for event in response.events if event.kv]
            assert revisions == sorted(revisions)
            before = newest.get(response.watch_id, 0)
            continued = torn.get(response.watch_id) == revisions[0]
            assert revisions[0] > before or continued, f"{revisions[0]} came after {before}"
            newest[response.watch_id] = revisions[-1]
            torn[response.watch_id] = revisions[-1] if response.fragment else 0


def plain_kv(kv: KeyValue | None) -> Any:
    if kv is None:
        return None
    return kv.key, kv.create_revision, kv.mod_revision, kv.version, kv.value, kv.lease


class Both:
    """The two servers, and one watch stream to each that is opened again on demand."""

    def __init__(self, peers: list[Peer], seed: int) -> None:
        self.peers = peers
        self.chance = random.Random(seed)
        self.history = History(self.chance)
        self.watchings: list[Watching] = []

    def open(self) -> None:
        self.watchings = [Watching(peer) for peer in self.peers]

    def close(self) -> None:
        for watching in self.watchings:
            watching.close()

    def write(self, step: Step) -> None:
        waits = [peer.begin(step.path, step.request, step.response) for peer in self.peers]
        answers = [wait() for wait in waits]
        assert answers[0].code == answers[1].code, (str(step), answers)
        self.history.learn(step, answers[1].message)

    def write_some(self, count: int) -> None:
        makers = [self.history.put, self.history.put, self.history.delete, self.history.txn]
        for _ in range(count):
            self.write(self.chance.choice(makers)())

    def compact(self, revision: int) -> None:
        request = CompactionRequest(revision=revision, physical=True)
        self.write(Step("/etcdserverpb.KV/Compact", request, CompactionResponse))

    def ask(self, **one: Any) -> None:
        """Sends the same watch request to both and waits for all that follows from it."""
        for watching in self.watchings:
            watching.stream.send(WatchRequest(**one))
        self.quiet()

    def watch(self, **fields: Any) -> None:
        self.ask(create_request=WatchCreateRequest(**fields))

    def quiet(self) -> None:
        """Until nothing more comes from either, and both have said as much."""
        begin = changed = time.monotonic()
        seen: list[int] = []
        while time.monotonic() - begin < QUIET_LIMIT_S:
            time.sleep(0.02)
            counts = [
                sum(map(len, watching.events().values())) + len(watching.words())
                for watching in self.watchings
            ]
            now = time.monotonic()
            if counts != seen:
                seen, changed = counts, now
            elif now - changed > QUIET_S and counts[0] == counts[1]:
                return

    def compare(self) -> None:
        petcd, etcd = self.watchings
        assert petcd.words() == etcd.words()
        ours, theirs = petcd.events(), etcd.events()
        assert ours.keys() == theirs.keys()
        for watch_id, events in theirs.items():
            for number, (one, other) in enumerate(zip(ours[watch_id], events, strict=False)):
                assert one == other, f"event {number} of watch {watch_id}"
            assert len(ours[watch_id]) == len(events), f"watch {watch_id}"
        for watching in self.watchings:
            watching.check_promises()

    def random_watch(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"key": self.chance.choice(KEYS)}
        if self.chance.random() < 0.6:
            fields["range_end"] = self.chance.choice(RANGE_ENDS)
        if self.chance.random() < 0.5:
            oldest = max(1, self.history.compacted - 3)
            fields["start_revision"] = self.chance.randint(oldest, self.history.revision + 3)
        if self.chance.random() < 0.4:
            fields["prev_kv"] = True
        if self.chance.random() < 0.3:
            fields["filters"] = self.chance.choice(([0], [1], [0, 1]))
        if self.chance.random() < 0.2:
            fields["watch_id"] = self.chance.choice((3, 5, 1000))
        return fields


@pytest.fixture
def both() -> Iterator[Both]:
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(contextlib.closing(start(kind))) for kind in ("petcd", "etcd")]
        yield stack.enter_context(contextlib.closing(Both(peers, SEED)))


def test_random_watches_over_a_random_history_see_the_same(both: Both) -> None:
    print(f"PETCD_DIFF_SEED={SEED}")
    both.write_some(200)
    both.compact(both.history.revision // 3)
    both.open()
    for _ in range(5):
        for _ in range(6):
            both.watch(**both.random_watch())
        both.write_some(120)
        both.quiet()
        both.ask(cancel_request=WatchCancelRequest(watch_id=both.chance.randint(0, 12)))
        both.ask(progress_request=WatchProgressRequest())
        both.compact(both.history.revision - 40)
    both.write_some(50)
    both.quiet()
    both.compare()
    assert sum(map(len, both.watchings[0].events().values())) > 200


def test_a_watch_from_the_past_gets_history_and_goes_on_live(both: Both) -> None:
    both.write_some(100)
    both.open()
    both.watch(**EVERYTHING, start_revision=1, prev_kv=True)
    both.write_some(100)
    both.quiet()
    both.compare()
    events = both.watchings[0].events()[0]
    assert events[0][1][2] == 2 and events[-1][1][2] == both.history.revision


def test_a_watch_below_the_compacted_revision_is_created_and_canceled(both: Both) -> None:
    both.write_some(60)
    both.compact(30)
    both.open()
    both.watch(**EVERYTHING, start_revision=29)
    both.watch(**EVERYTHING, start_revision=30)
    both.quiet()
    both.compare()
    words = both.watchings[0].words()
    assert (0, True, False, 0, "") in words and (0, False, True, 30, "") in words


ODD_WATCHES: list[dict[str, Any]] = [
    {"key": b"b", "range_end": b"a"},
    {"key": b"b", "range_end": b"b"},
    {"key": b""},
    {"key": b"", "range_end": b"\x00"},
    {"key": b"a", "range_end": b"\x00"},
    {"key": b"a", "watch_id": 7},
    {"key": b"a", "start_revision": 1_000_000},
    {"key": b"a", "progress_notify": True, "fragment": True, "prev_kv": True},
]


def test_odd_watches_get_the_same_words(both: Both) -> None:
    for fields in ODD_WATCHES:
        both.write_some(20)
        both.open()
        both.watch(**fields)
        both.watch(**fields)
        both.write_some(30)
        both.ask(cancel_request=WatchCancelRequest(watch_id=0))
        both.ask(cancel_request=WatchCancelRequest(watch_id=55))
        both.write_some(30)
        both.quiet()
        both.compare()
        both.close()


def test_a_revision_over_the_size_limit_comes_in_fragments(both: Both) -> None:
    """Five pairs of 300 kB with their predecessors do not fit into one message of 2 MiB."""
    both.open()
    both.watch(**EVERYTHING, prev_kv=True, fragment=True)
    for letter in (b"x", b"y"):
        puts = [
            RequestOp(request_put=PutRequest(key=b"big%d" % number, value=letter * 300_000))
            for number in range(5)
        ]
        both.write(Step("/etcdserverpb.KV/Txn", TxnRequest(success=puts), TxnResponse))
        both.quiet()
    both.watch(**EVERYTHING, start_revision=1, prev_kv=True, fragment=True)
    both.compare()
    for watching in both.watchings:
        for watch_id in (0, 1):
            flags = [r.fragment for r in watching.responses if r.events and r.watch_id == watch_id]
            assert any(flags) and not flags[-1], (watching.peer.kind, watch_id, flags)


def test_one_transaction_is_one_piece_for_every_watch(both: Both) -> None:
    both.open()
    both.watch(**EVERYTHING)
    both.watch(key=b"a")
    for _ in range(40):
        both.write(both.history.txn())
    both.quiet()
    both.compare()
