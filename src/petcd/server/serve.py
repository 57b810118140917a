"""A running member: opened data, the runtime on the loop, services on the listeners.

The only place where everything is put together. Start and stop in order:

    bind client and peer ports (a taken port must not leave a new data directory behind)
    open the data, take turns until this member leads and has published itself
    accept clients, say that it is ready
    ...
    refuse new work, end calls, commit the backend, close the log, let the lock go
"""

import asyncio
import gc
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from petcd.api.http import HttpEndpoints
from petcd.api.v2.endpoints import V2Endpoints
from petcd.api.v3.cluster import ClusterService
from petcd.api.v3.health import HealthService
from petcd.api.v3.kv import KvService
from petcd.api.v3.lease import LeaseService
from petcd.api.v3.maintenance import MaintenanceService
from petcd.api.v3.watch import WatchService
from petcd.cluster import format_id
from petcd.member import Member
from petcd.mvcc.watch_hub import WatchHub
from petcd.server.audience import Audience
from petcd.server.auto_compaction import auto_compaction
from petcd.server.bootstrap import Opened, describe, open_member
from petcd.server.committer import Committer
from petcd.server.config import ConfigError, ServerConfig
from petcd.server.log import Logger
from petcd.server.metrics import Metrics
from petcd.server.operations import Operations
from petcd.server.publication import Publication
from petcd.server.pump import Pump
from petcd.server.runtime import Runtime, die
from petcd.server.samples import counters, gauges
from petcd.server.timers import Timers, progress_interval_s
from petcd.server.truncation import Truncation
from petcd.transport.listener import Listener
from petcd.transport.options import TransportLimits
from petcd.transport.router import Router
from petcd.wire.hot import header_bytes, header_prefix

# gRPC's receive limit is the request limit and this much for its envelope, as in etcd.
GRPC_OVERHEAD_BYTES = 512 * 1024
# What a request leaves behind is freed by reference counts; the collector is for the rare cycle.
# Its default of 700 young objects would run it every few requests of a batch.
GC_THRESHOLDS = (50_000, 20, 50)
# How long one thread may keep another waiting for the interpreter. Python's default of 5 ms is many
# times what a sync takes whose end the loop waits for.
SWITCH_INTERVAL_S = 0.0005
# How long calls in flight may take to end when the member stops.
STOP_GRACE_S = 1.0


