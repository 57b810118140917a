"""Defects that watchers meet who stop reading, ask how far they are, or want fragments."""

from __future__ import annotations

from petcd.api.v3.watch import CallSink
from petcd.mvcc import watch_events, watch_hub
from petcd.mvcc.watch_groups import Outlet, Watcher
from petcd.mvcc.watch_hub import WatchHub
from petcd.mvcc.watch_stream import WatchStream
from petcd.wire.hot import watch_response
from sim.bugs.exhibit import Exhibit
from sim.bugs.switch import Patch

_park = WatchHub._park
_fragments = watch_events.fragments

_SLOW = {"features": "slow-watchers", "faults": False, "watchers": 6, "duration_s": 25.0}
_FRAGMENT_FLAG = b"\x38\x01"


def _queue_without_bound() -> list[Patch]:
    def ready(self: CallSink) -> bool:
        return True

    return [Patch(CallSink, "ready", ready)]


def _missed_events_dropped() -> list[Patch]:
    """Who could not take an event goes on behind it."""

    def park(self: WatchHub, watcher: Watcher, missed_revision: int) -> None:
        _park(self, watcher, missed_revision + 1)

    return [Patch(WatchHub, "_park", park)]


def _handed_out_twice() -> list[Patch]:
    """Who could not take an event goes on a little before it."""

    def park(self: WatchHub, watcher: Watcher, missed_revision: int) -> None:
        _park(self, watcher, max(1, watcher.start_revision, missed_revision - 3))

    return [Patch(WatchHub, "_park", park)]


def _drain_forgotten() -> list[Patch]:
    def drained(self: WatchHub, outlet: Outlet) -> None:
        outlet.blocked = False

    return [Patch(WatchHub, "drained", drained)]


def _progress_for_those_behind() -> list[Patch]:
    def may_progress(self: WatchStream, watcher: Watcher) -> bool:
        return self._hub.notified_revision >= watcher.start_revision

    def send_progress(self: WatchStream, watch_id: int) -> None:
        header = self._hub.header(self._hub.notified_revision)
        self._outlet.sink.send(watch_response(header, watch_id, b""))

    return [
        Patch(WatchStream, "_may_progress", may_progress),
        Patch(WatchStream, "_send_progress", send_progress),
    ]


def _last_fragment_promises_more() -> list[Patch]:
    def fragments(head: bytes, events: list[bytes], bytes_max: int) -> list[bytes]:
        responses = _fragments(head, events, bytes_max)
        if len(responses) > 1:
            responses[-1] = head + _FRAGMENT_FLAG + responses[-1][len(head) :]
        return responses

    return [Patch(watch_hub, "fragments", fragments)]


def _fragments_without_a_flag() -> list[Patch]:
    def fragments(head: bytes, events: list[bytes], bytes_max: int) -> list[bytes]:
        return [head + event for event in events]

    return [Patch(watch_hub, "fragments", fragments)]


EXHIBITS = (
    Exhibit(
        "queue of a slow watcher without bound",
        "etcd-io/etcd#16839",
        "A member keeps all that a client does not read.",
        ("too much waits for a slow client",),
        _queue_without_bound,
        options={**_SLOW, "operations_per_s": 150.0, "clients": 20, "duration_s": 50.0},
    ),
    Exhibit(
        "events for a slow watcher dropped",
        "etcd-io/etcd#17529",
        "A client that reads again goes on behind what it could not take.",
        ("a watch left out an event", "a watcher was left in silence", "progress overtook"),
        _missed_events_dropped,
        options=_SLOW,
    ),
    Exhibit(
        "events for a slow watcher repeated",
        "etcd-io/etcd#21443's kind",
        "A client that reads again is told what it was told before it stopped.",
        ("a watch repeated an event", "a watch went back", "progress overtook", "too early"),
        _handed_out_twice,
        options=_SLOW,
    ),
    Exhibit(
        "drained stream forgotten",
        "etcd-io/etcd#17529",
        "A client that reads again is told nothing more.",
        ("a watcher was left in silence",),
        _drain_forgotten,
        options=_SLOW,
    ),
    Exhibit(
        "progress for those behind",
        "etcd-io/etcd#15220, of requested progress",
        "A client that is behind is told the revision of those that are not.",
        ("progress overtook an event",),
        _progress_for_those_behind,
        options=_SLOW,
    ),
    Exhibit(
        "last fragment promises more",
        "plausible of ours",
        "A client that puts fragments together waits for ever.",
        ("a fragment without the rest",),
        _last_fragment_promises_more,
        options=_SLOW,
    ),
    Exhibit(
        "fragments without a flag",
        "plausible of ours",
        "A client takes a part of a revision for all of it.",
        ("a watch split a revision",),
        _fragments_without_a_flag,
        options=_SLOW,
    ),
)
