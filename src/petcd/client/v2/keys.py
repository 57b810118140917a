"""The keys API: `/v2/keys`, its requests, and nodes as its answers hold them."""

from __future__ import annotations

from typing import TypeVar

from petcd.client.log import json_string
from petcd.client.v2.cluster import Cluster, json_object
from petcd.client.v2.errors import InvalidAnswer, KeysError
from petcd.client.v2.exchange import Answer, Request
from petcd.client.v2.url import Url, clean_path, escape_form, escape_path

FORM = "application/x-www-form-urlencoded"

_Kind = TypeVar("_Kind")


class Node:
    """A file or directory.  `nodes` is None when the answer had none; `ttl_s` 0 for ever."""

    __slots__ = (
        *("created_index", "expiration", "is_dir", "key", "modified_index"),
        *("nodes", "ttl_s", "value"),
    )

    def __init__(self, fields: object) -> None:
        if not isinstance(fields, dict):
            raise InvalidAnswer
        self.key = _typed(fields.get("key", ""), str)
        self.is_dir = _typed(fields.get("dir", False), bool)
        self.value = _typed(fields.get("value", ""), str)
        self.created_index = _typed(fields.get("createdIndex", 0), int)
        self.modified_index = _typed(fields.get("modifiedIndex", 0), int)
        self.expiration = _typed(fields.get("expiration", ""), str)
        self.ttl_s = _typed(fields.get("ttl", 0), int)
        below = fields.get("nodes")
        self.nodes = None if below is None else [Node(item) for item in _typed(below, list)]

    def json(self) -> str:
        """As Go's client prints it: all members, in its order."""
        nodes = "null" if self.nodes is None else f"[{','.join([n.json() for n in self.nodes])}]"
        return "".join(
            [
                f'{{"key":{json_string(self.key)}',
                ',"dir":true' if self.is_dir else "",
                f',"value":{json_string(self.value)},"nodes":{nodes}',
                f',"createdIndex":{self.created_index},"modifiedIndex":{self.modified_index}',
                f',"expiration":{json_string(self.expiration)}' if self.expiration else "",
                f',"ttl":{self.ttl_s}}}' if self.ttl_s else "}",
            ]
        )


class Event:
    """An answer of the keys API.  `index` is the store's when it answered."""

    __slots__ = ("action", "index", "node", "previous")

    def __init__(self, answer: Answer) -> None:
        fields = json_object(answer.body)
        self.action = _typed(fields.get("action", ""), str)
        self.node = Node(fields.get("node"))
        previous = fields.get("prevNode")
        self.previous = None if previous is None else Node(previous)
        index = answer.headers.get("x-etcd-index", "")
        self.index = int(index) if index.isdigit() else 0

    def json(self) -> str:
        """One JSON object on one line."""
        previous = "null" if self.previous is None else self.previous.json()
        action = json_string(self.action)
        return f'{{"action":{action},"node":{self.node.json()},"prevNode":{previous}}}'


def _typed(value: object, kind: type[_Kind]) -> _Kind:
    if not isinstance(value, kind):
        raise InvalidAnswer
    return value


class Keys:
    """Requests to a cluster.  All raise V2Failure; `until` is a time of the monotonic clock."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def get(
        self,
        key: str,
        until: float | None,
        recursive: bool = False,
        sort: bool = False,
        quorum: bool = False,
    ) -> Event:
        """A node, and of a directory what it holds."""
        query = {"recursive": _flag(recursive), "sorted": _flag(sort), "quorum": _flag(quorum)}
        return _event(self._cluster.ask(lambda url: _of(url, "GET", key, query), until))

    def set(
        self,
        key: str,
        value: str | None,
        until: float | None,
        ttl_s: int = 0,
        prev_exist: bool | None = None,
        prev_value: str = "",
        prev_index: int = 0,
    ) -> Event:
        """Write a file, or with value None a directory.  `ttl_s` 0 or less: for ever."""
        query, form = {}, {}
        if value is None:
            query["dir"] = "true"
        else:
            form["value"] = value
            if prev_value:
                query["prevValue"] = prev_value
        if prev_index:
            query["prevIndex"] = _unsigned(prev_index)
        if prev_exist is not None:
            query["prevExist"] = _flag(prev_exist)
        if ttl_s > 0:
            form["ttl"] = str(ttl_s)
        return _event(
            self._cluster.ask(
                lambda url: _of(url, "PUT", key, query, form),
                until,
                one_shot=prev_exist is False,
            )
        )

    def create_in_order(self, directory: str, value: str, until: float | None, ttl_s: int) -> Event:
        """A file in a directory, whose name the server makes."""
        form = {"value": value}
        if ttl_s > 0:
            form["ttl"] = str(ttl_s)
        return _event(self._cluster.ask(lambda url: _of(url, "POST", directory, {}, form), until))

    def delete(
        self,
        key: str,
        until: float | None,
        is_dir: bool = False,
        recursive: bool = False,
        prev_value: str = "",
        prev_index: int = 0,
    ) -> Event:
        """Delete a node, maybe with all below it."""
        query = {}
        if prev_value:
            query["prevValue"] = prev_value
        if prev_index:
            query["prevIndex"] = _unsigned(prev_index)
        if is_dir:
            query["dir"] = "true"
        if recursive:
            query["recursive"] = "true"
        return _event(
            self._cluster.ask(lambda url: _of(url, "DELETE", key, query), until, one_shot=True)
        )

    def next_event(self, key: str, wait_index: int, recursive: bool) -> Event:
        """Waits for the first event at an index or later; 0: from now on."""
        query = {"wait": "true", "waitIndex": str(wait_index), "recursive": _flag(recursive)}
        while True:
            answer = self._cluster.ask(lambda url: _of(url, "GET", key, query), None, patient=True)
            if answer.body:
                return _event(answer)


def _of(
    url: Url, method: str, key: str, query: dict[str, str], form: dict[str, str] | None = None
) -> Request:
    slash = "" if not key or key.startswith("/") else "/"
    target = escape_path(clean_path(f"{url.path}/v2/keys{slash}{key}"))
    if query:
        target += "?" + escape_form(query)
    if method == "GET":
        return Request(method, target)
    return Request(method, target, None if form is None else escape_form(form), FORM)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _unsigned(number: int) -> str:
    return str(number % (1 << 64))


def _event(answer: Answer) -> Event:
    if answer.status in (200, 201):
        return Event(answer)
    fields = json_object(answer.body)
    raise KeysError(
        _typed(fields.get("errorCode", 0), int),
        _typed(fields.get("message", ""), str),
        _typed(fields.get("cause", ""), str),
        _typed(fields.get("index", 0), int),
    )
