"""`import`: write the keys of an etcd 0.4 snapshot into a cluster.

The snapshot is the JSON of that version's store: nodes with `Path`, `Value`, `ExpireTime` and, for
directories, `Children` by name. Empty directories are not written, as in etcd.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from petcd.cli.commands import Command
from petcd.cli.ctl2.exits import ERROR, SERVER_ERROR, Complaint
from petcd.cli.ctl2.session import Session
from petcd.cli.flags import INT, STRING, STRINGS, Flag
from petcd.client.v2.errors import KeysError, V2Failure
from petcd.client.v2.keys import Keys

TTL_S_MIN = 300
"""What is about to expire gets some time to be renewed by its owner."""
YEAR_2000 = 946684800.0
"""Nodes that end before are meant to stay."""


class File(NamedTuple):
    """A key to write; `ttl_s` 0: for ever."""

    key: str
    value: str
    ttl_s: int


class Node:
    """A node of a snapshot."""

    def __init__(self, fields: object) -> None:
        if not isinstance(fields, dict):
            raise ValueError("a node that is no object")
        self.path = str(fields.get("Path", ""))
        self.value = str(fields.get("Value", ""))
        self.expires = str(fields.get("ExpireTime", ""))
        children = fields.get("Children")
        self.children = None
        if isinstance(children, dict):
            self.children = {name: Node(child) for name, child in children.items()}

    def ttl_s(self, now: float) -> int:
        """Seconds that it has left, 0 for ever.  Raises ValueError."""
        if not self.expires or self.expires.startswith("0001-"):
            return 0
        # fractions may have nine digits, which Python does not read
        head, _, zone = self.expires.replace("Z", "+00:00").partition("+")
        ends = datetime.fromisoformat(f"{head.partition('.')[0]}+{zone or '00:00'}").timestamp()
        return 0 if ends < YEAR_2000 else max(math.ceil(ends - now), 1)

    def find(self, path: str) -> Node:
        """A node below; raises KeyError."""
        node = self
        for name in filter(None, path.split("/")):
            node = (node.children or {})[name]
        return node

    def files(self, now: float) -> Iterator[File]:
        """All below that is not hidden."""
        if self.children is None:
            yield File(self.path, self.value, self.ttl_s(now))
            return
        for name in sorted(self.children):
            if not name.startswith("_"):
                yield from self.children[name].files(now)


def run(session: Session) -> None:
    path = session.flags.string("snap")
    if not path:
        raise Complaint("no snapshot file provided (use --snap)", ERROR)
    try:
        with open(path, "rb") as file:
            root = Node(json.load(file)["Root"])
    except OSError:
        raise Complaint(f"cannot read snapshot file {path}", ERROR) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Complaint(f"{path} is no snapshot of etcd 0.4", ERROR) from None
    clients = max(session.flags.integer("c"), 1)
    session.console.line(f"starting to import snapshot {path} with {clients} clients")
    files = list(_chosen(root, session.flags.strings("hidden")))
    _write(session, files, clients)
    session.console.line(f"finished importing {len(files)} keys")


def _chosen(root: Node, hidden: list[str]) -> Iterator[File]:
    now = time.time()
    yield from root.files(now)
    for path in hidden:
        try:
            yield from root.find(path).files(now)
        except KeyError:
            raise _not_found(path) from None


def _not_found(path: str) -> Complaint:
    return Complaint(f"Error:  {KeysError(100, 'Key not found', path, 0)}", SERVER_ERROR)


def _write(session: Session, files: list[File], clients: int) -> None:
    """Each client takes the next file until none is left, or until one fails."""
    left = iter(files)
    lock = threading.Lock()
    failures: list[Complaint] = []

    def work(keys: Keys) -> None:
        while not failures:
            with lock:
                file = next(left, None)
            if file is None:
                return
            ttl_s = max(file.ttl_s, TTL_S_MIN) if file.ttl_s else 0
            try:
                keys.set(file.key, file.value, None, ttl_s)
            except V2Failure as error:
                failures.append(Complaint(f"failed to copy key: {error}", ERROR))

    threads = [threading.Thread(target=work, args=(session.keys(),)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


IMPORT = Command(
    " ",
    run,
    """
Times to live below five minutes become five minutes.""",
    flags=(
        Flag("snap", STRING, "", "the file of an etcd 0.4 snapshot"),
        Flag("hidden", STRINGS, [], "a hidden key or directory to write too; may be repeated"),
        Flag("c", INT, 10, "how many clients write at the same time"),
    ),
)
