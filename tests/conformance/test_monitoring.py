"""A cluster of petcd is watched with what was made for etcd: its alert rules and dashboards.

The same traffic goes to three members of each, and then their /metrics are compared: names, types,
help texts, labels, bucket bounds, and the values that the traffic decides.
"""

import asyncio
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from bench.clusters import Cluster, call, fresh_members
from bench.servers import Server, ServerFailed, real_etcd
from petcd.wire.codec import Message
from petcd.wire.kv import DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest
from petcd.wire.lease import LeaseGrantRequest

pytestmark = [pytest.mark.real_etcd, pytest.mark.timeout(180)]

ANSWER_TIMEOUT_S = 10.0
WAIT_S = 20.0

# What the alert rules (A) and dashboards (D) that come with etcd read, and their types. Some are
# gauges in spite of their names.
WATCHED = {
    "etcd_disk_backend_commit_duration_seconds": "histogram",  # A D
    "etcd_disk_wal_fsync_duration_seconds": "histogram",  # A D
    "etcd_mvcc_db_total_size_in_bytes": "gauge",  # A D
    "etcd_mvcc_db_total_size_in_use_in_bytes": "gauge",  # A
    "etcd_network_client_grpc_received_bytes_total": "counter",  # D
    "etcd_network_client_grpc_sent_bytes_total": "counter",  # D
    "etcd_network_peer_received_bytes_total": "counter",  # D
    "etcd_network_peer_round_trip_time_seconds": "histogram",  # A D
    "etcd_network_peer_sent_bytes_total": "counter",  # D
    "etcd_network_peer_sent_failures_total": "counter",  # A
    "etcd_server_has_leader": "gauge",  # A D
    "etcd_server_leader_changes_seen_total": "counter",  # A D
    "etcd_server_proposals_applied_total": "gauge",  # D
    "etcd_server_proposals_committed_total": "gauge",  # D
    "etcd_server_proposals_failed_total": "counter",  # A D
    "etcd_server_proposals_pending": "gauge",  # D
    "etcd_server_quota_backend_bytes": "gauge",  # A
    "grpc_server_handled_total": "counter",  # A D
    "grpc_server_handling_seconds": "histogram",  # A, with --metrics extensive
    "grpc_server_started_total": "counter",  # D
    "process_max_fds": "gauge",  # A of 3.4 and older
    "process_open_fds": "gauge",  # A of 3.4 and older
    "process_resident_memory_bytes": "gauge",  # D
}

# What petcd does not tell of, and why.
LEFT_OUT = {
    "go_": "there is no Go run time",
    "etcd_server_go_version": "there is no Go run time",
    "process_virtual_memory_max_bytes": "nothing limits it",
    "promhttp_metric_handler_requests_in_flight": "a scrape is made in one go",
    "etcd_debugging_disk_backend_commit_": "steps of a commit of bbolt, which is not used",
    "etcd_debugging_mvcc_index_compaction_pause": "index and rows are compacted together",
    "etcd_debugging_mvcc_pending_events_total": "no event waits in the hub of watches",
    "etcd_mvcc_db_open_read_transactions": "LMDB has one that lives on, and views",
    "etcd_mvcc_hash_rev_duration_seconds": "hashed in slices between other work",
    "etcd_debugging_snap_save_marshalling": "the store itself is the snapshot",
    "etcd_server_apply_duration_seconds": "entries are applied in batches, without a clock each",
    "etcd_server_client_requests_total": "would cost each request a look at its headers",
    "etcd_debugging_auth_revision": "users and roles are not served yet",
    "etcd_grpc_proxy_": "of the gRPC proxy's cache, which a member does not have",
    "etcd_http_": "requests to v2 are counted as operations: etcd_debugging_store_*",
    "etcd_debugging_store_watch_requests_total": "only the watchers of now are counted",
}

# Equal after equal traffic, on each member.
EQUAL = (
    "etcd_debugging_lease_granted_total",
    "etcd_debugging_lease_ttl_total_count",
    "etcd_debugging_lease_ttl_total_sum",
    "etcd_debugging_mvcc_current_revision",
    "etcd_debugging_mvcc_keys_total",
    "etcd_debugging_mvcc_total_put_size_in_bytes",
    "etcd_mvcc_delete_total",
    "etcd_mvcc_put_total",
    "etcd_mvcc_txn_total",
    "etcd_server_has_leader",
    "etcd_server_is_learner",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_failed_total",
    "etcd_server_proposals_pending",
)


class Metric(NamedTuple):
    """A family of samples: values by name and labels."""

    kind: str
    text: str
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    @property
    def labels(self) -> set[frozenset[str]]:
        """The names of the labels, as they occur together."""
        return {frozenset(name for name, _ in labels) for _, labels in self.samples}

    @property
    def bounds(self) -> set[str]:
        return {value for _, labels in self.samples for name, value in labels if name == "le"}


def parsed(text: str) -> dict[str, Metric]:
    """Prometheus text; a sample belongs to the type that was announced last."""
    found: dict[str, Metric] = {}
    help_text, name = "", ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            help_text = line.split(" ", 3)[3]
        elif line.startswith("# TYPE "):
            name, kind = line.split(" ")[2:]
            found[name] = Metric(kind, help_text, {})
        elif line:
            head, _, value = line.rpartition(" ")
            sample, _, pairs = head.partition("{")
            labels = [pair.split("=", 1) for pair in pairs.rstrip("}").split(",") if pair]
            key = frozenset((label, quoted.strip('"')) for label, quoted in labels)
            found[name].samples[sample, key] = float(value)
    return found


def scrape(member: Server) -> dict[str, Metric]:
    with urllib.request.urlopen(f"http://127.0.0.1:{member.port}/metrics", timeout=5) as page:
        return parsed(page.read().decode())


