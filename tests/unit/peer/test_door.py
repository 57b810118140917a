"""The peer port's answers, without sockets; what etcd answers is in the conformance tests."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
from peer_endpoints import CLUSTER_ID
from peer_fakes import LOCAL_ID, REMOTE_ID, Bench, FakeResponder

from petcd.cluster.membership import MemberInfo
from petcd.peer import incoming_file, snapshot_sink
from petcd.peer.door import SNAPSHOTS_MAX, Door, members_handler
from petcd.peer.messages import encode_message
from petcd.peer.snapshot_sink import SnapshotSink
from petcd.peer.streams import MESSAGE_BYTES_MAX, frame
from petcd.raft.types import Message, MessageType, Snapshot, SnapshotMetadata
from petcd.transport.http import HttpRequest


class FakeNetwork:
    """Peers as a set; remotes as they were met."""

    def __init__(self, bench: Bench) -> None:
        self.context = bench.context
        self.executor = ThreadPoolExecutor(1)
        self.attached: list[Any] = []
        self.remotes: list[tuple[int, list[str]]] = []
        self.known = {REMOTE_ID}
        self.counters = bench.counters.of(REMOTE_ID)

    def peer(self, member_id: int) -> Any:
        return self if member_id in self.known else None

    def attach(self, kind: Any, respond: Any) -> None:
        self.attached.append((kind.name, respond))

    def add_remote(self, member_id: int, urls: list[str]) -> None:
        self.remotes.append((member_id, urls))


class Rig:
    def __init__(self, bench: Bench, directory: Path) -> None:
        self.bench = bench
        self.directory = directory
        self.network = FakeNetwork(bench)
        self.door = Door(cast(Any, self.network), directory, wall=lambda: 1_700_000_000.25)

    def request(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        sender: int = REMOTE_ID,
        announced_bytes: int = 0,
    ) -> HttpRequest:
        headers = [
            (b"x-server-from", f"{sender:x}".encode()),
            (b"x-server-version", b"3.5.1"),
            (b"x-min-cluster-version", b"3.0.0"),
            (b"x-etcd-cluster-id", f"{CLUSTER_ID:x}".encode()),
            (b"x-raft-to", f"{LOCAL_ID:x}".encode()),
            (b"x-peerurls", b"http://a:1,http://b:2"),
        ]
        if announced_bytes:
            headers.append((b"content-length", b"%d" % announced_bytes))
        return HttpRequest(method, target, headers, body, "peer:1")

    def ask(self, *arguments: Any, **more: Any) -> FakeResponder:
        respond = FakeResponder()
        self.door.handle(self.request(*arguments, **more), respond)
        return respond

    def open(self, **more: Any) -> tuple[SnapshotSink, FakeResponder]:
        respond = FakeResponder()
        request = self.request("POST", "/raft/snapshot", **more)
        sink = self.door.open_sink(request, respond)
        assert isinstance(sink, SnapshotSink)
        return sink, respond


@pytest.fixture
def rig(bench: Bench, tmp_path: Path) -> Rig:
    return Rig(bench, tmp_path)


@pytest.mark.parametrize(("path", "kind"), [("msgapp", "MsgApp v2"), ("message", "Message")])
def test_a_stream_stays_open_and_goes_to_its_peer(rig: Rig, path: str, kind: str) -> None:
    respond = rig.ask("GET", f"/raft/stream/{path}/b2")
    assert respond.status == 200 and not respond.closed
    assert respond.headers[b"x-server-version"] == b"3.5.33"
    assert respond.headers[b"x-etcd-cluster-id"] == f"{CLUSTER_ID:x}".encode()
    assert rig.network.attached == [(f"stream {kind}", respond)]


def test_a_removed_member_gets_no_stream(rig: Rig) -> None:
    rig.bench.news.removed.add(REMOTE_ID)
    respond = rig.ask("GET", "/raft/stream/msgapp/b2")
    assert (respond.status, respond.body) == (410, b"removed member\n")


def test_a_stranger_gets_no_stream_but_is_remembered(rig: Rig) -> None:
    respond = rig.ask("GET", "/raft/stream/msgapp/77", sender=0x77)
    assert (respond.status, respond.body) == (404, b"error sender not found\n")
    assert rig.network.remotes == [(0x77, ["http://a:1", "http://b:2"])]


def test_a_message_is_taken(rig: Rig) -> None:
    message = Message(MessageType.PROP, LOCAL_ID, REMOTE_ID)
    respond = rig.ask("POST", "/raft", encode_message(message))
    assert respond.status == 204 and rig.bench.news.messages == [message]


def test_a_message_of_a_removed_member_is_refused(rig: Rig) -> None:
    rig.bench.news.removed.add(REMOTE_ID)
    message = Message(MessageType.PROP, LOCAL_ID, REMOTE_ID)
    respond = rig.ask("POST", "/raft", encode_message(message))
    assert (respond.status, respond.body) == (
        403,
        b"cannot process message from removed member\n",
    )
    assert not rig.bench.news.messages


def test_a_removed_member_is_not_remembered(rig: Rig) -> None:
    rig.bench.news.removed.add(0x77)
    message = Message(MessageType.PROP, LOCAL_ID, 0x77)
    assert rig.ask("POST", "/raft", encode_message(message), sender=0x77).status == 403
    assert rig.network.remotes == []


def test_the_probe_tells_the_time(rig: Rig) -> None:
    respond = rig.ask("GET", "/raft/probing")
    assert respond.body == b'{"OK":true,"Now":"2023-11-14T22:13:20.250000Z"}\n'


def test_members_are_listed_by_their_peer_urls(rig: Rig) -> None:
    members = [
        MemberInfo(1, ("http://z:2380",), "z", ("http://z:2379",)),
        MemberInfo(2, ("http://a:2380",), is_learner=True),
    ]
    rig.door.routes["/members"] = members_handler(CLUSTER_ID, lambda: members)
    respond = rig.ask("GET", "/members")
    assert json.loads(respond.body) == [
        {"id": 2, "peerURLs": ["http://a:2380"], "isLearner": True},
        {"id": 1, "peerURLs": ["http://z:2380"], "name": "z", "clientURLs": ["http://z:2379"]},
    ]
    assert respond.headers[b"x-etcd-cluster-id"] == f"{CLUSTER_ID:x}".encode()


def test_routes_with_a_slash_serve_what_is_below(rig: Rig) -> None:
    asked: list[str] = []
    rig.door.routes["/members/promote/"] = lambda request, respond: asked.append(request.target)
    rig.ask("POST", "/members/promote/12")
    rig.ask("POST", "/members/promote/12/more?x=y")
    assert asked == ["/members/promote/12", "/members/promote/12/more?x=y"]
    assert rig.ask("GET", "/members/promote").status == 404
    assert rig.ask("GET", "*").status == 404


# -- snapshots ---------------------------------------------------------------------------------


def snapshot(index: int = 0x2A, data: bytes = b"") -> bytes:
    metadata = SnapshotMetadata(None, index, 1)
    return frame(
        Message(MessageType.SNAP, LOCAL_ID, REMOTE_ID, 1, snapshot=Snapshot(data, metadata))
    )


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(main())


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_snapshot_is_saved_however_it_comes(rig: Rig, size: int) -> None:
    content = bytes(range(256))

    async def scenario() -> None:
        sink, respond = rig.open()
        body = snapshot() + content
        for start in range(0, len(body), size):
            sink.write(body[start : start + size])
        sink.end()
        await until(lambda: respond.closed)
        assert respond.status == 204
        ((_, path),) = rig.bench.news.snapshots
        assert path.name == "000000000000002a.snap.db" and path.read_bytes() == content
        assert [p.name for p in rig.directory.iterdir()] == [path.name]

    run(scenario)


def test_a_snapshot_without_a_file_is_an_empty_file(rig: Rig) -> None:
    async def scenario() -> None:
        sink, respond = rig.open()
        sink.write(snapshot())
        sink.end()
        await until(lambda: respond.closed)
        assert rig.bench.news.snapshots[0][1].read_bytes() == b""

    run(scenario)


def test_a_sender_is_held_back_while_the_disk_is_slow(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_sink, "WAITING_BYTES_MAX", 1000)

    async def scenario() -> None:
        sink, respond = rig.open()
        wanted = 0

        def more_wanted() -> None:
            nonlocal wanted
            wanted += 1

        sink.more_wanted = more_wanted
        sink.write(snapshot())
        assert not sink.full
        sink.write(b"x" * 1000)
        assert sink.full
        await until(lambda: not sink.full)
        assert wanted
        sink.end()
        await until(lambda: respond.closed)

    run(scenario)


def test_a_lost_sender_leaves_no_file(rig: Rig) -> None:
    async def scenario() -> None:
        sink, respond = rig.open()
        sink.write(snapshot() + b"x" * 1000)
        await until(lambda: bool(list(rig.directory.iterdir())))
        respond.lose()
        await until(lambda: not list(rig.directory.iterdir()))
        assert not rig.bench.news.snapshots

    run(scenario)


def test_a_snapshot_that_the_disk_has_no_room_for_is_refused_before_it_comes(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming_file, "COPIES_ON_DISK", 1 << 60)

    async def scenario() -> None:
        sink, respond = rig.open(announced_bytes=1000)
        sink.write(snapshot())
        await until(lambda: respond.closed)
        assert respond.status == 500
        assert respond.body.startswith(b"failed to save KV snapshot (No space left on device: ")
        assert not list(rig.directory.iterdir())
        assert rig.bench.counters.of(REMOTE_ID).snapshot_receives.failures == 1

    run(scenario)


def test_a_snapshot_of_a_size_that_nobody_announced_ends_before_the_disk_is_full(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members of etcd send theirs so."""
    monkeypatch.setattr(incoming_file, "COPIES_ON_DISK", 1 << 60)

    async def scenario() -> None:
        sink, respond = rig.open()
        sink.write(snapshot() + b"x")
        await until(lambda: respond.closed)
        assert respond.status == 500
        assert b"No space left on device" in respond.body
        await until(lambda: not list(rig.directory.iterdir()))

    run(scenario)


