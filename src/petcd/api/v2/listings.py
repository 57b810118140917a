"""The listings that somebody asked for not long ago, kept in step with the store.

    ask ---- the listing shows the present, or does after one slice of work ---> answered at once
      '----- else it waits, with all others who ask the same ---> answered when `step` gets there

Clients that poll a tree ask for the same again and again; after a write in between only what was
written is made anew. A listing goes when others push it out, when nobody asks for it any more, or
when so much below it changed that beginning anew is cheaper.

Invariant: whoever is answered gets the listing of the store's present revision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from petcd.api.v2.listing import Done, LevelListing, Listing, TreeListing
from petcd.api.v2.pieces import Pieces
from petcd.member.v2.view import V2View
from petcd.mvcc.revision import Change

# Each change is compared with every listing, so there are few.
LISTINGS_MAX = 16
# All listings together; 100,000 files with short values take a third of it.
MEMORY_BYTES_MAX = 96 << 20
# What nobody asked for between two sweeps is dropped.
SWEEP_INTERVAL_S = 60.0
# Chunks of a dropped listing that are freed in one step, some 10,000 pieces: half a millisecond.
FREED_CHUNKS = 24
# How many who wait for the same are answered in one step.
ANSWERS_MAX = 8


class Listings:
    """Listings by (path, recursive), the one asked for longest ago first."""

    def __init__(
        self, view: V2View, wake: Callable[[], None], sweep_later: Callable[[], object]
    ) -> None:
        """`wake` is called when `step` has work to do, `sweep_later` when `sweep` should be called
        after SWEEP_INTERVAL_S."""
        self._view = view
        self._wake = wake
        self._sweep_later = sweep_later
        self._sweep_is_due = False
        self._listings: dict[tuple[bytes, bool], Listing] = {}
        self._revision = view.store.revision  # all changes up to here were told
        self._dropped: list[Pieces] = []

    def __len__(self) -> int:
        return len(self._listings)

    @property
    def memory_bytes(self) -> int:
        """About how much all listings take."""
        return sum([listing.memory_bytes for listing in self._listings.values()])

    # -- asking -------------------------------------------------------------------------------

    def ask(self, path: bytes, recursive: bool, now_ns: int, done: Done, context: Any) -> None:
        """Have done(context, listing) called when the listing of a directory shows the present.

        `now_ns` is the time since 1970.
        """
        listing = self._listings.pop((path, recursive), None)
        if listing is None:
            listing = (TreeListing if recursive else LevelListing)(self._view, path)
            if not self._sweep_is_due:
                self._sweep_is_due = True
                self._sweep_later()
        self._listings[path, recursive] = listing
        listing.asked = True
        if not listing.waiters:
            listing.begin(now_ns)
            # Between the applying of changes and `forget` nothing here can be trusted.
            if self._revision == self._view.store.revision and not listing.step():
                done(context, listing)
                self._keep_bounds()
                return
        listing.waiters.append((done, context, now_ns))
        self._wake()

    def step(self) -> bool:
        """Work for a millisecond or two; False when nobody waits."""
        while self._dropped:
            if self._dropped[-1].shed(FREED_CHUNKS):
                return True
            self._dropped.pop()
        if self._revision != self._view.store.revision:
            return False  # `forget` wakes
        busy = [listing for listing in self._listings.values() if listing.waiters]
        if not busy:
            return False
        listing = busy[0]
        if not listing.step():
            answered = listing.waiters[:ANSWERS_MAX]
            del listing.waiters[:ANSWERS_MAX]
            for done, context, _ in answered:
                done(context, listing)
            if listing.waiters:
                listing.begin(listing.waiters[-1][2])
            self._keep_bounds()
        return True

    # -- changes ------------------------------------------------------------------------------

    def forget(self, changes: Sequence[Change]) -> None:
        """These changes were applied, all up to the present revision."""
        self._revision = changes[-1].revision
        if not self._listings:
            return
        for known, listing in list(self._listings.items()):
            prefix = listing.prefix
            for change in changes:
                if change.key.startswith(prefix):
                    listing.note(change.key)
            if listing.waiters:
                self._wake()
            elif listing.is_far_behind:
                self._drop(known)

    def forget_all(self, revision: int) -> None:
        """The store went to this revision, and nobody knows by which changes."""
        self._revision = revision
        for known, listing in list(self._listings.items()):
            if listing.waiters:
                self._free(listing.pieces)
                listing.restart()
                self._wake()
            else:
                self._drop(known)

    # -- bounds -------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Drop what nobody asked for since the last call."""
        for known, listing in list(self._listings.items()):
            if not listing.asked and not listing.waiters:
                self._drop(known)
            listing.asked = False
        self._sweep_is_due = bool(self._listings)
        if self._sweep_is_due:
            self._sweep_later()

    def _keep_bounds(self) -> None:
        """Drop the listings asked for longest ago while there are too many or they are too big."""
        memory_bytes = self.memory_bytes
        count = len(self._listings)
        if memory_bytes <= MEMORY_BYTES_MAX and count <= LISTINGS_MAX:
            return
        for known, listing in list(self._listings.items()):
            if memory_bytes <= MEMORY_BYTES_MAX and count <= LISTINGS_MAX:
                return
            if not listing.waiters:
                memory_bytes -= listing.memory_bytes
                count -= 1
                self._drop(known)

    def _drop(self, known: tuple[bytes, bool]) -> None:
        """Forget a listing; a big one is freed bit by bit."""
        self._free(self._listings.pop(known).pieces)

    def _free(self, pieces: Pieces) -> None:
        if pieces.shed(FREED_CHUNKS):
            self._dropped.append(pieces)
            self._wake()
