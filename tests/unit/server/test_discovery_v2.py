"""A registry of the v2 API, spoken to over loopback sockets."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from petcd.server.discovery_registry import DiscoveryFailed, Entry, Unanswered
from petcd.server.discovery_v2 import V2Registry
from petcd.transport.listener import Listener
from petcd.transport.router import Router


@asynccontextmanager
async def service(answers, http_proxy=False):
    """A registry at a service that answers by `METHOD target`; yields it and what was asked."""
    asked = []

    def handle(request, respond):
        asked.append((request.method, request.target, request.body))
        answer = answers.get(
            f"{request.method} {request.target}", (404, {}, b"404 page not found\n")
        )
        status, headers, body = answer
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        respond.send(status, fields, body if isinstance(body, bytes) else json.dumps(body).encode())

    listener = Listener(Router(), handle)
    host, port = await listener.start("127.0.0.1", 0)
    base = f"http://{host}:{port}"
    url = "http://far.example/token" if http_proxy else f"{base}/token"
    registry = V2Registry(url, base if http_proxy else "")
    try:
        yield registry, asked
    finally:
        await registry.close()
        await listener.close()


def run(answers, work, **settings):
    async def main():
        async with service(answers, **settings) as (registry, asked):
            return await work(registry), asked

    return asyncio.run(main())


NODES = {
    "action": "get",
    "node": {
        "key": "/_etcd/registry/token",
        "dir": True,
        "nodes": [
            {"key": "/_etcd/registry/token/_config", "dir": True, "createdIndex": 1},
            {"key": "/_etcd/registry/token/ab", "value": "b=http://b:1", "createdIndex": 9},
            {"key": "/_etcd/registry/token/cd", "value": "a=http://a:1", "createdIndex": 7},
        ],
    },
}


def test_entries_are_read_without_the_configuration():
    (entries, index), _ = run(
        {"GET /token": (200, {"x-etcd-index": "12"}, NODES)}, lambda registry: registry.entries()
    )
    assert entries == [Entry("ab", "b=http://b:1", 9), Entry("cd", "a=http://a:1", 7)]
    assert index == 12


def test_an_entry_is_made_only_when_there_is_none():
    made = {"action": "create", "node": {"key": "/token/ab", "createdIndex": 3}}
    answers = {"PUT /token/ab?prevExist=false": (201, {}, made)}
    done, asked = run(
        answers, lambda registry: registry.register("ab", "a=http://a:1,a=http://b:1")
    )
    assert done is True
    assert asked[0][2] == b"value=a%3Dhttp%3A%2F%2Fa%3A1%2Ca%3Dhttp%3A%2F%2Fb%3A1"
    taken = {"errorCode": 105, "message": "Key already exists", "cause": "/token/ab", "index": 3}
    answers = {"PUT /token/ab?prevExist=false": (412, {}, taken)}
    assert run(answers, lambda registry: registry.register("ab", "x"))[0] is False


MISSING = {"errorCode": 100, "message": "Key not found", "cause": "/token", "index": 3}
DENIED = {"errorCode": 110, "message": "The request requires user authentication", "index": 0}


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        ((404, {}, MISSING), DiscoveryFailed, "discovery: size key not found"),
        ((200, {}, b"<html>"), DiscoveryFailed, "discovery: bad discovery endpoint"),
        ((200, {}, {"node": 7}), DiscoveryFailed, "discovery: bad discovery endpoint"),
        ((401, {}, DENIED), DiscoveryFailed, "110: The request requires"),
        ((503, {}, b""), Unanswered, "answers 503"),
    ],
)
def test_answers_that_are_no_size(answer, error, text):
    with pytest.raises(error, match=text):
        run({"GET /token/_config/size": answer}, lambda registry: registry.size())


def test_a_redirect_is_followed_and_not_for_ever():
    there = {"node": {"key": "/x", "value": "3"}}
    answers = {
        "GET /token/_config/size": (307, {"location": "/elsewhere?x=1"}, b""),
        "GET /elsewhere?x=1": (200, {}, there),
    }
    assert run(answers, lambda registry: registry.size())[0] == "3"
    circle = {"GET /token/_config/size": (307, {"location": "/token/_config/size"}, b"")}
    with pytest.raises(DiscoveryFailed, match="bad discovery endpoint"):
        run(circle, lambda registry: registry.size())


def test_a_watch_waits_for_the_next_index_and_forgives_a_cleared_one():
    target = "GET /token?wait=true&recursive=true&waitIndex=13"
    cleared = {"errorCode": 401, "message": "cleared", "cause": "x", "index": 3000}
    for answer in ((200, {}, {"action": "create", "node": {"key": "/x"}}), (400, {}, cleared)):
        run({target: answer}, lambda registry: registry.changed_since(12))
    with pytest.raises(Unanswered):
        run({target: (200, {}, b"")}, lambda registry: registry.changed_since(12))


def test_a_proxy_is_asked_for_a_host_that_only_it_can_reach():
    there = {"node": {"key": "/x", "value": "3"}}
    answers = {"GET /token/_config/size": (200, {}, there)}
    assert run(answers, lambda registry: registry.size(), http_proxy=True)[0] == "3"


def test_a_service_that_is_not_there_is_unanswered():
    async def main():
        registry = V2Registry("http://127.0.0.1:1/token")
        try:
            with pytest.raises(Unanswered):
                await registry.size()
        finally:
            await registry.close()

    asyncio.run(main())


@pytest.mark.parametrize("url", ["", "token", "ftp://h/token", "http:///token"])
def test_what_is_no_url_is_refused(url):
    async def main():
        with pytest.raises(DiscoveryFailed, match="discovery: invalid URL"):
            V2Registry(url)

    asyncio.run(main())
