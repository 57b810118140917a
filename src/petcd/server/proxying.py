"""Proxy mode put together from the configuration, and when it is what a data directory is for.

| in the data directory | `--proxy` | what starts |
| --- | --- | --- |
| `member` | any | the member |
| `proxy` | any | the proxy |
| neither | `on`, `readonly` | the proxy |
| neither | `off` | a member; the proxy when discovery says that the cluster is full |

The members' peer URLs come from the cluster file; without one from the discovery that is configured
or from --initial-cluster. Source: etcd's proxy mode.
"""

import asyncio
import os

from petcd.api.http import Origins
from petcd.proxy.membership import ClusterFile
from petcd.proxy.proxy import Proxy, ProxySettings
from petcd.server.binding import Sockets, address_of
from petcd.server.config import ConfigError, ServerConfig
from petcd.server.discovery import discovered_by_proxy
from petcd.server.founding import parse_initial_cluster
from petcd.server.log import Logger
from petcd.server.serve import transport_limits


def is_proxy(config: ServerConfig) -> bool:
    """Whether the configuration and what is in the data directory ask for a proxy. Raises
    ConfigError when the directory holds both."""
    has_member = os.path.isdir(os.path.join(config.data_dir, "member"))
    has_proxy = os.path.isdir(os.path.join(config.data_dir, "proxy"))
    if has_member and has_proxy:
        raise ConfigError("invalid datadir; both member and proxy directories exist")
    return has_proxy or (config.proxy.mode != "off" and not has_member)


class ProxyServer:
    """A proxy in this process. `start` once, `stop` once."""

    def __init__(self, config: ServerConfig, log: Logger) -> None:
        self.config = config
        self.client_addresses: list[tuple[str, int]] = []
        self._log = log
        self._sockets = Sockets(config.reuse_port)
        self._proxy: Proxy | None = None

    async def start(self) -> None:
        """Find the cluster and serve. Raises ConfigError and OSError."""
        config, log = self.config, self._log
        log.info("v2 API proxy starting")
        sockets = self._sockets.bind(config.listen_client_urls)
        cluster_file = ClusterFile(config.data_dir)
        cluster_file.make_directory()
        peer_urls = await self._peer_urls(cluster_file)
        origins = Origins(config.cors)
        self._proxy = Proxy(settings_of(config), peer_urls, cluster_file, origins.headers, log)
        await self._proxy.start(sockets)
        for bound, url in zip(sockets, config.listen_client_urls, strict=True):
            self.client_addresses.append(address_of(bound))
            log.info("v2 proxy started listening on client requests", host=url)

    async def _peer_urls(self, cluster_file: ClusterFile) -> tuple[str, ...]:
        try:
            known = cluster_file.load()
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if known is not None:
            self._log.info("proxy using peer URLS from cluster file", peer_urls=known)
            return known
        config = await discovered_by_proxy(self.config, self._log)
        members = parse_initial_cluster(config.initial_cluster)
        found = tuple(sorted(url for urls in members.values() for url in urls))
        self._log.info("proxy using peer URLS", peer_urls=found)
        return found

    async def stop(self) -> None:
        """Stop serving."""
        if self._proxy is not None:
            await self._proxy.stop()
        self._sockets.close()
        await asyncio.sleep(0)
        self._log.info("closed etcd proxy")


def settings_of(config: ServerConfig) -> ProxySettings:
    """The proxy room's settings."""
    proxy = config.proxy
    return ProxySettings(
        readonly=proxy.mode == "readonly",
        failure_wait_s=proxy.failure_wait_ms / 1000,
        refresh_interval_s=proxy.refresh_interval_ms / 1000,
        dial_timeout_s=proxy.dial_timeout_ms / 1000,
        write_timeout_s=proxy.write_timeout_ms / 1000,
        read_timeout_s=proxy.read_timeout_ms / 1000,
        answer_timeout_s=2 * config.request_timeout_s,  # a member gives up after half of it
        limits=transport_limits(config),
    )
