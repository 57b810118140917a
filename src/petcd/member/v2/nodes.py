"""What v2 answers with: nodes and events, without their JSON."""

from __future__ import annotations

GET = "get"
SET = "set"
CREATE = "create"
UPDATE = "update"
DELETE = "delete"
COMPARE_AND_SWAP = "compareAndSwap"
COMPARE_AND_DELETE = "compareAndDelete"
EXPIRE = "expire"


class Node:
    """A file or directory at some moment.

    `value` is None for directories and for nodes that went away; `expiration_ns` is nanoseconds
    since 1970, 0 for ever. Directories that only v3 knows of, and the root, have no indexes: both
    are 0.
    """

    __slots__ = ("created", "expiration_ns", "is_dir", "modified", "path", "value")

    def __init__(
        self,
        path: bytes,
        value: bytes | None,
        is_dir: bool,
        modified: int,
        created: int,
        expiration_ns: int = 0,
    ) -> None:
        self.path = path
        self.value = value
        self.is_dir = is_dir
        self.modified = modified
        self.created = created
        self.expiration_ns = expiration_ns

    def __repr__(self) -> str:
        what = "dir" if self.is_dir else repr(self.value)
        return f"Node({self.path!r} {what} {self.modified}/{self.created})"


class Event:
    """What a request did, or what a watcher is told; `index` is the store's revision then."""

    __slots__ = ("action", "index", "node", "prev")

    def __init__(self, action: str, node: Node, prev: Node | None, index: int) -> None:
        self.action = action
        self.node = node
        self.prev = prev
        self.index = index

    @property
    def is_created(self) -> bool:
        """Whether the answer's status is 201."""
        return self.action == CREATE or (self.action == SET and self.prev is None)

    def __repr__(self) -> str:
        return f"Event({self.action} {self.node!r} prev={self.prev!r} at {self.index})"
