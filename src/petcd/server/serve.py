"""A running member: opened data, the runtime on the loop, services on the listeners.

The only place where everything is put together. Start and stop in order:

    bind client and peer ports (a taken port must not leave a new data directory behind)
    a new member: find the others, when that is left to discovery
    open the data, take turns until this member leads and has published itself
    accept clients, say that it is ready
    ...
    refuse new work, end calls, commit the backend, close the log, let the lock go
"""

import asyncio
import gc
import random
import socket
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from petcd.api.http import HttpEndpoints
from petcd.api.v2.endpoints import V2Endpoints
from petcd.api.v3.auth import AuthService
from petcd.api.v3.cluster import ClusterService
from petcd.api.v3.gate import Gate
from petcd.api.v3.health import HealthService
from petcd.api.v3.kv import KvService
from petcd.api.v3.lease import LeaseService
from petcd.api.v3.maintenance import MaintenanceService
from petcd.api.v3.watch import WatchService
from petcd.cluster import MemberInfo, format_id
from petcd.server.binding import Sockets, address_of
from petcd.server.bootstrap import describe, has_run, restart, start_anew
from petcd.server.busy_polling import BusyPolling, has_spare_processor
from petcd.server.config import ConfigError, ServerConfig
from petcd.server.corruption import CorruptionCheck
from petcd.server.descriptors import connections_max
from petcd.server.discovery import discovered
from petcd.server.engine import GRPC_OVERHEAD_BYTES, Engine
from petcd.server.joining import FirstStart, check_restored, first_start
from petcd.server.log import Logger
from petcd.server.observing import observe_clients, observe_member
from petcd.server.opening import Opened
from petcd.server.peer_port import PeerPort, peer_dial_timeout_s
from petcd.server.runtime import die
from petcd.server.surroundings import Surroundings
from petcd.storage.datadir import DataDir
from petcd.transport.http_client import HttpClient
from petcd.transport.listener import Listener
from petcd.transport.options import TransportLimits
from petcd.transport.router import Router
from petcd.wire.internal import Metadata

# What a request leaves behind is freed by reference counts; the collector is for the rare cycle.
# Its default of 700 young objects would run it every few requests of a batch.
GC_THRESHOLDS = (50_000, 20, 50)
# How long one thread may keep another waiting for the interpreter. Python's default of 5 ms is many
# times what a sync takes whose end the loop waits for.
SWITCH_INTERVAL_S = 0.0005
# How long calls in flight may take to end when the member stops.
STOP_GRACE_S = 1.0


class MemberRemoved(Exception):
    """The cluster has removed this member: it does not start any more."""

    def __init__(self) -> None:
        super().__init__("the member has been permanently removed from the cluster")


