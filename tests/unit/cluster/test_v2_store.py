"""The tree of members in a raft snapshot, ours and etcd's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petcd.cluster import MemberInfo, Membership
from petcd.cluster.v2_store import MemberRecords
from petcd.storage.memory import MemoryBackend

RECORDS = MemberRecords(
    (
        MemberInfo(1, ("http://a:1", "http://b:1"), "one", ("http://a:2",)),
        MemberInfo(0xABC, ("http://c:1",), is_learner=True),
        MemberInfo(0xFFFF_FFFF_FFFF_FFFF, ("http://d:1",), "last"),
    ),
    (5, 77),
    "3.5.0",
)


def test_what_is_encoded_is_decoded() -> None:
    assert MemberRecords.decode(RECORDS.encode()) == RECORDS
    alone = MemberRecords((MemberInfo(1, ("http://a:1",)),), (), "")
    assert MemberRecords.decode(alone.encode()) == alone


def test_the_tree_has_the_shape_that_etcd_recovers_from() -> None:
    tree = json.loads(RECORDS.encode())
    assert len(tree["WatcherHub"]["EventHistory"]["Queue"]["Events"]) == 1000
    own = tree["Root"]["Children"]["0"]
    assert own["Path"] == "/0" and tree["Root"]["Children"]["1"]["Children"] == {}
    node = own["Children"]["members"]["Children"]["abc"]
    assert node["Path"] == "/0/members/abc"
    assert list(node["Children"]) == ["raftAttributes"]
    assert node["Children"]["raftAttributes"] == {
        "Path": "/0/members/abc/raftAttributes",
        "CreatedIndex": 0,
        "ModifiedIndex": 0,
        "ExpireTime": "0001-01-01T00:00:00Z",
        "Value": '{"peerURLs":["http://c:1"],"isLearner":true}',
        "Children": None,
    }


def test_the_buckets_are_replaced_whole() -> None:
    backend = MemoryBackend()
    membership = Membership(backend, 1, 1)
    membership.add(MemberInfo(9, ("http://gone:1",)))
    membership.add(MemberInfo(10, ("http://gone:2",)))
    membership.remove(10)
    RECORDS.write(backend)
    backend.commit()
    assert MemberRecords.read(backend) == RECORDS
    membership.load()
    assert membership.members() == list(RECORDS.members) and membership.version == "3.5.0"
    assert not membership.is_removed(10) and membership.is_removed(77)


def damaged(**changes: Any) -> bytes:
    tree = json.loads(RECORDS.encode())
    own = tree["Root"]["Children"]["0"]["Children"]
    own.update(changes)
    return json.dumps(tree).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"Root":{"Children":{}}}' + b"x",
        damaged(members=7),
        damaged(members={"Children": {"xyz": {"Children": {}}}}),
        damaged(members={"Children": {"a": {"Children": {}}}}),
        damaged(members={"Children": {"a": {"Children": {"raftAttributes": {"Value": "{"}}}}}),
        damaged(
            members={
                "Children": {"a": {"Children": {"raftAttributes": {"Value": '{"peerURLs":[3]}'}}}}
            }
        ),
        damaged(version={"Value": 7}),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        MemberRecords.decode(data)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "Root",
                        "Children",
                        "0",
                        "members",
                        "a",
                        "version",
                        "Value",
                        "raftAttributes",
                        "removed_members",
                    ]
                ),
                inner,
            )
        ),
    )
)
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        MemberRecords.decode(json.dumps(value).encode())
    except ValueError:
        pass
