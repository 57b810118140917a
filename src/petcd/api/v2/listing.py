"""One directory's listing, kept in step with the store.

    walk       every key below the directory once, in slices, as it stands when its turn comes
    changes    a changed key is due: it is looked at anew, whenever there is time
    join       chunks of pieces that changed are joined

When nothing of this is left to do, the listing shows the store's present revision, whatever
happened in between; so neither the first listing of a huge directory nor one after many changes
holds the loop for long, and one after few changes costs little.

Not shown are names with an underscore in front, keys that are no path, and what lies below a key
that is a file. Source: what etcd's v2 store shows.

Invariant: when a key is looked at, no smaller one that the walk has passed is due. That is why the
due ones come before the walk and in order: a file is known before what it hides.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from petcd.api.v2.go_json import closing_of, leaf_of, opening_of, text_at
from petcd.api.v2.pieces import CLOSE, LEAF, OPEN, Pieces, close_order, order_of
from petcd.member.v2 import paths
from petcd.member.v2.nodes import Node
from petcd.member.v2.view import V2View

# Keys looked at between two looks at the sockets: 4 to 8 us each.
SLICE_KEYS = 250
# As many more as became due since the last slice, so that work never grows faster than it is done;
# a turn of the loop brings so many puts at most.
ARRIVED_KEYS_MAX = 1_000
# What may be joined in a slice: about half a millisecond.
JOIN_COST_MAX = 5_000
# So many due keys are kept at least; beyond it half as many as there are pieces.
DUE_KEYS_MIN = 1_000
# Shorter keys cannot have too many parts.
PLAIN_KEY_BYTES_MAX = 2 * paths.PARTS_MAX
_UNDERSCORE = 0x5F
# Neither hidden nor odd, and its order is the name itself.
_plain_name = re.compile(rb"[0-9A-Za-z][!-.0-~]*").fullmatch

Done = Callable[[Any, "Listing"], None]


class Listing:
    """What two ways to list have in common; `waiters` want it when it shows the present."""

    __slots__ = (
        "_arrived",
        "_cursor",
        "_due",
        "_due_keys",
        "_end",
        "_now_ns",
        "_pieces",
        "_start",
        "_view",
        "asked",
        "prefix",
        "waiters",
    )

    def __init__(self, view: V2View, path: bytes) -> None:
        self._view = view
        self.prefix = paths.below(path)
        self._start = len(self.prefix)
        self._end = self.prefix[:-1] + b"0"
        self.asked = True  # since somebody last looked who wants it
        self.waiters: list[tuple[Done, Any, int]] = []  # and when each asked, in ns
        self._now_ns = 0
        self.restart()

    def restart(self) -> None:
        """Begin anew, with nothing."""
        self._pieces = Pieces()
        self._cursor: bytes | None = self.prefix  # where the walk goes on
        self._due: list[bytes] = []  # a heap
        self._due_keys: set[bytes] = set()
        self._arrived = 0

    # -- what is asked of it ------------------------------------------------------------------

    def note(self, key: bytes) -> None:
        """A key below the directory has changed."""
        self._make_due(key)

    @property
    def is_far_behind(self) -> bool:
        """Whether beginning anew is cheaper than catching up."""
        due = len(self._due)
        return due > DUE_KEYS_MIN and due > len(self._pieces) // 2

    @property
    def memory_bytes(self) -> int:
        """About how much it takes."""
        return self._pieces.memory_bytes

    @property
    def pieces(self) -> Pieces:
        """What there is of it."""
        return self._pieces

    def begin(self, now_ns: int) -> None:
        """Times to live are shown as of now (ns since 1970) from here on."""
        self._now_ns = now_ns
        self._arrived = 0
        self._pieces.forget_times()

    def step(self) -> bool:
        """Work for a millisecond or two; False when the listing shows the present revision."""
        budget = SLICE_KEYS + min(self._arrived, ARRIVED_KEYS_MAX)
        self._arrived = 0
        due = self._due
        while due and budget > 0:
            key = heappop(due)
            self._due_keys.discard(key)
            self._look_at(key)
            budget -= 1
        if budget <= 0:
            return True
        if self._cursor is not None:
            self._cursor = self._walk(self._cursor, budget)
            if self._cursor is not None:
                return True
        return self._pieces.join(self._now_ns, JOIN_COST_MAX)

    def parts(self, directory: Node) -> list[bytes]:
        """The JSON of the directory's node, joined they are it; after `step` has said False."""
        opening = text_at(opening_of(directory), self._now_ns)
        return self._pieces.parts(opening, closing_of(directory))

    # -- inside -------------------------------------------------------------------------------

    def _make_due(self, key: bytes) -> None:
        if key not in self._due_keys:
            self._due_keys.add(key)
            heappush(self._due, key)
            self._arrived += 1

    def _look_at(self, key: bytes) -> None:
        """Show what is there now."""
        raise NotImplementedError

    def _walk(self, cursor: bytes, count: int) -> bytes | None:
        """Look at the next keys; where to go on, None at the end."""
        raise NotImplementedError


