"""A cluster behind proxies: each member a process, each link between two of them in our hands."""

import asyncio
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence

from bench.clusters import UNREACHABLE, Cluster, call, leader_of, member_id, status
from bench.requests import HASH_KV, MEMBER_ADD, MEMBER_REMOVE, MOVE_LEADER, RANGE, one_range
from bench.servers import START_TIMEOUT_S, Server, ServerFailed
from faults.member import Member
from faults.proxy import Network, Proxy
from petcd.wire.cluster import MemberAddRequest, MemberAddResponse, MemberRemoveRequest
from petcd.wire.maintenance import (
    HashKVRequest,
    HashKVResponse,
    MoveLeaderRequest,
    StatusResponse,
)

POLL_S = 0.05
END_TIMEOUT_S = 10.0
CHANGE_TIMEOUT_S = 20.0  # of membership: the leader must first be connected to the others


class Stand:
    """The members, and their proxies at `ports`; `runs` counts the starts of each."""

    def __init__(self, members: list[Server], ports: Sequence[int], seed: int = 0) -> None:
        self.chance = random.Random(seed)
        self.network = Network(self.chance)
        self.cluster = Cluster(members)
        self.members = members
        self.ids: dict[str, int] = {}
        self.runs = {member.name: 0 for member in self.members}
        self.paused: set[str] = set()
        for member, port in zip(self.members, ports, strict=True):
            Proxy(self.network, member.name, port, member.peer_port)
            member.peer_url = f"http://127.0.0.1:{port}"
        self.cluster.introduce()

    async def start(self) -> None:
        """Returns when all members serve and the proxies know them by their ids."""
        for proxy in self.network.proxies:
            await proxy.start()
        for member in self.members:
            self.spawn(member)
        await self.healthy(START_TIMEOUT_S)
        for member in self.members:
            await self.learn_id(member)

    async def learn_id(self, member: Server) -> None:
        answer = await status(member)
        if answer is None:
            raise ServerFailed(f"{member.name} does not tell its id: {member.log()}")
        self.ids[member.name] = member_id(answer)
        self.network.names[member_id(answer)] = member.name

    async def close(self) -> None:
        await asyncio.to_thread(self.cluster.close)
        await self.network.close()

    async def sleep(self, least_s: float, most_s: float) -> None:
        await asyncio.sleep(self.chance.uniform(least_s, most_s))

    # --- processes ---

    def running(self) -> list[Server]:
        return [member for member in self.members if member.process is not None]

    def awake(self) -> list[Server]:
        return [member for member in self.running() if member.name not in self.paused]

    def spawn(self, member: Server) -> None:
        self.runs[member.name] += 1
        member.spawn()

    def kill(self, member: Server) -> None:
        member.kill()
        self.paused.discard(member.name)

    def pause(self, member: Server) -> None:
        assert member.process is not None
        member.process.send_signal(signal.SIGSTOP)
        self.paused.add(member.name)

    def resume(self, member: Server) -> None:
        if member.process is not None:
            member.process.send_signal(signal.SIGCONT)
        self.paused.discard(member.name)

    async def restart(self, member: Server) -> None:
        """A clean stop and a start."""
        await asyncio.to_thread(member.stop)
        self.spawn(member)

    async def ended(self, member: Server) -> None:
        """Waits until the process has ended by itself, as it has to."""
        assert member.process is not None
        try:
            await asyncio.to_thread(member.process.wait, END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"{member.name} goes on: {member.log()}") from None
        self.kill(member)

    def heal(self) -> None:
        """All links pass, disks and clocks are well, nobody is paused, who is down is started."""
        self.network.restore()
        for member in self.members:
            if isinstance(member, Member):
                member.suffer()
            self.resume(member)
            if member.process is not None and member.process.poll() is not None:
                raise ServerFailed(f"{member.name} ended by itself: {member.log()}")
            if member.process is None:
                self.spawn(member)

    # --- questions ---

    async def leader(self) -> Server | None:
        """Of the members that are awake."""
        return await leader_of(self.awake())

    async def leader_soon(self, timeout_s: float = CHANGE_TIMEOUT_S) -> Server:
        begin = time.monotonic()
        while (found := await self.leader()) is None:
            if time.monotonic() - begin > timeout_s:
                raise ServerFailed(f"nobody leads for {timeout_s:.0f} s")
            await asyncio.sleep(POLL_S)
        return found

    async def healthy(self, timeout_s: float) -> float:
        """Waits until each member answers a linearizable read; returns the seconds it took."""
        begin = time.monotonic()
        pending = list(self.members)
        while pending:
            member = pending[0]
            if await serves(member):
                pending.pop(0)
                continue
            assert member.process is not None
            if member.process.poll() is not None:
                raise ServerFailed(f"{member.name} ended by itself: {member.log()}")
            if time.monotonic() - begin > timeout_s:
                raise ServerFailed(
                    f"{member.name} does not serve {timeout_s:.0f} s after all was healed: "
                    f"{member.log()}"
                )
            await asyncio.sleep(POLL_S)
        return time.monotonic() - begin

    async def statuses(self) -> dict[str, StatusResponse]:
        answers = await asyncio.gather(*(status(member) for member in self.awake()))
        names = [member.name for member in self.awake()]
        return {name: answer for name, answer in zip(names, answers, strict=True) if answer}

    async def hashes(self, revision: int) -> dict[str, HashKVResponse]:
        """HashKV of every member at the same revision."""
        body = HashKVRequest(revision=revision).encode()
        found = {}
        for member in self.members:
            reply = await call(member, HASH_KV, body, 10)
            found[member.name] = HashKVResponse.decode(reply)
        return found

    # --- membership ---

    async def replace(self, member: Server, kind: str = "") -> None:
        """Removes the member for good and lets a new one with an empty disk take its place.

        The new one may be of another kind, `petcd` or `etcd`.
        """
        others = [one for one in self.awake() if one is not member]
        self.kill(member)
        await self.change(others, MEMBER_REMOVE, MemberRemoveRequest(ID=self.ids[member.name]))
        add = MemberAddRequest(peerURLs=[member.peer_url])
        reply = await self.change(others, MEMBER_ADD, add)
        added = MemberAddResponse.decode(reply).member
        assert added is not None
        del self.network.names[self.ids[member.name]]
        self.ids[member.name] = added.ID
        self.network.names[added.ID] = member.name
        shutil.rmtree(member.folder / "data")
        member.initial_cluster_state = "existing"
        member.kind = kind or member.kind
        self.spawn(member)

    async def lead(self, member: Server) -> None:
        """Hands the lead to this member."""
        leader = await self.leader_soon()
        if leader is not member:
            request = MoveLeaderRequest(targetID=self.ids[member.name])
            await call(leader, MOVE_LEADER, request.encode(), CHANGE_TIMEOUT_S)

    async def change(
        self, others: Sequence[Server], path: str, request: MemberAddRequest | MemberRemoveRequest
    ) -> bytes:
        """Asks until the change is made; the leader refuses while it misses the others."""
        begin = time.monotonic()
        while True:
            try:
                return await call(self.chance.choice(others), path, request.encode(), 5)
            except UNREACHABLE as error:
                if time.monotonic() - begin > CHANGE_TIMEOUT_S:
                    raise ServerFailed(f"{path}: {error}") from None
                await asyncio.sleep(POLL_S)


async def serves(member: Server) -> bool:
    try:
        await call(member, RANGE, one_range(), 1)
    except UNREACHABLE:
        return False
    return True