class Server:
    """One member in this process. `start` once, `stop` once."""

    def __init__(self, config: ServerConfig, log: Logger) -> None:
        self.config = config
        self.client_addresses: list[tuple[str, int]] = []
        self._log = log
        self._executor = ThreadPoolExecutor(2, "backend")
        self._opened: Opened | None = None
        self._sockets: list[socket.socket] = []
        self._listener: Listener | None = None
        self._side_listener: Listener | None = None

    async def start(self, progress: Callable[[int], None] = lambda rows: None) -> None:
        """Open the data and serve. Raises ConfigError, OSError and the storage room's errors."""
        loop = asyncio.get_running_loop()
        config, log = self.config, self._log
        sockets = self._bind(config.listen_client_urls)
        side_sockets = self._bind((*config.listen_peer_urls, *config.listen_metrics_urls))
        opened = self._opened = open_member(config, log, progress)
        # What was loaded stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        log.info("starting an etcd server", **describe(opened, config))
        self._assemble(loop, opened)
        published = loop.create_future()
        self._publication = Publication(
            opened.member,
            self._runtime.propose,
            self._runtime.next_request_id,
            config.name,
            config.advertise_client_urls,
            lambda: published.set_result(None),
        )
        self._timers.start()
        self._runtime.turn()  # the founding entries must be applied before an election
        if opened.member.node.raft.tracker.is_singleton:
            opened.member.node.campaign()
        self._runtime.schedule_turn()
        self._publication.start()
        await published
        log.info(
            "published local member to cluster through raft",
            local_member_id=format_id(opened.member.id),
            cluster_id=format_id(opened.member.membership.cluster_id),
        )
        await self._listen(sockets)
        await self._listen_beside(side_sockets)
        log.info("ready to serve client requests")

    def _bind(self, urls: tuple[str, ...]) -> list[socket.socket]:
        bound = []
        for url in urls:
            bound.append(bind(url, self.config.reuse_port))
            self._sockets.append(bound[-1])
        return bound

    def _assemble(self, loop: asyncio.AbstractEventLoop, opened: Opened) -> None:
        config, member, backend = self.config, opened.member, opened.backend
        self._committer = Committer(
            loop,
            self._executor,
            backend,
            lambda: member.applied_index,
            self._die,
            config.backend_batch_interval_s,
            config.backend_batch_limit,
        )
        self._operations = Operations(loop, member, backend, self._committer, self._executor)
        quota = opened.quota
        self._assemble_watches(loop, member)
        self._runtime = Runtime(
            loop,
            member,
            opened.log,
            self._audience,
            self._committer,
            self._operations,
            lambda: quota.room_bytes(backend.size_in_use()),
            self._die,
            config.request_timeout_s,
            config.max_request_bytes,
            config.max_txn_ops,
        )
        self._truncation = Truncation(
            member,
            opened.log,
            backend,
            self._committer,
            opened.snapshot_index,
            config.snapshot_count,
            config.snapshot_catchup_entries,
            config.max_wals,
            self._runtime.save_hard_state,
        )
        self._runtime.after_turn += [
            self._truncation.maybe_finish,
            self._truncation.maybe_start,
            self._operations.maybe_compact,
        ]
        self._assemble_timers(loop, opened)

    def _assemble_timers(self, loop: asyncio.AbstractEventLoop, opened: Opened) -> None:
        config, member, quota = self.config, opened.member, opened.quota
        self._timers = Timers(
            loop,
            self._runtime,
            quota,
            auto_compaction(config.auto_compaction_mode, config.auto_compaction_retention),
            self._log,
            config.heartbeat_ms / 1000,
            config.backend_batch_interval_s,
            self._committer.maybe_commit,
            config.lease_checkpoint,
            progress_interval_s(config.watch_progress_interval_s),
            self._hub.progress_tick,
        )
        self._metrics = Metrics(
            gauges(member, self._runtime, self._operations, quota),
            counters(member, self._runtime, self._timers),
        )
        self._runtime.sync_durations_s = self._metrics.wal_fsync.observe
        self._committer.durations_s = self._metrics.backend_commit.observe
        self._operations.defrag_durations_s = self._metrics.defrag.observe

    def _assemble_watches(self, loop: asyncio.AbstractEventLoop, member: Member) -> None:
        prefix = header_prefix(member.membership.cluster_id, member.id)
        self._hub = WatchHub(
            member.store,
            lambda revision: header_bytes(prefix, revision, member.term),
            lambda: self._watch_pump.start(),
            self.config.max_request_bytes + GRPC_OVERHEAD_BYTES,
        )
        self._watch_pump = Pump(loop, self._hub.catch_up_step)
        self._audience = Audience(loop, self._hub, member.applier.v2)

    async def _listen(self, sockets: list[socket.socket]) -> None:
        config = self.config
        router = Router()
        for service in (KvService, LeaseService, ClusterService, MaintenanceService, HealthService):
            service(self._runtime).register(router)
        WatchService(self._hub).register(router)
        self._metrics.watch_router(router)
        self._endpoints = HttpEndpoints(
            self._runtime,
            self._metrics.render,
            config.cors,
            config.host_whitelist,
            self._v2_endpoints() if config.enable_v2 else None,
        )
        limits = TransportLimits(
            max_concurrent_streams=config.max_concurrent_streams,
            max_message_bytes=config.max_request_bytes + GRPC_OVERHEAD_BYTES,
            keepalive_min_time_s=config.keepalive_min_time_s,
            keepalive_interval_s=config.keepalive_interval_s,
            keepalive_timeout_s=config.keepalive_timeout_s,
        )
        self._listener = Listener(router, self._endpoints.handle, limits)
        self._listener.after_receive = self._runtime.received
        self._runtime.after_turn.append(self._listener.flush)
        for bound in sockets:
            await self._listener.start_on(bound)
            self.client_addresses.append(bound.getsockname()[:2])

    def _v2_endpoints(self) -> V2Endpoints:
        audience = self._audience
        return V2Endpoints(self._runtime, audience.v2, audience.listings, time.time_ns)

    async def _listen_beside(self, sockets: list[socket.socket]) -> None:
        """The peer port tells who we are; the metrics port serves health and metrics only."""
        listener = self._side_listener = Listener(Router(), self._endpoints.handle_beside)
        for bound in sockets:
            await listener.start_on(bound)

    def _die(self, error: BaseException) -> None:
        self._log.fatal("stopping at once", error=str(error) or type(error).__name__)
        die(f"cannot go on: {error}")

    async def stop(self) -> None:
        """Stop serving, make everything durable and let the data directory go."""
        if self._listener is not None:
            self._audience.v2.close()
            await self._listener.stop(STOP_GRACE_S)
        if self._side_listener is not None:
            await self._side_listener.close()
        for bound in self._sockets:
            bound.close()
        opened = self._opened
        if opened is None:
            self._executor.shutdown()
            return
        self._timers.stop()
        self._runtime.stop()
        while self._committer.is_running:
            await asyncio.sleep(0.001)
        self._committer.commit_now()
        self._executor.shutdown(wait=True)
        opened.backend.close()
        opened.log.close()
        opened.data_dir.close()
        self._log.info("closed etcd server")


def bind(url: str, reuse_port: bool) -> socket.socket:
    """A socket bound to the URL's address. Raises ConfigError when that is not possible."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 0
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"listen tcp {host}:{port}: bind: {reason}") from None
    return bound