class Server:
    """One member in this process. `start` once, `stop` once."""

    def __init__(self, config: ServerConfig, log: Logger) -> None:
        self.config = config
        self.client_addresses: list[tuple[str, int]] = []
        self._log = log
        self._log_worker = ThreadPoolExecutor(1, "wal-sync")
        self._backend_worker = ThreadPoolExecutor(2, "backend")
        self._peer_worker = ThreadPoolExecutor(2, "peer-files")
        self._data_dir: DataDir | None = None
        self._peer_port: PeerPort | None = None
        self._corruption_check: CorruptionCheck | None = None
        self._engine: Engine | None = None
        self._sockets = Sockets(config.reuse_port)
        self._listener: Listener | None = None
        self._side_listener: Listener | None = None

    async def start(self, progress: Callable[[int], None] = lambda rows: None) -> None:
        """Open the data and serve. Raises ConfigError, OSError and the storage room's errors."""
        loop = asyncio.get_running_loop()
        config, log = self.config, self._log
        self._connections_max = min(TransportLimits().max_connections, connections_max())
        sockets = self._sockets.bind(config.listen_client_urls)
        peer_sockets = self._sockets.bind(config.listen_peer_urls)
        metrics_sockets = self._sockets.bind(config.listen_metrics_urls)
        config = self.config = await discovered(config, log)
        data_dir = self._data_dir = DataDir(config.data_dir, config.wal_dir)
        hosts: Sequence[MemberInfo] = ()
        if has_run(data_dir):
            opened = restart(config, data_dir, log, progress)
            await self._check_restored(opened)
        else:
            first = await self._first_start()
            hosts = first.hosts
            opened = start_anew(config, data_dir, first, progress)
        # What was loaded stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self.removed: asyncio.Future[None] = loop.create_future()
        log.info("starting an etcd server", **describe(opened, config))
        surroundings = Surroundings(
            loop,
            self._log_worker,
            self._backend_worker,
            time.perf_counter,
            time.time_ns,
            random.randrange,
        )
        membership = opened.member.membership
        identity = Metadata(NodeID=membership.local_id, ClusterID=membership.cluster_id)
        port = self._peer_port = PeerPort(
            config, identity, log, self._peer_worker, data_dir.snap_path
        )
        engine = self._engine = Engine(
            opened, port.network, surroundings, config, log, self._die, port, port.ask_versions
        )
        self._metrics = observe_member(engine, port.network.counters)
        check = self._corruption_check = CorruptionCheck(
            engine.runtime, port.network.client, log, config.request_timeout_s
        )
        if config.initial_corrupt_check:
            await check.before_serving()
        port.connect(engine, self._removed)
        await port.start(peer_sockets)
        published = loop.create_future()
        engine.start(lambda: published.set_result(None), hosts)
        engine.removed = self._removed
        await asyncio.wait((published, self.removed), return_when=asyncio.FIRST_COMPLETED)
        if self.removed.done():
            raise MemberRemoved
        log.info(
            "published local member to cluster through raft",
            local_member_id=format_id(opened.member.id),
            cluster_id=format_id(opened.member.membership.cluster_id),
        )
        await self._listen(sockets, engine)
        await self._listen_beside(metrics_sockets)
        check.start(config.corrupt_check_time_s)
        log.info("ready to serve client requests")

    async def _check_restored(self, opened: Opened) -> None:
        """A member that was restored may not go into a cluster in which it ran."""
        if self.config.force_new_cluster:
            return
        client = HttpClient(peer_dial_timeout_s(self.config))
        try:
            await check_restored(opened, client)
        except ConfigError:
            opened.log.close()
            opened.backend.close()
            raise
        finally:
            await client.close()

    async def _first_start(self) -> FirstStart:
        """Ask the others who this member is."""
        client = HttpClient(peer_dial_timeout_s(self.config))
        try:
            return await first_start(self.config, client, self._log)
        finally:
            await client.close()

    def _removed(self) -> None:
        """This member is none of the cluster's any more; its data stays where it is."""
        if not self.removed.done():
            self._log.error(
                "the member has been permanently removed from the cluster",
                data_dir=self.config.data_dir,
                advice="the data-dir used by this member must be removed before reuse",
            )
            self.removed.set_result(None)

    async def _listen(self, sockets: list[socket.socket], engine: Engine) -> None:
        config, runtime = self.config, engine.runtime
        router = Router()
        services = (KvService, LeaseService, ClusterService, MaintenanceService)
        for service in (*services, AuthService, HealthService):
            service(runtime).register(router)
        WatchService(engine.hub).register(router)
        runtime.after_turn.append(Gate(runtime, router, config.election_ms / 1000).look)
        self._endpoints = HttpEndpoints(
            runtime,
            self._metrics.render,
            config.cors,
            config.host_whitelist,
            self._v2_endpoints(engine) if config.enable_v2 else None,
        )
        limits = replace(transport_limits(config), max_connections=self._connections_max)
        self._listener = Listener(router, self._endpoints.handle, limits)
        observe_clients(
            self._metrics, engine, router, self._listener, self._endpoints, config.metrics
        )
        self._listener.on_refused = self._tell_of_refused
        self._connect(self._listener, engine)
        for bound in sockets:
            await self._listener.start_on(bound)
            self.client_addresses.append(address_of(bound))

    def _tell_of_refused(self, count: int) -> None:
        self._log.warn(
            "refused client connections",
            count=count,
            connections_max=self._connections_max,
            advice="raise the limit of open files if these clients are welcome",
        )

    def _connect(self, listener: Listener, engine: Engine) -> None:
        """Bytes in lead to turns, turns to bytes out."""
        runtime = engine.runtime
        runtime.after_turn.append(listener.flush)
        may_poll = has_spare_processor()
        polling = BusyPolling(
            listener.loop, time.perf_counter, lambda: may_poll and engine.member.decides_alone
        )

        def answer() -> None:
            listener.flush()
            polling.answered()

        def receive() -> None:
            polling.received()
            runtime.received()

        runtime.effects.flush, listener.after_receive = answer, receive

    def _v2_endpoints(self, engine: Engine) -> V2Endpoints:
        audience, port = engine.audience, self._peer_port
        assert port is not None
        return V2Endpoints(
            engine.runtime, audience.v2, audience.listings, time.time_ns, port.network
        )

    async def _listen_beside(self, sockets: list[socket.socket]) -> None:
        """The metrics port serves health and metrics only."""
        listener = self._side_listener = Listener(Router(), self._endpoints.handle_beside)
        for bound in sockets:
            await listener.start_on(bound)

    def _die(self, error: BaseException) -> None:
        self._log.fatal("stopping at once", error=str(error) or type(error).__name__)
        die(f"cannot go on: {error}")

    async def _hand_over(self, engine: Engine) -> None:
        """Let somebody else lead, so that clients of the others wait for no election."""
        over = asyncio.get_running_loop().create_future()
        engine.reconfiguration.leave(lambda: over.set_result(None))
        await over

    async def stop(self) -> None:
        """Stop serving, make everything durable and let the data directory go."""
        engine = self._engine
        if engine is not None:
            await self._hand_over(engine)
        if self._listener is not None and engine is not None:
            engine.audience.v2.close()
            await self._listener.stop(STOP_GRACE_S)
        if self._side_listener is not None:
            await self._side_listener.close()
        if self._corruption_check is not None:
            self._corruption_check.stop()
        if self._peer_port is not None:
            await self._peer_port.stop()
        self._sockets.close()
        if engine is not None:
            engine.stop()
            while engine.committer.is_running:
                await asyncio.sleep(0.001)
        self._log_worker.shutdown(wait=True)
        self._backend_worker.shutdown(wait=True)
        self._peer_worker.shutdown(wait=True)
        if engine is not None:
            engine.finish()
            engine.opened.backend.close()
            engine.opened.log.close()
            self._log.info("closed etcd server")
        if self._data_dir is not None:
            self._data_dir.close()


def transport_limits(config: ServerConfig) -> TransportLimits:
    """The bounds of the client port."""
    return TransportLimits(
        max_concurrent_streams=config.max_concurrent_streams,
        max_message_bytes=config.max_request_bytes + GRPC_OVERHEAD_BYTES,
        keepalive_min_time_s=config.keepalive_min_time_s,
        keepalive_interval_s=config.keepalive_interval_s,
        keepalive_timeout_s=config.keepalive_timeout_s,
    )
