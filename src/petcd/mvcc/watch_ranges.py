"""Which of many key ranges hold a key: asked for every change, so it must be quick.

Two structures behind one face:

    prefixes   dicts, one for each length of prefix: {7: {b"/nodes/": ...}, ...}
               a question costs one slice and one lookup for each *length*, not for each range
    others     an AVL tree ordered by (start, end); each node knows the furthest end below it

Nearly all ranges that clients watch are prefixes. A prefix goes to the tree only when there are
PREFIX_LENGTHS_MAX lengths already, so that nobody can make every put slow by watching prefixes of
thousands of lengths.

Invariants: a question costs O(log n + hits), adding and removing O(log n), memory O(n); no two
entries have the same range. It does not know what hangs on a range.
Source: augmented balanced search tree, as in Cormen et al., Introduction to Algorithms, 14.3.
"""

from __future__ import annotations

from typing import Generic, TypeVar

# One lookup is about 0.1 us, a walk through a small tree 1 to 2 us.
PREFIX_LENGTHS_MAX = 16

T = TypeVar("T")


def prefix_of(start: bytes, end: bytes) -> bytes | None:
    """The prefix that [start, end) stands for, None when it is no prefix; end b"" means no end."""
    if not end:
        return b"" if start == b"\0" else None  # no key is shorter than one byte
    if len(start) >= len(end) and start[: len(end) - 1] == end[:-1]:
        tail = start[len(end) - 1 :]
        if tail[0] + 1 == end[-1] and tail[1:] == b"\xff" * (len(tail) - 1):
            return start
    return None


class _Node(Generic[T]):
    """A range with its value; `reach` is the furthest end in its subtree, b"" for no end."""

    __slots__ = ("end", "height", "left", "reach", "right", "start", "value")

    def __init__(self, start: bytes, end: bytes, value: T) -> None:
        self.start = start
        self.end = end
        self.value = value
        self.left: _Node[T] | None = None
        self.right: _Node[T] | None = None
        self.height = 1
        self.reach = end


class RangeIndex(Generic[T]):
    """Ranges [start, end) with one value each; end b"" means no end."""

    __slots__ = ("_by_length", "_root", "_values")

    def __init__(self) -> None:
        self._values: dict[tuple[bytes, bytes], T] = {}
        self._by_length: dict[int, dict[bytes, T]] = {}
        self._root: _Node[T] | None = None

    def __len__(self) -> int:
        return len(self._values)

    def get(self, start: bytes, end: bytes) -> T | None:
        """The value of exactly this range."""
        return self._values.get((start, end))

    def values(self) -> list[T]:
        """All values, in the order in which they were added."""
        return list(self._values.values())

    def add(self, start: bytes, end: bytes, value: T) -> None:
        """Add a range that is not there yet."""
        assert (start, end) not in self._values, (start, end)
        self._values[start, end] = value
        prefix = prefix_of(start, end)
        if prefix is not None and self._takes_length(len(prefix)):
            self._by_length.setdefault(len(prefix), {})[prefix] = value
        else:
            self._root = _insert(self._root, _Node(start, end, value))

    def remove(self, start: bytes, end: bytes) -> None:
        """Remove a range that is there."""
        del self._values[start, end]
        prefix = prefix_of(start, end)
        if prefix is not None:
            same_length = self._by_length.get(len(prefix))
            if same_length is not None and prefix in same_length:
                del same_length[prefix]
                if not same_length:
                    del self._by_length[len(prefix)]
                return
        self._root = _remove(self._root, start, end)

    def holding(self, key: bytes) -> list[T]:
        """Values of all ranges that hold the key, in no particular order."""
        found: list[T] = []
        for length, prefixes in self._by_length.items():
            value = prefixes.get(key[:length])
            if value is not None:
                found.append(value)
        if self._root is not None:
            _collect(self._root, key, found)
        return found

    def _takes_length(self, length: int) -> bool:
        return length in self._by_length or len(self._by_length) < PREFIX_LENGTHS_MAX


# -- the tree ----------------------------------------------------------------------------------


def _collect(node: _Node[T], key: bytes, found: list[T]) -> None:
    if node.reach and node.reach <= key:
        return  # everything below ends before the key
    if node.left is not None:
        _collect(node.left, key, found)
    if node.start <= key:
        if not node.end or key < node.end:
            found.append(node.value)
        if node.right is not None:
            _collect(node.right, key, found)


def _insert(node: _Node[T] | None, new: _Node[T]) -> _Node[T]:
    if node is None:
        return new
    if (new.start, new.end) < (node.start, node.end):
        node.left = _insert(node.left, new)
    else:
        node.right = _insert(node.right, new)
    return _balanced(node)


def _remove(node: _Node[T] | None, start: bytes, end: bytes) -> _Node[T] | None:
    assert node is not None, (start, end)
    if (start, end) < (node.start, node.end):
        node.left = _remove(node.left, start, end)
    elif (start, end) > (node.start, node.end):
        node.right = _remove(node.right, start, end)
    elif node.left is None:
        return node.right
    elif node.right is None:
        return node.left
    else:
        heir = node.right
        while heir.left is not None:
            heir = heir.left
        node.right = _remove(node.right, heir.start, heir.end)
        node.start, node.end, node.value = heir.start, heir.end, heir.value
    return _balanced(node)


def _height(node: _Node[T] | None) -> int:
    return 0 if node is None else node.height


def _measure(node: _Node[T]) -> None:
    """Bring height and reach of a node up to date with its children."""
    left, right = node.left, node.right
    reach = node.end
    for child in (left, right):
        if child is not None and reach:
            reach = child.reach and max(reach, child.reach)
    node.reach = reach
    node.height = max(_height(left), _height(right)) + 1


def _balanced(node: _Node[T]) -> _Node[T]:
    """The root of the subtree after at most two rotations."""
    lean = _height(node.left) - _height(node.right)
    if lean > 1:
        assert node.left is not None
        if _height(node.left.left) < _height(node.left.right):
            node.left = _turn_left(node.left)
        return _turn_right(node)
    if lean < -1:
        assert node.right is not None
        if _height(node.right.right) < _height(node.right.left):
            node.right = _turn_right(node.right)
        return _turn_left(node)
    _measure(node)
    return node


def _turn_left(node: _Node[T]) -> _Node[T]:
    top = node.right
    assert top is not None
    node.right, top.left = top.left, node
    _measure(node)
    _measure(top)
    return top


def _turn_right(node: _Node[T]) -> _Node[T]:
    top = node.left
    assert top is not None
    node.left, top.right = top.right, node
    _measure(node)
    _measure(top)
    return top
