"""A whole member: calls over a socket, restarts, quota, alarms, HTTP."""

import json
import os
import time

import pytest

from petcd.client.errors import ClientError
from petcd.server.config import ConfigError
from petcd.server.opening import DataUnusable
from petcd.storage.errors import DataDirForeign, DataDirLocked
from petcd.version import ETCD_VERSION
from petcd.wire import cluster, health, kv, lease, maintenance
from petcd.wire.watch import (
    WatchCancelRequest,
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)

KV = b"/etcdserverpb.KV/"
LEASE = b"/etcdserverpb.Lease/"
MAINTENANCE = b"/etcdserverpb.Maintenance/"


def put(running, key, value=b"", **options):
    request = kv.PutRequest(key=key, value=value, **options)
    return running.call(KV + b"Put", request, kv.PutResponse)


def get(running, key, **options):
    request = kv.RangeRequest(key=key, **options)
    return running.call(KV + b"Range", request, kv.RangeResponse)


def hash_kv(running, revision=0):
    request = maintenance.HashKVRequest(revision=revision)
    return running.call(MAINTENANCE + b"HashKV", request, maintenance.HashKVResponse)


def failure(call, *arguments, **options):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **options)
    return caught.value.code, caught.value.message


# -- calls ------------------------------------------------------------------------------------


def test_a_put_is_read_back_with_its_revisions(start):
    member = start()
    assert put(member, b"a", b"1").header.revision == 2
    assert put(member, b"a", b"2", prev_kv=True).prev_kv.value == b"1"
    answer = get(member, b"a")
    assert (answer.count, answer.more, answer.header.revision) == (1, False, 3)
    pair = answer.kvs[0]
    assert (pair.value, pair.create_revision, pair.mod_revision, pair.version) == (b"2", 2, 3, 2)
    assert get(member, b"a", revision=2).kvs[0].value == b"1"
    assert get(member, b"zzz").count == 0
    header = answer.header
    assert (f"{header.member_id:x}", f"{header.cluster_id:x}") == (
        "8e9e05c52164694d",
        "cdf818194e3a8c32",
    )
    assert header.raft_term == 2


def test_errors_have_etcds_codes_and_texts(start):
    member = start()
    assert failure(put, member, b"") == (3, "etcdserver: key is not provided")
    assert failure(get, member, b"") == (3, "etcdserver: key is not provided")
    assert failure(put, member, b"k", lease=9) == (5, "etcdserver: requested lease not found")
    assert failure(put, member, b"k", b"v", ignore_value=True) == (
        3,
        "etcdserver: value is provided",
    )
    assert failure(get, member, b"k", revision=99) == (
        11,
        "etcdserver: mvcc: required revision is a future revision",
    )
    assert failure(get, member, b"k", sort_order=9) == (3, "etcdserver: invalid sort option")
    assert failure(put, member, b"k", b"x" * 1_600_000) == (
        3,
        "etcdserver: request is too large",
    )
    code, text = failure(put, member, b"k", b"x" * 2_200_000)
    assert code == 8 and text.startswith("grpc: received message larger than max (")


def test_a_message_that_does_not_parse_is_refused_and_changes_nothing(start):
    member = start()
    for name in (b"Put", b"Range", b"DeleteRange", b"Txn", b"Compact"):
        code, text = failure(member.connection.unary, KV + name, b"\x0a\xff", 5.0)
        assert code == 13 and "unmarshal" in text, name
    assert get(member, b"k").header.revision == 1


