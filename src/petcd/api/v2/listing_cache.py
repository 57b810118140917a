"""Listings as they were last answered, until something below them changes.

Making the JSON of a directory of 10,000 keys costs 50 ms; clients that poll a tree ask for the same
again and again. A listing is kept when no time to live runs in it, and forgotten with the first
change below its directory.

Invariant: what `get` returns is the listing of the store's present revision.
"""

from collections.abc import Sequence

from petcd.member.v2.paths import below
from petcd.mvcc.revision import Change

# Each change is compared with every listing, so there are few.
LISTINGS_MAX = 16
LISTING_BYTES_MAX = 8 << 20
_EXPIRATION = b'"expiration":'  # cannot stand in a value, where quotes are escaped


class ListingCache:
    """Rendered directories by (path, recursive), the oldest first."""

    def __init__(self, revision: int = 0) -> None:
        """`revision` is the store's."""
        self._listings: dict[tuple[bytes, bool], bytes] = {}
        self._revision = revision

    def get(self, path: bytes, recursive: bool, revision: int) -> bytes | None:
        """The JSON of a directory's node, if it is known for the store's present revision."""
        # Between the applying of changes and `forget` nothing here can be trusted.
        return self._listings.get((path, recursive)) if revision == self._revision else None

    def put(self, path: bytes, recursive: bool, revision: int, listing: bytes) -> None:
        """Keep a listing that was made of the present revision."""
        if revision != self._revision or len(listing) > LISTING_BYTES_MAX:
            return
        if _EXPIRATION in listing:
            return
        if len(self._listings) >= LISTINGS_MAX:
            del self._listings[next(iter(self._listings))]
        self._listings[path, recursive] = listing

    def forget_all(self, revision: int) -> None:
        """The store went to this revision, and nobody knows by which changes."""
        self._listings.clear()
        self._revision = revision

    def forget(self, changes: Sequence[Change]) -> None:
        """These changes were applied, all up to the present revision."""
        self._revision = changes[-1].revision
        if self._listings:
            touched = {
                known
                for known in self._listings
                for change in changes
                if change.key.startswith(below(known[0]))
            }
            for known in touched:
                del self._listings[known]
