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
        if path in self._directories:
            return self._directories[path]
        parent = self._directory(paths.parent_of(path))
        node = None
        if parent is not None:
            node = Node(path, None, True, 0, 0, 0, [])
            assert parent.nodes is not None, path
            parent.nodes.append(node)
        self._directories[path] = node
        return node

    def sort(self) -> None:
        """Sort the children of every directory."""
        for node in self._directories.values():
            if node is not None and node.nodes:
                node.nodes.sort(key=_by_path)


def _level_steps(view: V2View, directory: Node) -> Listing:
    path = directory.path or paths.ROOT
    request = view.range_below(path)
    request.limit = SLICE_NODES
    start = len(request.key)
    children: list[Node] = []
    directory.nodes = children
    files: set[bytes] = set()
    shown_revision = 0
    while True:
        found = view.store.range(request)
        shown_revision = shown_revision or found.revision
        request.revision = shown_revision
        skipped = b""
        last = b""
        for kv in found.kvs:
            node = view.node_of(kv)
            last = node.path + b"/" if node.is_dir else node.path
            if skipped and last.startswith(skipped):
                continue
            slash = last.find(b"/", start)
            if slash >= 0:
                skipped = last[: slash + 1]
                _add_directory(view, children, files, node, last[:slash], start)
            elif len(last) > start and last[start] != 0x5F and paths.is_shown(last):
                files.add(last)
                children.append(node)
        if not found.more:
            children.sort(key=_by_path)
            return directory, shown_revision
        request.key = skipped[:-1] + b"0" if skipped and last.startswith(skipped) else last + b"\0"
        yield


def _add_directory(
    view: V2View, children: list[Node], files: set[bytes], first: Node, path: bytes, start: int
) -> None:
    """Note a subdirectory; `first` is what its first key holds, perhaps its marker."""
    if path in files or path[start : start + 1] == b"_" or not paths.is_shown(path):
        return
    is_marker = first.is_dir and first.path == path
    children.append(first if is_marker else Node(path, None, True, 0, 0))
