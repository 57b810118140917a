"""How appends went, as /v2/stats shows it: numbers and rates of a member, latencies of followers.

    self     recvAppendRequestCnt recvPkgRate recvBandwidthRate, the same with send
    leader   of each follower: latency (ms) and counts (fail, success)

As in etcd the latency is the time that a message took to be written, not to be answered. A rate is
taken over the last `SAMPLES_MAX` writes or reads, each of which may hold several messages, and is
left out when the last of them is more than a second old. Source: etcd's v2stats package.
"""

from __future__ import annotations

from collections import deque
from math import sqrt

SAMPLES_MAX = 200
FRESH_S = 1.0
NEVER_MS = float(1 << 63)
"""What etcd calls the shortest latency of a follower that was never sent anything."""


class AppendRate:
    """Appends that went one way."""

    __slots__ = ("_samples", "count")

    def __init__(self) -> None:
        self.count = 0
        self._samples: deque[tuple[float, int, int]] = deque(maxlen=SAMPLES_MAX)

    def add(self, now_s: float, count: int, size_bytes: int) -> None:
        """So many messages went, of so many bytes together."""
        self.count += count
        self._samples.append((now_s, count, size_bytes))

    def per_second(self, now_s: float) -> tuple[float, float]:
        """Messages and bytes a second; zeroes when nothing went of late."""
        samples = self._samples
        if not samples or now_s - samples[-1][0] > FRESH_S:
            samples.clear()
            return 0.0, 0.0
        took_s = samples[-1][0] - samples[0][0]
        if took_s <= 0:
            return 0.0, 0.0
        return (
            sum(count for _, count, _ in samples) / took_s,
            sum(size for _, _, size in samples) / took_s,
        )

    def numbers(self, way: str, now_s: float) -> dict[str, object]:
        """Under etcd's names for this `way` ("recv" or "send"); rates of 0 are left out."""
        packages, size = self.per_second(now_s)
        found: dict[str, object] = {f"{way}AppendRequestCnt": self.count}
        if packages:
            found[f"{way}PkgRate"] = packages
            found[f"{way}BandwidthRate"] = size
        return found


class FollowerStats:
    """Appends to one follower. `_sum_ms` and `_squares` are of all latencies."""

    __slots__ = ("_current_ms", "_max_ms", "_min_ms", "_squares", "_sum_ms", "fail", "success")

    def __init__(self) -> None:
        self.fail = 0
        self.success = 0
        self._current_ms = 0.0
        self._min_ms = NEVER_MS
        self._max_ms = 0.0
        self._sum_ms = 0.0
        self._squares = 0.0

    def succeeded(self, count: int, took_s: float) -> None:
        """So many messages were written, which took so long together."""
        each_ms = took_s * 1000 / count
        self.success += count
        self._current_ms = each_ms
        self._min_ms = min(self._min_ms, each_ms)
        self._max_ms = max(self._max_ms, each_ms)
        self._sum_ms += took_s * 1000
        self._squares += count * each_ms * each_ms

    def numbers(self) -> dict[str, object]:
        """In etcd's shape and order."""
        average = variance = 0.0
        if self.success:
            average = self._sum_ms / self.success
            variance = max(self._squares / self.success - average * average, 0.0)
        latency = {
            "current": self._current_ms,
            "average": average,
            "standardDeviation": sqrt(variance),
            "minimum": int(NEVER_MS) if self._min_ms == NEVER_MS else self._min_ms,
            "maximum": self._max_ms,
        }
        return {"latency": latency, "counts": {"fail": self.fail, "success": self.success}}
