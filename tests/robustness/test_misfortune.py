"""One member whose disk fails or hangs, or whose clock is wrong: what it promised holds."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

import pytest

from bench.clusters import UNREACHABLE
from bench.connection import Connection
from bench.requests import PUT, RANGE
from faults.member import Member
from petcd.wire.kv import PutRequest, RangeRequest, RangeResponse
from petcd.wire.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)

GRANT = "/etcdserverpb.Lease/LeaseGrant"
TIME_TO_LIVE = "/etcdserverpb.Lease/LeaseTimeToLive"
WAIT_S = 20.0


@contextlib.asynccontextmanager
async def running(*flags: str) -> AsyncIterator[Member]:
    member = Member("petcd", *flags)
    try:
        await member.start()
        yield member
    finally:
        member.suffer()
        member.close()


async def put(connection: Connection, number: int) -> None:
    request = PutRequest(key=b"%06d" % number, value=b"x" * 100)
    await asyncio.wait_for(connection.call(PUT, request.encode()), WAIT_S)


async def count(member: Member) -> int:
    connection = await member.connect()
    request = RangeRequest(key=b"\0", range_end=b"\0", count_only=True)
    answer = await connection.call(RANGE, request.encode())
    connection.close()
    return RangeResponse.decode(answer).count


async def puts_until_it_ends(member: Member) -> int:
    """How many were acknowledged."""
    connection = await member.connect()
    number = 0
    with contextlib.suppress(*UNREACHABLE):
        while True:
            await put(connection, number)
            number += 1
            if number == 50:
                member.suffer(sync="fail")
    connection.close()
    return number


def test_a_failed_sync_ends_the_process_and_nothing_acknowledged_is_lost() -> None:
    async def scenario() -> None:
        async with running() as member:
            acknowledged = await puts_until_it_ends(member)
            assert acknowledged >= 50
            assert member.process is not None
            assert await asyncio.to_thread(member.process.wait, WAIT_S) == 1
            log = (member.folder / "log").read_text()
            assert "storage failed" in log and "Input/output error" in log
            assert "Traceback" not in log
            member.suffer()
            await member.start()
            assert await count(member) >= acknowledged

    asyncio.run(scenario())


def test_a_failed_commit_of_the_backend_ends_the_process_too() -> None:
    async def scenario() -> None:
        async with running("--unsafe-no-fsync") as member:  # no sync of the log's
            acknowledged = await puts_until_it_ends(member)
            assert member.process is not None
            assert await asyncio.to_thread(member.process.wait, WAIT_S) == 1
            log = (member.folder / "log").read_text()
            assert "/member/snap/db: " in log and "Input/output error" in log
            member.suffer()
            await member.start()
            assert await count(member) >= acknowledged

    asyncio.run(scenario())


def test_while_a_sync_hangs_nothing_is_acknowledged_and_then_all_is() -> None:
    async def scenario() -> None:
        async with running() as member:
            connection = await member.connect()
            await put(connection, 0)
            member.suffer(sync="hang")
            waiting = asyncio.ensure_future(put(connection, 1))
            await asyncio.sleep(1.0)
            assert not waiting.done()
            member.suffer()
            await waiting
            connection.close()
            assert await count(member) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("clock_s", [-86_400, 86_400])
def test_a_lease_does_not_care_for_the_time_of_day(clock_s: int) -> None:
    async def scenario() -> None:
        async with running("--log-level", "info") as member:
            connection = await member.connect()
            answer = await connection.call(GRANT, LeaseGrantRequest(TTL=60).encode())
            lease_id = LeaseGrantResponse.decode(answer).ID
            granted_s = time.monotonic()
            member.suffer(clock_s=clock_s)
            await asyncio.sleep(1.5)
            request = LeaseTimeToLiveRequest(ID=lease_id)
            answer = await connection.call(TIME_TO_LIVE, request.encode())
            left_s = LeaseTimeToLiveResponse.decode(answer).TTL
            assert 0 <= 60 - (time.monotonic() - granted_s) - left_s < 2
            connection.close()
            assert day_of_the_log(member) != time.strftime("%Y-%m-%d", time.gmtime())

    def day_of_the_log(member: Member) -> str:
        """The clock is really another one."""
        member.stop()
        lines = (member.folder / "log").read_text().splitlines()
        return str(json.loads(lines[-1])["ts"])[:10]

    asyncio.run(scenario())
