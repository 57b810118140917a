"""Requests that no client of good manners sends: petcd answers them with etcd's codes and texts.

What they are about is a limit or a corner: ids and times to live at the ends of their ranges,
revisions below and above what there is, comparisons that do not exist, transactions in
transactions at the limit of operations, alarms, members that are none.

Left out is what etcd 3.5.1 dies of (sort orders, alarms and alarm actions that do not exist), and
the alarm NOSPACE, which petcd takes back by itself.
"""

import contextlib
from collections.abc import Iterator
from itertools import product

import grpc
import pytest
from peers import Peer, start
from random_histories import Step, comparable

from petcd.wire.cluster import (
    MemberAddRequest,
    MemberAddResponse,
    MemberListRequest,
    MemberListResponse,
    MemberRemoveRequest,
    MemberRemoveResponse,
)
from petcd.wire.kv import (
    CompactionRequest,
    CompactionResponse,
    Compare,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    TxnRequest,
    TxnResponse,
)
from petcd.wire.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from petcd.wire.maintenance import (
    AlarmRequest,
    AlarmResponse,
    HashKVRequest,
    HashKVResponse,
    MoveLeaderRequest,
    MoveLeaderResponse,
)

MAX_TXN_OPS = 8
LEASE_MIN, LEASE_MAX = -(1 << 63), (1 << 63) - 1

pytestmark = pytest.mark.real_etcd


def put(**fields: object) -> Step:
    return Step("/etcdserverpb.KV/Put", PutRequest(**fields), PutResponse)


def read(**fields: object) -> Step:
    return Step("/etcdserverpb.KV/Range", RangeRequest(**fields), RangeResponse)


def delete(**fields: object) -> Step:
    return Step("/etcdserverpb.KV/DeleteRange", DeleteRangeRequest(**fields), DeleteRangeResponse)


def txn(compare=(), success=(), failure=()) -> Step:
    request = TxnRequest(compare=list(compare), success=list(success), failure=list(failure))
    return Step("/etcdserverpb.KV/Txn", request, TxnResponse)


def compact(revision: int, physical: bool = False) -> Step:
    request = CompactionRequest(revision=revision, physical=physical)
    return Step("/etcdserverpb.KV/Compact", request, CompactionResponse)


def grant(lease: int, ttl: int) -> Step:
    request = LeaseGrantRequest(ID=lease, TTL=ttl)
    return Step("/etcdserverpb.Lease/LeaseGrant", request, LeaseGrantResponse)


def revoke(lease: int) -> Step:
    request = LeaseRevokeRequest(ID=lease)
    return Step("/etcdserverpb.Lease/LeaseRevoke", request, LeaseRevokeResponse)


def time_to_live(lease: int) -> Step:
    request = LeaseTimeToLiveRequest(ID=lease, keys=True)
    return Step("/etcdserverpb.Lease/LeaseTimeToLive", request, LeaseTimeToLiveResponse)


def hash_at(revision: int) -> Step:
    request = HashKVRequest(revision=revision)
    return Step("/etcdserverpb.Maintenance/HashKV", request, HashKVResponse)


def alarm(action: int, kind: int, member: int) -> Step:
    request = AlarmRequest(action=action, alarm=kind, memberID=member)
    return Step("/etcdserverpb.Maintenance/Alarm", request, AlarmResponse)


def op_put(**fields: object) -> RequestOp:
    return RequestOp(request_put=PutRequest(**fields))


def op_read(**fields: object) -> RequestOp:
    return RequestOp(request_range=RangeRequest(**fields))


def op_delete(**fields: object) -> RequestOp:
    return RequestOp(request_delete_range=DeleteRangeRequest(**fields))


def op_txn(success=(), failure=(), compare=()) -> RequestOp:
    request = TxnRequest(compare=list(compare), success=list(success), failure=list(failure))
    return RequestOp(request_txn=request)


def puts(count: int) -> list[RequestOp]:
    return [op_put(key=b"n%d" % number) for number in range(count)]


