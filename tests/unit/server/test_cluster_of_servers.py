"""Whole members on loopback: founding, joining, leaving, and what is refused."""

import asyncio
import shutil
import time

import pytest

from petcd.client.errors import ClientError
from petcd.server.config import ConfigError
from petcd.server.restore import restore
from petcd.server.serve import MemberRemoved
from petcd.storage.lmdb_backend import LmdbBackend
from petcd.storage.snapshot_file import write_snapshot
from petcd.wire import cluster as wire
from petcd.wire import kv, lease, maintenance
from tests.support.server_cluster import ServerCluster

CLUSTER = b"/etcdserverpb.Cluster/"
KV = b"/etcdserverpb.KV/"
LEASE = b"/etcdserverpb.Lease/"
MAINTENANCE = b"/etcdserverpb.Maintenance/"


@pytest.fixture
def make(tmp_path):
    made = []

    def make(*names):
        made.append(ServerCluster(str(tmp_path), names))
        return made[-1]

    yield make
    for one in made:
        one.close()


def put(cluster, name, key, value=b"v"):
    return cluster.call(name, KV + b"Put", kv.PutRequest(key=key, value=value), kv.PutResponse)


def get(cluster, name, key, **options):
    request = kv.RangeRequest(key=key, **options)
    return cluster.call(name, KV + b"Range", request, kv.RangeResponse)


def members(cluster, name):
    request = wire.MemberListRequest(linearizable=True)
    return cluster.call(name, CLUSTER + b"MemberList", request, wire.MemberListResponse).members


def wait_for(condition, limit_s=10.0):
    until_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until_s, "not in time"
        time.sleep(0.02)


def refusal(cluster, name, path, request, answer):
    with pytest.raises(ClientError) as caught:
        cluster.call(name, path, request, answer)
    return caught.value.message


def test_three_servers_serve_as_one(make):
    cluster = make("a", "b", "c")
    cluster.start("a", "b", "c")
    for name in "abc":
        put(cluster, name, name.encode())
    for name in "abc":
        assert [get(cluster, name, key).count for key in (b"a", b"b", b"c")] == [1, 1, 1]
    assert [m.name for m in sorted(members(cluster, "a"), key=lambda m: m.name)] == list("abc")
    wait_for(lambda: {cluster.engine(n).member.membership.version for n in "abc"} == {"3.5.0"})
    granted = cluster.call(
        "a", LEASE + b"LeaseGrant", lease.LeaseGrantRequest(TTL=60), lease.LeaseGrantResponse
    )
    for name in "abc":
        left = cluster.call(
            name,
            LEASE + b"LeaseTimeToLive",
            lease.LeaseTimeToLiveRequest(ID=granted.ID),
            lease.LeaseTimeToLiveResponse,
        )
        assert left.grantedTTL == 60 and 55 < left.TTL <= 60
    leader = cluster.leader()
    cluster.stop(leader)
    other = next(name for name in "abc" if name != leader)
    began_s = time.monotonic()
    put(cluster, other, b"after")
    assert time.monotonic() - began_s < 3.0
    cluster.start(leader)
    assert get(cluster, leader, b"after").count == 1


def test_a_member_joins_and_is_removed(make):
    cluster = make("a", "b", "c")
    founders = ",".join(f"{name}={cluster.peer_urls[name]}" for name in "ab")
    cluster.start("a", "b", initial_cluster=founders, strict_reconfig_check=False)
    put(cluster, "a", b"before")
    wait_for(lambda: all(cluster.engine(n).member.membership.version for n in "ab"))
    request = wire.MemberAddRequest(peerURLs=[cluster.peer_urls["c"]])
    added = cluster.call("b", CLUSTER + b"MemberAdd", request, wire.MemberAddResponse)
    assert len(added.members) == 3 and added.member.ID
    with pytest.raises(ConfigError, match="member count is unequal"):
        cluster.start(
            "c",
            initial_cluster_state="existing",
            initial_cluster=f"a={cluster.peer_urls['a']},c={cluster.peer_urls['c']}",
        )
    cluster.stop("c")
    cluster.start("c", initial_cluster_state="existing", strict_reconfig_check=False)
    assert get(cluster, "c", b"before", serializable=True).count == 1
    put(cluster, "c", b"from-c")
    assert get(cluster, "a", b"from-c").count == 1
    request = wire.MemberRemoveRequest(ID=added.member.ID)
    # The member itself is asked: it hears that this is decided, though it is no peer from then on.
    left = cluster.call("c", CLUSTER + b"MemberRemove", request, wire.MemberRemoveResponse)
    assert len(left.members) == 2
    wait_for(cluster.servers["c"].removed.done)
    assert "permanently removed from the cluster" in cluster.log_of("c")
    cluster.stop("c")
    with pytest.raises(MemberRemoved):
        cluster.start("c", initial_cluster_state="existing")


