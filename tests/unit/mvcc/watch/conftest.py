"""What the tests of watching share: a store of lists, a sink that can block, decoded answers."""

from collections.abc import Iterator

import pytest

from petcd.mvcc.revision import DELETE, PUT, Change
from petcd.mvcc.watch_hub import WatchHub
from petcd.wire.header import ResponseHeader
from petcd.wire.hot import encode_kv
from petcd.wire.watch import WatchCreateRequest, WatchResponse


class ListStore:
    """A store that keeps every change in a list; values are found by walking it."""

    def __init__(self) -> None:
        self.revision = 1
        self.compact_revision = -1
        self.rows: list[Change] = []
        self.changes: list[Change] = []
        self.history_calls: list[tuple[int, int, bool]] = []
        self.prev_reads = 0
        self._versions: dict[bytes, tuple[int, int]] = {}

    def apply(self, *operations: tuple[bytes, bytes | None]) -> int:
        """One revision of puts (key, value) and deletes (key, None)."""
        self.revision += 1
        for sub, (key, value) in enumerate(operations):
            create, version = self._versions.get(key, (self.revision, 0))
            before = [c for c in self.rows if c.key == key][-1:]
            prev = (before[0].revision, before[0].sub) if version else None
            if value is None:
                self._versions.pop(key, None)
                kv = encode_kv(key, 0, self.revision, 0, b"", 0)
                self._add(Change(self.revision, sub, DELETE, key, kv, prev))
            else:
                self._versions[key] = (create, version + 1)
                kv = encode_kv(key, create, self.revision, version + 1, value, 0)
                self._add(Change(self.revision, sub, PUT, key, kv, prev))
        return self.revision

    def _add(self, change: Change) -> None:
        self.rows.append(change)
        self.changes.append(change)

    def take_changes(self) -> list[Change]:
        changes, self.changes = self.changes, []
        return changes

    def history(
        self, start_revision: int, end_revision: int, with_prev: bool = True
    ) -> Iterator[Change]:
        self.history_calls.append((start_revision, end_revision, with_prev))
        for c in list(self.rows):
            if start_revision <= c.revision < end_revision:
                prev = c.prev_revision if with_prev else None
                yield Change(c.revision, c.sub, c.kind, c.key, c.kv, prev)

    def prev_kv(self, change: Change) -> bytes | None:
        self.prev_reads += 1
        if change.prev_revision is None or change.revision - 1 < self.compact_revision:
            return None
        return next(c.kv for c in self.rows if (c.revision, c.sub) == change.prev_revision)


class Sink:
    """Keeps what it is sent; takes `room` responses between two drains (None: any number)."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.sent: list[bytes] = []
        self.calls = 0
        self.asked_in_vain = False

    def ready(self) -> bool:
        ready = self.room is None or self.room > 0
        self.asked_in_vain = self.asked_in_vain or not ready
        return ready

    def send(self, response: bytes) -> None:
        self.send_many([response])

    def send_many(self, responses: list[bytes]) -> None:
        assert responses
        self.calls += 1
        self.sent += responses
        if self.room is not None:
            self.room -= len(responses)


class Client:
    """One stream as its client sees it."""

    def __init__(self, hub: WatchHub) -> None:
        self.sink = Sink()
        self.stream = hub.open(self.sink)

    def create(self, key: bytes = b"k", **fields: object) -> int:
        return self.stream.create(WatchCreateRequest(key=key, **fields))

    def created(self, key: bytes = b"k", **fields: object) -> int:
        """Create a watch and drop the answer."""
        watch_id = self.create(key, **fields)
        assert self.take()[-1].created
        return watch_id

    def take(self) -> list[WatchResponse]:
        """The answers since the last call."""
        sent, self.sink.sent = self.sink.sent, []
        return [WatchResponse.decode(response) for response in sent]

    def block(self) -> None:
        self.sink.room = 0

    def drain(self) -> None:
        self.sink.room = None
        self.stream.drained()


class World:
    """A store, its hub and whoever is connected."""

    def __init__(self, store=None, fragment_bytes: int = 2 * 1024 * 1024) -> None:
        self.store = ListStore() if store is None else store
        self.signals = 0
        self.hub = WatchHub(self.store, self.header, self._behind, fragment_bytes)

    def header(self, revision: int) -> bytes:
        return ResponseHeader(cluster_id=11, member_id=22, revision=revision, raft_term=3).encode()

    def _behind(self) -> None:
        self.signals += 1

    def client(self) -> Client:
        return Client(self.hub)

    def put(self, key: bytes, value: bytes = b"v") -> int:
        return self.txn((key, value))

    def delete(self, key: bytes) -> int:
        return self.txn((key, None))

    def txn(self, *operations: tuple[bytes, bytes | None]) -> int:
        revision = self.store.apply(*operations)
        self.hub.notify(self.store.take_changes())
        return revision

    def catch_up(self) -> int:
        """Run to the end; how many steps it took."""
        steps = 1
        while self.hub.catch_up_step():
            steps += 1
            assert steps < 10_000
        return steps


def shown(response: WatchResponse) -> list[tuple[str, bytes, int]]:
    """The events of a response, short: (PUT or DELETE, key, revision)."""
    events = []
    for event in response.events:
        assert event.kv is not None
        events.append(("DELETE" if event.type else "PUT", event.kv.key, event.kv.mod_revision))
    return events


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def make_world() -> type[World]:
    return World


@pytest.fixture
def client(world: World) -> Client:
    return world.client()


@pytest.fixture
def big_world():
    """Makes a world in which responses are large, and a client in it."""

    def make(fragment_bytes: int = 1000) -> tuple[World, Client]:
        world = World(fragment_bytes=fragment_bytes)
        return world, world.client()

    return make


@pytest.fixture(name="shown")
def shown_fixture():
    return shown
