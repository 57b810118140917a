"""The peer protocol with real etcd members: petcd's peer port is the third member of their cluster.

Behind it stands no raft but a follower of a few lines, which acknowledges what it is sent. That is
enough for etcd's leader to replicate to it, and to commit with it alone when the other one is down.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from peer_endpoints import Endpoint

from bench.servers import Server, ServerFailed, free_ports, real_etcd
from petcd.cluster import cluster_id, format_id, member_id
from petcd.peer.remote_requests import get_cluster_from_remote_peers, get_versions
from petcd.peer.stream_kind import APPEND, MESSAGE, StreamKind
from petcd.peer.streams import MessageWriter
from petcd.raft.types import Entry, Message, MessageType
from petcd.transport.http_client import HttpClient, Response
from petcd.version import ETCD_VERSION

TOKEN = "etcd-cluster"


class Follower:
    """Acknowledges appends and heartbeats, and votes for whom it may; all in memory."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.log: list[Entry] = []
        self.committed = 0
        self.leader = 0
        self.term = 0
        self.votes: dict[int, int] = {}
        self.kinds: set[int] = set()

    def step(self, message: Message) -> None:
        """Answer one message."""
        self.kinds.add(message.type)
        if message.type in (MessageType.VOTE, MessageType.PRE_VOTE):
            self._vote(message)
        elif message.term < self.term:
            return
        elif message.type == MessageType.APP:
            self.leader, self.term = message.from_, message.term
            self._append(message)
        elif message.type == MessageType.HEARTBEAT:
            self.leader, self.term = message.from_, message.term
            self._answer(message, MessageType.HEARTBEAT_RESP, context=message.context)

    def _vote(self, message: Message) -> None:
        is_real = message.type == MessageType.VOTE
        last = self.log[-1] if self.log else Entry()
        willing = (message.log_term, message.index) >= (last.term, last.index)
        willing = willing and message.term > self.term - is_real
        if is_real and willing:
            self.term = message.term
            willing = self.votes.setdefault(message.term, message.from_) == message.from_
        kind = MessageType.VOTE_RESP if is_real else MessageType.PRE_VOTE_RESP
        self._answer(message, kind, reject=not willing)

    def _append(self, message: Message) -> None:
        if message.index > len(self.log):
            self._answer(
                message,
                MessageType.APP_RESP,
                index=message.index,
                reject=True,
                reject_hint=len(self.log),
            )
            return
        self.log[message.index :] = message.entries
        self.committed = max(self.committed, message.commit)
        self._answer(message, MessageType.APP_RESP, index=message.index + len(message.entries))

    def _answer(self, message: Message, kind: int, **fields: Any) -> None:
        network = self.endpoint.network
        network.send([Message(kind, message.from_, message.to, message.term, **fields)])


class MixedCluster:
    """Two etcd members and the endpoint."""

    def __init__(self, folder: Path) -> None:
        self.port = free_ports(1)[0]
        own = f"http://127.0.0.1:{self.port}"
        self.servers = [Server("etcd", name=name) for name in ("one", "two")]
        urls = {server.name: server.peer_url for server in self.servers} | {"three": own}
        self.ids = {name: member_id([url], TOKEN) for name, url in urls.items()}
        for server in self.servers:
            server.initial_cluster = ",".join(f"{name}={url}" for name, url in urls.items())
        self.cluster_id = cluster_id(self.ids.values())
        self.endpoint = Endpoint(self.ids["three"], folder, self.cluster_id)
        self.follower = Follower(self.endpoint)
        self.received: dict[tuple[int, str], bytearray] = {}

    async def start(self) -> None:
        await self.endpoint.start(self.port)
        self.endpoint.news.received = self._received  # type: ignore[method-assign]
        self._record_streams()
        for server in self.servers:
            self.endpoint.network.add(self.ids[server.name], [server.peer_url])
        await asyncio.gather(*[server.start() for server in self.servers])
        self.client = HttpClient(5.0)

    def _received(self, message: Message) -> None:
        self.follower.step(message)
        self.endpoint.news.messages.append(message)

    def _record_streams(self) -> None:
        """Keep what each stream brings, from its first byte; a stream that begins anew begins
        anew here."""
        client = self.endpoint.network.client
        opened = client.open

        def open(url: str, target: str, headers: Any, sink: Any) -> Any:
            kept = bytearray()
            self.received[sink._peer_id, sink._kind.name] = kept
            body = sink.body

            def record(data: bytes) -> None:
                kept.extend(data)
                body(data)

            sink.body = record
            return opened(url, target, headers, sink)

        client.open = open  # type: ignore[method-assign]

    async def put(self, server: Server, key: str, value: str) -> None:
        fields = {"key": _base64(key), "value": _base64(value)}
        url = f"http://127.0.0.1:{server.port}"
        async with asyncio.timeout(30):
            while True:  # an election may be under way
                answer = await self.client.fetch(
                    url, "POST", "/v3/kv/put", body=json.dumps(fields).encode(), timeout_s=20
                )
                if answer.status == 200:
                    return
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        with contextlib.suppress(AttributeError):
            await self.client.close()
        await self.endpoint.stop()
        for server in self.servers:
            server.close()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def run(folder: Path, scenario: Callable[[MixedCluster], Awaitable[None]]) -> None:
    try:
        real_etcd()
    except ServerFailed as error:
        pytest.skip(f"no real etcd: {error}")

    async def main() -> None:
        cluster = MixedCluster(folder)
        try:
            await cluster.start()
            await scenario(cluster)
        finally:
            await cluster.stop()

    asyncio.run(main())


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


