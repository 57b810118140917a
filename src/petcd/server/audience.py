"""Everybody who hears of changes: the watches of v3, those of v2, and v2's listings."""

from petcd.api.v2.listings import SWEEP_INTERVAL_S, Listings
from petcd.member.v2 import V2View
from petcd.member.v2.watch import V2Watchers
from petcd.mvcc.revision import Change
from petcd.mvcc.watch_hub import WatchHub
from petcd.server.pump import Pump
from petcd.server.surroundings import Loop


class Audience:
    """Hands changes to all of them, and reads history for the watchers of v2."""

    def __init__(self, loop: Loop, hub: WatchHub, view: V2View) -> None:
        self._hub = hub
        self.v2 = V2Watchers(view, lambda: self._pump.start())
        self.listings = Listings(
            view,
            lambda: self._listing_pump.start(),
            lambda: loop.call_later(SWEEP_INTERVAL_S, self.listings.sweep),
        )
        self._pump = Pump(loop, self.v2.catch_up_step)
        self._listing_pump = Pump(loop, self.listings.step)

    def notify(self, changes: list[Change]) -> None:
        """Changes that were just applied: whole revisions, in order."""
        self.listings.forget(changes)
        self._hub.notify(changes)
        self.v2.notify(changes)

    def skip_to(self, revision: int) -> None:
        """The store went to this revision by an installed snapshot."""
        self.listings.forget_all(revision)
        self._hub.skip_to(revision)
        self.v2.skip_to(revision)
