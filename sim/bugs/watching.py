"""Defects of watching."""

from __future__ import annotations

from petcd.mvcc.revision import Change
from petcd.mvcc.watch_groups import Watcher, WatcherGroup
from petcd.mvcc.watch_hub import WatchHub
from petcd.mvcc.watch_stream import WatchStream
from petcd.server.audience import Audience
from petcd.server.config import ServerConfig, default_config
from petcd.wire.hot import watch_response
from sim import world
from sim.bugs.exhibit import Exhibit
from sim.bugs.switch import Patch

_notify = Audience.notify
_read = WatchHub._read
_place_one = WatchHub._place_one


def _progress_overtakes() -> list[Patch]:
    """Events take a detour, progress does not, and tells of the store's newest revision."""

    def notify(self: Audience, changes: list[Change]) -> None:
        self._pump._loop.call_later(0.02, _notify, self, changes)

    def send_progress(self: WatchStream, watch_id: int) -> None:
        header = self._hub.header(self._hub.revision)
        self._outlet.sink.send(watch_response(header, watch_id, b""))

    return [
        Patch(Audience, "notify", notify),
        Patch(WatchStream, "_send_progress", send_progress),
    ]


def _events_repeated() -> list[Patch]:
    """The last revision of a slice of history is read again with the next slice."""

    def read(self: WatchHub, cohort: WatcherGroup, limit: int) -> tuple[list[Change], int]:
        changes, position = _read(self, cohort, limit)
        if changes and changes[0].revision != changes[-1].revision:
            position = changes[-1].revision
        return changes, position

    return [Patch(WatchHub, "_read", read)]


def _nearly_in_sync_is_in_sync() -> list[Patch]:
    def place_one(self: WatchHub, watcher: Watcher, position: int) -> None:
        nearly = self._notified - 3 <= position <= self._notified
        _place_one(self, watcher, self._notified + 1 if nearly else position)

    return [Patch(WatchHub, "_place_one", place_one)]


def _future_begins_now() -> list[Patch]:
    """A watch from a revision that this member has not reached gets what comes before it."""

    def place_one(self: WatchHub, watcher: Watcher, position: int) -> None:
        _place_one(self, watcher, min(position, self._notified + 1))

    return [Patch(WatchHub, "_place_one", place_one)]


def _often_progress() -> list[Patch]:
    def config(data_dir: str, **changes: object) -> ServerConfig:
        return default_config(data_dir, **{**changes, "watch_progress_interval_s": 0.3})

    return [Patch(world, "default_config", config)]


EXHIBITS = (
    Exhibit(
        "progress overtakes events",
        "etcd-io/etcd#15220",
        "A progress notice tells of a revision whose events come after it.",
        ("progress overtook an event",),
        _progress_overtakes,
        options={"watchers": 6},
        stage=_often_progress,
    ),
    Exhibit(
        "events repeated",
        "etcd-io/etcd#17247, #21443",
        "A watcher that catches up is told some events twice.",
        ("a watch repeated an event", "a watch went back"),
        _events_repeated,
    ),
    Exhibit(
        "nearly in sync counts as in sync",
        "etcd-io/etcd#17529",
        "A watcher that carries on loses the last events before it.",
        ("a watch left out an event", "a watcher was left in silence"),
        _nearly_in_sync_is_in_sync,
    ),
    Exhibit(
        "watch of the future begins now",
        "etcd-io/etcd#20221",
        "A watch at a revision that does not exist yet is told of earlier ones.",
        ("a watch began too early",),
        _future_begins_now,
    ),
)