def test_transactions_delete_and_compaction(start):
    member = start()
    put(member, b"a", b"1")
    compare = kv.Compare(key=b"a", target=kv.CompareTarget.VALUE, value=b"1")
    txn = kv.TxnRequest(
        compare=[compare],
        success=[kv.RequestOp(request_put=kv.PutRequest(key=b"b", value=b"2"))],
        failure=[kv.RequestOp(request_range=kv.RangeRequest(key=b"a"))],
    )
    answer = member.call(KV + b"Txn", txn, kv.TxnResponse)
    assert answer.succeeded and answer.header.revision == 3
    txn.compare[0].value = b"other"
    answer = member.call(KV + b"Txn", txn, kv.TxnResponse)
    assert not answer.succeeded and answer.responses[0].response_range.kvs[0].value == b"1"
    delete = kv.DeleteRangeRequest(key=b"a", range_end=b"z", prev_kv=True)
    answer = member.call(KV + b"DeleteRange", delete, kv.DeleteRangeResponse)
    assert answer.deleted == 2 and [p.key for p in answer.prev_kvs] == [b"a", b"b"]
    compact = kv.CompactionRequest(revision=4, physical=True)
    answer = member.call(KV + b"Compact", compact, kv.CompactionResponse)
    assert answer.header.revision == 4
    assert failure(get, member, b"a", revision=3) == (
        11,
        "etcdserver: mvcc: required revision has been compacted",
    )
    assert failure(member.call, KV + b"Compact", compact, kv.CompactionResponse)[0] == 11


def test_an_answer_of_many_pairs_is_whole_and_in_order(start):
    member = start()
    for first in range(0, 5000, 100):
        puts = [kv.PutRequest(key=b"%05d" % n, value=b"v" * 50) for n in range(first, first + 100)]
        txn = kv.TxnRequest(success=[kv.RequestOp(request_put=p) for p in puts])
        member.call(KV + b"Txn", txn, kv.TxnResponse)
    answer = get(member, b"0", range_end=b"9", limit=4500)
    assert (answer.count, answer.more, answer.header.revision) == (5000, True, 51)
    assert [pair.key for pair in answer.kvs] == [b"%05d" % n for n in range(4500)]


def test_leases_are_granted_kept_alive_listed_and_revoked(start):
    member = start()
    grant = lease.LeaseGrantRequest(TTL=1)
    granted = member.call(LEASE + b"LeaseGrant", grant, lease.LeaseGrantResponse)
    assert granted.TTL == 2 and granted.ID > 0
    put(member, b"k", b"v", lease=granted.ID)
    stream = member.connection.stream(LEASE + b"LeaseKeepAlive")
    for lease_id, ttl in ((granted.ID, 2), (12345, 0)):
        stream.send(lease.LeaseKeepAliveRequest(ID=lease_id).encode())
        kept = lease.LeaseKeepAliveResponse.decode(stream.receive(5.0))
        assert (lease_id, ttl) == (kept.ID, kept.TTL)
    ask = lease.LeaseTimeToLiveRequest(ID=granted.ID, keys=True)
    left = member.call(LEASE + b"LeaseTimeToLive", ask, lease.LeaseTimeToLiveResponse)
    assert left.keys == [b"k"] and left.grantedTTL == 2 and 0 <= left.TTL <= 2
    listed = member.call(
        LEASE + b"LeaseLeases", lease.LeaseLeasesRequest(), lease.LeaseLeasesResponse
    )
    assert [status.ID for status in listed.leases] == [granted.ID]
    revoke = lease.LeaseRevokeRequest(ID=granted.ID)
    member.call(LEASE + b"LeaseRevoke", revoke, lease.LeaseRevokeResponse)
    assert get(member, b"k").count == 0
    ask = lease.LeaseTimeToLiveRequest(ID=granted.ID)
    assert member.call(LEASE + b"LeaseTimeToLive", ask, lease.LeaseTimeToLiveResponse).TTL == -1


def test_a_renewal_of_an_expired_lease_is_answered_when_its_keys_are_gone(start):
    member = start()
    grant = lease.LeaseGrantRequest(TTL=2, ID=77)
    member.call(LEASE + b"LeaseGrant", grant, lease.LeaseGrantResponse)
    put(member, b"k", b"v", lease=77)
    lessor = member.server._engine.member.lessor
    lessor._leases[77].expiry_s = 0.0
    stream = member.connection.stream(LEASE + b"LeaseKeepAlive")
    stream.send(lease.LeaseKeepAliveRequest(ID=77).encode())
    assert lease.LeaseKeepAliveResponse.decode(stream.receive(5.0)).TTL == 0
    assert get(member, b"k").count == 0


