"""Listing a directory, in slices, as of one revision.

    recursive   one walk over the keys below the directory; parts of the keys build the tree
    one level   skips from child to child: what lies below a subdirectory is not read

Children come sorted by name at every level, which is one of the orders that v2 allows. Not shown
are names with an underscore in front, keys that are no path, and what lies below a key that is a
file. Source: what etcd's v2 store shows.
"""

from __future__ import annotations

from collections.abc import Generator
from operator import attrgetter

from petcd.member.v2 import paths
from petcd.member.v2.nodes import Node
from petcd.member.v2.view import V2View
from petcd.mvcc.errors import Compacted
from petcd.mvcc.range import RangeResult

# Pairs made into nodes between two yields: 2 to 5 us each.
SLICE_NODES = 500
# Up to so many entries the index of a level is read in one go: about 5 ms.
LEVEL_ENTRIES_MAX = 20_000
_UNDERSCORE = 0x5F

Listing = Generator[None, None, tuple[Node, int]]
_by_path = attrgetter("path")


def listing_steps(view: V2View, directory: Node, recursive: bool) -> Listing:
    """The directory with its children, and the revision that it shows.

    `directory` is of `view.directory`; it is filled in.
    """
    if recursive:
        return (yield from _tree_steps(view, directory))
    while True:
        try:
            return (yield from _level_steps(view, directory))
        except Compacted:  # between two slices: what was read is gone, begin again
            continue


def _tree_steps(view: V2View, directory: Node) -> Listing:
    path = directory.path or paths.ROOT
    found: RangeResult = yield from view.store.range_steps(view.range_below(path))
    tree = _Tree(view, directory)
    for start in range(0, len(found.kvs), SLICE_NODES):
        if start:
            yield
        for kv in found.kvs[start : start + SLICE_NODES]:
            tree.add(kv)
    tree.sort()
    return directory, found.revision


class _Tree:
    """Builds the tree from pairs in key order."""

    __slots__ = ("_directories", "_root", "_start", "_view")

    def __init__(self, view: V2View, root: Node) -> None:
        self._view = view
        self._root = root
        self._start = len(paths.below(root.path or paths.ROOT))
        root.nodes = []
        # By path; None: a file, a hidden one or no path at all, with nothing below it to show.
        self._directories: dict[bytes, Node | None] = {root.path or paths.ROOT: root}

    def add(self, kv: bytes) -> None:
        """One pair; its directories are made on the way."""
        node = self._view.node_of(kv)
        path = node.path
        if len(path) < self._start:
            return  # the directory's own marker
        if b"/_" in path[self._start - 1 :]:
            return
        if not paths.is_shown(path):
            return
        parent = self._directory(paths.parent_of(path))
        if parent is None:
            return
        if node.is_dir:
            self._put_directory(node, parent)
        else:
            self._directories[path] = None
            assert parent.nodes is not None, path
            parent.nodes.append(node)

    def _put_directory(self, node: Node, parent: Node) -> None:
        # The marker is the first key of its directory, so this is the first of it.
        if node.path not in self._directories:
            node.nodes = []
            self._directories[node.path] = node
            assert parent.nodes is not None, node.path
            parent.nodes.append(node)

    def _directory(self, path: bytes) -> Node | None:
        """The directory of a path, made if it is not there yet; None below a file."""
        directories = self._directories
        missing = []
        while path not in directories:
            missing.append(path)
            path = paths.parent_of(path)
        parent = directories[path]
        for below in reversed(missing):
            node = None
            if parent is not None:
                node = Node(below, None, True, 0, 0, 0, [])
                assert parent.nodes is not None, below
                parent.nodes.append(node)
            directories[below] = parent = node
        return parent

    def sort(self) -> None:
        """Sort the children of every directory."""
        for node in self._directories.values():
            if node is not None and node.nodes:
                node.nodes.sort(key=_by_path)


def _level_steps(view: V2View, directory: Node) -> Listing:
    """Children by the index as it stands now; their rows, which never change, in slices."""
    store = view.store
    prefix = paths.below(directory.path or paths.ROOT)
    entries = store.first_level(prefix, LEVEL_ENTRIES_MAX)
    if entries is None:
        return (yield from _wide_level_steps(view, directory))
    revision = store.revision
    level = _Level(view, directory, len(prefix))
    for count, (_, _, main, sub, key) in enumerate(entries, 1):
        if level.needs_pair(key):
            kv = store.kv_at(main, sub)
            if kv is None:
                raise Compacted(revision, store.compact_revision)
            level.add(key, view.node_of(kv))
        else:
            level.add(key, None)
        if count % SLICE_NODES == 0:
            yield
    level.sort()
    return directory, revision


def _wide_level_steps(view: V2View, directory: Node) -> Listing:
    """The same for a level of so many keys that even the index is read in slices."""
    request = view.range_below(directory.path or paths.ROOT)
    request.limit = SLICE_NODES
    level = _Level(view, directory, len(request.key))
    while True:
        found = view.store.range(request)
        request.revision = request.revision or found.revision
        skipped = last = b""
        for kv in found.kvs:
            node = view.node_of(kv)
            last = node.path + b"/" if node.is_dir else node.path
            if not skipped or not last.startswith(skipped):
                level.add(last, node)
                slash = last.find(b"/", level.start)
                skipped = last[: slash + 1] if slash >= 0 else b""
        if not found.more:
            level.sort()
            return directory, request.revision
        behind = skipped and last.startswith(skipped)
        request.key = skipped[:-1] + b"0" if behind else last + b"\0"
        yield


class _Level:
    """The children of one directory, from keys in order; `start` is where their names begin."""

    __slots__ = ("_children", "_files", "_view", "start")

    def __init__(self, view: V2View, directory: Node, start: int) -> None:
        self._view = view
        self._children: list[Node] = []
        self._files: set[bytes] = set()
        self.start = start
        directory.nodes = self._children

    def needs_pair(self, key: bytes) -> bool:
        """Whether the pair of a key says more than that there is a directory."""
        slash = key.find(b"/", self.start)
        return slash < 0 or slash == len(key) - 1

    def add(self, key: bytes, node: Node | None) -> None:
        """The first key of a child, and the node of its pair."""
        slash = key.find(b"/", self.start)
        path = key if slash < 0 else key[:slash]
        if len(path) == self.start or path[self.start] == _UNDERSCORE or not paths.is_shown(path):
            return
        if slash < 0:
            assert node is not None, key
            self._files.add(path)
            self._children.append(node)
        elif path not in self._files:
            is_marker = node is not None and node.is_dir and node.path == path
            self._children.append(node if node and is_marker else Node(path, None, True, 0, 0))

    def sort(self) -> None:
        """Put the children in the order of their names."""
        self._children.sort(key=_by_path)