KEYS = [put(key=b"k%d" % (n % 5), value=b"v%d" % n, prev_kv=True) for n in range(12)]
PUTS = [
    put(key=b""),
    put(key=b"a", lease=-1),
    put(key=b"a", lease=5, ignore_lease=True),
    put(key=b"a", value=b"x", ignore_value=True, lease=77),
    put(key=b"none", ignore_value=True, ignore_lease=True),
    put(key=b"none", value=b"b", lease=3, ignore_lease=True),
    put(key=b"none", ignore_value=True, lease=9),
    put(key=b"k1", ignore_value=True, ignore_lease=True, prev_kv=True),
]
RANGES = [
    read(key=key, range_end=end, limit=limit, revision=revision, keys_only=bare, count_only=count)
    for key, end, limit, revision, bare, count in product(
        (b"k1", b"k"), (b"", b"l", b"\0", b"a"), (0, 2, -5), (0, 3, -1, 1 << 40), (0, 1), (0, 1)
    )
]
BOUNDS = [
    read(key=b"k", range_end=b"l", limit=limit, count_only=count, **{f"{name}_revision": revision})
    for name, revision, limit, count in product(
        ("min_mod", "max_mod", "min_create", "max_create"), (-3, 1, 5, 100), (0, 1), (False, True)
    )
]
LEASES = [
    grant(0, 1 << 62),
    grant(-5, 100),
    grant(7, 0),
    grant(8, -10),
    grant(7, 100),
    grant(9, 9_000_000_000),
    grant(10, 9_000_000_001),
    grant(LEASE_MAX, 600),
    grant(LEASE_MIN, 600),
    *[put(key=b"l%d" % n, lease=-5) for n in range(3)],
    *[time_to_live(lease) for lease in (-5, 0, 9, 12345, LEASE_MIN)],
    *[revoke(lease) for lease in (0, -7, -5)],
    read(key=b"l", range_end=b"m"),
]
A = op_put(key=b"a")
DELETE_A = op_delete(key=b"a")
READ = op_read(key=b"a")
TXNS = [
    txn(),
    txn([Compare()]),
    txn(success=[RequestOp()]),
    txn([Compare(key=b"a")] * 9),
    txn(success=[A] * 9),
    txn(failure=[READ] * 9),
    *[txn(success=[op_txn(puts(count))]) for count in (7, 8)],
    *[txn(success=[READ] * 4 + [op_txn(puts(count))]) for count in (4, 5)],
    txn(success=[READ] * 2, failure=[op_txn(puts(5))]),
    txn([Compare(key=b"a")] * 4, failure=[op_txn(puts(5))]),
    *[txn(success=list(pair)) for pair in product((A, DELETE_A, op_txn([A])), repeat=2)],
    txn(success=[A, op_txn(failure=[A])]),
    txn(success=[op_txn([A], [A])]),
    txn(success=[op_txn([DELETE_A]), A]),
    txn(success=[op_delete(key=b"a", range_end=b"c"), op_txn(failure=[op_put(key=b"b")])]),
    txn(success=[op_delete(key=b"a", range_end=b"\0"), op_put(key=b"b")]),
    txn(success=[op_delete(key=b"c", range_end=b"a"), op_put(key=b"b")]),
    txn(failure=[A, A]),
    txn(success=[A, op_read(key=b"k1", revision=500)]),
    txn(success=[op_put(key=b"q", lease=4444)]),
    txn(success=[op_put(key=b"none", ignore_value=True)]),
    *[txn(success=[op]) for op in (op_put(key=b""), op_read(key=b""), op_delete(key=b""))],
    txn(success=[op_txn([op_put(key=b"")])]),
    txn(success=[op_put(key=b"x", value=b"a", ignore_value=True)]),
    txn(success=[op_put(key=b"x", lease=1, ignore_lease=True)]),
]
UNIONS: list[dict[str, object]] = [{}, {"version": 1}, {"value": b"v"}, {"lease": 0}]
COMPARES = [
    txn([Compare(key=key, result=result, target=target, **union)], [op_read(key=b"k1")])
    for key, result, target, union in product(
        (b"k1", b"none"), (-1, 0, 1, 2, 3, 4), (-1, 0, 1, 2, 3, 4, 5), UNIONS
    )
]
COMPARED_RANGES = [
    txn([Compare(key=key, range_end=end, result=result, target=0, version=0)])
    for key, end, result in product(
        (b"k", b"x", b"zzz", b"\0"), (b"l", b"\0", b"a", b"k1"), (0, 1, 3)
    )
]
THE_END = [
    delete(key=b""),
    delete(key=b"x", range_end=b"a"),
    delete(key=b"k", range_end=b"k3", prev_kv=True),
    delete(key=b"\0", range_end=b"\0", prev_kv=True),
    delete(key=b"\0", range_end=b"\0"),
    *[compact(revision) for revision in (0, -1, 1000)],
    compact(5, True),
    compact(5),
    compact(4),
    *[read(key=b"k1", revision=revision) for revision in (-1, 4, 5, 6)],
    txn(success=[op_read(key=b"k1", revision=3)]),
    *[hash_at(revision) for revision in (3, -3, 3000, 9)],
]
CORRUPT = [
    put(key=b"a"),
    grant(1001, 100),
    txn(success=[A]),
    txn(success=[READ]),
    delete(key=b"a"),
    compact(20),
    revoke(9),
    revoke(999),
]
ALARMS = [
    step
    for action, kind, member in product((1, 2), (0, 2), (0, 5))
    for step in (alarm(action, kind, member), alarm(0, 0, 0), *CORRUPT)
]
REMOVALS_MAX = 5
GOOD_URLS = ["http://127.0.0.1:1", "http://[::1]:5", "http://127.0.0.1:2 ", "HTTP://a:1"]
BAD_URLS = ["", "foo", "http://a", "http://a:1/", "a:1", "x://a:1", "http://a b:1", "http://%zz:1"]
MEMBERS = [
    Step("/etcdserverpb.Cluster/MemberAdd", MemberAddRequest(peerURLs=urls), MemberAddResponse)
    for urls in ([], *([url] for url in BAD_URLS), ["http://127.0.0.1:1", "foo"])
]
NO_VOTERS = [
    Step(
        "/etcdserverpb.Maintenance/MoveLeader",
        MoveLeaderRequest(targetID=number),
        MoveLeaderResponse,
    )
    for number in (0, 1)
]


