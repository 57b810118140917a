"""What a member tells others over its peer port, beside raft: the same as a real etcd member."""

from __future__ import annotations

import asyncio
import json
from typing import NamedTuple

import pytest
from etcdctl_runs import StartServer

from bench.requests import PUT
from bench.servers import Server
from petcd.transport.http_client import HttpClient, Response
from petcd.wire.internal import LeaseInternalRequest
from petcd.wire.kv import CompactionRequest, PutRequest
from petcd.wire.lease import LeaseGrantRequest, LeaseKeepAliveRequest, LeaseTimeToLiveRequest

LEASE = 7


class Servers(NamedTuple):
    """One of each, with the same history: five revisions, compacted at the third, a lease."""

    ours: Server
    theirs: Server


@pytest.fixture(scope="module")
def servers(start_server: StartServer) -> Servers:
    pair = Servers(start_server("petcd"), start_server("etcd"))
    for server in pair:
        asyncio.run(write_history(server))
    return pair


async def write_history(server: Server) -> None:
    connection = await server.connect()
    for n in range(4):
        await connection.call(PUT, PutRequest(key=b"k", value=b"%d" % n).encode())
    grant = LeaseGrantRequest(ID=LEASE, TTL=600).encode()
    await connection.call("/etcdserverpb.Lease/LeaseGrant", grant)
    compaction = CompactionRequest(revision=3, physical=True).encode()
    await connection.call("/etcdserverpb.KV/Compact", compaction)
    connection.close()


async def ask(server: Server, method: str, target: str, body: bytes) -> Response:
    client = HttpClient(5.0)
    try:
        url = f"http://127.0.0.1:{server.peer_port}"
        return await client.fetch(url, method, target, body=body, timeout_s=10)
    finally:
        await client.close()


def told(answer: Response) -> tuple[int, object]:
    """Status and body; JSON as what it says."""
    if answer.header(b"content-type") == b"application/json":
        return answer.status, json.loads(answer.body)
    return answer.status, answer.body


INTERNAL = LeaseInternalRequest(LeaseTimeToLiveRequest=LeaseTimeToLiveRequest(ID=9)).encode()


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/members/hashkv", b'{"revision":5}'),
        ("GET", "/members/hashkv", b'{"revision":4}'),
        ("GET", "/members/hashkv", b"{}"),
        ("GET", "/members/hashkv", b'{"revision":2}'),
        ("GET", "/members/hashkv", b'{"revision":99}'),
        ("GET", "/members/hashkv", b""),
        ("GET", "/members/hashkv", b"[]"),
        ("POST", "/members/hashkv", b"{}"),
        ("GET", "/downgrade/enabled", b""),
        ("POST", "/downgrade/enabled", b""),
        ("POST", "/leases", LeaseKeepAliveRequest(ID=LEASE).encode()),
        ("POST", "/leases", LeaseKeepAliveRequest(ID=9).encode()),
        ("POST", "/leases", b"\xff"),
        ("POST", "/leases/internal", INTERNAL),
        ("POST", "/leases/internal", b"\xff"),
        ("POST", "/members/promote/12", b""),
        ("POST", "/members/promote/x", b""),
        ("GET", "/members/promote/12", b""),
        ("GET", "/members/other", b""),
    ],
)
def test_a_question_is_answered_as_by_etcd(
    servers: Servers, method: str, target: str, body: bytes
) -> None:
    ours = asyncio.run(ask(servers.ours, method, target, body))
    theirs = asyncio.run(ask(servers.theirs, method, target, body))
    assert told(ours) == told(theirs)
    assert ours.header(b"content-type") == theirs.header(b"content-type")
