"""What a client may do before it is sent away: rapid resets and pings.

Pure bookkeeping; time is passed in. A refusal is an `Http2Error` with ENHANCE_YOUR_CALM.
"""

from __future__ import annotations

from petcd.transport.frames import ENHANCE_YOUR_CALM, Http2Error
from petcd.transport.limits import (
    PING_IDLE_INTERVAL_S,
    PING_STRIKES_MAX,
    RAPID_RESET_AGE_S,
    RAPID_RESETS_BURST,
    RAPID_RESETS_PER_S,
)


class Conduct:
    """One client's record.

    Resets: a token bucket over streams that end by reset while they are young (CVE-2023-44487).
    Calls that were given up after a while, as when a deadline passes, are no abuse and not counted.
    Pings: grpc-go's rule; early pings without an answer of ours in between are strikes.
    """

    __slots__ = ("_last_ping", "_strikes", "_tokens", "_tokens_at")

    def __init__(self) -> None:
        self._tokens = float(RAPID_RESETS_BURST)
        self._tokens_at = 0.0
        self._last_ping = -PING_IDLE_INTERVAL_S
        self._strikes = 0

    def reset(self, started: float, now: float) -> None:
        """A stream that was opened at `started` ends by reset."""
        if now - started > RAPID_RESET_AGE_S:
            return
        tokens = self._tokens + (now - self._tokens_at) * RAPID_RESETS_PER_S
        self._tokens = min(tokens, float(RAPID_RESETS_BURST)) - 1.0
        self._tokens_at = now
        if self._tokens < 0:
            raise Http2Error(ENHANCE_YOUR_CALM, "too many resets")

    def ping(self, answered: bool, allowed_s: float, now: float) -> None:
        """A PING came; pings are due every `allowed_s`, or whenever there was an answer of ours
        since the last one."""
        elapsed = now - self._last_ping
        self._last_ping = now
        if answered:
            self._strikes = 0
        elif elapsed < allowed_s:
            self._strikes += 1
            if self._strikes > PING_STRIKES_MAX:
                raise Http2Error(ENHANCE_YOUR_CALM, "too_many_pings")
