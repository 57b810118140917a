"""Between the records of a history and API 2: what is sent over HTTP, what an answer means.

    target, method, form  <--  V2Set, V2Delete, V2Get, V2Watch        JSON  -->  V2Response, V2Error

An answer comes as `status index body`, where the index is that of the head (`Connection.http`).
"""

from __future__ import annotations

import json
from calendar import timegm
from time import strptime
from typing import Any, NamedTuple

from sim.check import v2_records as v2

PREFIX = "/v2/keys"
_CERTAIN = (v2.NOT_FOUND, v2.NOT_EQUAL, v2.EXISTS)


class Sent(NamedTuple):
    """An HTTP request."""

    method: str
    target: str
    body: bytes = b""


def sent(request: Any) -> Sent:
    """What to send for a request."""
    target = PREFIX + request.key.decode()
    if type(request) is v2.V2Get:
        return Sent("GET", target + ("?quorum=true" if request.quorum else ""))
    if type(request) is v2.V2Watch:
        wishes = {"wait": "true", "waitIndex": request.wait_index or ""}
        wishes |= {"recursive": "true"} if request.key == b"/" else {}
        wishes |= {"stream": "true"} if request.stream else {}
        return Sent("GET", f"{target}?{_form(wishes)}")
    wishes = {"prevIndex": request.prev_index or "", "prevValue": request.prev_value.decode()}
    if type(request) is v2.V2Delete:
        query = _form(wishes)
        return Sent("DELETE", target + ("?" + query if query else ""))
    wishes |= {"prevExist": request.prev_exist, "ttl": request.ttl_s or ""}
    wishes |= {"refresh": "true"} if request.refresh else {"value": request.value.decode()}
    return Sent("PUT", target, _form(wishes).encode())


def _form(wishes: dict[str, Any]) -> str:
    return "&".join(f"{name}={value}" for name, value in wishes.items() if value != "")


class Answer(NamedTuple):
    """`response` is None when nobody knows what became of the request.

    `expirations` are those of the nodes that were shown, by the time of day since `epoch_s`.
    """

    response: v2.V2Response | v2.V2Error | None
    revision: int
    expirations: tuple[v2.V2Expiration, ...] = ()


def answer(body: bytes, epoch_s: int) -> Answer:
    """What an HTTP answer says."""
    status, index, text = body.split(b" ", 2)
    said = json.loads(text)
    if status not in (b"200", b"201"):
        number = said.get("errorCode", 0)
        certain = v2.V2Error(number) if number in _CERTAIN else None
        return Answer(certain, said.get("index", 0))
    found, expirations = event(said, epoch_s)
    is_read = found.action == "get"
    return Answer(found, int(index) if is_read else found.node.modified, expirations)


def event(said: dict[str, Any], epoch_s: int) -> tuple[v2.V2Response, tuple[v2.V2Expiration, ...]]:
    """What happened, and which expirations were shown with it."""
    nodes = [said[name] for name in ("node", "prevNode") if name in said]
    expirations = tuple(
        v2.V2Expiration(node["key"].encode(), node["modifiedIndex"], _seconds(node, epoch_s))
        for node in nodes
        if "expiration" in node
    )
    node, *prev = [
        v2.V2Node(
            one["key"].encode(),
            one.get("value", "").encode(),
            one["modifiedIndex"],
            one.get("createdIndex", 0),
        )
        for one in nodes
    ]
    return v2.V2Response(said["action"], node, prev[0] if prev else None), expirations


def _seconds(node: dict[str, Any], epoch_s: int) -> float:
    whole, _, fraction = node["expiration"].removesuffix("Z").partition(".")
    return timegm(strptime(whole, "%Y-%m-%dT%H:%M:%S")) - epoch_s + float(f"0.{fraction or 0}")