@pytest.mark.parametrize("state", ["new", "existing"])
def test_a_member_that_lost_its_disk_is_refused(make, tmp_path, state):
    cluster = make("a", "b", "c")
    cluster.start("a", "b", "c")
    gone = next(name for name in "abc" if name != cluster.leader())
    cluster.stop(gone)
    shutil.rmtree(tmp_path / gone)
    with pytest.raises(ConfigError, match="has already been bootstrapped"):
        cluster.start(gone, initial_cluster_state=state)


def back_up(directory, name):
    """A snapshot file of a stopped member's store."""
    backend = LmdbBackend(str(directory / name / "member" / "snap" / "db"))
    view = backend.snapshot_view()
    with open(directory / "backup.db", "w+b") as file:
        write_snapshot(view, file)
    view.close()
    backend.close()


def restore_in_place(cluster, directory, name):
    shutil.rmtree(directory / name)
    restore(str(directory / "backup.db"), cluster.make(name).config, True)


def test_a_member_restored_from_a_backup_does_not_go_into_its_old_cluster(make, tmp_path):
    cluster = make("a", "b", "c")
    cluster.start("a", "b", "c")
    put(cluster, "a", b"old")
    gone = next(name for name in "abc" if name != cluster.leader())
    cluster.stop(gone)
    back_up(tmp_path, gone)
    restore_in_place(cluster, tmp_path, gone)
    with pytest.raises(ConfigError, match="has already been bootstrapped"):
        cluster.start(gone)


def test_all_members_restored_from_a_backup_begin_a_new_cluster(make, tmp_path):
    cluster = make("a", "b", "c")
    cluster.start("a", "b", "c")
    put(cluster, "a", b"old")
    for name in "abc":
        cluster.stop(name)
    back_up(tmp_path, "a")
    for name in "abc":
        restore_in_place(cluster, tmp_path, name)
    cluster.start("a", "b")
    cluster.start("c")
    assert [get(cluster, name, b"old").count for name in "abc"] == [1, 1, 1]
    cluster.stop("c")
    cluster.start("c")


def test_a_member_with_another_token_stays_alone(make):
    cluster = make("a", "b")
    first, second = cluster.make("a"), cluster.make("b", initial_cluster_token="other")

    async def start_both():
        tasks = [asyncio.ensure_future(server.start()) for server in (first, second)]
        done, _ = await asyncio.wait(tasks, timeout=2.0)
        for task in tasks:
            task.cancel()
        return len(done)

    assert cluster.run(start_both()) == 0
    assert "cluster ID mismatch" in cluster.log_of("a") + cluster.log_of("b")


def test_the_last_member_goes_on_alone_when_it_is_told_to(make):
    cluster = make("a", "b", "c")
    cluster.start("a", "b", "c")
    put(cluster, "a", b"kept")
    for name in "cba":
        cluster.stop(name)
    cluster.start("a", force_new_cluster=True)
    assert [m.name for m in members(cluster, "a")] == ["a"]
    assert get(cluster, "a", b"kept").count == 1
    put(cluster, "a", b"more")
    cluster.stop("a")
    cluster.start("a")
    assert get(cluster, "a", b"more").count == 1
    assert [m.name for m in members(cluster, "a")] == ["a"]


