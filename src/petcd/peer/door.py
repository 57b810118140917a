"""What the peer port serves.

    GET  /raft/stream/msgapp/<from>   } a stream of our messages to that member; stays open
    GET  /raft/stream/message/<from>  }
    POST /raft                        one message; 204
    POST /raft/snapshot               a snapshot message and its file; 204
    GET  /raft/probing                {"OK":true,"Now":"..."}
    others                            `routes`, then `fallback`

Who asks for a stream or brings a message must be of our cluster and of a fitting version (412),
not removed (410 for a stream, 403 for a message); who asks for a stream must be known (404) and
mean us (412). Statuses, texts and the order of the checks are etcd's.

Other rooms' paths (members, leases, hashes) are entries of `routes`: path -> handler; a path that
ends with `/` serves everything below it. Source: etcd's rafthttp/http.go and etcdhttp/peer.go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from petcd.cluster import format_id
from petcd.cluster.membership import MemberInfo
from petcd.peer.context import DEFAULT_TIMEOUTS, Timeouts
from petcd.peer.errors import ClusterIdMismatch, IncompatibleVersion, MalformedPeerData
from petcd.peer.http_errors import send_error, send_method_not_allowed, send_not_found
from petcd.peer.identity import parse_member_id, sender_of
from petcd.peer.messages import decode_message
from petcd.peer.network import PeerNetwork
from petcd.peer.snapshot_sink import SnapshotSink
from petcd.peer.stream_kind import APPEND, MESSAGE
from petcd.peer.streams import MESSAGE_BYTES_MAX
from petcd.transport.http import BodySink, Header, HttpHandler, HttpRequest, HttpResponder
from petcd.transport.options import TransportLimits

SNAPSHOTS_MAX = 4
"""Snapshots that are received at the same time; a leader sends one to each member."""
_JSON: Header = (b"content-type", b"application/json")
_TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")
_STREAMS = "/raft/stream/"


def peer_limits(timeouts: Timeouts = DEFAULT_TIMEOUTS) -> TransportLimits:
    """Bounds of a listener for peers. Who is idle, or takes nothing, is cut."""
    return TransportLimits(max_http_body_bytes=MESSAGE_BYTES_MAX, idle_timeout_s=timeouts.write_s)


class Door:
    """Answers the requests of other members."""

    def __init__(
        self,
        network: PeerNetwork,
        snap_directory: Path,
        fallback: HttpHandler | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._network = network
        self._context = network.context
        self._snap_directory = snap_directory
        self._fallback = fallback
        self._wall = wall
        self._snapshots = 0
        cluster_id = format_id(self._context.identity.cluster_id).encode()
        self._cluster: Header = (b"x-etcd-cluster-id", cluster_id)
        version = self._context.identity.version.encode()
        self._stream_headers: list[Header] = [(b"x-server-version", version), self._cluster]
        self.routes: dict[str, HttpHandler] = {
            "/raft": self._pipeline,
            "/raft/snapshot": lambda request, respond: send_method_not_allowed(respond, "POST"),
            "/raft/probing": self._probing,
            _STREAMS: self._stream,
        }

    def handle(self, request: HttpRequest, respond: HttpResponder) -> None:
        """Answer one request."""
        path = path_of(request)
        handler = self.routes.get(path)
        if handler is None:
            parent = path
            while handler is None and parent:
                parent = parent[: parent.rstrip("/").rfind("/") + 1]
                handler = self.routes.get(parent)
        handler = handler or self._fallback
        if handler is None:
            send_not_found(respond)
        else:
            handler(request, respond)

    def open_sink(self, request: HttpRequest, respond: HttpResponder) -> BodySink | None:
        """Takes the bodies of snapshots in pieces; for `Listener.open_sink`."""
        if request.method != "POST" or path_of(request) != "/raft/snapshot":
            return None
        sink = SnapshotSink(
            self._context,
            self._snap_directory,
            self._network.executor,
            respond,
            [self._cluster],
            int(request.header(b"content-length") or 0),
            self._snapshot_ended,
        )
        self._snapshots += 1
        if (why := self._incompatible(request)) is not None:
            sink.refuse(412, why)
        elif self._snapshots > SNAPSHOTS_MAX:
            sink.refuse(503, "too many snapshots at a time")
        else:
            self._meet(request)
        return sink

    def _snapshot_ended(self) -> None:
        self._snapshots -= 1

    # -- checks ------------------------------------------------------------------------------------

    def _incompatible(self, request: HttpRequest) -> str | None:
        """Why the sender and we cannot work together, None when we can."""
        try:
            self._context.identity.check(request)
        except (IncompatibleVersion, ClusterIdMismatch) as error:
            self._context.log.warn(
                "refused a request of another member",
                error=str(error),
                remote_peer_id=(request.header(b"x-server-from") or b"").decode("latin-1"),
                remote_peer_cluster_id=(request.header(b"x-etcd-cluster-id") or b"").decode(
                    "latin-1"
                ),
                local_member_cluster_id=format_id(self._context.identity.cluster_id),
            )
            return str(error)
        return None

    def _meet(self, request: HttpRequest) -> None:
        """Remember where the sender is, should it be no peer yet."""
        sender = sender_of(request)
        if sender is not None and not self._context.events.is_removed(sender[0]):
            self._network.add_remote(*sender)

    # -- requests ----------------------------------------------------------------------------------

    def _pipeline(self, request: HttpRequest, respond: HttpResponder) -> None:
        if request.method != "POST":
            send_method_not_allowed(respond, "POST")
            return
        headers = [self._cluster]
        why = self._incompatible(request)
        if why is not None:
            send_error(respond, 412, why, headers)
            return
        self._meet(request)
        try:
            message = decode_message(request.body)
        except MalformedPeerData as error:
            self._context.log.warn("failed to unmarshal Raft message", error=str(error))
            send_error(respond, 400, "error unmarshalling raft message", headers)
            return
        if self._context.events.is_removed(message.from_):
            send_error(respond, 403, "cannot process message from removed member", headers)
        elif not self._context.received(message):
            send_error(respond, 412, "to field mismatch", headers)
        else:
            peer = self._network.peer(message.from_)
            if peer is not None:
                peer.counters.received_bytes += len(request.body)
            respond.send(204, headers, b"")

    def _stream(self, request: HttpRequest, respond: HttpResponder) -> None:
        if request.method != "GET":
            send_method_not_allowed(respond, "GET")
            return
        headers = self._stream_headers
        why = self._incompatible(request)
        if why is not None:
            send_error(respond, 412, why, headers)
            return
        parent, _, name = path_of(request).rpartition("/")
        kind = {APPEND.path: APPEND, MESSAGE.path: MESSAGE}.get(parent)
        sender = parse_member_id(name)
        if kind is None:
            send_error(respond, 404, "invalid path", headers)
        elif sender is None:
            send_error(respond, 404, "invalid from", headers)
        elif self._context.events.is_removed(sender):
            self._context.log.warn(
                "rejected stream from remote peer because it was removed",
                remote_peer_id_from=format_id(sender),
            )
            send_error(respond, 410, "removed member", headers)
        elif (peer := self._network.peer(sender)) is None:
            self._meet(request)
            self._context.log.warn(
                "failed to find remote peer in cluster", remote_peer_id_from=format_id(sender)
            )
            send_error(respond, 404, "error sender not found", headers)
        elif request.header(b"x-raft-to") != format_id(self._context.identity.member_id).encode():
            send_error(respond, 412, "to field mismatch", headers)
        else:
            respond.start(200, headers)
            peer.attach(kind, respond)

    def _probing(self, request: HttpRequest, respond: HttpResponder) -> None:
        now = datetime.fromtimestamp(self._wall(), UTC).isoformat().replace("+00:00", "Z")
        respond.send(200, [_TEXT], b'{"OK":true,"Now":"%s"}\n' % now.encode())


def path_of(request: HttpRequest) -> str:
    """The decoded path of a request, without its query."""
    return unquote(request.target.partition("?")[0])


def members_handler(cluster_id: int, members: Callable[[], Iterable[MemberInfo]]) -> HttpHandler:
    """Serves `/members`: who is in the cluster, as JSON in the order of their peer URLs."""
    headers = [(b"x-etcd-cluster-id", format_id(cluster_id).encode()), _JSON]

    def handle(request: HttpRequest, respond: HttpResponder) -> None:
        if request.method != "GET":
            send_method_not_allowed(respond, "GET")
            return
        listed = sorted(members(), key=lambda member: member.peer_urls)
        body = b"[" + b",".join([member.to_json() for member in listed]) + b"]\n"
        respond.send(200, headers, body)

    return handle