class LevelListing(Listing):
    """The children of the directory; what is due are their paths."""

    def note(self, key: bytes) -> None:
        """A key below the directory has changed."""
        self._make_due(self._child_of(key))

    def _child_of(self, key: bytes) -> bytes:
        slash = key.find(b"/", self._start)
        return key if slash < 0 else key[:slash]

    def _walk(self, cursor: bytes, count: int) -> bytes | None:
        keys = self._view.store.first_level(self.prefix, cursor, count)
        for key in keys:
            self._look_at(self._child_of(key))
        if len(keys) < count:
            return None
        child = self._child_of(keys[-1])
        return child + (b"\0" if child == keys[-1] else b"0")

    def _look_at(self, key: bytes) -> None:
        name = key[self._start :]
        if not name or name[0] == _UNDERSCORE or not paths.is_shown(key):
            return
        node = self._view.file(key) or self._view.directory(key)
        if node is None:
            self._pieces.discard(name)
        else:
            self._pieces.put(name, LEAF, leaf_of(node))


class TreeListing(Listing):
    """Everything below the directory; what is due are keys of the store."""

    __slots__ = ("_open", "_open_order")

    def restart(self) -> None:
        """Begin anew, with nothing."""
        super().restart()
        self._enter(self.prefix[:-1])

    def _enter(self, path: bytes) -> None:
        """Remember a directory that is open, where the next key probably lies, and what the orders
        in it begin with."""
        inside = len(path) > self._start
        self._open = path if inside else self.prefix[:-1]
        self._open_order = self._order_of(path) + b"\0" if inside else b""

    def _walk(self, cursor: bytes, count: int) -> bytes | None:
        keys = self._view.store.keys_from(cursor, self._end, count)
        for key in keys:
            self._look_at(key)
        return keys[-1] + b"\0" if len(keys) == count else None

    def _look_at(self, key: bytes) -> None:
        kv = self._view.store.get(key)
        if kv is not None and self._is_plain(key):
            self._put_file(self._open_order + key[len(self._open) + 1 :], self._view.node_of(kv))
            return
        is_marker = key.endswith(b"/")
        path = key[:-1] if is_marker else key
        if len(path) < self._start or b"/_" in path[self._start - 1 :] or not paths.is_shown(path):
            return
        node = None if kv is None else self._view.node_of(kv)
        if is_marker:
            self._show_marker(path, node)
        elif node is None:
            self._drop_file(path)
        elif self._is_open(paths.parent_of(path)):
            self._put_file(self._order_of(path), node)

    def _is_plain(self, key: bytes) -> bool:
        """Whether a key is what most are: a file of a plain name beside the one before it."""
        slash = key.rfind(b"/")
        if key[:slash] != self._open or len(key) >= PLAIN_KEY_BYTES_MAX:
            return False
        return _plain_name(key, slash + 1) is not None

    def _put_file(self, order: bytes, node: Node) -> None:
        # v3 may put a file where a directory is.
        if self._pieces.put(order, LEAF, leaf_of(node)) == OPEN:
            self._pieces.discard_range(order + b"\0", order + b"\1")

    def _drop_file(self, path: bytes) -> None:
        order = self._order_of(path)
        if self._pieces.kind_at(order) == LEAF:
            self._pieces.discard(order)
            for hidden in self._view.store.keys_below(path + b"/"):
                self._make_due(hidden)
            self._drop_if_empty(paths.parent_of(path))

    def _show_marker(self, path: bytes, node: Node | None) -> None:
        """A directory has a marker now, or none."""
        if node is not None:
            if not self._view.store.has(path) and self._is_open(paths.parent_of(path)):
                self._put_directory(node)
        elif self._pieces.kind_at(self._order_of(path)) == OPEN:
            self._put_directory(_bare(path))
            self._drop_if_empty(path)

    def _order_of(self, path: bytes) -> bytes:
        return order_of(path[self._start :])

    def _put_directory(self, node: Node) -> None:
        order = self._order_of(node.path)
        self._pieces.put(order, OPEN, opening_of(node))
        self._pieces.put(close_order(order), CLOSE, closing_of(node))

    def _is_open(self, path: bytes) -> bool:
        """Open the directory at a path, and those above it; False when one of them is a file."""
        if path == self._open:
            return True
        missing = []
        above = path
        while len(above) > self._start and self._pieces.kind_at(self._order_of(above)) != OPEN:
            if self._view.store.has(above):
                return False
            missing.append(above)
            above = paths.parent_of(above)
        for each in reversed(missing):
            self._put_directory(_bare(each))
        self._enter(path)
        return True

    def _drop_if_empty(self, path: bytes) -> None:
        """Close directories for good that have neither nodes nor a marker, from a path upwards."""
        while len(path) > self._start and not self._view.store.has(path + b"/"):
            order = self._order_of(path)
            if not self._pieces.is_empty_directory(order):
                return
            self._pieces.discard(order)
            self._pieces.discard(close_order(order))
            self._enter(self.prefix[:-1])
            path = paths.parent_of(path)


def _bare(path: bytes) -> Node:
    """A directory that only its keys make."""
    return Node(path, None, True, 0, 0)
