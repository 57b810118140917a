"""Several servers as one cluster: starting them together, and asking who leads."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Sequence

from bench.connection import GrpcError
from bench.requests import STATUS
from bench.servers import Server, ServerFailed
from petcd.wire.maintenance import StatusRequest, StatusResponse

ANSWER_TIMEOUT_S = 2.0
LEADER_TIMEOUT_S = 30.0
POLL_S = 0.02
UNREACHABLE = (OSError, GrpcError, TimeoutError)


async def call(server: Server, path: str, body: bytes, timeout_s: float) -> bytes:
    """One call on a connection of its own. Raises what `UNREACHABLE` names."""
    connection = await server.connect()
    try:
        return await asyncio.wait_for(connection.call(path, body), timeout_s)
    finally:
        connection.close()


async def status(server: Server) -> StatusResponse | None:
    """What a member says about itself; None when it does not answer."""
    with contextlib.suppress(*UNREACHABLE):
        reply = await call(server, STATUS, StatusRequest().encode(), ANSWER_TIMEOUT_S)
        return StatusResponse.decode(reply)
    return None


def member_id(answer: StatusResponse) -> int:
    assert answer.header is not None
    return answer.header.member_id


async def leader_of(members: Iterable[Server]) -> Server | None:
    """The member that holds itself for the leader, in the highest term if there are several."""
    running = [member for member in members if member.process is not None]
    answers = await asyncio.gather(*(status(member) for member in running))
    leading = [
        (answer.raftTerm, number)
        for number, answer in enumerate(answers)
        if answer is not None and answer.leader == member_id(answer)
    ]
    return running[max(leading)[1]] if leading else None


def fresh_members(kinds: Sequence[str], *flags: str) -> list[Server]:
    """`m1`, `m2` ... of these kinds, on fresh data directories."""
    return [Server(kind, *flags, name=f"m{number}") for number, kind in enumerate(kinds, 1)]


class Cluster:
    """Members that are to know each other from the start."""

    def __init__(self, members: list[Server]) -> None:
        self.members = members
        self.introduce()

    def introduce(self) -> None:
        """Tells each member of all."""
        everyone = ",".join(f"{member.name}={member.peer_url}" for member in self.members)
        for member in self.members:
            member.initial_cluster = everyone

    async def start(self) -> None:
        """All at once; returns when each answers a linearizable read."""
        await asyncio.gather(*(member.start() for member in self.members))

    async def leader(self) -> Server:
        """Waits for one. Raises ServerFailed when nobody leads for long."""
        begin = time.monotonic()
        while (found := await leader_of(self.members)) is None:
            if time.monotonic() - begin > LEADER_TIMEOUT_S:
                raise ServerFailed(f"nobody leads for {LEADER_TIMEOUT_S:.0f} s")
            await asyncio.sleep(POLL_S)
        return found

    async def follower(self) -> Server:
        leader = await self.leader()
        return next(member for member in self.members if member is not leader)

    def close(self) -> None:
        for member in self.members:
            member.terminate()
        for member in self.members:
            member.close()


@contextlib.asynccontextmanager
async def running_cluster(kinds: Sequence[str], *flags: str) -> AsyncIterator[Cluster]:
    """A started cluster on fresh data directories, which go at the end."""
    cluster = Cluster(fresh_members(kinds, *flags))
    try:
        await cluster.start()
        yield cluster
    finally:
        cluster.close()