def test_streams_both_ways_replication_and_a_quorum_with_etcd(tmp_path: Path) -> None:
    async def scenario(cluster: MixedCluster) -> None:
        endpoint, follower = cluster.endpoint, cluster.follower
        peers = [endpoint.network.peer(cluster.ids[name]) for name in ("one", "two")]
        await until(lambda: all(peer is not None and peer.streaming for peer in peers))
        for n in range(30):
            await cluster.put(cluster.servers[n % 2], f"key{n}", "value" * n)
        await until(lambda: follower.committed == len(follower.log) > 30)
        assert {MessageType.APP, MessageType.HEARTBEAT} <= follower.kinds

        # etcd's leader commits with our acknowledgements alone.
        other = next(s for s in cluster.servers if cluster.ids[s.name] != follower.leader)
        leader = next(s for s in cluster.servers if s is not other)
        assert other.process is not None
        other.process.send_signal(signal.SIGSTOP)
        try:
            for n in range(20):
                await cluster.put(leader, f"more{n}", "value")
        finally:
            other.process.send_signal(signal.SIGCONT)

        for name in ("one", "two"):
            for kind in (APPEND, MESSAGE):
                assert_written_alike(cluster, cluster.ids[name], kind)
        found = set()
        for name in ("one", "two"):
            raw = cluster.received[cluster.ids[name], APPEND.name]
            found |= message_kinds(cluster, cluster.ids[name], bytes(raw))
        assert found == {1, 2}

    run(tmp_path, scenario)


def split(cluster: MixedCluster, peer: int, kind: StreamKind, raw: bytes) -> list[bytes]:
    """The raw bytes of each message in a recorded stream, link heartbeats left out."""
    reader = kind.reader(cluster.endpoint.id, peer)
    found, start = [], 0
    for pos in range(len(raw)):
        if reader.feed(raw[pos : pos + 1]):
            found.append(without_heartbeats(kind, raw[start : pos + 1]))
            start = pos + 1
    return found


def without_heartbeats(kind: StreamKind, piece: bytes) -> bytes:
    heartbeat = MessageWriter.heartbeat if kind is MESSAGE else b"\0"
    while piece.startswith(heartbeat):
        piece = piece.removeprefix(heartbeat)
    return piece


def assert_written_alike(cluster: MixedCluster, peer: int, kind: StreamKind) -> None:
    """What etcd wrote is what our writer makes of what our reader read, byte for byte."""
    raw = bytes(cluster.received[peer, kind.name])
    reader = kind.reader(cluster.endpoint.id, peer)
    writer = kind.writer()
    messages = reader.feed(raw)
    assert [writer.encode(m) for m in messages] == split(cluster, peer, kind, raw)


def message_kinds(cluster: MixedCluster, peer: int, raw: bytes) -> set[int]:
    return {piece[0] for piece in split(cluster, peer, APPEND, raw)}


