"""Members that fall so far behind that they need a snapshot."""

from tests.support.in_memory_cluster import Cluster


def put_many(cluster: Cluster, count: int, value: bytes = b"v") -> None:
    """Put so often, one after the other, at the leader."""
    for number in range(count):
        done = cluster.put(cluster.leader(), b"key%d" % (number % 17), value)
        cluster.run_until(lambda done=done: done)
        assert not isinstance(done[0], Exception), done


def lose_one(cluster: Cluster, count: int = 60) -> str:
    """Cut a follower off until the entries that it misses are gone."""
    name: str = cluster.followers()[0]
    cluster.net.cut(name)
    put_many(cluster, count)
    leader = cluster[cluster.leader()].member
    assert leader.log.first_index() > cluster[name].member.applied_index + 1
    return name
