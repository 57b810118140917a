"""A proxy process before three members that die, come back, and leave the cluster for good."""

import asyncio
import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from bench.clusters import Cluster, fresh_members
from bench.servers import Server
from petcd.client.channel import Channel
from petcd.client.endpoint import parse_endpoint
from petcd.client.errors import ClientError
from petcd.client.methods import MEMBER_LIST, PUT, RANGE
from petcd.wire.cluster import MemberListRequest, MemberListResponse, MemberRemoveRequest
from petcd.wire.kv import PutRequest, RangeRequest, RangeResponse

MEMBER_REMOVE = b"/etcdserverpb.Cluster/MemberRemove"
FORM = "application/x-www-form-urlencoded"
WAIT_S = 30.0
CALL_S = 8.0


class World(NamedTuple):
    """Three members and a proxy."""

    cluster: Cluster
    proxy: Server


@pytest.fixture
def world() -> Iterator[World]:
    cluster = Cluster(fresh_members(["petcd"] * 3))
    proxy = Server(
        "petcd",
        *("--proxy", "on", "--proxy-refresh-interval", "300", "--proxy-failure-wait", "500"),
        name="proxy",
    )
    proxy.initial_cluster = cluster.members[0].initial_cluster

    async def start() -> None:
        await cluster.start()
        await proxy.start()

    try:
        asyncio.run(start())
        yield World(cluster, proxy)
    finally:
        proxy.close()
        cluster.close()


def ask(proxy: Server, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    headers = {"Content-Type": FORM} if body is not None else {}
    url = f"http://127.0.0.1:{proxy.port}{path}"
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=CALL_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def endpoints(proxy: Server) -> list[str]:
    return json.loads(ask(proxy, "GET", "/v2/config/local/proxy")[1])["endpoints"]


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


class Clients:
    """Writes through a proxy by both APIs; what was acknowledged must be there in the end."""

    def __init__(self, proxy: Server) -> None:
        self.proxy = proxy
        self.channel = Channel([parse_endpoint(f"127.0.0.1:{proxy.port}")])
        self.number = 0
        self.acknowledged: list[str] = []
        self.failed = 0

    def write_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.number += 1
            self._write_v2(f"/two/{self.number}")
            self._write_v3(f"/three/{self.number}")

    def _write_v2(self, key: str) -> None:
        status, _ = ask(self.proxy, "PUT", f"/v2/keys{key}", b"value=x")
        self._note(key, status == 201)

    def _write_v3(self, key: str) -> None:
        request = PutRequest(key=key.encode(), value=b"x")
        with contextlib.suppress(ClientError):
            self.channel.unary(PUT, request.encode(), CALL_S)
            self._note(key, True)
            return
        self._note(key, False)

    def _note(self, key: str, done: bool) -> None:
        if done:
            self.acknowledged.append(key)
        else:
            self.failed += 1

    def missing(self) -> list[str]:
        request = RangeRequest(key=b"/t", range_end=b"/u", keys_only=True).encode()
        answer = self.channel.unary(RANGE, request, CALL_S, repeatable=True)
        there = {kv.key.decode() for kv in RangeResponse.decode(answer).kvs}
        return [key for key in self.acknowledged if key not in there]


def test_a_member_that_dies_costs_the_calls_in_flight_and_is_taken_back(world: World) -> None:
    clients = Clients(world.proxy)
    wait_until(lambda: len(endpoints(world.proxy)) == 3)
    clients.write_for(0.5)
    assert not clients.failed
    for victim in world.cluster.members:
        victim.kill()
        clients.write_for(1.5)
        asyncio.run(victim.start())
        wait_until(lambda: len(endpoints(world.proxy)) == 3)
    clients.write_for(0.5)
    assert len(clients.acknowledged) > 200
    # in flight when the leader dies: one of each API, or a few that the election held up
    assert clients.failed < 20
    assert not clients.missing()
    clients.channel.close()


def test_a_proxy_follows_a_cluster_that_shrinks(world: World) -> None:
    channel = Channel([parse_endpoint(f"127.0.0.1:{world.proxy.port}")])
    listed = channel.unary(MEMBER_LIST, MemberListRequest().encode(), CALL_S)
    leaving = asyncio.run(world.cluster.follower())
    (member_id,) = (
        member.ID
        for member in MemberListResponse.decode(listed).members
        if member.name == leaving.name
    )

    def has_left() -> bool:
        # refused while the members have not been connected for five seconds; and the answer may
        # have to come from the member that is leaving
        with contextlib.suppress(ClientError):
            channel.unary(MEMBER_REMOVE, MemberRemoveRequest(ID=member_id).encode(), CALL_S)
        return len(endpoints(world.proxy)) == 2

    wait_until(has_left)
    assert f"http://127.0.0.1:{leaving.port}" not in endpoints(world.proxy)
    assert ask(world.proxy, "PUT", "/v2/keys/a", b"value=1")[0] == 201
    remembered = json.loads((world.proxy.folder / "data" / "proxy" / "cluster").read_text())
    assert len(remembered["PeerURLs"]) == 2
    channel.close()


def test_a_proxy_finds_the_cluster_again_by_what_it_remembers(world: World) -> None:
    wait_until(lambda: len(endpoints(world.proxy)) == 3)
    world.proxy.stop()
    world.cluster.members[0].stop()
    world.proxy.initial_cluster = "wrong=http://127.0.0.1:1"
    world.proxy.flags = ()  # the directory makes it a proxy
    asyncio.run(world.proxy.start())
    assert ask(world.proxy, "PUT", "/v2/keys/a", b"value=1")[0] == 201
