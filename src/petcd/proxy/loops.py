"""Whether an address leads back to the process that would dial it.

A gateway or proxy that forwards to itself answers one request with endless connections. A target is
our own when its port is one we listen on and its host resolves to the address we listen on, or to
any address of this machine when we listen on all.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

Address = tuple[str, int]
"""Host or IP, and port."""

_EVERYWHERE = frozenset(("0.0.0.0", "::"))


def addresses_of(host: str) -> set[str]:
    """The IP addresses of a host. Raises OSError."""
    try:
        found = socket.getaddrinfo(host or "localhost", None, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # no name that DNS could hold
        raise OSError(str(error)) from None
    return {str(address[4][0]) for address in found}


def own_address(target: Address, listening: Iterable[Address]) -> str | None:
    """The IP by which `target` would reach one of our sockets, None when it would not.

    Blocks while names are looked up. Raises OSError when the target cannot be resolved.
    """
    host, port = target
    candidates = [own_host for own_host, own_port in listening if own_port == port]
    if not candidates:
        return None
    for ip in sorted(addresses_of(host)):
        for own_host in candidates:
            if own_host in _EVERYWHERE or not own_host or ip in _EVERYWHERE:
                if _is_of_this_machine(ip):
                    return ip
            elif ip in addresses_of(own_host):
                return ip
    return None


def _is_of_this_machine(ip: str) -> bool:
    """The kernel lets a socket be bound to local addresses only."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((ip, 0))
        except OSError:
            return False
    return True
