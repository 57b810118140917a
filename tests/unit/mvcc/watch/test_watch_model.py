"""Random histories with random watchers whose clients block and drain, checked against a list.

Whatever happens, each watcher must have received a prefix of what a list of all changes says it
should (ordered, unique, reliable), cut between two revisions (atomic), wherever it started
(resumable), and everything up to each revision that progress names (bookmarkable). When all sinks
have drained and history was read to the end, nothing may be missing.
"""

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petcd.mvcc import watch_events, watch_hub
from petcd.wire.kv import DeleteRangeRequest, PutRequest, RequestOp, TxnRequest
from petcd.wire.watch import FilterType, WatchResponse

KEYS = (b"a", b"ab", b"b", b"c")
RANGES = (
    *((b"a", b""), (b"ab", b""), (b"b", b""), (b"c", b"")),
    *((b"a", b"b"), (b"a", b"c"), (b"ab", b"c"), (b"b", b"\0"), (b"", b"\0"), (b"a", b"ab")),
)
FILTERS = ([], [FilterType.NOPUT], [FilterType.NODELETE])


@dataclass
class Happened:
    """One change as the model knows it."""

    revision: int
    is_delete: bool
    key: bytes
    value: bytes
    before: bytes | None


@dataclass
class Expectation:
    """One watch: what was asked for, and what came."""

    key: bytes
    range_end: bytes
    start: int
    filters: list[int]
    prev_kv: bool
    fragment: bool
    wants_progress: bool
    never_behind: bool
    came: list[Happened] = field(default_factory=list)
    in_fragments: bool = False
    cancelled: bool = False

    def wants(self, change: Happened) -> bool:
        if change.revision < self.start or int(change.is_delete) in self.filters:
            return False
        if not self.range_end:
            return change.key == (self.key or b"\0")
        return self.key <= change.key and (self.range_end == b"\0" or change.key < self.range_end)