def value(metrics: dict[str, Metric], name: str) -> float:
    """The only sample of this name."""
    found = [v for m in metrics.values() for (sample, _), v in m.samples.items() if sample == name]
    assert len(found) == 1, (name, found)
    return found[0]


def requests() -> Iterator[tuple[str, Message]]:
    """Some of each kind."""
    kv = "/etcdserverpb.KV/"
    for number in range(10):
        yield kv + "Put", PutRequest(key=b"k%d" % number, value=b"v" * 10 * number)
        yield kv + "Range", RangeRequest(key=b"k%d" % number)
    yield kv + "DeleteRange", DeleteRangeRequest(key=b"k1", range_end=b"k3")
    yield kv + "DeleteRange", DeleteRangeRequest(key=b"nothing")
    put = RequestOp(request_put=PutRequest(key=b"t", value=b"1"))
    delete = RequestOp(request_delete_range=DeleteRangeRequest(key=b"k5"))
    yield kv + "Txn", TxnRequest(success=[put])
    yield kv + "Txn", TxnRequest(success=[put, delete])
    for ttl_s in (2, 60, 3600):
        yield "/etcdserverpb.Lease/LeaseGrant", LeaseGrantRequest(TTL=ttl_s)


async def send_traffic(cluster: Cluster) -> None:
    leader = await cluster.leader()
    for path, request in requests():
        await call(leader, path, request.encode(), ANSWER_TIMEOUT_S)


@pytest.fixture(scope="module")
def watched() -> Iterator[dict[str, Cluster]]:
    """A cluster of each kind that had the same traffic."""
    try:
        real_etcd()
    except ServerFailed as error:
        pytest.skip(f"no real etcd to compare with: {error}")
    flags = ("--metrics", "extensive")
    clusters = {kind: Cluster(fresh_members([kind] * 3, *flags)) for kind in ("petcd", "etcd")}
    try:
        for cluster in clusters.values():
            asyncio.run(cluster.start())
            asyncio.run(send_traffic(cluster))
        yield clusters
    finally:
        for cluster in clusters.values():
            cluster.close()


def until(holds: Callable[[], bool], what: str) -> None:
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() - begin < WAIT_S, f"{what}: not within {WAIT_S:.0f} s"
        time.sleep(0.1)


def wait_for_equal_revisions(cluster: Cluster) -> list[dict[str, Metric]]:
    """All members have applied everything; their metrics then."""
    name = "etcd_debugging_mvcc_current_revision"
    until(lambda: len({value(scrape(m), name) for m in cluster.members}) == 1, "equal revisions")
    return [scrape(member) for member in cluster.members]


def test_all_that_alerts_and_dashboards_read_is_there_with_its_type(watched) -> None:
    for member in watched["petcd"].members:
        found = scrape(member)
        types = {name: found[name].kind for name in WATCHED if name in found}
        assert types == WATCHED
        assert all(found[name].samples for name in WATCHED)


def test_what_etcd_tells_of_petcd_tells_of_in_the_same_form(watched) -> None:
    ours, theirs = scrape(watched["petcd"].members[0]), scrape(watched["etcd"].members[0])
    missing = [name for name in theirs if name not in ours]
    assert [name for name in missing if not name.startswith(tuple(LEFT_OUT))] == []
    for name in theirs.keys() & ours.keys():
        for form in ("kind", "text", "labels", "bounds"):
            assert getattr(ours[name], form) == getattr(theirs[name], form), (name, form)


def test_nothing_is_left_out_that_is_there(watched) -> None:
    ours = scrape(watched["petcd"].members[0])
    assert [name for name in ours if name.startswith(tuple(LEFT_OUT))] == []


def test_equal_traffic_gives_equal_numbers(watched) -> None:
    ours = wait_for_equal_revisions(watched["petcd"])
    theirs = wait_for_equal_revisions(watched["etcd"])
    for name in EQUAL:
        assert {value(m, name) for m in ours} == {value(m, name) for m in theirs}, name
    labels = {"grpc_type": "unary", "grpc_service": "etcdserverpb.KV", "grpc_method": "Put"}
    for name, more in (
        ("grpc_server_started_total", {}),
        ("grpc_server_handled_total", {"grpc_code": "OK"}),
        ("grpc_server_handling_seconds_count", {}),
    ):
        family = name.removesuffix("_count")
        key = (name, frozenset((labels | more).items()))
        counts = [sum(m[family].samples[key] for m in all_of) for all_of in (ours, theirs)]
        assert counts[0] == counts[1] == 10, name


def test_lost_members_are_seen_by_the_numbers_that_raise_the_alerts(watched) -> None:
    """etcdMembersDown, etcdNoLeader and etcdHighNumberOfFailedProposals have their reasons."""
    cluster = watched["petcd"]
    leader = asyncio.run(cluster.leader())
    others = [member for member in cluster.members if member is not leader]
    others[0].kill()

    def failures() -> float:
        return max(scrape(leader)["etcd_network_peer_sent_failures_total"].samples.values())

    until(lambda: failures() > 5, "failures to send")
    active = scrape(leader)["etcd_network_active_peers"].samples.values()
    assert sorted(active) == [0, 1]
    others[1].kill()
    until(lambda: value(scrape(leader), "etcd_server_has_leader") == 0, "nobody leads")
    assert value(scrape(leader), "etcd_server_is_leader") == 0
    put = PutRequest(key=b"x").encode()
    with pytest.raises(Exception, match=r"timed out|no leader"):
        asyncio.run(call(leader, "/etcdserverpb.KV/Put", put, ANSWER_TIMEOUT_S))
    assert value(scrape(leader), "etcd_server_proposals_failed_total") == 1
