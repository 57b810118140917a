"""A member whose database was changed behind its back is found by the hashes of the others."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from bench.clusters import Cluster, running_cluster
from bench.requests import PUT
from bench.servers import Server
from petcd.storage.lmdb_backend import LmdbBackend
from petcd.wire.kv import PutRequest
from petcd.wire.maintenance import AlarmMember, AlarmRequest, AlarmResponse, AlarmType

ALARM = "/etcdserverpb.Maintenance/Alarm"
FOUND_TIMEOUT_S = 30.0


@contextlib.asynccontextmanager
async def damaged(*flags: str) -> AsyncIterator[tuple[Cluster, Server]]:
    """Three members with a history, one of which is down and has lost a revision of it."""
    async with running_cluster(["petcd"] * 3, *flags) as cluster:
        victim = await cluster.follower()
        connection = await victim.connect()
        for n in range(20):
            await connection.call(PUT, PutRequest(key=b"key", value=b"%d" % n).encode())
        connection.close()
        victim.stop()
        lose_a_revision(victim)
        yield cluster, victim


def lose_a_revision(member: Server) -> None:
    backend = LmdbBackend(str(member.folder / "data" / "member" / "snap" / "db"))
    rows = list(backend.scan(b"key", b"", None))
    backend.delete(b"key", rows[len(rows) // 2][0])
    backend.commit()
    backend.close()


async def alarms(server: Server) -> list[AlarmMember]:
    connection = await server.connect()
    try:
        answer = await connection.call(ALARM, AlarmRequest().encode())
        return AlarmResponse.decode(answer).alarms
    finally:
        connection.close()


@pytest.mark.timeout(120)
def test_the_leader_finds_a_damaged_member_and_raises_the_alarm() -> None:
    async def scenario() -> None:
        async with damaged("--corrupt-check-time", "1s") as (cluster, victim):
            assert await alarms(await cluster.leader()) == []
            victim.spawn()
            begin = time.monotonic()
            found: list[AlarmMember] = []
            while not found and time.monotonic() - begin < FOUND_TIMEOUT_S:
                await asyncio.sleep(0.2)
                found = await alarms(await cluster.leader())
            assert [alarm.alarm for alarm in found] == [AlarmType.CORRUPT]

    asyncio.run(scenario())


@pytest.mark.timeout(120)
def test_a_damaged_member_does_not_start_when_it_is_to_look_first() -> None:
    async def scenario() -> None:
        async with damaged("--initial-corrupt-check") as (_, victim):
            process = victim.spawn()
            assert await asyncio.to_thread(process.wait, 30) == 1
            assert "found data inconsistency with peers" in victim.log()

    asyncio.run(scenario())
