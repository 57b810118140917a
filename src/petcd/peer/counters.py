"""What is counted about each peer, as plain numbers; `samples` names them as etcd does.

The server room turns the samples into metrics when somebody asks. Ids are labels in hexadecimal.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from petcd.cluster import format_id
from petcd.peer.append_stats import AppendRate, FollowerStats

ROUND_TRIP_BOUNDS_S = [0.0001 * 2**n for n in range(16)]
SNAPSHOT_BOUNDS_S = [0.1 * 2**n for n in range(10)]
SYNC_BOUNDS_S = [0.001 * 2**n for n in range(14)]


class Histogram:
    """Counts of amounts, mostly seconds, by upper bound; the last one is of all above."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, amount: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, amount)] += 1
        self.sum += amount


class PeerCounters:
    """Of one remote member."""

    __slots__ = (
        "active",
        "disconnected",
        "follower",
        "known",
        "received_bytes",
        "received_failures",
        "round_trips",
        "sent_bytes",
        "sent_failures",
        "snapshot_receives",
        "snapshot_sends",
    )

    def __init__(self) -> None:
        self.known = False
        self.active = False
        self.disconnected = 0
        self.sent_bytes = 0
        self.received_bytes = 0
        self.sent_failures = 0
        self.received_failures = 0
        self.round_trips = Histogram(ROUND_TRIP_BOUNDS_S)
        self.follower = FollowerStats()
        self.snapshot_sends = SnapshotCounters()
        self.snapshot_receives = SnapshotCounters()


class SnapshotCounters:
    """Of the snapshots that went one way."""

    __slots__ = ("failures", "in_flight", "seconds", "successes")

    def __init__(self) -> None:
        self.in_flight = 0
        self.successes = 0
        self.failures = 0
        self.seconds = Histogram(SNAPSHOT_BOUNDS_S)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: `kind` is counter, gauge or histogram; a sample is its labels' values and value.

    Names, help texts and labels are etcd's to the letter: dashboards and alert rules know them.
    """

    name: str
    text: str
    kind: str
    labels: tuple[str, ...]
    samples: list[tuple[tuple[str, ...], float | Histogram]]


class NetworkCounters:
    """Of all remote members, those that are gone included."""

    def __init__(self, local_id: int) -> None:
        self.sent_appends = AppendRate()
        self.received_appends = AppendRate()
        # Of received snapshots: until the file was there, and its sync.
        self.snapshot_saves = Histogram(SNAPSHOT_BOUNDS_S)
        self.snapshot_syncs = Histogram(SYNC_BOUNDS_S)
        self._local = format_id(local_id)
        self._peers: dict[int, PeerCounters] = {}

    def of(self, member_id: int) -> PeerCounters:
        """The counters of one remote member."""
        counters = self._peers.get(member_id)
        if counters is None:
            counters = self._peers[member_id] = PeerCounters()
        return counters

    def append_numbers(self, now_s: float) -> dict[str, object]:
        """Appends of this member, as /v2/stats/self shows them."""
        received = self.received_appends.numbers("recv", now_s)
        return received | self.sent_appends.numbers("send", now_s)

    def follower_numbers(self) -> dict[str, object]:
        """Appends to each peer, as /v2/stats/leader shows them."""
        return {
            format_id(member_id): counters.follower.numbers()
            for member_id, counters in self._peers.items()
            if counters.known
        }

    def samples(self) -> list[Family]:
        """Everything that is counted, under etcd's names."""
        return [*self._peer_families(), *self._snapshot_families(), *self._file_families()]

    def _peer_families(self) -> list[Family]:
        known = [(format_id(member_id), counters) for member_id, counters in self._peers.items()]
        pairs = [((self._local, remote), counters) for remote, counters in known]
        singles = [((remote,), counters) for remote, counters in known]
        both, to, sender = ("Local", "Remote"), ("To",), ("From",)
        return [
            Family(
                "etcd_network_active_peers",
                "The current number of active peer connections.",
                "gauge",
                both,
                [(labels, float(c.active)) for labels, c in pairs],
            ),
            Family(
                "etcd_network_known_peers",
                "The current number of known peers.",
                "gauge",
                both,
                [(labels, float(c.known)) for labels, c in pairs],
            ),
            Family(
                "etcd_network_disconnected_peers_total",
                "The total number of disconnected peers.",
                "counter",
                both,
                [(labels, c.disconnected) for labels, c in pairs],
            ),
            Family(
                "etcd_network_peer_sent_bytes_total",
                "The total number of bytes sent to peers.",
                "counter",
                to,
                [(labels, c.sent_bytes) for labels, c in singles],
            ),
            Family(
                "etcd_network_peer_received_bytes_total",
                "The total number of bytes received from peers.",
                "counter",
                sender,
                [(labels, c.received_bytes) for labels, c in singles],
            ),
            Family(
                "etcd_network_peer_sent_failures_total",
                "The total number of send failures from peers.",
                "counter",
                to,
                [(labels, c.sent_failures) for labels, c in singles],
            ),
            Family(
                "etcd_network_peer_received_failures_total",
                "The total number of receive failures from peers.",
                "counter",
                sender,
                [(labels, c.received_failures) for labels, c in singles],
            ),
            Family(
                "etcd_network_peer_round_trip_time_seconds",
                "Round-Trip-Time histogram between peers",
                "histogram",
                to,
                [(labels, c.round_trips) for labels, c in singles],
            ),
        ]

    def _file_families(self) -> list[Family]:
        return [
            Family(
                "etcd_snap_db_save_total_duration_seconds",
                "The total latency distributions of v3 snapshot save",
                "histogram",
                (),
                [((), self.snapshot_saves)],
            ),
            Family(
                "etcd_snap_db_fsync_duration_seconds",
                "The latency distributions of fsyncing .snap.db file",
                "histogram",
                (),
                [((), self.snapshot_syncs)],
            ),
        ]

    def _snapshot_families(self) -> list[Family]:
        families = []
        total = "Total number"
        for way, label in (("send", "To"), ("receive", "From")):
            ways = [
                ((format_id(member_id),), getattr(counters, f"snapshot_{way}s"))
                for member_id, counters in self._peers.items()
            ]
            texts: list[tuple[str, str, str, str]] = [
                ("success", "counter", "successes", f"{total} of successful snapshot {way}s"),
                (
                    "inflights_total",
                    "gauge",
                    "in_flight",
                    f"{total} of inflight snapshot {way}s",
                ),
                ("failures", "counter", "failures", f"{total} of snapshot {way} failures"),
                (
                    "total_duration_seconds",
                    "histogram",
                    "seconds",
                    f"Total latency distributions of v3 snapshot {way}s",
                ),
            ]
            families += [
                Family(
                    f"etcd_network_snapshot_{way}_{name}",
                    text,
                    kind,
                    (label,),
                    [(labels, getattr(counters, attribute)) for labels, counters in ways],
                )
                for name, kind, attribute, text in texts
            ]
        return families
