"""What everything that speaks to one peer shares: who we are, time, news, counters, log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from petcd.cluster import format_id
from petcd.peer.counters import NetworkCounters, PeerCounters
from petcd.peer.identity import Identity
from petcd.raft.types import Message
from petcd.transport.http_client import HttpClient


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """The part of an event loop that tells the time."""

    def time(self) -> float: ...

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Timer: ...

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Timer: ...


class Log(Protocol):
    """Where operators read."""

    def debug(self, message: str, **fields: object) -> None: ...

    def info(self, message: str, **fields: object) -> None: ...

    def warn(self, message: str, **fields: object) -> None: ...


class PeerEvents(Protocol):
    """What the member wants to hear; its `server.network` says more."""

    def received(self, message: Message) -> None: ...

    def unreachable(self, member_id: int) -> None: ...

    def snapshot_sent(self, member_id: int, ok: bool) -> None: ...

    def snapshot_received(self, message: Message, snapshot: Any) -> None: ...

    def is_removed(self, member_id: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds after which a connection that brings (`read_s`) or takes nothing (`write_s`) is cut.

    etcd's defaults. All members of a cluster should have the same.
    """

    read_s: float = 5.0
    write_s: float = 5.0

    @property
    def heartbeat_s(self) -> float:
        """A silent stream gets a link heartbeat after this."""
        return self.read_s / 3

    @property
    def probe_s(self) -> float:
        """Between two probes: a kept connection is not cut meanwhile."""
        return max(self.read_s - 1, self.read_s / 2)


DEFAULT_TIMEOUTS = Timeouts()


@dataclass(slots=True)
class Context:
    """Shared by all peers of one member."""

    identity: Identity
    clock: Clock
    client: HttpClient
    events: PeerEvents
    log: Log
    counters: NetworkCounters
    removed: Callable[[], None]
    """A peer said that this member is none any more."""
    timeouts: Timeouts = DEFAULT_TIMEOUTS

    def received(self, message: Message) -> bool:
        """Hand a peer's message over; False when it is not for us to hear.

        A message to another id comes from a peer that takes our address for that member's.
        """
        if message.to != self.identity.member_id or self.events.is_removed(message.from_):
            self.log.warn(
                "rejected Raft message",
                sender=format_id(message.from_),
                receiver=format_id(message.to),
            )
            return False
        self.events.received(message)
        return True


class PeerStatus:
    """Whether a peer is connected, and since when. One failure of any channel ends it."""

    def __init__(self, context: Context, member_id: int) -> None:
        self._context = context
        self._counters: PeerCounters = context.counters.of(member_id)
        self.id = format_id(member_id)
        self.since: float | None = None

    @property
    def active(self) -> bool:
        """Whether the peer is connected, as far as we know."""
        return self.since is not None

    def activate(self) -> None:
        """Something works."""
        if self.since is None:
            self.since = self._context.clock.time()
            self._counters.active = True
            self._context.log.info("peer became active", peer_id=self.id)

    def deactivate(self, action: str, channel: str, reason: object) -> None:
        """Something failed."""
        why = f"failed to {action} {self.id} on {channel} ({reason})"
        if self.since is None:
            self._context.log.debug("peer deactivated again", peer_id=self.id, error=why)
            return
        self.since = None
        self._counters.active = False
        self._counters.disconnected += 1
        self._context.log.warn(
            "peer became inactive (message send to peer failed)", peer_id=self.id, error=why
        )
