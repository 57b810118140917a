"""Endpoints as etcd's users write them.

| text | network | address |
| --- | --- | --- |
| `127.0.0.1:2379`, `localhost:2379`, `[::1]:2379` | tcp | as it is |
| `http://h:p`, `https://h:p/...` | tcp (TLS) | `h:p` |
| `unix:/path`, `unix:///path`, `unixs://path` | unix (TLS) | the path |
| any other scheme | tcp | the whole text, which then fails to dial |

Faults of an address are found when it is dialled, for a client with one good endpoint among three
works.  Source: etcd's endpoint translation and Go's `net` texts.
"""

from __future__ import annotations


class Endpoint:
    """Where a member listens.  `address` is what is dialled, `authority` what HTTP/2 names."""

    __slots__ = ("address", "authority", "network", "text", "tls")

    def __init__(self, text: str, network: str, address: str, tls: bool) -> None:
        self.text = text
        self.network = network
        self.address = address
        self.tls = tls
        self.authority = "localhost" if network == "unix" else address

    def __repr__(self) -> str:
        return f"Endpoint({self.text!r})"


class AddressError(Exception):
    """An address that cannot be dialled, with Go's text."""


def parse_endpoint(text: str) -> Endpoint:
    """Never fails; see the table above."""
    for prefix in ("unixs:", "unix:"):
        if text.startswith(prefix):
            path = text[len(prefix) :].removeprefix("//")
            return Endpoint(text, "unix", path, prefix == "unixs:")
    scheme, found, rest = text.partition("://")
    if found and scheme in ("http", "https"):
        address = rest.partition("/")[0].rpartition("@")[2]
        return Endpoint(text, "tcp", address, scheme == "https")
    return Endpoint(text, "tcp", text, False)


def target_authority(text: str) -> str:
    """What Go's log names the first endpoint: the text without its scheme."""
    head, found, rest = text.partition("://")
    if found:
        return rest
    for prefix in ("unixs:", "unix:"):
        if text.startswith(prefix):
            return text[len(prefix) :]
    return head


def split_host_port(address: str) -> tuple[str, str]:
    """Host without brackets and port.  Raises AddressError as Go's net.SplitHostPort does."""
    if not address:
        raise AddressError("missing address")
    host, colon, port = address.rpartition(":")
    if not colon:
        raise AddressError(f"address {address}: missing port in address")
    if host.startswith("["):
        inner, bracket, rest = host[1:].partition("]")
        if not bracket:
            raise AddressError(f"address {address}: missing ']' in address")
        if rest:
            raise AddressError(f"address {address}: missing port in address")
        return inner, port
    if ":" in host:
        raise AddressError(f"address {address}: too many colons in address")
    return host, port
