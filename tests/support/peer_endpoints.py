"""Members that are nothing but their peer port: for tests of the protocol over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from petcd.cluster.membership import MemberInfo
from petcd.peer.door import Door, members_handler, peer_limits
from petcd.peer.identity import Identity
from petcd.peer.network import PeerNetwork
from petcd.raft.types import Message
from petcd.server.peer_port import version_handler
from petcd.transport.listener import Listener
from petcd.transport.router import Router

CLUSTER_ID = 0xCDF818194E3A8C32


class Lines:
    """A log that is kept."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def debug(self, message: str, **fields: object) -> None:
        self.lines.append((message, fields))

    info = warn = error = debug

    def has(self, text: str) -> bool:
        return any(text in message for message, _ in self.lines)


class News:
    """What a network told its member; `until` waits for it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.unreachables: list[int] = []
        self.snapshots_sent: list[tuple[int, bool]] = []
        self.snapshots: list[tuple[Message, Any]] = []
        self.removed: set[int] = set()
        self._changed = asyncio.Event()

    def received(self, message: Message) -> None:
        self.messages.append(message)
        self._changed.set()

    def unreachable(self, member_id: int) -> None:
        self.unreachables.append(member_id)
        self._changed.set()

    def snapshot_sent(self, member_id: int, ok: bool) -> None:
        self.snapshots_sent.append((member_id, ok))
        self._changed.set()

    def snapshot_received(self, message: Message, snapshot: Any) -> None:
        self.snapshots.append((message, snapshot))
        self._changed.set()

    def is_removed(self, member_id: int) -> bool:
        return member_id in self.removed

    async def until(self, true: Callable[[], bool]) -> None:
        """Returns when the condition holds, looked at after each piece of news."""
        async with asyncio.timeout(20):
            while not true():
                self._changed.clear()
                await self._changed.wait()


class Endpoint:
    """A member's peer port on a free port of the loopback."""

    def __init__(self, member_id: int, directory: Path, cluster_id: int = CLUSTER_ID) -> None:
        self.id = member_id
        self.cluster_id = cluster_id
        self.news = News()
        self.log = Lines()
        self.url = ""
        self.told_removed = 0
        self._directory = directory
        self._executor = ThreadPoolExecutor(1)

    async def start(self, port: int = 0, **identity: Any) -> Endpoint:
        self.listener = Listener(Router(), self._handle, peer_limits())
        host, bound = await self.listener.start("127.0.0.1", port)
        self.port = bound
        self.url = f"http://{host}:{bound}"
        self.network = PeerNetwork(
            Identity(self.id, self.cluster_id, (self.url,), **identity),
            self.news,
            self.log,
            self._executor,
        )
        self.network.on_removed = self._removed
        self.door = Door(self.network, self._directory)
        self.door.routes["/members"] = members_handler(
            self.cluster_id, lambda: [MemberInfo(self.id, (self.url,), "one")]
        )
        self.door.routes["/version"] = version_handler(lambda: "3.5.0")
        self.listener.open_sink = self.door.open_sink
        self.network.flush_writes = self.listener.flush
        return self

    def _handle(self, request: Any, respond: Any) -> None:
        self.door.handle(request, respond)

    def _removed(self) -> None:
        self.told_removed += 1
        self.news.unreachable(0)

    def knows(self, *others: Endpoint) -> None:
        for other in others:
            self.network.add(other.id, [other.url])

    async def stop(self) -> None:
        await self.network.stop()
        await self.listener.close()
        self._executor.shutdown()
