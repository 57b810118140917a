"""Members of petcd and of the real etcd in one cluster, under a load whose history is checked.

Whatever the mixture: writes are replicated both ways, each kind leads, each kind is killed, and at
every common revision all members have the same HashKV. `docs/migration.md` describes the way from
one kind to the other that is gone here.
"""

import asyncio
import urllib.error
import urllib.request

import pytest

from bench.clusters import fresh_members
from bench.requests import LEASE_GRANT, LEASE_REVOKE
from bench.servers import Server, ServerFailed, real_etcd
from faults.cycles import FLAGS, FLOOR_PER_SECOND, Outcome, Run, loaded
from petcd.wire.lease import LeaseGrantRequest, LeaseRevokeRequest

SEED = 351
ENTRIES_BEHIND = 6_000  # more than a leader keeps for those who come late: they need a snapshot
SERVING_TIMEOUT_S = 30.0
REST_S = 0.5  # before etcd 3.5.1 is killed: under load it may lose what it had acknowledged

pytestmark = [pytest.mark.real_etcd, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def with_real_etcd() -> None:
    try:
        real_etcd()
    except ServerFailed as error:
        pytest.skip(f"no real etcd to join: {error}")


async def lengthen_the_log(run: Run) -> None:
    """Entries that leave the keys alone."""
    connection = await run.stand.members[0].connect()
    for first in range(0, ENTRIES_BEHIND // 2, 200):
        some = range(50_000 + first, 50_200 + first)
        for path, bodies in (
            (LEASE_GRANT, [LeaseGrantRequest(ID=number, TTL=3600) for number in some]),
            (LEASE_REVOKE, [LeaseRevokeRequest(ID=number) for number in some]),
        ):
            await asyncio.gather(*(connection.call(path, body.encode()) for body in bodies))
    connection.close()


async def each_leads_and_is_killed(run: Run, members: list[Server]) -> None:
    stand = run.stand
    for member in members:
        await stand.lead(member)
        assert await run.traffic_alone() > FLOOR_PER_SECOND, f"{member.kind} leads"
        if member.kind == "etcd":
            run.load.going.clear()
            await stand.sleep(REST_S, REST_S)
        stand.kill(member)
        run.load.going.set()
        await stand.sleep(0.5, 1.5)
        stand.heal()
        await stand.healthy(SERVING_TIMEOUT_S)
        await run.same_hashes()


async def becomes(run: Run, number: int, kind: str) -> None:
    """Member `number` leaves and one of the other kind comes in its place."""
    stand = run.stand
    await stand.replace(stand.members[number], kind)
    await stand.healthy(SERVING_TIMEOUT_S)
    await run.same_hashes()


def judge(outcome: Outcome) -> None:
    assert not outcome.verdict.violations, "\n".join(map(str, outcome.verdict.violations))
    assert outcome.verdict.operations > 1_000


def test_a_cluster_of_etcd_becomes_one_of_petcd_and_takes_etcd_back() -> None:
    async def move() -> Outcome:
        async with loaded(fresh_members(["etcd"] * 3, *FLAGS), SEED) as run:
            members = run.stand.members
            await lengthen_the_log(run)
            await becomes(run, 0, "petcd")
            await each_leads_and_is_killed(run, members[:2])
            await becomes(run, 1, "petcd")
            await becomes(run, 2, "petcd")
            assert [member.kind for member in members] == ["petcd"] * 3
            await becomes(run, 0, "etcd")
            await each_leads_and_is_killed(run, members[:2])
            return await run.finish()

    judge(asyncio.run(move()))


def test_v2_writes_are_refused_while_a_member_of_etcd_is_there() -> None:
    """etcd keeps the keys of v2 apart from those of v3: its members would not have them."""

    async def write() -> tuple[int, str]:
        kinds = ["petcd", "petcd", "etcd"]
        async with loaded(fresh_members(kinds, *FLAGS), SEED) as run:
            port = run.stand.members[0].port
            return await asyncio.to_thread(put_v2, port)

    status, text = asyncio.run(write())
    assert status == 500
    assert "v2 writes are refused while the cluster has members of etcd" in text


def put_v2(port: int) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v2/keys/a", b"value=1", method="PUT")
    request.add_header("Content-Type", "application/x-www-form-urlencoded")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