def test_a_renewal_takes_back_the_checkpoint_first(start):
    member = start()
    grant = lease.LeaseGrantRequest(TTL=600, ID=77)
    member.call(LEASE + b"LeaseGrant", grant, lease.LeaseGrantResponse)
    lessor = member.server._engine.member.lessor
    lessor._leases[77].remaining_s = 5
    stream = member.connection.stream(LEASE + b"LeaseKeepAlive")
    stream.send(lease.LeaseKeepAliveRequest(ID=77).encode())
    assert lease.LeaseKeepAliveResponse.decode(stream.receive(5.0)).TTL == 600
    assert lessor.remainder(77) == 0


def test_a_watch_replays_history_follows_and_is_cancelled(start):
    member = start()
    put(member, b"k", b"1")
    put(member, b"k", b"2")
    stream = member.connection.stream(b"/etcdserverpb.Watch/Watch")

    def receive():
        return WatchResponse.decode(stream.receive(5.0))

    create = WatchCreateRequest(key=b"k", start_revision=2, prev_kv=True)
    stream.send(WatchRequest(create_request=create).encode())
    created = receive()
    assert created.created and created.watch_id == 0
    events = receive().events
    assert [(e.kv.mod_revision, e.kv.value) for e in events] == [(2, b"1"), (3, b"2")]
    assert events[1].prev_kv.value == b"1"
    put(member, b"k", b"3")
    assert [e.kv.value for e in receive().events] == [b"3"]
    stream.send(WatchRequest(progress_request=WatchProgressRequest()).encode())
    progress = receive()
    assert progress.watch_id == -1 and progress.header.revision == 4 and not progress.events
    stream.send(WatchRequest(cancel_request=WatchCancelRequest(watch_id=0)).encode())
    assert receive().canceled


def test_status_members_and_health_tell_who_this_is(start):
    member = start()
    status = member.call(
        MAINTENANCE + b"Status", maintenance.StatusRequest(), maintenance.StatusResponse
    )
    assert status.version == ETCD_VERSION and status.leader == status.header.member_id
    assert status.dbSize > 0 and status.dbSizeInUse > 0 and status.errors == []
    assert status.raftIndex == status.raftAppliedIndex > 0
    listed = member.call(
        b"/etcdserverpb.Cluster/MemberList",
        cluster.MemberListRequest(linearizable=True),
        cluster.MemberListResponse,
    )
    assert [(m.name, m.peerURLs, m.isLearner) for m in listed.members] == [
        ("default", ["http://localhost:2380"], False)
    ]
    check = b"/grpc.health.v1.Health/Check"
    answer = member.call(check, health.HealthCheckRequest(), health.HealthCheckResponse)
    assert answer.status == health.ServingStatus.SERVING
    code, _ = failure(
        member.call, check, health.HealthCheckRequest(service="x"), health.HealthCheckResponse
    )
    assert code == 5


def test_an_unknown_method_is_unimplemented(start):
    member = start()
    code, text = failure(member.connection.unary, KV + b"Nope", b"", 5.0)
    assert (code, text) == (12, "unknown method Nope for service etcdserverpb.KV")


# -- restart and durability -------------------------------------------------------------------


def test_after_a_restart_everything_is_where_it_was(start):
    member = start()
    for number in range(300):
        put(member, b"key-%03d" % (number % 50), b"%d" % number)
    before = hash_kv(member)
    member.stop()
    again = start()
    after = hash_kv(again)
    assert (after.hash, after.header.revision) == (before.hash, 301)
    assert put(again, b"x").header.revision == 302


def test_without_fsync_a_clean_restart_still_has_everything(start):
    member = start(unsafe_no_fsync=True)
    put(member, b"k", b"v")
    member.stop()
    assert get(start(unsafe_no_fsync=True), b"k").kvs[0].value == b"v"


def test_the_log_is_cut_and_a_restart_starts_behind_the_cut(start):
    member = start(snapshot_count=50, snapshot_catchup_entries=10, max_wals=1)
    for number in range(400):
        put(member, b"k%d" % (number % 7), b"%d" % number)
    before = hash_kv(member)
    assert member.server._engine.member.log.first_index() > 200
    member.stop()
    again = start(snapshot_count=50)
    assert hash_kv(again).hash == before.hash
    assert len(again.server._engine.member.log._entries) < 200
    assert put(again, b"x").header.revision == 402


