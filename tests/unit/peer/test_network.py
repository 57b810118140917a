"""Two members over real sockets: streams, the pipeline, snapshots, membership, bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop
from peer_endpoints import Endpoint

from petcd.peer import incoming_file
from petcd.peer.stream_writer import STREAM_BYTES_MAX
from petcd.raft.types import Entry, Message, MessageType, Snapshot, SnapshotMetadata

A, B = 0xAAAA000000000001, 0xB2


def app(index: int, data: bytes = b"x", to: int = B) -> Message:
    return Message(MessageType.APP, to, A, 1, 1, index, [Entry(0, 1, index + 1, data)], index)


def resp(index: int, to: int = B) -> Message:
    return Message(MessageType.APP_RESP, to, A, 1, index=index)


def run(
    directory: Path, scenario: Callable[[Endpoint, Endpoint], Awaitable[None]], **identity: str
) -> None:
    """The scenario with two members, A and B; A knows B, B knows A unless `identity` says more."""

    async def main() -> None:
        a = await Endpoint(A, directory).start()
        b = await Endpoint(B, directory).start(**identity)
        try:
            await scenario(a, b)
        finally:
            await a.stop()
            await b.stop()

    uvloop.run(main())


async def connect(a: Endpoint, b: Endpoint) -> None:
    a.knows(b)
    b.knows(a)
    await streams_open(a, b)


async def streams_open(a: Endpoint, b: Endpoint) -> None:
    """Until both streams from A to B are attached."""
    peer = a.network.peer(b.id)
    assert peer is not None
    async with asyncio.timeout(20):
        while not peer.streaming:
            await asyncio.sleep(0)


def test_messages_arrive_in_order_by_the_stream_of_their_kind(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        await connect(a, b)
        appends = [app(index) for index in range(1, 200)]
        others = [resp(index) for index in range(1, 200)]
        a.network.send([m for pair in zip(appends, others, strict=True) for m in pair])
        await b.news.until(lambda: len(b.news.messages) == 398)
        assert [m for m in b.news.messages if m.type == MessageType.APP] == appends
        assert [m for m in b.news.messages if m.type == MessageType.APP_RESP] == others
        assert not a.news.unreachables
        sent = a.network.counters.of(B).sent_bytes
        assert sent == b.network.counters.of(A).received_bytes > 398

    run(tmp_path, scenario)


def test_without_streams_messages_go_as_single_requests(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        a.knows(b)
        a.network.send([app(5), resp(6)])
        await b.news.until(lambda: len(b.news.messages) == 2)
        assert sorted(m.index for m in b.news.messages) == [5, 6]

    run(tmp_path, scenario)


def test_a_peer_is_active_while_it_answers(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        assert a.network.active_since_s(B) is None
        await connect(a, b)
        assert a.network.active_since_s(B) is not None
        await b.stop()
        a.news.unreachables.clear()
        async with asyncio.timeout(20):
            while a.network.active_since_s(B) is not None:
                await asyncio.sleep(0)
        a.network.send([resp(1)])
        await a.news.until(lambda: B in a.news.unreachables)
        assert a.network.counters.of(B).disconnected == 1

    run(tmp_path, scenario)


def test_a_peer_that_comes_back_is_found_again(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        await connect(a, b)
        port = b.port
        await b.stop()
        again = await Endpoint(B, tmp_path).start(port)
        try:
            again.knows(a)
            async with asyncio.timeout(20):
                while not again.news.messages:
                    a.network.send([resp(1)])
                    await asyncio.sleep(0.01)
        finally:
            await again.stop()

    run(tmp_path, scenario)


def test_a_removed_peer_hears_nothing_more_and_is_told(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        await connect(a, b)
        a.news.removed.add(B)
        a.network.remove(B)
        await b.news.until(lambda: b.told_removed > 0)
        assert a.network.active_since_s(B) is None
        a.network.send([resp(1)])
        a.network.remove(B)
        assert not b.news.messages

    run(tmp_path, scenario)


def test_a_peer_without_urls_is_not_reached_until_it_has_some(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        b.knows(a)
        a.network.add(B, [])
        a.network.send([resp(1)])
        a.network.update(B, [])
        await a.news.until(lambda: B in a.news.unreachables)
        assert not b.news.messages
        a.network.update(B, [b.url])
        await streams_open(b, a)

    run(tmp_path, scenario)


def test_messages_of_a_removed_member_are_refused(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        b.news.removed.add(A)
        a.knows(b)
        a.network.send([resp(1)])
        await a.news.until(lambda: a.told_removed > 0)
        assert not b.news.messages

    run(tmp_path, scenario)


def test_a_stranger_of_the_cluster_is_answered_by_single_requests(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        a.knows(b)
        a.network.send([resp(1)])
        await b.news.until(lambda: bool(b.news.messages))
        b.network.send([Message(MessageType.HEARTBEAT_RESP, A, B, 1)])
        await a.news.until(lambda: bool(a.news.messages))

    run(tmp_path, scenario)


def test_a_member_of_another_cluster_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        a = await Endpoint(A, tmp_path).start()
        b = await Endpoint(B, tmp_path, cluster_id=77).start()
        try:
            a.knows(b)
            a.network.send([resp(1)])
            await a.news.until(lambda: B in a.news.unreachables)
            assert not b.news.messages and a.network.active_since_s(B) is None
        finally:
            await a.stop()
            await b.stop()

    uvloop.run(main())


def test_a_member_of_an_old_version_is_refused(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        b.knows(a)
        b.network.send([Message(MessageType.HEARTBEAT_RESP, A, B, 1)])
        await b.news.until(lambda: A in b.news.unreachables)
        assert not a.news.messages

    run(tmp_path, scenario, version="2.3.8")


def test_a_message_for_another_member_is_not_taken(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        a.network.add(0xC3, [b.url])
        a.network.send([resp(1, to=0xC3)])
        await a.news.until(lambda: 0xC3 in a.news.unreachables)
        assert not b.news.messages

    run(tmp_path, scenario)


def test_a_peer_at_two_addresses_is_reached_at_the_one_that_works(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        a.network.add(B, ["http://127.0.0.1:1", b.url])
        async with asyncio.timeout(20):
            while not b.news.messages:
                a.network.send([resp(1)])
                await asyncio.sleep(0.01)

    run(tmp_path, scenario)


def test_new_urls_of_a_peer_are_used(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        a.network.add(B, ["http://127.0.0.1:1"])
        a.network.send([resp(1)])
        await a.news.until(lambda: B in a.news.unreachables)
        a.network.update(B, [b.url])
        a.network.send([resp(2)])
        await b.news.until(lambda: bool(b.news.messages))

    run(tmp_path, scenario)


def test_what_a_stuck_peer_does_not_take_is_dropped_and_reported(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        await connect(a, b)
        # Nothing leaves while the loop gets no turn: this is what a stuck peer looks like.
        a.network.flush_writes = None
        big = [app(index, b"x" * (1 << 20)) for index in range(1, 40)]
        a.network.send(big)
        assert a.network.counters.of(B).sent_failures > 0
        peer = a.network.peer(B)
        assert peer is not None
        assert peer.queued_bytes <= STREAM_BYTES_MAX + (2 << 20)
        await a.news.until(lambda: B in a.news.unreachables)
        assert a.log.has("sending buffer is full")

    run(tmp_path, scenario)


def snapshot_message(index: int = 9) -> Message:
    return Message(
        MessageType.SNAP, B, A, 3, snapshot=Snapshot(b"v2", SnapshotMetadata(None, index, 3))
    )


def test_a_snapshot_arrives_whole_under_its_name(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    path = tmp_path / "db"
    path.write_bytes(content + b"behind the end")

    async def scenario(a: Endpoint, b: Endpoint) -> None:
        a.knows(b)
        a.network.send_snapshot(snapshot_message(0x1F), path, len(content))
        await b.news.until(lambda: bool(b.news.snapshots))
        await a.news.until(lambda: bool(a.news.snapshots_sent))
        ((message, received),) = b.news.snapshots
        assert message == snapshot_message(0x1F)
        assert received == tmp_path / "000000000000001f.snap.db"
        assert received.read_bytes() == content
        assert a.news.snapshots_sent == [(B, True)]
        assert not list(tmp_path.glob("tmp*"))
        assert b.network.counters.of(A).snapshot_receives.successes == 1

    run(tmp_path, scenario)


def test_a_snapshot_that_is_cut_short_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(b"x" * 1000)

    async def scenario(a: Endpoint, b: Endpoint) -> None:
        a.knows(b)
        a.network.send_snapshot(snapshot_message(), path, 5000)
        await a.news.until(lambda: bool(a.news.snapshots_sent))
        assert a.news.snapshots_sent == [(B, False)] and a.news.unreachables == [B]
        assert not b.news.snapshots and not list(tmp_path.glob("0*.snap.db"))

    run(tmp_path, scenario)


def test_who_has_no_room_for_a_snapshot_says_so_at_once_and_stays_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of the body never leaves."""
    monkeypatch.setattr(incoming_file, "COPIES_ON_DISK", 1 << 60)
    path = tmp_path / "db"
    with path.open("wb") as file:
        file.truncate(1 << 30)

    async def scenario(a: Endpoint, b: Endpoint) -> None:
        await connect(a, b)
        a.network.send_snapshot(snapshot_message(), path, 1 << 30)
        await a.news.until(lambda: bool(a.news.snapshots_sent))
        assert a.news.snapshots_sent == [(B, False)] and not b.news.snapshots
        told = dict(a.log.lines)["failed to send database snapshot"]
        assert "No space left on device" in str(told["error"])
        assert b.log.has("failed to save incoming database snapshot")
        peer = a.network.peer(B)
        assert peer is not None and peer.status.active

    run(tmp_path, scenario)


