"""`etcd grpc-proxy`: calls passed on to endpoints that are given once and for all.

The calls go through as they are: nothing is joined, cached or renamed, as etcd's proxy does it to
spare its members. Over HTTP it tells of a member (`/metrics`, `/health`) and of itself
(`/proxy/metrics`, `/proxy/health`: well when a member is).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

from petcd.proxy.grpc_forwarding import GrpcForwarding
from petcd.proxy.http_forwarding import HttpForwarding, Timeouts
from petcd.proxy.log import Log
from petcd.proxy.member_connections import MemberConnections
from petcd.proxy.metrics import ProxyMetrics
from petcd.proxy.proxy import METRICS_TYPE, STOP_GRACE_S
from petcd.proxy.upstreams import Upstreams
from petcd.transport.http import HttpRequest, HttpResponder
from petcd.transport.http_client import HttpClient
from petcd.transport.listener import Listener
from petcd.transport.options import TransportLimits

FAILURE_WAIT_S = 5.0
DIAL_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 30.0
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_NOSNIFF = (b"x-content-type-options", b"nosniff")


class GrpcProxy:
    """Serves one address. `start` once, `stop` once."""

    def __init__(
        self, urls: Sequence[str], host: str, port: int, limits: TransportLimits, log: Log
    ) -> None:
        """`urls` are the endpoints with their scheme."""
        self.address = (host, port)
        self._urls = list(urls)
        self._limits = limits
        self._log = log
        self._metrics = ProxyMetrics()
        self._listener: Listener | None = None

    async def start(self) -> None:
        """Listen. Raises OSError."""
        upstreams = Upstreams(FAILURE_WAIT_S, asyncio.get_running_loop().time, self._log)
        upstreams.replace(self._urls)
        self._client = HttpClient(DIAL_TIMEOUT_S)
        timeouts = Timeouts(ANSWER_TIMEOUT_S, ANSWER_TIMEOUT_S, ANSWER_TIMEOUT_S)
        self._http = HttpForwarding(upstreams, self._client, timeouts, self._metrics, self._log)
        self._connections = MemberConnections(DIAL_TIMEOUT_S)
        forwarding = GrpcForwarding(upstreams, self._connections, readonly=False)
        self._listener = Listener(forwarding.router(), self.handle, self._limits)
        self.address = await self._listener.start(*self.address)
        self._log.info("started gRPC proxy", address=f"{self.address[0]}:{self.address[1]}")

    async def stop(self) -> None:
        """Stop serving; what is in flight gets a moment."""
        if self._listener is None:
            return
        await self._listener.stop(STOP_GRACE_S)
        await self._http.stop()
        await self._connections.stop()
        await self._client.close()

    def handle(self, request: HttpRequest, respond: HttpResponder) -> None:
        """Answer one HTTP request."""
        path = urlsplit(request.target).path
        if path == "/proxy/metrics":
            respond.send(200, [METRICS_TYPE], self._metrics.render())
        elif path in ("/metrics", "/health"):
            self._http.handle(request, respond)
        elif path == "/proxy/health":
            request.target = "/health"
            self._http.handle(request, respond)
        else:
            respond.send(404, [_TEXT, _NOSNIFF], b"404 page not found\n")
