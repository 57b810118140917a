"""Entries that only etcd's members write: bare v2 requests about members and version."""

import pytest

from petcd.member.errors import NotSupported
from petcd.wire.codec import DecodeError
from petcd.wire.v2request import Request


def put(path: str, value: str, **more: object) -> bytes:
    return Request(ID=5, Method="PUT", Path=path, Val=value, **more).encode()


def test_an_etcd_member_publishes_itself(rig):
    attributes = '{"name":"two","clientURLs":["http://here:2379"]}'
    assert rig.member.applier.apply(put("/0/members/7/attributes", attributes)) == (5, None)
    (member,) = rig.member.membership.members()
    assert (member.name, member.client_urls) == ("two", ("http://here:2379",))
    assert member.peer_urls == ("http://localhost:2380",)


def test_an_etcd_leader_sets_the_version_of_the_cluster(rig):
    assert rig.member.applier.apply(put("/0/version", "3.5.0")) == (5, None)
    assert rig.member.membership.version == "3.5.0"


@pytest.mark.parametrize(
    "data",
    [
        put("/1/key", "value"),
        put("/0/members/7/attributes", "no json"),
        put("/0/members/7/attributes", "[]"),
        put("/0/members/xyz/attributes", "{}"),
        put("/0/version", "3.5.0", PrevExist=True),
        put("/0/version", "3.5.0", PrevIndex=4),
        Request(ID=5, Method="SYNC", Time=1).encode(),
        Request(ID=5, Method="DELETE", Path="/0/version").encode(),
    ],
)
def test_the_v2_store_of_etcds_members_is_nothing_to_us(rig, data: bytes):
    revision, version = rig.member.store.revision, rig.member.membership.version
    request_id, outcome = rig.member.applier.apply(data)
    assert request_id == 5 and isinstance(outcome, NotSupported)
    assert rig.member.store.revision == revision
    assert rig.member.membership.version == version
    assert [m.name for m in rig.member.membership.members()] == ["one"]


def test_an_entry_that_is_neither_is_damaged(rig):
    with pytest.raises(DecodeError):
        rig.member.applier.apply(b"\xff\xff")
