"""The first members from SRV records of a domain: no registry, nobody waits for anybody.

The record whose address is that of an advertised peer URL is this member and gets its name; the
others are called 0, 1, 2 and so on. Records of `_etcd-server-ssl._tcp` are https URLs, those of
`_etcd-server._tcp` http; both are asked and joined. Blocks while names are looked up.
"""

import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from petcd.client.srv import SERVERS, Lookup, LookupFailed, Target, join_host_port, service_of
from petcd.server.discovery_registry import DiscoveryFailed, Log

_Socket = tuple[str, int]


def srv_cluster(
    lookup: Lookup,
    domain: str,
    srv_name: str,
    name: str,
    advertised: Sequence[str],
    log: Log,
) -> str:
    """What --initial-cluster would be. Raises DiscoveryFailed when there are no records."""
    own = {_socket_of(url): urlsplit(url).scheme for url in advertised}
    found: list[str] = []
    faults: list[str] = []
    strangers = 0
    for scheme in ("https", "http"):
        service = service_of(SERVERS, srv_name, scheme)
        try:
            targets = lookup(service, domain)
        except LookupFailed as error:
            faults.append(f"error querying DNS SRV records for _{service} {error}")
            continue
        for target in targets:
            where = _address_of(target, faults)
            if where is None:
                continue
            url = f"{scheme}://{join_host_port(target.host, target.port)}"
            if where not in own:
                found.append(f"{strangers}={url}")
                strangers += 1
            elif own[where] == scheme:
                found.append(f"{name}={url}")
            else:
                faults.append(f"{url} of {service} is this member, which advertises {own[where]}")
    log.info(
        "got bootstrap from DNS for etcd-server",
        discovery_srv=domain,
        found_cluster=found,
        error="; ".join(faults),
    )
    if not found:
        raise DiscoveryFailed("; ".join(faults) or f"no SRV records of {domain} lead anywhere")
    return ",".join(found)


def check_local(initial_cluster: str, name: str) -> None:
    """Raise DiscoveryFailed unless the records hold this member; a proxy need not be there."""
    if not any(part.startswith(f"{name}=") for part in initial_cluster.split(",")):
        raise DiscoveryFailed(f'cannot find local etcd member "{name}" in SRV records')


def _socket_of(url: str) -> _Socket:
    parts = urlsplit(url)
    port = parts.port or 0
    try:
        return _resolved(parts.hostname or "", port)
    except OSError as error:
        raise DiscoveryFailed(f"cannot resolve {url}: {error.strerror or error}") from None


def _address_of(target: Target, faults: list[str]) -> _Socket | None:
    try:
        return _resolved(target.host, target.port)
    except OSError as error:
        faults.append(f"cannot resolve {target.host}: {error.strerror or error}")
        return None


def _resolved(host: str, port: int) -> _Socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return min(str(entry[4][0]) for entry in found), port
