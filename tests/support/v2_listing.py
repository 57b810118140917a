"""Listings of v2: as the product makes them, and as plainly as they can be made from the store.

Both are JSON objects as lists of (name, value), so that the order of members counts.
"""

import json
from datetime import UTC, datetime

from petcd.api.v2.listings import Listings
from petcd.member.v2 import V2View, paths
from petcd.member.v2.nodes import Node

Members = list[tuple[str, object]]


class Desk:
    """Asks listings and keeps what is answered; told of changes only when a test says so."""

    def __init__(self, view: V2View) -> None:
        self.view = view
        self.answers: list[tuple[int, bytes]] = []  # revision, JSON
        self.listings = Listings(view, lambda: None, lambda: None)

    def ask(self, path: bytes, recursive: bool, now_ns: int = 0) -> None:
        self.listings.ask(path, recursive, now_ns, self._answer, path)

    def _answer(self, path, listing) -> None:
        self.answers.append(
            (self.view.store.revision, b"".join(listing.parts(self.view.node(path))))
        )

    def tell(self) -> None:
        changes = self.view.store.take_changes()
        if changes:
            self.listings.forget(changes)

    def finish(self) -> bytes:
        """The one answer that is owed."""
        while not self.answers:
            assert self.listings.step(), "nobody waits"
        ((_, body),) = self.answers
        self.answers.clear()
        return body


def listed(view: V2View, path: bytes, recursive: bool) -> dict:
    """A directory's node, listed from scratch."""
    desk = Desk(view)
    desk.ask(path, recursive)
    return json.loads(desk.finish())


def members_of(body: bytes) -> Members:
    """The JSON of a node."""
    return json.loads(body, object_pairs_hook=list)


def plain_listing(view: V2View, path: bytes, recursive: bool, now_ns: int) -> Members:
    """What a listing of a directory must be."""
    start = len(paths.below(path))
    found: dict[bytes, Node] = {}
    for key in view.store.keys_below(paths.below(path)):
        shown = key[:-1] if key.endswith(b"/") else key
        if recursive:
            if not _is_visible(view, shown, start):
                continue
            for directory in _between(shown, start):
                found.setdefault(directory, _node_at(view, directory))
        else:
            shown = key if key.find(b"/", start) < 0 else key[: key.find(b"/", start)]
            if len(shown) <= start or shown[start:].startswith(b"_") or not paths.is_shown(shown):
                continue
        found[shown] = _node_at(view, shown)
    return _members(view.node(path), found, now_ns)


def _between(path: bytes, start: int) -> list[bytes]:
    return [path[:end] for end in range(start, len(path)) if path[end : end + 1] == b"/"]


def _is_visible(view: V2View, path: bytes, start: int) -> bool:
    if len(path) < start or b"/_" in path[start - 1 :] or not paths.is_shown(path):
        return False
    return not any(view.store.has(directory) for directory in _between(path, start))


def _node_at(view: V2View, path: bytes) -> Node:
    return view.file(path) or view.directory(path) or Node(path, None, True, 0, 0)


def _members(node: Node, found: dict[bytes, Node], now_ns: int) -> Members:
    members: Members = []
    if node.path:
        members.append(("key", node.path.decode()))
    if node.value is not None:
        members.append(("value", node.value.decode()))
    if node.is_dir:
        members.append(("dir", True))
    if node.expiration_ns:
        ends = datetime.fromtimestamp(node.expiration_ns // 1_000_000_000, UTC)
        members.append(("expiration", ends.strftime("%Y-%m-%dT%H:%M:%SZ")))
        left_s = -((now_ns - node.expiration_ns) // 1_000_000_000)
        if left_s > 0:
            members.append(("ttl", left_s))
    below = (node.path or b"") + b"/"
    children = sorted(p for p in found if p.startswith(below) and b"/" not in p[len(below) :])
    if node.is_dir and children:
        members.append(("nodes", [_members(found[child], found, now_ns) for child in children]))
    for name, index in (("modifiedIndex", node.modified), ("createdIndex", node.created)):
        if index:
            members.append((name, index))
    return members