def test_a_disk_that_cannot_be_written_is_told_to_the_sender(rig: Rig) -> None:
    async def scenario() -> None:
        rig.door = Door(cast(Any, rig.network), rig.directory / "absent")
        sink, respond = rig.open()
        sink.write(snapshot() + b"x")
        await until(lambda: respond.closed)
        assert respond.status == 500
        assert respond.body == b"failed to save KV snapshot (No such file or directory)\n"
        assert rig.bench.counters.of(REMOTE_ID).snapshot_receives.failures == 1

    run(scenario)


def test_a_file_that_is_there_already_stays(rig: Rig) -> None:
    (rig.directory / "000000000000002a.snap.db").write_bytes(b"first")

    async def scenario() -> None:
        sink, respond = rig.open()
        sink.write(snapshot() + b"second")
        sink.end()
        await until(lambda: respond.closed)
        assert respond.status == 204
        await until(lambda: len(list(rig.directory.iterdir())) == 1)
        assert rig.bench.news.snapshots[0][1].read_bytes() == b"first"

    run(scenario)


@pytest.mark.parametrize(
    ("head", "status", "text"),
    [
        ((MESSAGE_BYTES_MAX + 1).to_bytes(8, "big"), 400, b"limit exceeded"),
        (b"\0" * 7 + b"\x02\x08\xff", 400, b"failed to decode raft message"),
        (frame(Message(MessageType.APP, LOCAL_ID, REMOTE_ID)), 400, b"wrong raft message type"),
    ],
)
def test_what_is_no_snapshot_is_refused_at_its_head(
    rig: Rig, head: bytes, status: int, text: bytes
) -> None:
    sink, respond = rig.open()
    sink.write(head)
    assert respond.status == status and text in respond.body


def test_a_body_that_ends_inside_its_head_is_refused(rig: Rig) -> None:
    sink, respond = rig.open()
    sink.write(snapshot()[:-1])
    sink.end()
    assert respond.status == 400


def test_only_so_many_snapshots_are_received_at_a_time(rig: Rig) -> None:
    opened = [rig.open() for _ in range(SNAPSHOTS_MAX)]
    assert rig.open()[1].status == 503
    opened[0][1].lose()
    assert rig.open()[1].status == 0
    assert rig.open()[1].status == 503
