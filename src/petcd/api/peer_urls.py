"""Peer URLs that clients give: checked as etcd checks them."""

from collections.abc import Iterable
from urllib.parse import urlsplit

_SCHEMES = ("http", "https", "unix", "unixs")


class BadPeerUrls(ValueError):
    """They are not usable; the text is etcd's."""


def read_peer_urls(urls: Iterable[object]) -> list[str]:
    """The URLs, sorted. Raises BadPeerUrls."""
    texts = []
    for url in urls:
        if not isinstance(url, str):
            raise BadPeerUrls("json: cannot unmarshal a peer URL that is no string")
        texts.append(url.strip())
        _check(texts[-1])
    if not texts:
        raise BadPeerUrls("no valid URLs given")
    return sorted(texts)


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadPeerUrls(f'parse "{url}": invalid URL') from None
    if parts.scheme not in _SCHEMES:
        raise BadPeerUrls(f"URL scheme must be http, https, unix, or unixs: {url}")
    if parts.scheme.startswith("unix"):
        return
    if port is None:
        raise BadPeerUrls(f'URL address does not have the form "host:port": {url}')
    if parts.path:
        raise BadPeerUrls(f"URL must not contain a path: {url}")
