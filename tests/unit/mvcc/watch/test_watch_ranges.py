"""The index of ranges against walking over all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petcd.mvcc.watch_ranges import PREFIX_LENGTHS_MAX, RangeIndex, _Node, prefix_of


def holds(start, end, key):
    return start <= key and (not end or key < end)


@pytest.mark.parametrize(
    ("start", "end", "prefix"),
    [
        (b"/a/", b"/a0", b"/a/"),
        (b"a", b"b", b"a"),
        (b"a\xff", b"b", b"a\xff"),
        (b"a\xff\xff", b"b", b"a\xff\xff"),
        (b"\0", b"", b""),
        (b"\0", b"\1", b"\0"),
        (b"a", b"", None),
        (b"\xff", b"", None),
        (b"a", b"c", None),
        (b"a", b"a\0", None),
        (b"ab", b"b", None),
        (b"a", b"bb", None),
        (b"a\xffb", b"b", None),
        (b"ab", b"bc", None),
    ],
)
def test_a_range_is_recognised_as_a_prefix(start, end, prefix):
    assert prefix_of(start, end) == prefix


keys = st.binary(min_size=1, max_size=3).map(lambda b: bytes(c % 4 * 85 for c in b))
ranges = st.tuples(keys, st.one_of(st.just(b""), keys)).filter(lambda r: not r[1] or r[0] < r[1])


@given(
    st.lists(st.tuples(st.booleans(), ranges), max_size=40),
    st.lists(keys, min_size=1, max_size=10),
)
def test_the_index_agrees_with_walking_over_all_ranges(steps, questions):
    index = RangeIndex()
    model = {}
    for is_add, (start, end) in steps:
        if (start, end) in model:
            if not is_add:
                index.remove(start, end)
                del model[start, end]
        elif is_add:
            model[start, end] = object()
            index.add(start, end, model[start, end])
        assert len(index) == len(model)
        assert index.get(start, end) is model.get((start, end))
        for key in questions:
            expected = {id(v) for (s, e), v in model.items() if holds(s, e, key)}
            found = [id(v) for v in index.holding(key)]
            assert len(found) == len(set(found))
            assert set(found) == expected
    assert index.values() == list(model.values())


def test_prefixes_of_too_many_lengths_are_found_all_the_same():
    index = RangeIndex()
    lengths = range(1, 3 * PREFIX_LENGTHS_MAX)
    for length in lengths:
        index.add(b"a" * length, b"a" * (length - 1) + b"b", length)
    assert len(index._by_length) == PREFIX_LENGTHS_MAX
    assert sorted(index.holding(b"a" * 100)) == list(lengths)
    assert sorted(index.holding(b"a" * 5 + b"x")) == [1, 2, 3, 4, 5]
    for length in lengths:
        index.remove(b"a" * length, b"a" * (length - 1) + b"b")
        assert sorted(index.holding(b"a" * 100)) == list(range(length + 1, 3 * PREFIX_LENGTHS_MAX))
    assert len(index) == 0


def test_a_prefix_that_went_to_the_tree_stays_there_when_a_length_becomes_free():
    index = RangeIndex()
    for length in range(1, PREFIX_LENGTHS_MAX + 1):
        index.add(b"a" * length, b"a" * (length - 1) + b"b", length)
    long = b"x" * 50
    index.add(long, long[:-1] + b"y", "in the tree")
    index.remove(b"a", b"b")
    index.add(b"z" * 50, b"z" * 49 + b"{", "in a dict")
    assert index.holding(long) == ["in the tree"]
    index.remove(long, long[:-1] + b"y")
    assert index.holding(long) == []
    assert index.holding(b"z" * 50) == ["in a dict"]


def tree_height(node: _Node | None) -> int:
    return 0 if node is None else 1 + max(tree_height(node.left), tree_height(node.right))


def test_the_tree_stays_flat_when_ranges_come_and_go_in_order():
    index = RangeIndex()
    bounds = [n.to_bytes(2, "big") for n in range(1, 4001)]
    for start in bounds:
        index.add(start + b"a", start + b"c", start)
    assert tree_height(index._root) <= 17  # 1.44 log2(4000)
    for start in bounds[:3000]:
        index.remove(start + b"a", start + b"c")
    assert tree_height(index._root) <= 15
    assert index.holding(bounds[3500] + b"b") == [bounds[3500]]
    assert index.holding(bounds[2000] + b"b") == []


class CountedKey(bytes):
    """A key that counts how often it is compared."""

    comparisons = 0

    def __lt__(self, other):
        CountedKey.comparisons += 1
        return bytes(self) < other

    def __ge__(self, other):
        CountedKey.comparisons += 1
        return bytes(self) >= other


def test_a_question_costs_the_depth_of_the_tree_and_the_hits_not_the_number_of_ranges():
    index = RangeIndex()
    for n in range(10_000):
        start = n.to_bytes(2, "big")
        index.add(start + b"a", start + b"c", n)
    key = CountedKey((5000).to_bytes(2, "big") + b"b")
    assert index.holding(key) == [5000]
    assert CountedKey.comparisons <= 60