@pytest.fixture(scope="module")
def peers() -> Iterator[tuple[Peer, Peer]]:
    """petcd and etcd, which take eight operations in a transaction."""
    with contextlib.ExitStack() as stack:
        petcd, etcd = (
            stack.enter_context(contextlib.closing(start(kind, "--max-txn-ops", str(MAX_TXN_OPS))))
            for kind in ("petcd", "etcd")
        )
        yield petcd, etcd


def without_order(answer: object) -> object:
    """etcd's alarms come in any order."""
    if isinstance(answer, tuple) and isinstance(answer[-1], dict) and "alarms" in answer[-1]:
        return *answer[:-1], sorted(map(str, answer[-1]["alarms"]))
    return answer


def test_odd_requests_get_equal_answers(peers: tuple[Peer, Peer]) -> None:
    steps = [*KEYS, *PUTS, *RANGES, *BOUNDS, *LEASES, *TXNS, *COMPARES, *COMPARED_RANGES, *THE_END]
    different = []
    for step in [*steps, *MEMBERS, *NO_VOTERS, *ALARMS]:
        petcd, etcd = (
            without_order(comparable(step, *peer.call(step.path, step.request, step.response)))
            for peer in peers
        )
        if petcd != etcd:
            different.append(f"{step}\n  petcd: {petcd}\n  etcd:  {etcd}")
    assert not different, f"{len(different)} differ\n" + "\n".join(different[:10])


@pytest.mark.parametrize("url", GOOD_URLS)
def test_a_member_may_be_added_with_the_urls_that_etcd_takes(
    peers: tuple[Peer, Peer], url: str
) -> None:
    added = []
    for peer in peers:
        request = MemberAddRequest(peerURLs=[url], isLearner=True)
        answer = peer.call("/etcdserverpb.Cluster/MemberAdd", request, MemberAddResponse)
        assert answer.code == 0 and answer.message is not None, (peer.kind, answer)
        added.append(answer.message.member.peerURLs if answer.message.member else None)
        remove_learners(peer)
    assert added[0] == added[1]


def remove_learners(peer: Peer) -> None:
    """etcd forgets a change that is asked for right after another one, and so is asked again."""
    for _ in range(REMOVALS_MAX):
        answer = peer.call(
            "/etcdserverpb.Cluster/MemberList", MemberListRequest(), MemberListResponse
        )
        assert answer.message is not None, answer
        learners = [member.ID for member in answer.message.members if member.isLearner]
        if not learners:
            return
        remove = MemberRemoveRequest(ID=learners[0])
        peer.call("/etcdserverpb.Cluster/MemberRemove", remove, MemberRemoveResponse)
    raise AssertionError(f"{peer.kind} keeps its learners")


def test_a_keep_alive_stream_answers_each_request_whatever_it_names(
    peers: tuple[Peer, Peer],
) -> None:
    heard = []
    for peer in peers:
        peer.call(
            "/etcdserverpb.Lease/LeaseGrant", LeaseGrantRequest(ID=50, TTL=100), LeaseGrantResponse
        )
        stream = peer.stream("/etcdserverpb.Lease/LeaseKeepAlive", LeaseKeepAliveResponse)
        for lease in (50, 0, -3, 777, LEASE_MIN, 50):
            stream.send(LeaseKeepAliveRequest(ID=lease))
        stream.half_close()
        heard.append([(answer.ID, answer.TTL) for answer in stream])
        assert stream.ended() == (0, "")
    assert heard[0] == heard[1] and len(heard[0]) == 6


def test_a_client_may_compress_what_it_sends(peers: tuple[Peer, Peer]) -> None:
    for peer in peers:
        call = peer.channel.unary_unary("/etcdserverpb.KV/Put")
        request = PutRequest(key=b"packed", value=b"again and " * 50_000)
        call(request.encode(), timeout=20, compression=grpc.Compression.Gzip)
        answer = peer.call("/etcdserverpb.KV/Range", RangeRequest(key=b"packed"), RangeResponse)
        assert answer.message is not None
        assert answer.message.kvs[0].value == b"again and " * 50_000
