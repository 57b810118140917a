"""The version that the leader decides for the cluster, and which clusters may be joined."""

import pytest

from petcd.server.cluster_version import INTERVAL_S, decided
from petcd.server.versions import is_joinable, major_minor


@pytest.mark.parametrize(
    ("current", "found", "version"),
    [
        (None, ["3.5.33"], "3.5.0"),
        (None, ["3.5.33", "3.4.9"], "3.4.0"),
        (None, ["3.5.33", None], "3.0.0"),
        (None, ["3.5.33", "nonsense"], "3.0.0"),
        ("3.5.0", ["3.5.33", "3.5.1"], None),
        ("3.0.0", ["3.5.33", "3.5.1"], "3.5.0"),
        ("3.0.0", ["3.5.33", None], None),
        ("3.4.0", ["3.5.33", "3.6.1"], "3.5.0"),
        ("3.5.0", ["3.5.33", "3.4.1"], "3.4.0"),
        ("3.5.0", ["3.5.33", "3.3.1"], None),
        ("3.5.0", ["4.0.0", "4.1.0"], None),
    ],
)
def test_the_version_is_that_of_the_oldest_member(current, found, version):
    assert decided(current, found) == version


def test_versions_are_read_as_etcd_writes_them():
    assert major_minor("3.5.1") == (3, 5)
    assert major_minor("3.6.0-alpha.0") == (3, 6)
    assert major_minor("3.5.1+git") == (3, 5)
    assert major_minor("not_decided") is None
    assert major_minor("3.5") is None


@pytest.mark.parametrize(
    ("version", "joinable"),
    [("3.0.0", True), ("3.5.0", True), ("3.6.0", False), ("2.3.0", False), ("not_decided", False)],
)
def test_a_member_joins_clusters_up_to_its_own_version(version, joinable):
    assert is_joinable(version) == joinable


def test_the_version_rises_once_all_members_answer(in_memory_cluster):
    cluster = in_memory_cluster("a", "b", "c")
    silent = set("abc")
    for node in cluster.nodes.values():
        version = node.engine.cluster_version
        version._ask = lambda members, done: done(
            {m.id: None if cluster_name(cluster, m.id) in silent else "3.5.1" for m in members}
        )
    cluster.run(4.0)
    assert {node.member.membership.version for node in cluster.nodes.values()} == {"3.0.0"}
    silent.clear()
    cluster.run(INTERVAL_S + 1.0)
    assert {node.member.membership.version for node in cluster.nodes.values()} == {"3.5.0"}


def cluster_name(cluster, member_id):
    return next(name for name, node in cluster.nodes.items() if node.id == member_id)
