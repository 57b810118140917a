"""URLs of endpoints, and paths and forms as Go's client escapes them.

An endpoint is `http://host:port`, maybe with a path that stands before `/v2/...`; without a scheme
it is taken for http.  Text is escaped as the bytes it stands for (surrogate escapes included).
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from petcd.client.endpoint import Endpoint, parse_endpoint
from petcd.client.v2.errors import BadUrl

PORTS = {"http": 80, "https": 443}
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
_OF_A_PATH = _UNRESERVED | frozenset(b"$&+,/:;=@")


class Url:
    """Where an endpoint is.  `shown` is how messages name it, `host` what the request names."""

    __slots__ = ("host", "path", "scheme", "shown")

    def __init__(self, text: str) -> None:
        scheme, found, rest = text.partition("://")
        if not found:
            scheme, rest = "http", text
        self.scheme = scheme
        self.host, slash, path = rest.partition("/")
        self.path = slash + path
        self.shown = f"{scheme}://{rest}"

    def endpoint(self) -> Endpoint:
        """What is dialled.  Raises BadUrl."""
        if self.scheme in ("unix", "unixs"):
            return parse_endpoint(f"{self.scheme}://{self.host}{self.path}")
        if self.scheme not in PORTS:
            raise BadUrl(f'unsupported protocol scheme "{self.scheme}"')
        host = self.host.rpartition("@")[2]
        if not host:
            raise BadUrl("http: no Host in request URL")
        if ":" not in host.rpartition("]")[2]:
            host = f"{host}:{PORTS[self.scheme]}"
        return Endpoint(self.shown, "tcp", host, self.scheme == "https")


def clean_path(path: str) -> str:
    """Without empty parts, `.` and `..`; a slash at the end stays."""
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def escape_path(path: str) -> str:
    """A path as it stands in a request."""
    return _escaped(path, _OF_A_PATH)


def escape_form(fields: Mapping[str, str]) -> str:
    """Fields by name, as a query or the body of a form."""
    return "&".join([f"{_field(name)}={_field(fields[name])}" for name in sorted(fields)])


def _field(text: str) -> str:
    return _escaped(text, _UNRESERVED | {0x20}).replace(" ", "+")


def _escaped(text: str, plain: frozenset[int]) -> str:
    data = text.encode("utf-8", "surrogateescape")
    return "".join([chr(byte) if byte in plain else f"%{byte:02X}" for byte in data])
