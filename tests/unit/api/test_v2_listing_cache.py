"""Listings are kept exactly as long as nothing below them changes."""

from petcd.api.v2.listing_cache import LISTING_BYTES_MAX, LISTINGS_MAX, ListingCache
from petcd.mvcc.revision import PUT, Change


def change(revision: int, key: bytes) -> Change:
    return Change(revision, 0, PUT, key, b"", None)


def test_a_change_below_a_directory_drops_its_listings_and_no_others():
    cache = ListingCache()
    cache.forget([change(5, b"/z")])
    for path in (b"/", b"/a", b"/ab"):
        for recursive in (False, True):
            cache.put(path, recursive, 5, path)
    cache.forget([change(6, b"/a/x/y")])
    assert [cache.get(path, False, 6) for path in (b"/", b"/a", b"/ab")] == [None, None, b"/ab"]
    assert cache.get(b"/ab", True, 6) == b"/ab"


def test_nothing_is_answered_while_changes_have_not_been_told():
    cache = ListingCache()
    cache.forget([change(5, b"/z")])
    cache.put(b"/a", True, 5, b"old")
    assert cache.get(b"/a", True, 5) == b"old"
    assert cache.get(b"/a", True, 6) is None
    cache.put(b"/b", True, 6, b"made of what is applied and not told")
    cache.forget([change(6, b"/b/x")])
    assert cache.get(b"/b", True, 6) is None


def test_times_to_live_and_what_is_too_large_are_not_kept():
    cache = ListingCache()
    cache.forget([change(5, b"/z")])
    cache.put(b"/a", True, 5, b'{"expiration":"2026-01-01T00:00:00Z"}')
    cache.put(b"/b", True, 5, b"x" * (LISTING_BYTES_MAX + 1))
    for number in range(LISTINGS_MAX + 1):
        cache.put(b"/%d" % number, True, 5, b"x")
    known = [number for number in range(LISTINGS_MAX + 1) if cache.get(b"/%d" % number, True, 5)]
    assert known == list(range(1, LISTINGS_MAX + 1))
    assert cache.get(b"/a", True, 5) is cache.get(b"/b", True, 5) is None