def test_members_and_versions_are_asked_of_etcd(tmp_path: Path) -> None:
    async def scenario(cluster: MixedCluster) -> None:
        urls = ["http://127.0.0.1:1", cluster.servers[0].peer_url]
        found = await get_cluster_from_remote_peers(cluster.client, urls)
        assert found.cluster_id == cluster.cluster_id
        assert {m.id for m in found.members} == set(cluster.ids.values())
        versions = await get_versions(cluster.client, found.members)
        one = versions[cluster.ids["one"]]
        three = versions[cluster.ids["three"]]
        assert one is not None and one.server.startswith("3.5.")
        assert three is not None and three.server == ETCD_VERSION

    run(tmp_path, scenario)


STREAM = "/raft/stream/message/"
Change = dict[bytes, bytes | None]


def test_bad_requests_are_refused_as_by_etcd(tmp_path: Path) -> None:
    """The same requests to etcd and to the endpoint: equal statuses, texts and headers."""

    async def scenario(cluster: MixedCluster) -> None:
        two = format_id(cluster.ids["two"])
        cases: list[tuple[str, str, Change, bytes]] = [
            ("POST", STREAM + two, {}, b""),
            ("GET", STREAM + two, {b"x-etcd-cluster-id": b"1"}, b""),
            ("GET", STREAM + two, {b"x-etcd-cluster-id": None}, b""),
            ("GET", STREAM + two, {b"x-server-version": b"2.3.8"}, b""),
            ("GET", STREAM + two, {b"x-server-version": None}, b""),
            ("GET", STREAM + two, {b"x-min-cluster-version": b"3.6.0"}, b""),
            ("GET", STREAM + two, {b"x-raft-to": b"1"}, b""),
            ("GET", STREAM + two, {b"x-raft-to": None}, b""),
            ("GET", STREAM + "77", {}, b""),
            ("GET", STREAM + "xyz", {}, b""),
            ("GET", STREAM + "1" * 17, {}, b""),
            ("GET", "/raft/stream/other/" + two, {}, b""),
            ("GET", "/raft", {}, b""),
            ("POST", "/raft", {b"x-etcd-cluster-id": b"1"}, b""),
            ("POST", "/raft", {b"x-server-version": b"2.3.8"}, b""),
            ("POST", "/raft", {}, b"\x08\xff"),
            ("GET", "/raft/snapshot", {}, b""),
            ("POST", "/raft/snapshot", {b"x-etcd-cluster-id": b"1"}, b""),
            ("POST", "/raft/snapshot", {}, b"\xff" * 8),
            ("POST", "/raft/snapshot", {}, MessageWriter.heartbeat),
            ("GET", "/raft/probing", {}, b""),
            ("POST", "/members", {}, b""),
            ("POST", "/version", {}, b""),
            ("GET", "/nothing", {}, b""),
        ]
        for method, target, change, body in cases:
            theirs = await ask(cluster, cluster.ids["one"], method, target, change, body)
            ours = await ask(cluster, cluster.ids["three"], method, target, change, body)
            assert told(ours) == told(theirs), (method, target, change)

    run(tmp_path, scenario)


async def ask(
    cluster: MixedCluster, to: int, method: str, target: str, change: Change, body: bytes
) -> Response:
    own = to == cluster.endpoint.id
    headers: dict[bytes, bytes | None] = {
        b"x-server-from": format_id(cluster.ids["two"]).encode(),
        b"x-server-version": b"3.5.0",
        b"x-min-cluster-version": b"3.0.0",
        b"x-etcd-cluster-id": format_id(cluster.cluster_id).encode(),
        b"x-raft-to": format_id(to).encode(),
        b"connection": b"close",
    }
    headers |= change
    sent = [(name, value) for name, value in headers.items() if value is not None]
    url = cluster.endpoint.url if own else cluster.servers[0].peer_url
    return await cluster.client.fetch(url, method, target, sent, body, timeout_s=10)


def told(answer: Response) -> tuple[object, ...]:
    names = (b"content-type", b"x-content-type-options", b"x-etcd-cluster-id", b"allow")
    body = answer.body
    if body.startswith(b'{"OK"'):
        body = json.dumps(sorted(json.loads(body))).encode()
    return answer.status, body, *[answer.header(name) for name in names]
