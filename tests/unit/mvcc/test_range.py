"""Range: what is seen, in which order, how much of it, and in slices."""

import pytest

from petcd.mvcc import range as ranges
from petcd.mvcc.errors import Compacted, FutureRevision
from petcd.wire.header import ResponseHeader
from petcd.wire.kv import DeleteRangeRequest, KeyValue, RangeRequest, RangeResponse
from petcd.wire.kv import SortOrder as Order
from petcd.wire.kv import SortTarget as Target


@pytest.fixture
def letters(store):
    """a to e put in the order c a e b d (revisions 2 to 6), then a and e again (7, 8)."""
    for key in (b"c", b"a", b"e", b"b", b"d", b"a", b"e"):
        store.put_plain(key, b"value of " + key)
    return store


def keys(store, key=b"a", range_end=b"\0", **options):
    return b"".join([kv.key for kv in store.pairs(key, range_end, **options)])


@pytest.mark.parametrize(
    ("key", "range_end", "found"),
    [
        (b"b", b"", b"b"),
        (b"bb", b"", b""),
        (b"b", b"d", b"bc"),
        (b"b", b"\0", b"bcde"),
        (b"\0", b"\0", b"abcde"),
        (b"d", b"b", b""),
        (b"d", b"d", b""),
    ],
)
def test_range_end_means_what_etcd_says(letters, key, range_end, found):
    assert keys(letters, key, range_end) == found
    assert keys(letters, key, range_end, revision=6) == found
    assert keys(letters, key, range_end, sort_target=Target.VALUE) == found


def test_current_revision_is_in_the_answer_whatever_was_asked_for(letters):
    assert letters.range(RangeRequest(key=b"a", revision=3)).revision == 8


@pytest.mark.parametrize(
    ("revision", "found"), [(1, b""), (2, b"c"), (4, b"ace"), (0, b"abcde"), (-1, b"abcde")]
)
def test_older_revisions_show_the_keys_of_their_time(letters, revision, found):
    assert keys(letters, revision=revision) == found


def test_deleted_keys_are_seen_at_the_revisions_before(letters):
    letters.delete_range(DeleteRangeRequest(key=b"b", range_end=b"d"))
    assert keys(letters) == b"ade"
    assert keys(letters, revision=8) == b"abcde"
    assert keys(letters, b"b", b"", revision=8) == b"b"
    assert keys(letters, b"b", b"", revision=9) == b""


def test_future_and_compacted_revisions_are_refused_with_their_numbers(letters):
    with pytest.raises(FutureRevision) as future:
        keys(letters, revision=9)
    assert (future.value.requested, future.value.current) == (9, 8)
    letters.compact(5)
    with pytest.raises(Compacted) as compacted:
        keys(letters, revision=4)
    assert (compacted.value.requested, compacted.value.compacted) == (4, 5)
    assert keys(letters, revision=5) == b"abce"


@pytest.mark.parametrize("revision", [0, 7])
def test_count_ignores_the_limit_and_more_tells_of_the_cut(letters, revision):
    for limit, found, more in ((0, 5, False), (2, 2, True), (5, 5, False), (-1, 5, False)):
        result = letters.range(
            RangeRequest(key=b"a", range_end=b"z", limit=limit, revision=revision)
        )
        assert (len(result.kvs), result.more, result.count) == (found, more, 5)


def test_count_only_gives_no_pairs(letters):
    result = letters.range(RangeRequest(key=b"b", range_end=b"d", count_only=True, limit=1))
    assert (result.kvs, result.more, result.count) == ([], False, 2)
    result = letters.range(RangeRequest(key=b"b", count_only=True))
    assert (result.kvs, result.count) == ([], 1)


@pytest.mark.parametrize("revision", [0, 8])
def test_keys_only_empties_the_value_and_keeps_the_rest(letters, revision):
    letters.put(b"b", b"x", lease=7)
    revision = revision and letters.revision
    pairs = letters.pairs(b"a", b"c", keys_only=True, revision=revision)
    full = letters.pairs(b"a", b"c")
    for kv in full:
        kv.value = b""
    assert pairs == full
    assert pairs[1].lease == 7
    assert letters.pairs(b"b", b"", keys_only=True) == full[1:]


@pytest.mark.parametrize(
    ("target", "ascending"),
    [
        (Target.KEY, b"abcde"),
        (Target.VERSION, b"bcdae"),  # ties in key order
        (Target.CREATE, b"caebd"),
        (Target.MOD, b"cbdae"),
        (Target.VALUE, b"abcde"),
    ],
)
@pytest.mark.parametrize("revision", [0, 8])
def test_sorting_by_each_target(letters, target, ascending, revision):
    options = {"sort_target": target, "revision": revision}
    if revision:  # an older revision
        letters.put_plain(b"f", b"")
    else:
        ascending = ascending[:5]
    assert keys(letters, sort_order=Order.ASCEND, **options) == ascending
    descending = keys(letters, sort_order=Order.DESCEND, **options)
    assert descending == (b"aebcd" if target == Target.VERSION else ascending[::-1])
    assert keys(letters, sort_order=Order.DESCEND, limit=2, **options) == descending[:2]