def test_a_second_process_and_a_foreign_directory_are_refused(start, tmp_path):
    start()
    with pytest.raises(DataDirLocked):
        start()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("mine")
    with pytest.raises(DataDirForeign):
        start("foreign")
    assert os.listdir(tmp_path / "foreign") == ["notes.txt"]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"initial_cluster_state": "existing"}, "cannot fetch cluster info from peer urls"),
        ({"initial_cluster": "other=http://localhost:2380"}, "couldn't find local name"),
        ({"initial_cluster": "default=http://a:1"}, "but missing from"),
        ({"initial_cluster": "default"}, "expected name=URL"),
        ({"initial_cluster": "a=http://x:1,b=http://x:1"}, "duplicate url"),
    ],
)
def test_a_cluster_that_cannot_be_founded_is_refused(start, settings, text):
    with pytest.raises(ConfigError, match=text):
        start(**settings)


def test_a_taken_port_is_told_before_anything_is_written(start, tmp_path):
    member = start()
    taken = (f"http://127.0.0.1:{member.address[1]}",)
    config_error = pytest.raises(ConfigError, match="address already in use")
    with config_error:
        start("other", initial_cluster_token="x", listen_metrics_urls=taken)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("urls", [[], [""], ["127.0.0.1:2380"], ["http://127.0.0.1"]])
def test_peer_urls_that_nobody_can_use_are_refused(start, urls):
    """In the log they could not be refused any more, and every other member would have them."""
    member = start()
    for name, kind in ((b"MemberAdd", "Add"), (b"MemberUpdate", "Update")):
        request = getattr(cluster, f"Member{kind}Request")(peerURLs=urls)
        answer = getattr(cluster, f"Member{kind}Response")
        refused = failure(member.call, b"/etcdserverpb.Cluster/" + name, request, answer)
        assert refused == (3, "etcdserver: given member URLs are invalid")


@pytest.mark.parametrize("other_place", [True, False])
def test_a_store_without_its_log_is_refused_and_left_as_it_is(start, tmp_path, other_place):
    """As when --wal-dir is forgotten."""
    member = start()
    put(member, b"k", b"v")
    name = member.server.config.data_dir
    member.stop()
    wal = tmp_path / "moved"
    os.rename(os.path.join(name, "member", "wal"), wal)
    elsewhere = str(tmp_path / "empty") if other_place else ""
    with pytest.raises(DataUnusable, match="no log"):
        start(wal_dir=elsewhere)
    assert get(start(wal_dir=str(wal)), b"k").kvs[0].value == b"v"


# -- space ------------------------------------------------------------------------------------


def alarms(member):
    request = maintenance.AlarmRequest(action=maintenance.AlarmAction.GET)
    return member.call(MAINTENANCE + b"Alarm", request, maintenance.AlarmResponse).alarms


def test_an_alarm_or_action_that_does_not_exist_leaves_no_trace_in_the_log(start):
    member = start()
    status = (MAINTENANCE + b"Status", maintenance.StatusRequest(), maintenance.StatusResponse)
    before = member.call(*status).raftIndex
    for action, alarm in ((1, 3), (1, -1), (2, 9), (3, 1), (-1, 0)):
        request = maintenance.AlarmRequest(action=action, alarm=alarm)
        answer = member.call(MAINTENANCE + b"Alarm", request, maintenance.AlarmResponse)
        assert answer.alarms == []
    assert member.call(*status).raftIndex == before
    assert alarms(member) == []


def test_a_full_quota_refuses_puts_and_the_alarm_clears_itself_when_space_is_back(start):
    member = start(quota_backend_bytes=3_000_000, backend_batch_interval_s=0.01)
    with pytest.raises(ClientError) as caught:
        for _ in range(200):
            put(member, b"big", b"x" * 100_000)
    assert (caught.value.code, caught.value.message) == (
        8,
        "etcdserver: mvcc: database space exceeded",
    )
    assert [alarm.alarm for alarm in alarms(member)] == [maintenance.AlarmType.NOSPACE]
    assert member.http("GET /health HTTP/1.1\r\nHost: x")[0] == 503
    assert member.http("GET /health?exclude=NOSPACE HTTP/1.1\r\nHost: x")[0] == 200
    revision = get(member, b"big").header.revision
    compact = kv.CompactionRequest(revision=revision, physical=True)
    member.call(KV + b"Compact", compact, kv.CompactionResponse)
    until = time.monotonic() + 10
    while alarms(member) and time.monotonic() < until:
        member.connection.turn(time.monotonic() + 0.05)
    assert alarms(member) == []
    assert put(member, b"small", b"x").header.revision > revision


