"""Proxy mode: serves the client port for a cluster of which it is no member.

```
  HTTP/1.1 and plain HTTP/2  -> HttpForwarding --+
  gRPC                       -> GrpcForwarding --+--> Upstreams: members' client URLs
                                    refresh -----^    (asked of a member every so often)
```

Answers itself: `/metrics` and `/v2/config/local/proxy`. Keeps nothing but the cluster file. A
read-only proxy answers 501 to everything that is not a GET, and UNIMPLEMENTED to calls that write.

It forwards to no URL that leads back to itself.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from petcd.proxy.grpc_forwarding import GrpcForwarding
from petcd.proxy.http_forwarding import HttpForwarding, Timeouts
from petcd.proxy.log import Log
from petcd.proxy.loops import Address, own_address
from petcd.proxy.member_connections import MemberConnections
from petcd.proxy.membership import ClusterFile, MembersUnknown, ask_members
from petcd.proxy.metrics import ProxyMetrics
from petcd.proxy.upstreams import Upstreams
from petcd.transport.http import Header, HttpRequest, HttpResponder
from petcd.transport.http_client import HttpClient
from petcd.transport.listener import Listener
from petcd.transport.options import TransportLimits

CONFIG_PATH = "/v2/config/local/proxy"
IDLE_CONNECTIONS_MAX = 128
"""Kept HTTP/1.1 connections to one member, as etcd's proxy."""
EAGER_BELOW_S = 30.0
"""With a refresh interval of this or more, members are asked for every `EAGER_S` while none is
known."""
EAGER_S = 1.0
STOP_GRACE_S = 1.0

_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_NOSNIFF = (b"x-content-type-options", b"nosniff")
METRICS_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What an operator sets. Times are seconds; a timeout of 0 is none."""

    readonly: bool
    failure_wait_s: float
    refresh_interval_s: float
    dial_timeout_s: float
    write_timeout_s: float
    read_timeout_s: float
    answer_timeout_s: float
    limits: TransportLimits


class Proxy:
    """`start` once, `stop` once. `cors` gives the headers for a request from a browser."""

    def __init__(
        self,
        settings: ProxySettings,
        peer_urls: Sequence[str],
        cluster_file: ClusterFile,
        cors: Callable[[HttpRequest], list[Header]],
        log: Log,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._peer_urls = tuple(peer_urls)
        self._cluster_file = cluster_file
        self._cors = cors
        self._log = log
        dial_s = settings.dial_timeout_s or None
        self._client = HttpClient(dial_s, idle_max=IDLE_CONNECTIONS_MAX)
        self._metrics = ProxyMetrics()
        self.upstreams = Upstreams(settings.failure_wait_s, loop.time, log)
        self._http = HttpForwarding(
            self.upstreams,
            self._client,
            Timeouts(settings.write_timeout_s, settings.read_timeout_s, settings.answer_timeout_s),
            self._metrics,
            log,
        )
        self._connections = MemberConnections(dial_s)
        self._grpc = GrpcForwarding(self.upstreams, self._connections, settings.readonly)
        self._listener = Listener(self._grpc.router(), self.handle, settings.limits)
        self._listening: list[Address] = []
        self._refreshing: asyncio.Task[None] | None = None
        self._found = False

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Look for the members once and serve on bound sockets. Raises OSError."""
        self._listening = [bound.getsockname()[:2] for bound in sockets]
        await self.refresh()
        for bound in sockets:
            await self._listener.start_on(bound)
        self._refreshing = asyncio.get_running_loop().create_task(self._keep_refreshing())

    async def stop(self) -> None:
        """Stop serving; what is in flight gets a moment."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait((self._refreshing,))
        await self._listener.stop(STOP_GRACE_S if self._listening else 0.0)
        await self._http.stop()
        await self._connections.stop()
        await self._client.close()

    # -- members ---------------------------------------------------------------------------------

    async def _keep_refreshing(self) -> None:
        interval_s = self._settings.refresh_interval_s
        while True:
            eager = interval_s >= EAGER_BELOW_S and not self.upstreams.urls
            await asyncio.sleep(EAGER_S if eager else interval_s)
            await self.refresh()

    async def refresh(self) -> None:
        """Ask who the members are; when none answers, those that were known stay."""
        try:
            members = await ask_members(self._client, self._peer_urls)
        except MembersUnknown as error:
            self._log.warn(
                "failed to get cluster from remote peers",
                peer_urls=self._peer_urls,
                error=str(error),
            )
            return
        loop = asyncio.get_running_loop()
        urls = await loop.run_in_executor(None, self._without_own, members.client_urls)
        random.shuffle(urls)
        self.upstreams.replace(urls)
        self._connections.keep_only(urls)
        if urls and not self._found:
            self._found = True
            self._log.info("endpoints found", endpoints=urls)
        if members.peer_urls:
            self._remember(members.peer_urls)

    def _without_own(self, urls: Sequence[str]) -> list[str]:
        return [url for url in urls if not self._leads_back(url)]

    def _leads_back(self, url: str) -> bool:
        parts = urlsplit(url)
        try:
            target = (parts.hostname or "", parts.port or 0)
            own = own_address(target, self._listening)
        except (OSError, ValueError):
            return False  # it cannot be dialled either
        if own is not None:
            self._log.warn("left out an endpoint that is this proxy", endpoint=url)
        return own is not None

    def _remember(self, peer_urls: tuple[str, ...]) -> None:
        try:
            if peer_urls != self._peer_urls or self._cluster_file.load() != peer_urls:
                self._cluster_file.save(peer_urls)
        except (OSError, ValueError) as error:
            self._log.warn("proxy failed to write cluster file", error=str(error))
        if peer_urls != self._peer_urls:
            self._log.info("proxy updated peer URLs", **{"from": self._peer_urls, "to": peer_urls})
        self._peer_urls = peer_urls

    # -- requests --------------------------------------------------------------------------------

    def handle(self, request: HttpRequest, respond: HttpResponder) -> None:
        """Answer or pass on one HTTP request."""
        path = urlsplit(request.target).path
        if path == "/metrics":
            respond.send(200, [METRICS_TYPE], self._metrics.render())
            return
        if self._settings.readonly and request.method != "GET":
            respond.send(501, [], b"")
            return
        more = self._cors(request)
        if request.method == "OPTIONS":
            respond.send(200, more, b"")
        elif path == CONFIG_PATH:
            self._tell_config(request, respond, more)
        else:
            self._http.handle(request, respond, more)

    def _tell_config(
        self, request: HttpRequest, respond: HttpResponder, more: list[Header]
    ) -> None:
        if request.method != "GET":
            headers = [*more, (b"allow", b"GET"), _TEXT, _NOSNIFF]
            respond.send(405, headers, b"Method Not Allowed\n")
            return
        known = {"endpoints": self.upstreams.available()}
        respond.send(200, [*more, _TEXT], json.dumps(known, separators=(",", ":")).encode() + b"\n")
