"""Sockets to listen on, made of URLs.

    http://ADDRESS:PORT     TCP
    unix:///PATH            a socket file; also unix://PATH, from the directory of the process

A socket file that a server left behind is taken over; one that somebody listens on is not.
"""

import contextlib
import os
import socket
import stat
import sys
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from petcd.server.config import ConfigError

# A caller whose machine went away without a word is found out by the system; etcd's period.
KEEPALIVE_S = 30


class Sockets:
    """Bound sockets and their files, until `close`."""

    def __init__(self, reuse_port: bool) -> None:
        self._reuse_port = reuse_port
        self._bound: list[socket.socket] = []
        self._files: list[str] = []

    def bind(self, urls: Iterable[str]) -> list[socket.socket]:
        """A socket for each URL. Raises ConfigError when that is not possible."""
        return [self._bind(url) for url in urls]

    def _bind(self, url: str) -> socket.socket:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            bound = _bind_file(parts.netloc + parts.path)
            self._files.append(parts.netloc + parts.path)
        else:
            bound = _bind_port(parts.hostname or "", parts.port or 0, self._reuse_port)
        self._bound.append(bound)
        return bound

    def close(self) -> None:
        """Let all of them go."""
        for bound in self._bound:
            bound.close()
        for path in self._files:
            with contextlib.suppress(OSError):
                os.unlink(path)
        self._bound.clear()
        self._files.clear()


def address_of(bound: socket.socket) -> tuple[str, int]:
    """Host and port, or the path of a socket file and 0."""
    name = bound.getsockname()
    return (name, 0) if isinstance(name, str) else name[:2]


def _bind_port(host: str, port: int, reuse_port: bool) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    _keep_alive(bound)
    return _bound(bound, address, f"tcp {host}:{port}")


def _keep_alive(listening: socket.socket) -> None:
    """Accepted connections have it from the socket that listens."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)


def _bind_file(path: str) -> socket.socket:
    _remove_left_behind(path)
    return _bound(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), path, f"unix {path}")


def _bound(unbound: socket.socket, address: Any, where: str) -> socket.socket:
    """The socket, which is closed when it cannot be bound; `where` is for people."""
    try:
        unbound.bind(address)
    except OSError as error:
        unbound.close()
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"listen {where}: bind: {reason}") from None
    return unbound


def _remove_left_behind(path: str) -> None:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            try:
                asking.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