class Watched:
    """A world in which everything that a client receives is checked at once."""

    def __init__(self, make_world, new_store) -> None:
        self.store = new_store()
        self.world = make_world(self.store, fragment_bytes=150)
        self.hub = self.world.hub
        self.happened: list[Happened] = []
        self.live: dict[bytes, bytes] = {}
        self.clients: list = []
        self.watches: list[dict[int, Expectation]] = []
        self.written = 0
        self.received = 0
        self.cancelled_by_compaction = 0

    # -- what may happen -----------------------------------------------------------------------

    def run(self, steps) -> None:
        for kind, number, choices in steps:
            getattr(self, "do_" + kind)(number, choices)
            for index in range(len(self.clients)):
                self.check(index)

    def finish(self) -> None:
        """Everybody reads to the end; then nothing may be missing."""
        for index in range(len(self.clients)):
            self.do_drain(index, [])
        self.world.catch_up()
        for index in range(len(self.clients)):
            self.check(index)
            for watch in self.watches[index].values():
                if not watch.cancelled:
                    assert watch.came == [c for c in self.happened if watch.wants(c)]
        assert self.hub.slow_watcher_count == 0
        assert not self.hub.catch_up_step()

    def write(self, choices) -> None:
        """One transaction on some keys; odd choices delete."""
        keys = list(dict.fromkeys(choice // 2 % len(KEYS) for choice in choices))
        deletes = {KEYS[choice // 2 % len(KEYS)]: choice % 2 for choice in choices}
        operations, changes = [], []
        for key in (KEYS[k] for k in keys):
            before = self.live.get(key)
            if not deletes[key]:
                self.written += 1
                value = b"%d" % self.written * (1 + self.written % 5)
                put = PutRequest(key=key, value=value)
                operations.append(RequestOp(request_put=put))
                self.live[key] = value
            elif before is not None:
                value = b""
                operations.append(RequestOp(request_delete_range=DeleteRangeRequest(key=key)))
                del self.live[key]
            else:
                continue
            changes.append(Happened(0, bool(deletes[key]), key, value, before))
        if operations:
            self.store.txn(TxnRequest(success=operations))
            for change in changes:
                change.revision = self.store.revision
            self.happened += changes

    def do_write(self, number, choices) -> None:
        for n in range(number % 4 + 1):
            self.write([c + n for c in choices])
        self.hub.notify(self.store.take_changes())

    def do_snapshot(self, number, choices) -> None:
        for n in range(number % 4):
            self.write([c + n for c in choices])
        self.store.take_changes()
        if self.store.revision > self.hub.notified_revision:
            for watches in self.watches:
                for watch in watches.values():
                    watch.never_behind = False
        self.hub.skip_to(self.store.revision)

    def do_compact(self, number, choices) -> None:
        revision = self.store.revision - number * 2
        if revision > max(self.store.compact_revision, 0):
            self.store.compact(revision)
        self.do_trim(number, choices)

    def do_trim(self, number, choices) -> None:
        for _, _ in zip(range(number % 3), self.store.compaction_steps(), strict=False):
            pass

    def do_open(self, number, choices) -> None:
        if len(self.clients) < 4:
            self.clients.append(self.world.client())
            self.watches.append({})

    def do_create(self, number, choices) -> None:
        self.do_open(0, [])
        index = number % len(self.clients)
        c = [*choices, 0, 0, 0, 0]
        key, range_end = RANGES[c[0] % len(RANGES)]
        start = (0, 0, max(1, self.store.revision - c[1]), self.store.revision + c[1] % 4)[c[2] % 4]
        flags = c[3]
        watch = Expectation(
            key,
            range_end,
            start,
            FILTERS[flags % 3],
            flags % 2 == 1,
            flags % 4 >= 2,
            flags % 8 >= 4,
            never_behind=start == 0 and self.clients[index].sink.room is None,
        )
        watch_id = self.clients[index].create(
            key,
            range_end=range_end,
            start_revision=start,
            filters=watch.filters,
            prev_kv=watch.prev_kv,
            fragment=watch.fragment,
            progress_notify=watch.wants_progress,
        )
        watch.start = start or self.store.revision + 1
        self.watches[index][watch_id] = watch

    def do_cancel(self, number, choices) -> None:
        if self.clients:
            index = number % len(self.clients)
            watches = self.watches[index]
            if watches:
                self.check(index)
                watch_id = list(watches)[choices[0] % len(watches)]
                self.clients[index].stream.cancel(watch_id)
                (answer,) = self.clients[index].take()
                assert (answer.watch_id, answer.canceled) == (watch_id, True)
                del watches[watch_id]

    def do_room(self, number, choices) -> None:
        if self.clients:
            self.set_room(number % len(self.clients), choices[0] % 5)

    def do_drain(self, number, choices) -> None:
        if self.clients:
            index = number % len(self.clients)
            self.set_room(index, choices[0] % 7 if choices and choices[0] % 2 else None)
            self.clients[index].stream.drained()

    def set_room(self, index: int, room: int | None) -> None:
        self.clients[index].sink.room = room
        for watch in self.watches[index].values():
            watch.never_behind = watch.never_behind and room is None

    def do_close(self, number, choices) -> None:
        if self.clients:
            index = number % len(self.clients)
            self.clients.pop(index).stream.close()
            self.watches.pop(index)

    def do_step(self, number, choices) -> None:
        for _ in range(number % 4 + 1):
            self.hub.catch_up_step()

    def do_progress(self, number, choices) -> None:
        if self.clients:
            self.clients[number % len(self.clients)].stream.progress()

    def do_tick(self, number, choices) -> None:
        self.hub.progress_tick()

    # -- what must hold ------------------------------------------------------------------------

    def check(self, index: int) -> None:
        for response in self.clients[index].take():
            self.received += len(response.events)
            watches = self.watches[index]
            if response.created:
                assert response.header.revision == self.store.revision
            elif response.canceled:
                self.check_cancelled(watches[response.watch_id], response)
            elif response.events:
                self.check_events(watches[response.watch_id], response)
            elif response.watch_id == -1:
                for watch in watches.values():
                    self.check_progress(watch, response)
            else:
                assert watches[response.watch_id].wants_progress
                self.check_progress(watches[response.watch_id], response)

    def check_cancelled(self, watch: Expectation, response: WatchResponse) -> None:
        assert not watch.never_behind and not watch.cancelled and not watch.in_fragments
        assert response.compact_revision == self.store.compact_revision
        assert watch.start < response.compact_revision
        assert response.header.revision == 0
        watch.cancelled = True
        self.cancelled_by_compaction += 1

    def check_events(self, watch: Expectation, response: WatchResponse) -> None:
        assert not watch.cancelled
        expected = [c for c in self.happened if watch.wants(c)]
        for event in response.events:
            assert event.kv is not None
            change = expected[len(watch.came)]
            assert (event.kv.mod_revision, event.kv.key) == (change.revision, change.key)
            assert (event.type == 1, event.kv.value) == (change.is_delete, change.value)
            self.check_before(watch, change, event.prev_kv and event.prev_kv.value)
            watch.came.append(change)
        last = watch.came[-1].revision
        assert last <= response.header.revision <= self.store.revision
        if response.fragment:
            assert watch.fragment
        else:
            assert watch.came == [c for c in expected if c.revision <= last]
        watch.in_fragments = response.fragment

    def check_before(self, watch: Expectation, change: Happened, before: bytes | None) -> None:
        if not watch.prev_kv:
            assert before is None
        elif before != change.before:
            assert before is None
            assert change.revision - 1 < self.store.compact_revision

    def check_progress(self, watch: Expectation, response: WatchResponse) -> None:
        if watch.cancelled:
            return
        revision = response.header.revision
        assert revision == self.hub.notified_revision
        assert watch.came == [c for c in self.happened if watch.wants(c) and c.revision <= revision]


KINDS = (
    *("write",) * 16,
    *("create", "step") * 6,
    *("drain",) * 4,
    *("room", "progress", "tick", "trim") * 2,
    *("compact", "cancel", "snapshot", "close", "open"),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.integers(0, 11),
        st.lists(st.integers(0, 15), min_size=1, max_size=4),
    ),
    max_size=60,
)


def make_limits_small(limits: pytest.MonkeyPatch) -> None:
    """So that a handful of changes reaches every bound."""
    limits.setattr(watch_hub, "SLICE_CHANGES", 3)
    limits.setattr(watch_hub, "DELIVERIES_MAX", 4)
    limits.setattr(watch_hub, "ENDED_MAX", 1)
    limits.setattr(watch_hub, "FLUSH_BYTES", 200)
    limits.setattr(watch_events, "EVENTS_BYTES_MAX", 100)


@settings(max_examples=400, deadline=None)
@given(steps=steps)
@pytest.mark.parametrize("small", [True, False])
def test_every_watcher_receives_exactly_its_events(make_world, new_store, steps, small):
    with pytest.MonkeyPatch.context() as limits:
        if small:
            make_limits_small(limits)
        watched = Watched(make_world, new_store)
        watched.run(steps)
        watched.finish()


@pytest.mark.parametrize("seed", range(6))
def test_every_watcher_receives_exactly_its_events_in_a_long_life(
    make_world, new_store, seed, monkeypatch
):
    random = Random(seed)
    if seed % 2:
        make_limits_small(monkeypatch)
    watched = Watched(make_world, new_store)
    watched.run(
        (random.choice(KINDS), random.randrange(12), [random.randrange(16) for _ in range(4)])
        for _ in range(3000)
    )
    watched.finish()
    assert watched.received > 2000
    assert watched.cancelled_by_compaction > 10
