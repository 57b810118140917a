"""What operators see of a running member: metrics by --metrics, warnings by their thresholds."""

import json

import pytest

from petcd.wire import kv, maintenance

KV = b"/etcdserverpb.KV/"
MAINTENANCE = b"/etcdserverpb.Maintenance/"
LABELS = 'grpc_type="unary",grpc_service="etcdserverpb.KV",grpc_method="Put"'


def put(member, key, value=b""):
    request = kv.PutRequest(key=key, value=value)
    return member.call(KV + b"Put", request, kv.PutResponse)


def get(member, key, **options):
    request = kv.RangeRequest(key=key, **options)
    return member.call(KV + b"Range", request, kv.RangeResponse)


def samples(member):
    status, body = member.http("GET /metrics HTTP/1.1\r\nHost: x")
    assert status == 200
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def warnings(member, message):
    with open(member.log_path) as file:
        lines = [json.loads(line) for line in file]
    return [line for line in lines if line["msg"] == message]


def test_operations_bytes_and_checks_are_counted(start):
    member = start()
    put(member, b"k", b"v" * 1000)
    get(member, b"k")
    for path in ("/health", "/livez", "/readyz"):
        member.http(f"GET {path} HTTP/1.1\r\nHost: x")
    found = samples(member)
    assert found["etcd_mvcc_put_total"] == found["etcd_mvcc_range_total"] == 1
    assert found["etcd_debugging_mvcc_total_put_size_in_bytes"] == 1001
    assert found["etcd_network_client_grpc_received_bytes_total"] > 1000
    assert found["etcd_network_client_grpc_sent_bytes_total"] > 1000
    assert found["etcd_disk_wal_write_bytes_total"] > 1000
    assert found["etcd_server_health_success"] == 1
    assert found['etcd_server_healthcheck{type="livez",name="serializable_read"}'] == 1
    check = 'type="readyz",name="linearizable_read",status="success"'
    assert found[f"etcd_server_healthchecks_total{{{check}}}"] == 1


def test_times_of_calls_are_kept_with_extensive_metrics_only(start):
    assert "grpc_server_handling_seconds" not in str(samples(start("basic")))
    member = start("extensive", metrics="extensive")
    put(member, b"k")
    found = samples(member)
    name = "grpc_server_handling_seconds"
    assert found[f"{name}_count{{{LABELS}}}"] == 1
    assert 0 < found[f"{name}_sum{{{LABELS}}}"] < 10
    assert found[f'{name}_bucket{{{LABELS},le="10"}}'] == 1


@pytest.mark.parametrize("slow_s", [0.0, 60.0])
def test_a_request_over_its_threshold_is_told_of_in_etcds_words(start, slow_s):
    member = start(warning_apply_s=slow_s, warning_unary_request_s=slow_s)
    put(member, b"slow", b"secret")
    applied = warnings(member, "apply request took too long")
    answered = warnings(member, "request stats")
    is_slow = slow_s == 0.0
    assert (samples(member)["etcd_server_slow_apply_total"] > 0) == is_slow
    assert bool(applied) == bool(answered) == is_slow
    if is_slow:
        (stats,) = answered
        assert stats["level"] == "warn" and stats["response type"] == "/etcdserverpb.KV/Put"
        assert stats["remote"].startswith("127.0.0.1:")
        assert 'put:<key:"slow" value_size:6 >' in stats["request content"]
        assert "secret" not in str(applied + answered)
        assert applied[0]["expected-duration"] == "0ms" and applied[0]["took"].endswith("ms")


def test_long_work_has_its_times(start):
    member = start(snapshot_count=5)
    for _ in range(20):
        put(member, b"k")
    compact = kv.CompactionRequest(revision=10, physical=True)
    member.call(KV + b"Compact", compact, kv.CompactionResponse)
    member.call(MAINTENANCE + b"Hash", maintenance.HashRequest(), maintenance.HashResponse)
    defragment = maintenance.DefragmentRequest()
    member.call(MAINTENANCE + b"Defragment", defragment, maintenance.DefragmentResponse)
    found = samples(member)
    for name in (
        "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
        "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
        "etcd_debugging_snap_save_total_duration_seconds",
        "etcd_disk_backend_commit_duration_seconds",
        "etcd_disk_backend_defrag_duration_seconds",
        "etcd_disk_wal_fsync_duration_seconds",
        "etcd_mvcc_hash_duration_seconds",
        "etcd_snap_fsync_duration_seconds",
    ):
        assert found[f"{name}_count"] > 0 and found[f"{name}_sum"] > 0, name
    assert found["etcd_debugging_mvcc_db_compaction_keys_total"] > 0
    assert found["etcd_debugging_mvcc_db_compaction_last"] > 1_700_000_000
    assert found["etcd_disk_defrag_inflight"] == 0
