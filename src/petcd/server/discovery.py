"""Where the first members of a cluster find each other when --initial-cluster does not name them.

| flag | found | module |
| --- | --- | --- |
| `--discovery` | under a URL of the v2 API of any etcd or petcd | `discovery_v2` |
| `--discovery-endpoints`, `--discovery-token` | under keys of the v3 API | `discovery_v3` |
| `--discovery-srv` | in SRV records of a DNS domain | `discovery_srv` |

All end in what --initial-cluster would have been. A URL or token also takes the place of
--initial-cluster-token, so that two clusters of the same URLs have different ids.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from petcd.client.srv import Lookup, resolver
from petcd.cluster import format_id, member_id
from petcd.server.config import DiscoveryConfig, ServerConfig
from petcd.server.discovery_registry import DiscoveryFailed, Gathering, Log, Registry
from petcd.server.discovery_srv import check_local, srv_cluster
from petcd.server.discovery_v2 import V2Registry
from petcd.server.discovery_v3 import V3Registry
from petcd.storage.wal import Wal


def is_wanted(discovery: DiscoveryConfig) -> bool:
    """Whether any of the flags asks for it."""
    return bool(discovery.url or discovery.endpoints or discovery.srv_domain)


async def discovered(config: ServerConfig, log: Log) -> ServerConfig:
    """The configuration with the initial cluster that discovery finds, this member among it.

    Waits as long as it takes. Unchanged when no discovery is asked for, or the member has run
    before. Raises DiscoveryFailed.
    """
    discovery = config.discovery
    if not is_wanted(discovery):
        return config
    wal_dir = config.wal_dir or os.path.join(config.data_dir, "member", "wal")
    if Wal.exists(wal_dir):
        log.warn(
            "discovery token is ignored since cluster already initialized; valid logs are found",
            wal_dir=wal_dir,
        )
        return config
    if discovery.srv_domain:
        return replace(config, initial_cluster=await _from_dns(config, log, as_member=True))
    if config.initial_cluster_state == "existing":
        raise DiscoveryFailed(
            "discovery URL should not be set when joining existing initial cluster"
        )
    token = discovery.url or discovery.token
    urls = sorted(config.initial_advertise_peer_urls)
    peers = ",".join(f"{config.name}={url}" for url in urls)
    async with _registry(discovery) as registry:
        gathering = Gathering(registry, token, log, asyncio.sleep)
        found = await gathering.join(format_id(member_id(urls, token)), peers)
    return replace(config, initial_cluster=found, initial_cluster_token=token)


async def discovered_by_proxy(config: ServerConfig, log: Log) -> ServerConfig:
    """The same for a proxy, which is no member and registers nowhere."""
    discovery = config.discovery
    if not is_wanted(discovery):
        return config
    if discovery.srv_domain:
        return replace(config, initial_cluster=await _from_dns(config, log, as_member=False))
    async with _registry(discovery) as registry:
        found = await Gathering(registry, discovery.url, log, asyncio.sleep).find()
    return replace(config, initial_cluster=found)


@asynccontextmanager
async def _registry(discovery: DiscoveryConfig) -> AsyncIterator[Registry]:
    registry: V2Registry | V3Registry
    if discovery.url:
        registry = V2Registry(discovery.url, discovery.http_proxy)
    else:
        registry = V3Registry(
            discovery.endpoints,
            discovery.token,
            discovery.dial_timeout_s,
            discovery.request_timeout_s,
        )
    try:
        yield registry
    finally:
        await registry.close()


async def _from_dns(config: ServerConfig, log: Log, as_member: bool) -> str:
    return await asyncio.to_thread(_ask_dns, config, log, as_member)


def _ask_dns(config: ServerConfig, log: Log, as_member: bool, lookup: Lookup | None = None) -> str:
    discovery = config.discovery
    found = srv_cluster(
        lookup or resolver(),
        discovery.srv_domain,
        discovery.srv_name,
        config.name,
        config.initial_advertise_peer_urls,
        log,
    )
    if as_member:
        check_local(found, config.name)
    return found
