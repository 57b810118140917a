"""Ids and the list of members."""

import pytest

from petcd.cluster import (
    MemberInfo,
    MemberKnown,
    Membership,
    MemberUnknown,
    NotALearner,
    PeerUrlKnown,
    cluster_id,
    format_id,
    member_id,
    parse_id,
)
from petcd.storage.memory import MemoryBackend

ONE = MemberInfo(1, ("http://a:2380",), "one", ("http://a:2379",))
TWO = MemberInfo(2, ("http://b:2380",))


def membership(backend: MemoryBackend | None = None) -> Membership:
    result = Membership(backend or MemoryBackend(), cluster_id=77, local_id=1)
    result.load()
    return result


def test_ids_of_a_default_member_are_those_that_etcd_computes():
    member = member_id(["http://localhost:2380"], "etcd-cluster")
    assert format_id(member) == "8e9e05c52164694d"
    assert format_id(cluster_id([member])) == "cdf818194e3a8c32"


def test_member_id_depends_on_token_and_time_but_not_on_the_order_of_urls():
    assert member_id(["b", "a"], "t") == member_id(["a", "b"], "t")
    assert member_id(["a"], "t") != member_id(["a"], "u")
    assert member_id(["a"], "t", 5) not in (member_id(["a"], "t"), member_id(["a"], "t", 6))


def test_an_id_is_read_back_from_its_text():
    assert parse_id(format_id(0x1234)) == 0x1234
    for bad in ("", "xyz", "1" * 17, "-1"):
        with pytest.raises(ValueError):
            parse_id(bad)


def test_json_of_a_member_is_etcds():
    assert ONE.to_json() == (
        b'{"id":1,"peerURLs":["http://a:2380"],"name":"one","clientURLs":["http://a:2379"]}'
    )
    learner = MemberInfo(3, ("http://c:2380",), is_learner=True)
    assert learner.to_json() == b'{"id":3,"peerURLs":["http://c:2380"],"isLearner":true}'
    assert MemberInfo.from_json(learner.to_json()) == learner
    with pytest.raises(ValueError):
        MemberInfo.from_json(b"[]")


def test_everything_survives_a_restart():
    backend = MemoryBackend()
    first = membership(backend)
    first.add(ONE)
    first.add(TWO)
    first.publish(2, "two", ["http://b:2379"])
    first.remove(1)
    first.set_version("3.5.0")
    second = membership(backend)
    assert second.members() == [MemberInfo(2, ("http://b:2380",), "two", ("http://b:2379",))]
    assert second.is_removed(1)
    assert second.version == "3.5.0"
    assert second.local is None


def test_a_removed_member_never_comes_back_and_cannot_publish():
    cluster = membership()
    cluster.add(ONE)
    cluster.remove(1)
    with pytest.raises(MemberUnknown):
        cluster.check_add(ONE)
    cluster.publish(1, "ghost", [])
    assert cluster.get(1) is None


def test_a_member_cannot_be_added_twice_nor_take_the_peer_url_of_another():
    cluster = membership()
    cluster.add(ONE)
    with pytest.raises(MemberKnown):
        cluster.check_add(ONE)
    with pytest.raises(PeerUrlKnown):
        cluster.check_add(MemberInfo(3, ONE.peer_urls))
    cluster.check_update(1, ONE.peer_urls)
    with pytest.raises(MemberUnknown):
        cluster.check_update(9, ["http://z:2380"])


def test_an_update_of_peer_urls_leaves_the_learner_flag_alone():
    cluster = membership()
    cluster.add(MemberInfo(3, ("http://c:2380",), is_learner=True))
    cluster.update_peer_urls(3, ["http://d:2380"])
    member = cluster.get(3)
    assert member is not None and member.is_learner and member.peer_urls == ("http://d:2380",)


def test_only_a_learner_is_promoted():
    cluster = membership()
    cluster.add(ONE)
    cluster.add(MemberInfo(3, ("http://c:2380",), is_learner=True))
    with pytest.raises(NotALearner):
        cluster.check_promote(1)
    cluster.check_promote(3)
    cluster.promote(3)
    assert not cluster.members()[1].is_learner
