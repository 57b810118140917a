"""The list of members as a raft snapshot carries it: JSON of the tree that etcd kept v2 keys in.

::

    /0/members/<id>/raftAttributes   {"peerURLs":[...],"isLearner":true}
    /0/members/<id>/attributes       {"name":...,"clientURLs":[...]}     once it is published
    /0/removed_members/<id>          ""
    /0/version                       3.5.0
    /1                               keys of the v2 API; empty, ours are in the one store

A member of etcd 3.5 believes this tree, not the buckets of the database beside it, whose list of
members may be older; so do we when a snapshot comes from one.

Source: etcd 3.5's api/v2store (the JSON) and api/membership (the paths).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from petcd.cluster.ids import format_id, parse_id
from petcd.cluster.membership import (
    CLUSTER,
    CLUSTER_VERSION_KEY,
    MEMBERS,
    MEMBERS_REMOVED,
    REMOVED_VALUE,
    MemberInfo,
)

_NEVER = "0001-01-01T00:00:00Z"
# etcd's store keeps so many events for watchers; its recovery takes the array as it is.
_EVENTS = 1000


class ScannedBackend(Protocol):
    """A backend, or a view of one, to read the records from."""

    def scan(
        self, bucket: bytes, start: bytes, end: bytes | None
    ) -> Iterator[tuple[bytes, bytes]]: ...


class WrittenBackend(ScannedBackend, Protocol):
    """A backend to write the records into."""

    def put(self, bucket: bytes, key: bytes, value: bytes) -> None: ...

    def delete(self, bucket: bytes, key: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class MemberRecords:
    """Who is a member, which ids were, and the version that they agreed on ("" for none)."""

    members: tuple[MemberInfo, ...]
    removed: tuple[int, ...]
    version: str

    @classmethod
    def read(cls, backend: ScannedBackend) -> MemberRecords:
        """As the buckets have it; raises ValueError when a record does not parse."""
        members = [MemberInfo.from_json(value) for _, value in backend.scan(MEMBERS, b"", None)]
        removed = [parse_id(key.decode()) for key, _ in backend.scan(MEMBERS_REMOVED, b"", None)]
        version = dict(backend.scan(CLUSTER, b"", None)).get(CLUSTER_VERSION_KEY, b"")
        return cls(_by_id(members), tuple(sorted(removed)), version.decode())

    def write(self, backend: WrittenBackend) -> None:
        """Put this in the place of what the buckets have."""
        for bucket in (MEMBERS, MEMBERS_REMOVED):
            for key, _ in list(backend.scan(bucket, b"", None)):
                backend.delete(bucket, key)
        for member in self.members:
            backend.put(MEMBERS, format_id(member.id).encode(), member.to_json())
        for member_id in self.removed:
            backend.put(MEMBERS_REMOVED, format_id(member_id).encode(), REMOVED_VALUE)
        if self.version:
            backend.put(CLUSTER, CLUSTER_VERSION_KEY, self.version.encode())

    def encode(self) -> bytes:
        """The tree's JSON."""
        own: dict[str, Any] = {
            "members": {format_id(member.id): _member_node(member) for member in self.members}
        }
        if self.removed:
            own["removed_members"] = {format_id(member_id): "" for member_id in self.removed}
        if self.version:
            own["version"] = self.version
        queue = {"Events": [None] * _EVENTS, "Size": 0, "Front": 0, "Back": 0, "Capacity": _EVENTS}
        history = {"Queue": queue, "StartIndex": 0, "LastIndex": 0}
        tree = {
            "Root": _node("/", {"0": own, "1": {}}),
            "WatcherHub": {"EventHistory": history},
            "CurrentIndex": len(self.members),
            "Stats": {},
            "CurrentVersion": 2,
        }
        return json.dumps(tree, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> MemberRecords:
        """Inverse of `encode`, also for etcd's own; raises ValueError."""
        try:
            own = _children(json.loads(data)["Root"], "0")
            members = [
                _member_of(parse_id(name), node)
                for name, node in _children_of(own.get("members")).items()
            ]
            removed = [parse_id(name) for name in _children_of(own.get("removed_members"))]
            version = own["version"]["Value"] if "version" in own else ""
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"no tree of members: {type(error).__name__} {error}") from None
        if not isinstance(version, str):
            raise ValueError(f"a version that is no text: {version!r}")
        return cls(_by_id(members), tuple(sorted(removed)), version)


def _by_id(members: list[MemberInfo]) -> tuple[MemberInfo, ...]:
    return tuple(sorted(members, key=lambda member: member.id))


def _member_node(member: MemberInfo) -> dict[str, Any]:
    raft: dict[str, Any] = {"peerURLs": list(member.peer_urls)}
    if member.is_learner:
        raft["isLearner"] = True
    found = {"raftAttributes": _text(raft)}
    if member.is_started:
        own: dict[str, Any] = {"name": member.name}
        if member.client_urls:
            own["clientURLs"] = list(member.client_urls)
        found["attributes"] = _text(own)
    return found


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _node(path: str, content: str | dict[str, Any]) -> dict[str, Any]:
    """A file or, of a dict, a directory with all that is in it."""
    children = None
    if isinstance(content, dict):
        inside = path.rstrip("/")
        children = {name: _node(f"{inside}/{name}", part) for name, part in content.items()}
    return {
        "Path": path,
        "CreatedIndex": 0,
        "ModifiedIndex": 0,
        "ExpireTime": _NEVER,
        "Value": content if isinstance(content, str) else "",
        "Children": children,
    }


def _children(node: dict[str, Any], name: str) -> dict[str, Any]:
    return _children_of(node["Children"].get(name))


def _children_of(node: dict[str, Any] | None) -> dict[str, Any]:
    children = node["Children"] if node is not None else {}
    if not isinstance(children, dict):
        raise TypeError(f"{children!r} is no directory")
    return children


def _member_of(member_id: int, node: dict[str, Any]) -> MemberInfo:
    files = _children_of(node)
    fields = {"id": member_id, **json.loads(files["raftAttributes"]["Value"])}
    if "attributes" in files:
        fields |= json.loads(files["attributes"]["Value"])
    member = MemberInfo.from_json(json.dumps(fields).encode())
    texts = (member.name, *member.peer_urls, *member.client_urls)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"a member of other types: {fields}")
    return member
