"""Who is damaged when hashes differ, and what is done about it."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from peer_endpoints import Lines
from peer_fakes import FakeClient, response

from petcd.cluster import MemberInfo
from petcd.mvcc.errors import Compacted
from petcd.peer.remote_requests import PeerHash
from petcd.server.corruption import Comparison, CorruptionCheck, compare, corrupt_members
from petcd.server.opening import DataUnusable
from petcd.storage.errors import BackendDamaged
from petcd.transport.http_client import Unreachable
from petcd.wire.codec import DecodeError
from petcd.wire.hot import parse_internal
from petcd.wire.maintenance import AlarmMember, AlarmRequest, AlarmType

OWN, TWO, THREE = 1, 2, 3
SAME = PeerHash(9, 77, 4)


def guilty(others: Mapping[int, PeerHash | None], after: PeerHash = SAME) -> list[int]:
    return corrupt_members(OWN, Comparison(SAME, after, others))


@pytest.mark.parametrize(
    "said",
    [
        SAME,
        PeerHash(10, 77, 4),
        PeerHash(9, 5, 3),
        None,
    ],
    ids=["the same", "as far as we are now", "compacted less", "no answer"],
)
def test_nobody_is_blamed_without_proof(said: PeerHash | None) -> None:
    assert guilty({TWO: said}, after=PeerHash(10, 99, 4)) == []


@pytest.mark.parametrize(
    "said",
    [PeerHash(9, 5, 4), PeerHash(11, 77, 4), PeerHash(9, 77, 5)],
    ids=["another hash", "ahead of the leader", "compacted beyond the leader"],
)
def test_a_damaged_member_is_blamed(said: PeerHash) -> None:
    assert guilty({TWO: said, THREE: SAME}) == [TWO]


def test_a_leader_whose_hash_changes_by_itself_blames_itself() -> None:
    assert guilty({TWO: SAME}, after=PeerHash(9, 5, 4)) == [OWN]


def test_a_starting_member_compares_only_what_has_the_same_compaction() -> None:
    said = {2: SAME, 3: None, 4: PeerHash(9, 5, 3), 5: PeerHash(12, 5, 4)}
    assert compare(SAME, said) == ([3, 4], [5])


class FakeHost:
    """A member whose hash is `own`; reads are confirmed unless `lost`."""

    def __init__(self, own: PeerHash) -> None:
        self.own = own
        self.lost = False
        self.alarms: list[AlarmMember] = []
        members = [MemberInfo(n, (f"http://m{n}:2380",)) for n in (OWN, TWO, THREE)]
        self.member = SimpleNamespace(
            id=OWN,
            is_leader=True,
            membership=SimpleNamespace(members=lambda: members),
            store=SimpleNamespace(hash_kv_steps=lambda revision: None),
        )

    def drive(self, steps: Any, done: Any, context: Any) -> None:
        found = SimpleNamespace(hash=self.own.hash, compact_revision=self.own.compact_revision)
        done(context, (found, self.own.revision))

    def read(self, serve: Any, context: Any) -> None:
        serve(context, TimeoutError() if self.lost else None)

    def next_request_id(self) -> int:
        return 5

    def propose(self, request_id: int, data: bytes, finish: Any, context: Any) -> None:
        request = AlarmRequest.decode(parse_internal(data)[2])
        self.alarms.append(AlarmMember(memberID=request.memberID, alarm=request.alarm))


def check_with(host: FakeHost, answers: dict[str, bytes]) -> CorruptionCheck:
    fake = FakeClient()
    fake.answer = lambda url, target, body: (
        response(200, answers[url]) if url in answers else Unreachable("down")
    )
    return CorruptionCheck(cast(Any, host), cast(Any, fake), Lines(), 1.0)


GOOD = b'{"header":{"revision":9},"hash":77,"compact_revision":4}'
BAD = b'{"header":{"revision":9},"hash":78,"compact_revision":4}'


def test_the_alarm_is_raised_for_the_damaged_member() -> None:
    host = FakeHost(SAME)
    asyncio.run(check_with(host, {"http://m2:2380": GOOD, "http://m3:2380": BAD}).check())
    assert host.alarms == [AlarmMember(memberID=THREE, alarm=AlarmType.CORRUPT)]


def test_after_a_check_that_failed_there_is_another_one() -> None:
    host = FakeHost(SAME)
    plain = host.drive
    failures = [BackendDamaged("db", "a page"), Compacted(3, 4), DecodeError("no")]

    def drive(steps: Any, done: Any, context: Any) -> None:
        if failures:
            done(context, failures.pop())
        else:
            plain(steps, done, context)

    host.drive = drive  # type: ignore[method-assign]

    async def until_blamed() -> None:
        check = check_with(host, {"http://m3:2380": BAD})
        check.start(1e-9)
        async with asyncio.timeout(10):
            while not host.alarms:
                await asyncio.sleep(0)
        check.stop()

    asyncio.run(until_blamed())


def test_a_leader_that_is_none_any_more_blames_nobody() -> None:
    host = FakeHost(SAME)
    host.lost = True
    asyncio.run(check_with(host, {"http://m2:2380": BAD}).check())
    assert host.alarms == []


def test_a_member_that_differs_does_not_start() -> None:
    check = check_with(FakeHost(SAME), {"http://m2:2380": GOOD, "http://m3:2380": BAD})
    with pytest.raises(DataUnusable, match="1 found data inconsistency with peers"):
        asyncio.run(check.before_serving())


def test_a_member_with_a_row_that_cannot_be_read_does_not_start() -> None:
    host = FakeHost(SAME)
    host.drive = lambda steps, done, context: done(  # type: ignore[method-assign]
        context, DecodeError("KeyValue: wrong wire type 1 for field 2")
    )
    with pytest.raises(BackendDamaged, match="a row that is none: KeyValue: wrong wire type"):
        asyncio.run(check_with(host, {}).before_serving())


def test_a_member_starts_when_the_others_agree_or_are_silent() -> None:
    asyncio.run(check_with(FakeHost(SAME), {"http://m2:2380": GOOD}).before_serving())
