"""Questions to members: answers that are believed, and those that are not."""

import asyncio
from typing import Any, cast

import pytest
from peer_fakes import FakeClient, response

from petcd.cluster.membership import MemberInfo
from petcd.peer.remote_requests import (
    ClusterUnknown,
    Versions,
    get_cluster_from_remote_peers,
    get_versions,
)
from petcd.transport.http_client import Response, Unreachable

ID = (b"x-etcd-cluster-id", b"cdf8")
MEMBERS = b'[{"id":7,"peerURLs":["http://a:1"],"name":"a"},{"id":8,"peerURLs":["http://b:2"]}]\n'


def client(answers: dict[str, Response]) -> Any:
    fake = FakeClient()
    fake.answer = lambda url, target, body: answers.get(url + target, Unreachable("down"))
    return cast(Any, fake)


def test_the_first_url_that_answers_describes_the_cluster() -> None:
    peers = client({"http://b/members": response(200, MEMBERS, ID)})
    found = asyncio.run(get_cluster_from_remote_peers(peers, ["http://a", "http://b", "http://c"]))
    assert found.cluster_id == 0xCDF8
    assert found.members == (
        MemberInfo(7, ("http://a:1",), "a"),
        MemberInfo(8, ("http://b:2",)),
    )
    assert [url for url, _, _ in peers.posts] == ["http://a", "http://b"]


@pytest.mark.parametrize(
    "answer",
    [
        response(500, MEMBERS, ID),
        response(200, MEMBERS),
        response(200, MEMBERS, (b"x-etcd-cluster-id", b"zz")),
        response(200, b"[]", ID),
        response(200, b"null", ID),
        response(200, b"{}", ID),
        response(200, b"7", ID),
        response(200, b'[{"name":"a"}]', ID),
        response(200, b"<html>", ID),
    ],
)
def test_an_answer_that_describes_no_cluster_is_passed_over(answer: Response) -> None:
    peers = client({"http://a/members": answer})
    with pytest.raises(ClusterUnknown):
        asyncio.run(get_cluster_from_remote_peers(peers, ["http://a"]))


def test_versions_are_asked_of_every_member() -> None:
    good = response(200, b'{"etcdserver":"3.5.1","etcdcluster":"3.5.0","petcd":"1"}')
    bad = response(200, b'{"etcdserver":3}')
    peers = client({"http://b/version": good, "http://c/version": bad})
    members = [
        MemberInfo(1, ("http://a", "http://b")),
        MemberInfo(2, ("http://c",)),
        MemberInfo(3, ("http://d",)),
    ]
    found = asyncio.run(get_versions(peers, members))
    assert found == {1: Versions("3.5.1", "3.5.0"), 2: None, 3: None}
