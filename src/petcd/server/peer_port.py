"""The way to the other members: connections to them, and the port at which they knock.

    PeerNetwork   what this member sends and dials                 petcd.peer
    Door          what the peer port serves of raft                petcd.peer
    routes        /members, /version, hashes, and what only a leader answers
    ask           a short request to another member's peer port

It is there before the member is ready, since nobody becomes ready without the others.
"""

import asyncio
import json
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from petcd.cluster import MemberInfo, format_id
from petcd.peer.context import Timeouts
from petcd.peer.door import Door, members_handler, path_of, peer_limits
from petcd.peer.http_errors import ERROR_HEADERS, send_method_not_allowed
from petcd.peer.identity import Identity
from petcd.peer.network import PeerNetwork
from petcd.peer.remote_requests import get_versions
from petcd.raft.types import Message
from petcd.server.config import ServerConfig
from petcd.server.engine import Engine
from petcd.server.log import LogLines
from petcd.server.peer_hashes import hash_kv_handler
from petcd.server.peer_requests import PATHS
from petcd.transport.http import Header, HttpHandler, HttpRequest, HttpResponder
from petcd.transport.http1_answer import ExchangeFailed
from petcd.transport.listener import Listener
from petcd.transport.router import Router
from petcd.version import ETCD_VERSION, PETCD_VERSION
from petcd.wire.internal import Metadata

_JSON: Header = (b"content-type", b"application/json")
_PROTOBUF: Header = (b"content-type", b"application/protobuf")


class NobodyYet:
    """Hears the peers until there is a member to tell."""

    def received(self, message: Message) -> None:
        """Raft sends it again."""

    def unreachable(self, member_id: int) -> None:
        """Nobody was sent anything."""

    def snapshot_sent(self, member_id: int, ok: bool) -> None:
        """Nobody was sent anything."""

    def snapshot_received(self, message: Message, snapshot: Any) -> None:
        """Raft sends it again."""

    def is_removed(self, member_id: int) -> bool:
        """Nobody is known."""
        return False


class PeerPort:
    """Made inside a running loop; `connect` once the engine is there, then `start`."""

    def __init__(
        self,
        config: ServerConfig,
        identity: Metadata,
        log: LogLines,
        executor: Executor,
        snap_directory: str,
    ) -> None:
        self._log = log
        self._snap_directory = Path(snap_directory)
        self._tasks: set[asyncio.Task[None]] = set()
        self._engine: Engine | None = None
        self._listener: Listener | None = None
        self.network = PeerNetwork(
            Identity(identity.NodeID, identity.ClusterID, config.initial_advertise_peer_urls),
            NobodyYet(),
            log,
            executor,
            peer_dial_timeout_s(config),
            Timeouts(config.raft_read_timeout_s, config.raft_write_timeout_s),
        )

    def connect(self, engine: Engine, removed: Callable[[], None]) -> None:
        """Tell this member what the peers say; `removed` when they say that it is none."""
        self._engine = engine
        self.network.context.events = engine.mailbox
        self.network.on_removed = removed

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Open the door."""
        engine = self._engine
        assert engine is not None
        door = Door(self.network, self._snap_directory)
        membership = engine.member.membership
        door.routes["/members"] = members_handler(membership.cluster_id, membership.members)
        door.routes["/version"] = version_handler(lambda: membership.version)
        door.routes["/downgrade/enabled"] = downgrade_handler(membership.cluster_id)
        door.routes["/members/hashkv"] = hash_kv_handler(
            membership.cluster_id, engine.member.store, engine.runtime
        )
        for path in PATHS:
            door.routes[path] = self._answer
        timeouts = self.network.context.timeouts
        listener = self._listener = Listener(Router(), door.handle, peer_limits(timeouts))
        listener.open_sink = door.open_sink
        self.network.flush_writes = listener.flush
        for bound in sockets:
            await listener.start_on(bound)

    def _answer(self, request: HttpRequest, respond: HttpResponder) -> None:
        if request.method != "POST":
            send_method_not_allowed(respond, "POST")
            return
        assert self._engine is not None
        path = path_of(request)
        kind = _JSON if path.startswith("/members") else _PROTOBUF

        def send(status: int, body: bytes) -> None:
            respond.send(status, [kind] if status == 200 else ERROR_HEADERS, body)

        self._engine.peer_requests.handle(path, request.body, send)

    # -- petcd.server.network.PeerCalls -------------------------------------------------------

    def ask(
        self,
        member_id: int,
        target: str,
        body: bytes,
        timeout_s: float,
        done: Callable[[int, bytes], None],
    ) -> None:
        """See PeerCalls."""
        self._begin(self._ask(member_id, target, body, timeout_s, done))

    async def _ask(
        self,
        member_id: int,
        target: str,
        body: bytes,
        timeout_s: float,
        done: Callable[[int, bytes], None],
    ) -> None:
        engine = self._engine
        member = engine.member.membership.get(member_id) if engine is not None else None
        headers = [_PROTOBUF] if body else []
        for url in member.peer_urls if member is not None else ():
            try:
                answer = await self.network.client.fetch(
                    url, "POST", target, headers, body, timeout_s
                )
            except (ExchangeFailed, OSError) as error:
                self._log.debug("a peer did not answer", url=url, target=target, error=str(error))
                continue
            done(answer.status, answer.body)
            return
        done(0, b"")

    def ask_versions(
        self, members: Sequence[MemberInfo], done: Callable[[Mapping[int, str | None]], None]
    ) -> None:
        """See `petcd.server.cluster_version.AskVersions`."""

        async def asking() -> None:
            found = await get_versions(self.network.client, members)
            done({i: None if said is None else said.server for i, said in found.items()})

        self._begin(asking())

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = self.network.client.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Close every connection and the door."""
        for task in list(self._tasks):
            task.cancel()
        await self.network.stop()
        if self._listener is not None:
            await self._listener.close()


def peer_dial_timeout_s(config: ServerConfig) -> float:
    """How long a connection to a peer may take: etcd's second and an election time-out."""
    return 1.0 + config.election_ms / 1000


def version_handler(cluster: Callable[[], str | None]) -> HttpHandler:
    """Serves `/version`; by its last field the members of one cluster know petcd from etcd."""

    def handle(request: HttpRequest, respond: HttpResponder) -> None:
        if request.method != "GET":
            send_method_not_allowed(respond, "GET")
            return
        versions = {
            "etcdserver": ETCD_VERSION,
            "etcdcluster": cluster() or "not_decided",
            "petcd": PETCD_VERSION,
        }
        respond.send(200, [_JSON], json.dumps(versions, separators=(",", ":")).encode())

    return handle


def downgrade_handler(cluster_id: int) -> HttpHandler:
    """Serves `/downgrade/enabled`, which joining etcd members ask: whether the cluster is going
    down to an older version, which no petcd cluster does."""
    headers: list[Header] = [
        (b"x-etcd-cluster-id", format_id(cluster_id).encode()),
        (b"content-type", b"text/plain"),
    ]

    def handle(request: HttpRequest, respond: HttpResponder) -> None:
        if request.method != "GET":
            send_method_not_allowed(respond, "GET")
        else:
            respond.send(200, headers, b"false")

    return handle
