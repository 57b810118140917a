"""A gateway's endpoints from DNS, and which of them are what they say.

Records can be forged, so that unless it is waived only https endpoints are taken, and of these only
those that show a certificate for the domain. Blocks while it looks up and connects.
"""

from __future__ import annotations

import socket
import ssl

from petcd.client.endpoint import AddressError, split_host_port
from petcd.client.srv import Lookup, Target, client_endpoints
from petcd.proxy.log import Log
from petcd.proxy.remotes import Remote

HANDSHAKE_TIMEOUT_S = 5.0


def discover_remotes(
    lookup: Lookup, domain: str, name: str, ca_file: str, insecure: bool, log: Log
) -> list[Remote]:
    """The endpoints of a domain's SRV records. Raises LookupFailed."""
    found = client_endpoints(lookup, domain, name)
    urls = [url for url, _ in found]
    log.info("discovered cluster from SRV", srv_server=domain, endpoints=urls)
    if not insecure:
        log.info("validating discovered SRV endpoints", srv_server=domain, endpoints=urls)
        found = [(url, each) for url, each in found if _is_valid(url, each, domain, ca_file, log)]
        log.info(
            "using validated discovered SRV endpoints",
            srv_server=domain,
            endpoints=[url for url, _ in found],
        )
    return [Remote(each.host, each.port, each.priority, each.weight) for _, each in found]


def _is_valid(url: str, target: Target, domain: str, ca_file: str, log: Log) -> bool:
    fault = "is insecure"
    if url.startswith("https://"):
        try:
            context = ssl.create_default_context(cafile=ca_file or None)
            address = (target.host, target.port)
            with (
                socket.create_connection(address, HANDSHAKE_TIMEOUT_S) as plain,
                context.wrap_socket(plain, server_hostname=domain),
            ):
                return True
        except OSError as error:
            fault = str(error)
    log.warn("failed to validate discovered endpoint", endpoint=url, error=fault)
    return False


def remote_of(endpoint: str) -> Remote:
    """The remote of an endpoint as users write it, with or without a scheme. Raises ValueError."""
    address = endpoint.partition("://")[2].partition("/")[0] or endpoint
    try:
        host, port = split_host_port(address)
    except AddressError as error:
        raise ValueError(str(error)) from None
    if not port.isdigit() or int(port) > 65535:
        raise ValueError(f"address {address}: bad port")
    return Remote(host, int(port))
