"""What a client wrote, what came back, and whether a store's history agrees with it.

`write_until` sends operations that cannot be mistaken for each other, and `Books` hold what was
sent and what was acknowledged. `Ledger` then walks the store's whole history, revision by revision,
as a watch gives it, and demands:

* every acknowledged operation is there, at the revision that it was told, whole and unchanged;
* every other revision is one of the operations that were sent and not answered, and none twice;
* revisions follow one another without a gap, and each pair carries the right create revision and
  version;
* HashKV of the store equals the hash computed here from what was read.
"""

import asyncio
import random
from collections.abc import Awaitable
from typing import NamedTuple, TypeVar

import google_crc32c

from bench.connection import Connection, static_block
from bench.requests import HASH_KV, PUT, RANGE, TXN, WATCH
from petcd.wire.kv import (
    DeleteRangeRequest,
    Event,
    EventType,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    TxnRequest,
    TxnResponse,
)
from petcd.wire.maintenance import HashKVRequest, HashKVResponse
from petcd.wire.watch import WatchCreateRequest, WatchRequest, WatchResponse

KEYS = 300
VALUE_BYTES_MAX = 3_000
STREAMS = 32
ANSWER_TIMEOUT_S = 30


T = TypeVar("T")


class Operation(NamedTuple):
    """Puts of `keys` with `value`, which no other operation writes, and a delete before them."""

    number: int
    keys: tuple[bytes, ...]
    value: bytes
    deletes: bytes  # a key, or empty

    def request(self) -> tuple[str, bytes]:
        puts = [PutRequest(key=key, value=self.value) for key in self.keys]
        if len(puts) == 1 and not self.deletes:
            return PUT, puts[0].encode()
        operations = [RequestOp(request_put=put) for put in puts]
        if self.deletes:
            delete = RequestOp(request_delete_range=DeleteRangeRequest(key=self.deletes))
            operations.insert(0, delete)
        return TXN, TxnRequest(success=operations).encode()


