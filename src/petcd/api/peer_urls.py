"""Peer URLs that clients give: checked as etcd checks them."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

_SCHEMES = ("http", "https", "unix", "unixs")
# What Go refuses between the slashes and the port.
_BAD_HOST = re.compile(r"[\x00-\x20\x7f^`{|}\\]|%(?!25|[89a-fA-F][0-9a-fA-F])")


class BadPeerUrls(ValueError):
    """They are not usable; the text is etcd's."""


def read_peer_urls(urls: Iterable[str]) -> list[str]:
    """The URLs, sorted, with the scheme in lower case: ids are made of them. Raises BadPeerUrls."""
    texts = []
    for url in urls:
        scheme, separator, rest = url.strip().partition(":")
        texts.append(scheme.lower() + separator + rest)
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
    if _BAD_HOST.search(parts.netloc) or not url.isprintable():
        raise BadPeerUrls(f'parse "{url}": invalid character in host name')
    if parts.scheme not in _SCHEMES:
        raise BadPeerUrls(f"URL scheme must be http, https, unix, or unixs: {url}")
    if parts.scheme.startswith("unix"):
        return
    if port is None:
        raise BadPeerUrls(f'URL address does not have the form "host:port": {url}')
    if parts.path:
        raise BadPeerUrls(f"URL must not contain a path: {url}")