def test_of_a_snapshot_that_cannot_be_read_it_is_told(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        await connect(a, b)
        a.network.send_snapshot(snapshot_message(), Path("a\0b"), 1000)
        await a.news.until(lambda: bool(a.news.snapshots_sent))
        assert a.news.snapshots_sent == [(B, False)] and not b.news.snapshots

    run(tmp_path, scenario)


def test_a_snapshot_of_a_removed_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(b"x" * 1000)

    async def scenario(a: Endpoint, b: Endpoint) -> None:
        b.news.removed.add(A)
        a.knows(b)
        a.network.send_snapshot(snapshot_message(), path, 1000)
        await a.news.until(lambda: bool(a.news.snapshots_sent))
        assert a.news.snapshots_sent == [(B, False)] and a.told_removed

    run(tmp_path, scenario)


def test_a_snapshot_to_a_stranger_fails(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        a.network.send_snapshot(snapshot_message(), tmp_path / "db", 1)
        await a.news.until(lambda: bool(a.news.snapshots_sent))
        assert a.news.snapshots_sent == [(B, False)]

    run(tmp_path, scenario)


def test_a_probe_measures_the_round_trip_and_the_clocks(tmp_path: Path) -> None:
    async def scenario(a: Endpoint, b: Endpoint) -> None:
        a.knows(b)
        peer = a.network.peer(B)
        assert peer is not None
        await peer.prober.probe()
        assert sum(a.network.counters.of(B).round_trips.counts) == 1
        assert peer.prober.round_trip_s > 0 and abs(peer.prober.skew_s) < 1

    run(tmp_path, scenario)
