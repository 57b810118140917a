"""Defects of API 2: of its times to live, its conditions and its watches."""

from __future__ import annotations

from petcd.member.v2 import nodes
from petcd.member.v2.nodes import Event, Node
from petcd.member.v2.view import V2View
from petcd.member.v2.watch import Deliver, V2Watch, V2Watchers
from petcd.server.timers import Timers
from petcd.wire.v2request import Request
from sim import world
from sim.bugs.exhibit import DIVERGED, Exhibit
from sim.bugs.switch import Patch

_sync = V2View._sync
_rewrite = V2View._rewrite
_add = V2Watchers.add
_load = V2View.load
_compare = V2View._compare

_V2 = {"features": "v2", "interval_s": 3.0, "duration_s": 30.0}
_CALM = {"features": "v2", "faults": False, "duration_s": 20.0}
_EARLY_NS = 1_500_000_000


def _ended_a_little_early() -> list[Patch]:
    """All that is due at the leader's next look goes now."""

    def sync(self: V2View, cutoff_ns: int) -> None:
        _sync(self, cutoff_ns + _EARLY_NS)

    return [Patch(V2View, "_sync", sync)]


def _old_time_ends_the_new_node() -> list[Patch]:
    """A node that was written again still goes when the first one was to go."""

    def end_lost_leases(self: V2View) -> None:
        """Its time stays among the expiries."""
        self._lessor.loosened.clear()

    def sync(self: V2View, cutoff_ns: int) -> None:
        while (lease := self.expiries.pop_due(cutoff_ns)) is not None:
            note = self.notes.get(lease & 0xFFFF_FFFF)
            node = self.file(note.path) if note is not None else None
            if node is not None:
                self._remove(nodes.EXPIRE, node)

    return [
        Patch(V2View, "end_lost_leases", end_lost_leases),
        Patch(V2View, "_sync", sync),
    ]


def _refresh_changes_nothing() -> list[Patch]:
    """The client is told the new time, and the old one holds."""

    def rewrite(self: V2View, action: str, prev: Node, request: Request) -> Event:
        if not (request.Refresh and prev.expiration_ns):
            return _rewrite(self, action, prev, request)
        wanted_ns, request.Expiration = request.Expiration, prev.expiration_ns
        event = _rewrite(self, action, prev, request)
        event.node.expiration_ns = wanted_ns
        return event

    return [Patch(V2View, "_rewrite", rewrite)]


def _times_forgotten_at_a_restart() -> list[Patch]:
    def load(self: V2View) -> None:
        _load(self)
        self.expiries.clear()

    return [Patch(V2View, "load", load)]


def _nobody_looks_at_the_time() -> list[Patch]:
    """The leader ends leases, and forgets the nodes of API 2."""

    def lead(self: Timers) -> None:
        self._cluster_version.tend()
        if self._runtime.member.is_leader and not self._confirming:
            self._confirming = True
            self._runtime.read(self._tend_leases, None)

    return [Patch(Timers, "_lead", lead)]


def _orphans_end_where_they_are_known() -> list[Patch]:
    """Who has not restarted since ends a lease whose node API 3 has overwritten."""

    def end_lost_leases(self: V2View) -> None:
        """They end when their time is over."""
        self._lessor.loosened.clear()

    return [Patch(V2View, "end_lost_leases", end_lost_leases)]


def _only_values_are_compared() -> list[Patch]:
    def compare(self: V2View, node: Node, request: Request) -> None:
        if request.PrevValue:
            wanted, request.PrevIndex = request.PrevIndex, 0
            _compare(self, node, request)
            request.PrevIndex = wanted

    return [Patch(V2View, "_compare", compare)]


def _poll_begins_now() -> list[Patch]:
    """A poll that comes back hears of what is new, and not of what happened meanwhile."""

    def add(
        self: V2Watchers, path: bytes, recursive: bool, stream: bool, since: int, deliver: Deliver
    ) -> V2Watch:
        return _add(self, path, recursive, stream, 0, deliver)

    return [Patch(V2Watchers, "add", add)]


def _refresh_wakes_watchers() -> list[Patch]:
    def rewrite(self: V2View, action: str, prev: Node, request: Request) -> Event:
        event = _rewrite(self, action, prev, request)
        note = self.notes.get(event.index)
        if note is not None:
            note.refresh = False
            self.notes.put(event.index, note)
        return event

    return [Patch(V2View, "_rewrite", rewrite)]


def _many_watchers() -> list[Patch]:
    return [Patch(world, "V2_WATCHERS", 8)]


_AWAY = ("a node ended early",)

EXHIBITS = (
    Exhibit(
        "nodes end a little early",
        "plausible of ours",
        "A node goes up to a look of the leader before its time.",
        _AWAY,
        _ended_a_little_early,
        options=_CALM,
    ),
    Exhibit(
        "an old time ends the new node",
        "plausible of ours: a time is found by its path",
        "A node that was deleted and made again, or set anew, goes when the old one was to go.",
        (*_AWAY, "nobody wrote a revision", "a change was seen that nobody made", "was answered"),
        _old_time_ends_the_new_node,
        options=_CALM,
    ),
    Exhibit(
        "a refresh changes nothing",
        "plausible of ours",
        "A node that was refreshed goes at its old time.",
        (*_AWAY, "a node has two times to end"),
        _refresh_changes_nothing,
        options=_CALM,
    ),
    Exhibit(
        "times to live forgotten at a restart",
        "etcd-io/etcd#13508's kind: what ends is known to whoever has not restarted",
        "Members that restarted keep what the others drop.",
        (*DIVERGED, "a node outlived its time"),
        _times_forgotten_at_a_restart,
        options={**_V2, "kinds": "kill,clean-stop"},
    ),
    Exhibit(
        "nobody looks at the time of nodes",
        "plausible of ours",
        "Nodes go a minute late, with the leases that carry them.",
        ("a node outlived its time",),
        _nobody_looks_at_the_time,
        options=_CALM,
    ),
    Exhibit(
        "leases without a node end where they are known",
        "ours, found by these worlds",
        "A lease whose node API 3 has overwritten is gone on some members only.",
        ("bucket lease differs", *DIVERGED),
        _orphans_end_where_they_are_known,
        options={**_V2, "kinds": "kill,clean-stop"},
    ),
    Exhibit(
        "only values are compared",
        "plausible of ours",
        "compareAndSwap and compareAndDelete do not look at the index.",
        ("a write was answered wrongly", "a read was answered wrongly", "a write should have"),
        _only_values_are_compared,
        options=_CALM,
    ),
    Exhibit(
        "a poll begins now",
        "plausible of ours",
        "Events between two polls are lost.",
        ("a v2 watch left out an event", "a v2 watch was left in silence", "v2 watch was told"),
        _poll_begins_now,
        options=_CALM,
        stage=_many_watchers,
    ),
    Exhibit(
        "a refresh wakes watchers",
        "plausible of ours",
        "Who watches a node hears of every refresh.",
        ("a v2 watch was told",),
        _refresh_wakes_watchers,
        options=_CALM,
        stage=_many_watchers,
    ),
)
