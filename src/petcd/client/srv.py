"""Members and endpoints from DNS: SRV records of a domain.

| record | names |
| --- | --- |
| `_etcd-server-ssl._tcp.DOMAIN`, `_etcd-server._tcp.DOMAIN` | peer URLs, https and http |
| `_etcd-client-ssl._tcp.DOMAIN`, `_etcd-client._tcp.DOMAIN` | client URLs, https and http |

A service name adds `-NAME` behind the service. Look-ups block. The resolver is the system's unless
another one's address is given. Source: RFC 2782; etcd's names.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

LOOKUP_TIMEOUT_S = 10.0
"""For one name, all servers and repetitions together."""

SERVERS = "etcd-server"
CLIENTS = "etcd-client"


class Target(NamedTuple):
    """One SRV record; `host` without the dot at its end."""

    host: str
    port: int
    priority: int
    weight: int


class LookupFailed(Exception):
    """No records; the text is Go's."""


Lookup = Callable[[str, str], list[Target]]
"""`(service, domain)` -> targets. Raises LookupFailed."""


def service_of(service: str, name: str, scheme: str) -> str:
    """The SRV service of a scheme and an optional service name: `etcd-server-ssl-NAME`."""
    if scheme == "https":
        service += "-ssl"
    return f"{service}-{name}" if name else service


def resolver(address: tuple[str, int] | None = None) -> Lookup:
    """A look-up through the system's name servers, or through the one at `address`."""
    import dns.exception  # slow to import and seldom needed
    import dns.rdatatype
    import dns.resolver

    def lookup(service: str, domain: str) -> list[Target]:
        asked = f"_{service}._tcp.{domain}"
        try:
            through = dns.resolver.Resolver(configure=address is None)
            if address is not None:
                through.nameservers = [address[0]]
                through.port = address[1]
            answer = through.resolve(
                asked, dns.rdatatype.SRV, lifetime=LOOKUP_TIMEOUT_S, search=False
            )
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            raise LookupFailed(f"lookup {asked}: no such host") from None
        except dns.exception.DNSException as error:
            raise LookupFailed(f"lookup {asked}: {' '.join(str(error).split())}") from None
        targets = [
            Target(str(record.target).rstrip("."), record.port, record.priority, record.weight)
            for record in answer
        ]
        return in_order(targets, random.random)

    return lookup


def in_order(targets: Sequence[Target], chance: Callable[[], float]) -> list[Target]:
    """By priority, and among equals at random so that the first is chosen by weight (RFC 2782)."""
    weighted = [
        (each.priority, -(chance() ** (1 / each.weight)) if each.weight else chance(), each)
        for each in targets
    ]
    return [each for _, _, each in sorted(weighted, key=lambda entry: entry[:2])]


def client_endpoints(lookup: Lookup, domain: str, name: str) -> list[tuple[str, Target]]:
    """(client URL, its record) of a domain, https ones first. Raises LookupFailed with both
    reasons when neither service has records."""
    found: list[tuple[str, Target]] = []
    faults: list[str] = []
    for scheme in ("https", "http"):
        try:
            targets = lookup(service_of(CLIENTS, name, scheme), domain)
        except LookupFailed as error:
            faults.append(str(error))
            continue
        found += [(f"{scheme}://{join_host_port(each.host, each.port)}", each) for each in targets]
    if len(faults) == 2:
        raise LookupFailed(f"dns lookup errors: {faults[0]} and {faults[1]}")
    return found


def discover_endpoints(
    domain: str, name: str, insecure: bool, warn: Callable[[str], None]
) -> list[str]:
    """Client URLs of a domain, as etcdctl takes them: those without TLS only when `insecure`; what
    is left out is told. Raises LookupFailed."""
    urls = [url for url, _ in client_endpoints(resolver(), domain, name)]
    if insecure:
        return urls
    for url in urls:
        if url.startswith("http://"):
            warn(f'ignoring discovered insecure endpoint "{url}"')
    return [url for url in urls if not url.startswith("http://")]


def join_host_port(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
