"""Round trips and clocks: a peer is asked for its time every four seconds, as etcd does.

A clock that is more than a second off is worth a warning: leases are counted by the leader's.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from datetime import datetime

from petcd.cluster import format_id
from petcd.peer.context import Context
from petcd.peer.url_picker import UrlPicker
from petcd.transport.http1_answer import ExchangeFailed

SKEW_MAX_S = 1.0
SMOOTHING = 0.125
"""Weight of the newest round trip in the average, as TCP's."""
_FRACTION = re.compile(r"(\.\d{1,6})\d*")


class Prober:
    """Probes one peer until it is stopped."""

    def __init__(
        self, context: Context, peer_id: int, picker: UrlPicker, wall: Callable[[], float]
    ) -> None:
        """`wall` is the Unix time in seconds."""
        self._context = context
        self._peer_id = format_id(peer_id)
        self._picker = picker
        self._wall = wall
        self._counters = context.counters.of(peer_id)
        self.round_trip_s = 0.0
        """The average; 0 before the first probe."""
        self.skew_s = 0.0
        """How far the peer's clock is ahead of ours."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """No more probes."""
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._context.timeouts.probe_s)
            await self.probe()

    async def probe(self) -> None:
        """Ask once."""
        url = self._picker.pick()
        try:
            answer = await self._context.client.fetch(
                url, "GET", "/raft/probing", timeout_s=self._context.timeouts.probe_s
            )
            their_unix_s = parse_probe(answer.status, answer.body)
        except (ExchangeFailed, OSError, ValueError, RecursionError) as error:
            self._context.log.warn(
                "prober detected unhealthy status",
                remote_peer_id=self._peer_id,
                rtt=f"{self.round_trip_s:.6f}s",
                error=str(error),
            )
            return
        self._note(answer.duration_s, their_unix_s)

    def _note(self, round_trip_s: float, their_unix_s: float) -> None:
        weight = SMOOTHING if self.round_trip_s else 1.0
        self.round_trip_s += weight * (round_trip_s - self.round_trip_s)
        self._counters.round_trips.observe(round_trip_s)
        self.skew_s = their_unix_s - (self._wall() - round_trip_s / 2)
        if abs(self.skew_s) > SKEW_MAX_S:
            self._context.log.warn(
                "prober found high clock drift",
                remote_peer_id=self._peer_id,
                clock_drift=f"{self.skew_s:.3f}s",
                rtt=f"{self.round_trip_s:.6f}s",
            )


def parse_probe(status: int, body: bytes) -> float:
    """The peer's Unix time in its answer. Raises ValueError when it does not say that it is well.

    Go writes nanoseconds and either `Z` or an offset.
    """
    answer = json.loads(body) if status == 200 else None
    if not isinstance(answer, dict) or answer.get("OK") is not True:
        raise ValueError(f"unhealthy: status {status}")
    now = answer.get("Now")
    if not isinstance(now, str):
        raise ValueError("no time")
    return datetime.fromisoformat(_FRACTION.sub(r"\1", now, count=1)).timestamp()
