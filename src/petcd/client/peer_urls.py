"""Peer URLs that a user gives: checked before they are sent, with the texts of etcd's client."""

from __future__ import annotations

from collections.abc import Sequence

_SCHEMES = ("http", "https", "unix", "unixs")


class BadPeerUrl(ValueError):
    """It is not usable; the text says why."""


def checked_peer_urls(texts: Sequence[str]) -> list[str]:
    """Peer URLs in order; scheme, host and port must be there and no path.  Raises BadPeerUrl."""
    urls = [text.strip() for text in texts]
    for url in urls:
        _check(url)
    return sorted(urls)


def _check(url: str) -> None:
    scheme, colon, rest = url.partition("://")
    if not colon or scheme not in _SCHEMES:
        raise BadPeerUrl(f"URL scheme must be http, https, unix, or unixs: {url}")
    if scheme not in ("http", "https"):
        return
    host, _, path = rest.partition("#")[0].partition("?")[0].partition("/")
    name, colon, port = host.rpartition(":")
    in_brackets = name.startswith("[") and name.endswith("]")
    if not colon or not port or (":" in name and not in_brackets):
        raise BadPeerUrl(f'URL address does not have the form "host:port": {url}')
    if not port.isdecimal():
        raise BadPeerUrl(f'parse "{url}": invalid port ":{port}" after host')
    if path:
        raise BadPeerUrl(f"URL must not contain a path: {url}")