def test_a_learner_serves_little_until_it_is_promoted(make):
    cluster = make("a", "b")
    alone = f"a={cluster.peer_urls['a']}"
    cluster.start("a", initial_cluster=alone, strict_reconfig_check=False)
    request = wire.MemberAddRequest(peerURLs=[cluster.peer_urls["b"]], isLearner=True)
    added = cluster.call("a", CLUSTER + b"MemberAdd", request, wire.MemberAddResponse).member
    cluster.start("b", initial_cluster_state="existing", strict_reconfig_check=False)
    put(cluster, "a", b"k")
    wait_for(lambda: get(cluster, "b", b"k", serializable=True).count == 1)
    read = (KV + b"Range", kv.RangeRequest(key=b"k"), kv.RangeResponse)
    assert refusal(cluster, "b", *read) == "etcdserver: rpc not supported for learner"
    write = (KV + b"Put", kv.PutRequest(key=b"k"), kv.PutResponse)
    assert refusal(cluster, "b", *write) == "etcdserver: rpc not supported for learner"
    status = maintenance.StatusRequest()
    answer = cluster.call("b", MAINTENANCE + b"Status", status, maintenance.StatusResponse)
    assert answer.isLearner and answer.leader == cluster.engine("a").member.id
    promote = wire.MemberPromoteRequest(ID=added.ID)
    cluster.call("a", CLUSTER + b"MemberPromote", promote, wire.MemberPromoteResponse)
    wait_for(lambda: not cluster.engine("b").member.node.raft.is_learner)
    assert get(cluster, "b", b"k").count == 1
    again = (CLUSTER + b"MemberPromote", promote, wire.MemberPromoteResponse)
    assert refusal(cluster, "b", *again) == "etcdserver: can only promote a learner member"


def test_the_lead_is_moved_by_request(make):
    cluster = make("a", "b", "c")
    cluster.start("a", "b", "c")
    leader = cluster.leader()
    other = next(name for name in "abc" if name != leader)
    move = maintenance.MoveLeaderRequest(targetID=cluster.engine(other).member.id)
    path, kind = MAINTENANCE + b"MoveLeader", maintenance.MoveLeaderResponse
    assert refusal(cluster, other, path, move, kind) == "etcdserver: not leader"
    cluster.call(leader, path, move, kind)
    assert cluster.leader() == other
    bad = maintenance.MoveLeaderRequest(targetID=99)
    assert refusal(cluster, other, path, bad, kind) == "etcdserver: bad leader transferee"


def test_numbers_tell_who_leads_and_what_runs(make):
    cluster = make("a", "b", "c")
    cluster.start("a", "b", "c")
    leader = cluster.leader()
    wait_for(lambda: all(cluster.engine(n).member.membership.version for n in "abc"))
    for name in "abc":
        text = cluster.servers[name]._metrics.render().decode()
        member_id = f"{cluster.engine(name).member.id:x}"
        for line in (
            "etcd_server_has_leader 1",
            f"etcd_server_is_leader {int(name == leader)}",
            "etcd_server_is_learner 0",
            "etcd_server_leader_changes_seen_total 1",
            f'etcd_server_id{{server_id="{member_id}"}} 1',
            'etcd_cluster_version{cluster_version="3.5"} 1',
            "etcd_server_learner_promote_successes 0",
            "etcd_server_read_indexes_failed_total 0",
        ):
            assert f"\n{line}\n" in text, line


def test_v2_tells_the_leader_from_its_followers(make):
    cluster = make("a", "b", "c")
    cluster.start("a", "b", "c")
    leader = cluster.leader()
    ids = {name: f"{cluster.engine(name).member.id:x}" for name in "abc"}
    for name in "abc":
        status, body = cluster.http(name, "/v2/stats/leader")
        if name != leader:
            assert (status, body) == (403, {"message": "not current leader"})
            continue
        assert body["leader"] == ids[leader]
        assert set(body["followers"]) == {ids[other] for other in "abc" if other != leader}
    status, body = cluster.http(leader, "/v2/members/leader")
    assert (status, body["name"]) == (200, leader)


def test_v2_writes_wait_until_all_members_have_said_what_they_are(make):
    """A founder that never started may be one of etcd, which keeps v2's data apart."""
    cluster = make("a", "b", "c")
    cluster.start("a", "b")
    status, body = cluster.http("a", "/v2/keys/k", "value=1")
    assert status == 500 and "v2 writes are refused" in body["cause"]
    put(cluster, "a", b"/k")
    assert cluster.http("b", "/v2/keys/k")[0] == 200
    cluster.start("c")
    for name in "abc":
        status, body = cluster.http(name, f"/v2/keys/{name}", "value=1")
        assert (status, body["action"]) == (201, "set")