def test_target_without_order_sorts_the_first_keys_and_one_more(letters):
    # The first four keys a b c d by mod revision are c b d a; three of them are left.
    assert keys(letters, sort_target=Target.MOD, limit=3) == b"cbd"
    assert keys(letters, sort_target=Target.MOD, limit=3, sort_order=Order.ASCEND) == b"cbd"
    assert keys(letters, sort_target=Target.CREATE, limit=1) == b"a"
    assert keys(letters, sort_target=Target.CREATE, limit=1, sort_order=Order.ASCEND) == b"c"


@pytest.mark.parametrize(
    ("bounds", "found"),
    [
        ({"min_mod_revision": 6}, b"ade"),
        ({"max_mod_revision": 6}, b"bcd"),
        ({"min_mod_revision": 5, "max_mod_revision": 7}, b"abd"),
        ({"min_create_revision": 4}, b"bde"),
        ({"max_create_revision": 3}, b"ac"),
    ],
)
def test_bounds_are_inclusive_and_do_not_change_the_count(letters, bounds, found):
    letters.put_plain(b"zz", b"")
    for revision in (8, 0):
        end = b"z"
        result = letters.range(
            RangeRequest(key=b"a", range_end=end, revision=revision, limit=2, **bounds)
        )
        assert b"".join([KeyValue.decode(kv).key for kv in result.kvs]) == found[:2]
        assert (result.more, result.count) == (len(found) > 2, 5)
    assert keys(letters, b"a", b"", min_mod_revision=8) == b""
    assert keys(letters, b"a", b"", min_mod_revision=7) == b"a"


def test_framed_answer_is_the_inside_of_a_response(letters):
    request = RangeRequest(key=b"a", range_end=b"z")
    with pytest.raises(StopIteration) as done:
        next(letters.range_steps(request, framed=True))
    framed = done.value.value
    head = RangeResponse(header=ResponseHeader(revision=framed.revision)).encode()
    tail = RangeResponse(more=framed.more, count=framed.count).encode()
    response = RangeResponse.decode(head + b"".join(framed.kvs) + tail)
    assert response.kvs == letters.pairs(b"a", b"z")
    assert response.count == 5


# ---------------------------------------------------------------- slices


@pytest.fixture
def slices_of_two(monkeypatch):
    monkeypatch.setattr(ranges, "SLICE_KEYS", 2)


def finish(steps):
    slices = 1
    while True:
        try:
            next(steps)
            slices += 1
        except StopIteration as done:
            return done.value, slices


SLICED = [
    {},
    {"keys_only": True},
    {"sort_order": Order.DESCEND},
    {"sort_order": Order.DESCEND, "sort_target": Target.VALUE},
    {"min_mod_revision": 3},
    {"limit": 4},
]


@pytest.mark.parametrize("options", SLICED)
@pytest.mark.usefixtures("slices_of_two")
def test_sliced_range_shows_its_own_revision_whatever_comes_between(letters, options):
    request = RangeRequest(key=b"a", range_end=b"\0", **options)
    expected = letters.range(request)
    steps = letters.range_steps(request)
    next(steps)
    letters.delete_range(DeleteRangeRequest(key=b"a", range_end=b"d"))
    letters.put_plain(b"d", b"other")
    letters.put_plain(b"ab", b"new")
    letters.put_plain(b"b", b"again")
    letters.compact(letters.revision)
    for _ in range(20):
        letters.compact_step()
    found, _ = finish(steps)
    assert (found.kvs, found.more, found.count) == (expected.kvs, expected.more, expected.count)
    assert found.revision == 8


@pytest.mark.usefixtures("slices_of_two")
def test_compaction_waits_for_a_sliced_read_and_no_longer(letters):
    steps = letters.range_steps(RangeRequest(key=b"a", range_end=b"\0"))
    next(steps)
    letters.put_plain(b"a", b"")
    letters.compact(letters.revision)
    for _ in range(20):
        letters.compact_step()
    assert letters.compacting
    steps.close()
    for _ in letters.compaction_steps():
        pass
    assert not letters.compacting
    assert len(letters.rows()) == 5


@pytest.mark.usefixtures("slices_of_two")
def test_slices_stay_small(letters):
    for i in range(40):
        letters.put_plain(b"%02d" % i, b"")
    _, slices = finish(letters.range_steps(RangeRequest(key=b"\0", range_end=b"\0")))
    assert slices >= 20


def test_small_range_ends_at_the_first_step(letters):
    _, slices = finish(letters.range_steps(RangeRequest(key=b"\0", range_end=b"\0")))
    assert slices == 1