class Books:
    """All operations ever sent, and the revisions of those that were acknowledged."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.sent: dict[bytes, Operation] = {}  # by value, which is unique
        self.acknowledged: dict[int, Operation] = {}  # by revision

    def draw(self) -> Operation:
        number = len(self.sent) + 1
        chance = self.chance
        fill = b"v" * int(chance.random() ** 4 * VALUE_BYTES_MAX)
        keys = [b"key/%04d" % number for number in chance.sample(range(KEYS), 3)]
        is_txn = chance.random() < 0.25
        wanted = tuple(keys[:2]) if is_txn else (keys[0],)
        operation = Operation(number, wanted, b"%d:" % number + fill, keys[2] if is_txn else b"")
        self.sent[operation.value] = operation
        return operation


async def write_until(stop: asyncio.Event, connection: Connection, books: Books) -> None:
    """Keeps `STREAMS` operations in flight until `stop` is set or the connection is lost."""
    blocks = {path: static_block(path) for path in (PUT, TXN)}
    responses = {PUT: PutResponse, TXN: TxnResponse}
    lost = False

    def send() -> None:
        operation = books.draw()
        path, body = operation.request()

        def done(status: int, reply: bytes) -> None:
            nonlocal lost
            if status:
                lost = True
                return
            header = responses[path].decode(reply).header
            assert header is not None and header.revision not in books.acknowledged
            books.acknowledged[header.revision] = operation
            if not stop.is_set() and not lost:
                send()

        connection.send_request(blocks[path], body, done)

    for _ in range(STREAMS):
        send()
    connection.flush()
    ended = asyncio.ensure_future(stop.wait())
    await asyncio.wait([ended, connection.closed], return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()


class Ledger:
    """The store's history as far as it was verified."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.revision = 1
        self.live: dict[bytes, KeyValue] = {}
        self.crc = google_crc32c.extend(0, b"key")
        self.settled: set[int] = set()  # numbers of operations that were found

    async def verify(self, connection: Connection, with_hash: bool = True) -> None:
        """Reads what is new since the last time and checks all of it, then state and hash."""
        reply = RangeResponse.decode(await within(connection.call(RANGE, all_keys())))
        assert reply.header is not None
        newest_acknowledged = max(self.books.acknowledged, default=1)
        assert reply.header.revision >= newest_acknowledged, (
            f"revision {reply.header.revision} after {newest_acknowledged} was acknowledged"
        )
        for events in await history(connection, self.revision + 1, reply.header.revision):
            self.take(events)
        assert self.revision == reply.header.revision
        assert reply.kvs == [kv for _, kv in sorted(self.live.items())]
        if with_hash:
            body = HashKVRequest(revision=self.revision).encode()
            hashed = HashKVResponse.decode(await within(connection.call(HASH_KV, body)))
            assert hashed.hash == self.crc, f"HashKV at {self.revision}"

    def take(self, events: list[Event]) -> None:
        """All events of the next revision."""
        self.revision += 1
        puts = [event.kv for event in events if event.type == EventType.PUT and event.kv]
        assert puts, f"revision {self.revision} puts nothing"
        operation = self.books.sent.get(puts[0].value)
        assert operation is not None, f"revision {self.revision} was never sent"
        acknowledged = self.books.acknowledged.get(self.revision, operation)
        assert operation == acknowledged, f"revision {self.revision} holds another operation"
        assert operation.number not in self.settled, f"operation {operation.number} came twice"
        self.settled.add(operation.number)
        expected = self.expected(operation)
        assert [event.kv for event in events] == expected, f"revision {self.revision}"
        for sub, event in enumerate(events):
            assert event.kv is not None
            self.apply(event, sub)

    def expected(self, operation: Operation) -> list[KeyValue]:
        """The pairs that its events carry, by what is live before it."""
        pairs = []
        if operation.deletes in self.live:
            pairs.append(KeyValue(key=operation.deletes, mod_revision=self.revision))
        for key in operation.keys:
            before = self.live.get(key)
            pairs.append(
                KeyValue(
                    key=key,
                    create_revision=before.create_revision if before else self.revision,
                    mod_revision=self.revision,
                    version=before.version + 1 if before else 1,
                    value=operation.value,
                )
            )
        return pairs

    def apply(self, event: Event, sub: int) -> None:
        kv = event.kv
        assert kv is not None
        row = self.revision.to_bytes(8, "big") + b"_" + sub.to_bytes(8, "big")
        if event.type == EventType.DELETE:
            del self.live[kv.key]
            row, content = row + b"t", KeyValue(key=kv.key).encode()
        else:
            self.live[kv.key] = kv
            content = kv.encode()
        self.crc = google_crc32c.extend(self.crc, row + content)


def all_keys() -> bytes:
    return RangeRequest(key=b"\x00", range_end=b"\x00").encode()


async def history(connection: Connection, first: int, last: int) -> list[list[Event]]:
    """The events of the revisions from `first` to `last`, revision by revision."""
    if first > last:
        return []
    events: list[Event] = []
    complete = asyncio.Event()
    ended: list[int] = []

    def on_message(message: bytes) -> None:
        response = WatchResponse.decode(message)
        assert not response.canceled, response
        events.extend(response.events)
        if events and events[-1].kv and events[-1].kv.mod_revision >= last:
            complete.set()

    def done(status: int, _: bytes) -> None:
        ended.append(status)
        complete.set()

    stream = connection.open_stream(WATCH, on_message, done)
    create = WatchCreateRequest(key=b"\x00", range_end=b"\x00", start_revision=first)
    stream.send(WatchRequest(create_request=create).encode())
    await within(complete.wait())
    assert not ended, f"the watch ended with status {ended}"
    by_revision: dict[int, list[Event]] = {}
    for event in events:
        assert event.kv is not None
        by_revision.setdefault(event.kv.mod_revision, []).append(event)
    assert list(by_revision) == list(range(first, last + 1)), "a gap in the history"
    return list(by_revision.values())


async def within(awaitable: Awaitable[T]) -> T:
    return await asyncio.wait_for(awaitable, ANSWER_TIMEOUT_S)
