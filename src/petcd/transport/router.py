"""gRPC methods by path.

A `Method` is one RPC: its path, its shape, its handler and its counters. A `Router` finds it.
Nothing here reads or writes the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from petcd.transport.grpc_status import UNIMPLEMENTED

if TYPE_CHECKING:
    from petcd.transport.call import Call

UNARY = 0
SERVER_STREAM = 1
CLIENT_STREAM = 2
BIDI = 3

UnaryHandler = Callable[["Call", bytes], None]
StreamHandler = Callable[["Call"], None]


class Method:
    """One RPC.

    `path` is `b"/package.Service/Method"`. A UNARY handler is called as `handler(call, body)` with
    the whole request message; the other kinds as `handler(call)` when the request's headers are in.
    `max_message_bytes` None means the listener's default.

    Counters (plain ints, for the metrics): `started` calls, `handled[code]` ended calls by status
    code, `msg_received` and `msg_sent` messages. `observe_s`, when set, is told of each ended call
    how long it took, by the connection's `clock`.
    """

    __slots__ = (
        "handled",
        "handler",
        "kind",
        "max_message_bytes",
        "msg_received",
        "msg_sent",
        "name",
        "observe_s",
        "path",
        "service",
        "started",
    )

    def __init__(
        self,
        path: bytes,
        kind: int,
        handler: Callable[..., None],
        max_message_bytes: int | None = None,
    ) -> None:
        service, _, name = path.lstrip(b"/").decode("ascii").rpartition("/")
        assert service and name and path[:1] == b"/", path
        assert UNARY <= kind <= BIDI, kind
        self.path = path
        self.service = service
        self.name = name
        self.kind = kind
        self.handler: Callable[..., Any] = handler
        self.max_message_bytes = max_message_bytes
        self.observe_s: Callable[[float], None] | None = None
        self.started = 0
        self.handled: dict[int, int] = dict.fromkeys(range(17), 0)
        self.msg_received = 0
        self.msg_sent = 0


class Router:
    """Methods by path. Filled at start; a connection remembers what it looked up.

    `fallback` takes the calls of all other paths, for those who pass calls on.
    """

    __slots__ = ("_fallback", "_methods", "_services")

    def __init__(self, fallback: Method | None = None) -> None:
        self._fallback = fallback
        self._methods: dict[bytes, Method] = {}
        self._services: set[str] = set()

    def add(self, method: Method) -> None:
        assert method.path not in self._methods, method.path
        self._methods[method.path] = method
        self._services.add(method.service)

    def find(self, path: bytes) -> Method | None:
        return self._methods.get(path, self._fallback)

    def methods(self) -> list[Method]:
        """All methods in the order in which they were added."""
        return list(self._methods.values())

    def refusal(self, path: bytes) -> tuple[int, str]:
        """Status code and grpc-go's text for a path that `find` doesn't know."""
        text = path.decode("utf-8", "replace").removeprefix("/")
        service, slash, name = text.rpartition("/")
        if not slash:
            return UNIMPLEMENTED, f'malformed method name: "{path.decode("utf-8", "replace")}"'
        if service in self._services:
            return UNIMPLEMENTED, f"unknown method {name} for service {service}"
        return UNIMPLEMENTED, f"unknown service {service}"
