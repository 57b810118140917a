"""How long a server waits for an HTTP/2 client: keepalive, and heads that never end.

Pure: asked from time to time, it says what is due.
"""

from __future__ import annotations

from petcd.transport.options import TransportLimits

WAIT = 0
PING = 1
"""Send a PING now."""
GIVE_UP = 2
"""The client is gone: no sign of it since the PING."""
TOO_SLOW = 3
"""A preface or header block takes too long."""


class Patience:
    """`_pinged_at` is -1 while no PING is out; `_unfinished` names what has been incomplete since
    `_since`."""

    __slots__ = ("_limits", "_pinged_at", "_since", "_unfinished")

    def __init__(self, limits: TransportLimits) -> None:
        self._limits = limits
        self._pinged_at = -1.0
        self._unfinished = b""
        self._since = 0.0

    def ask(self, now: float, heard: float, unfinished: bytes, preface: bool) -> int:
        """What is due at `now` when the client was last heard at `heard`. `unfinished` tells apart
        heads that are incomplete (empty: none is); `preface`: it is the connection's own."""
        if unfinished != self._unfinished:
            self._unfinished = unfinished
            self._since = now
        limits = self._limits
        if unfinished:
            limit = limits.preface_timeout_s if preface else limits.header_timeout_s
            return TOO_SLOW if now - self._since > limit else WAIT
        if self._pinged_at >= 0:
            if heard > self._pinged_at:
                self._pinged_at = -1.0
            elif now - self._pinged_at > limits.keepalive_timeout_s:
                return GIVE_UP
        elif now - heard > limits.keepalive_interval_s:
            self._pinged_at = now
            return PING
        return WAIT