def test_defragmentation_keeps_serving_and_keeps_everything(start):
    member = start()
    for number in range(200):
        put(member, b"k%d" % number, b"x" * 1000)
    before = hash_kv(member)
    request = maintenance.DefragmentRequest()
    member.call(MAINTENANCE + b"Defragment", request, maintenance.DefragmentResponse)
    assert hash_kv(member).hash == before.hash
    put(member, b"after", b"1")
    assert get(member, b"after").count == 1
    answer = member.call(MAINTENANCE + b"Hash", maintenance.HashRequest(), maintenance.HashResponse)
    assert answer.hash


# -- HTTP -------------------------------------------------------------------------------------


def test_version_health_and_readiness_over_http(start):
    member = start()
    status, body = member.http("GET /version HTTP/1.1\r\nHost: x")
    assert status == 200 and json.loads(body)["etcdserver"] == ETCD_VERSION
    assert json.loads(body)["etcdcluster"] == "3.5.0"
    status, body = member.http("GET /health HTTP/1.1\r\nHost: x")
    assert (status, json.loads(body)) == (200, {"health": "true", "reason": ""})
    assert member.http("GET /livez HTTP/1.1\r\nHost: x") == (200, b"ok\n")
    status, body = member.http("GET /readyz?verbose HTTP/1.1\r\nHost: x")
    assert status == 200 and b"[+]linearizable_read ok\n" in body
    assert member.http("GET /readyz/non_learner HTTP/1.1\r\nHost: x") == (200, b"ok\n")
    assert member.http("POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0")[0] == 405
    assert member.http("GET /elsewhere HTTP/1.1\r\nHost: x")[0] == 404
    assert member.http("GET /readyz/nonsense HTTP/1.1\r\nHost: x")[0] == 404


def test_metrics_have_etcds_names(start):
    member = start()
    put(member, b"k", b"v")
    status, body = member.http("GET /metrics HTTP/1.1\r\nHost: x")
    text = body.decode()
    assert status == 200
    for line in (
        "etcd_server_has_leader 1",
        "etcd_server_is_leader 1",
        'grpc_server_handled_total{grpc_type="unary",grpc_service="etcdserverpb.KV",'
        'grpc_method="Put",grpc_code="OK"} 1',
        f'etcd_server_version{{server_version="{ETCD_VERSION}"}} 1',
        "etcd_debugging_mvcc_keys_total 1",
        "etcd_debugging_mvcc_current_revision 2",
    ):
        assert line in text, line
    for name in (
        "etcd_disk_wal_fsync_duration_seconds_bucket",
        "etcd_disk_backend_commit_duration_seconds_count",
        "etcd_mvcc_db_total_size_in_bytes",
        "etcd_server_proposals_committed_total",
        "etcd_server_leader_changes_seen_total",
        "process_resident_memory_bytes",
    ):
        assert f"\n{name}" in text, name


def test_only_known_hosts_and_origins_are_answered(start):
    member = start(host_whitelist=("good",), cors=("http://page",))
    assert member.http("GET /version HTTP/1.1\r\nHost: evil:2379")[0] == 421
    assert member.http("GET /version HTTP/1.1\r\nHost: good:2379")[0] == 200


def test_the_log_tells_what_others_wait_for(start):
    member = start()
    with open(member.log_path) as file:
        lines = [json.loads(line) for line in file]
    messages = [line["msg"] for line in lines]
    assert "published local member to cluster through raft" in messages
    assert messages[-1] == "ready to serve client requests"
    assert all({"level", "ts", "caller", "msg"} <= set(line) for line in lines)
