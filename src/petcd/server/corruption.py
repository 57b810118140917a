"""Members compare the hashes of their histories, so that a damaged one is found.

    --initial-corrupt-check   before serving: who differs from a peer does not start
    --corrupt-check-time      now and then the leader compares: who differs gets the alarm CORRUPT,
                              and nobody writes any more

A hash stands for all revisions up to one that both have, since the same compaction. The leader
looks at itself twice, before and after it asked, for its own memory may be what is damaged.

It runs beside the member and only in a process: the simulator asks on its own, and `compare`
decides there as well.
Source: etcd's corrupt.go.
"""

import asyncio
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple, Protocol

from petcd.cluster import MemberInfo, format_id
from petcd.member import Member
from petcd.member.apply import ALARM
from petcd.mvcc.errors import MvccError
from petcd.peer.remote_requests import PeerHash, get_hashes
from petcd.server.log import LogLines
from petcd.server.opening import DataUnusable
from petcd.storage.errors import BackendDamaged, StorageError
from petcd.transport.http_client import HttpClient
from petcd.wire.codec import DecodeError
from petcd.wire.hot import internal_request
from petcd.wire.maintenance import AlarmAction, AlarmRequest, AlarmType


class Host(Protocol):
    """What of the runtime is needed here; see `petcd.api.host.Host`."""

    member: Member

    def drive(self, steps: Generator[object, None, Any], done: Any, context: Any) -> None: ...

    def read(self, serve: Any, context: Any) -> None: ...

    def next_request_id(self) -> int: ...

    def propose(self, request_id: int, data: bytes, finish: Any, context: Any) -> None: ...


class Comparison(NamedTuple):
    """The leader's hash before and after it asked, and what the others said."""

    before: PeerHash
    after: PeerHash
    others: Mapping[int, PeerHash | None]


def corrupt_members(own_id: int, found: Comparison) -> list[int]:
    """Who must be damaged. Members that did not answer, or are behind, prove nothing."""
    before, after = found.before, found.after
    guilty = []
    same = (before.revision, before.compact_revision) == (after.revision, after.compact_revision)
    if same and before.hash != after.hash:
        guilty.append(own_id)
    for member_id, said in found.others.items():
        if said is None:
            continue
        ahead = said.revision > after.revision or said.compact_revision > after.compact_revision
        comparable = said.compact_revision == before.compact_revision
        if ahead or (comparable and said.hash != before.hash):
            guilty.append(member_id)
    return guilty


def compare(own: PeerHash, said: Mapping[int, PeerHash | None]) -> tuple[list[int], list[int]]:
    """With whom nothing can be compared, and who has another history up to `own.revision`."""
    unknown, differing = [], []
    for member_id, other in said.items():
        if other is None or other.compact_revision != own.compact_revision:
            unknown.append(member_id)
        elif other.hash != own.hash:
            differing.append(member_id)
    return unknown, differing


def unreadable(error: DecodeError) -> StorageError:
    """What a row is that no key-value can be made of."""
    return BackendDamaged("backend", f"a row that is none: {error}")


class CorruptionCheck:
    """Compares this member with the others. Made inside a running loop."""

    def __init__(self, host: Host, client: HttpClient, log: LogLines, timeout_s: float) -> None:
        """`timeout_s` is for the answer of each peer URL."""
        self._host = host
        self._client = client
        self._log = log
        self._timeout_s = timeout_s
        self._task: asyncio.Task[None] | None = None

    async def before_serving(self) -> None:
        """Raises DataUnusable when a member with the same compaction has another history, and
        StorageError when our own cannot be read."""
        own = await self._hash()
        unknown, differing = compare(own, await self._ask(own.revision))
        for member_id in unknown:
            self._log.warn(
                "a member could not be compared with", remote_peer_id=format_id(member_id)
            )
        if differing:
            own_id = format_id(self._host.member.id)
            raise DataUnusable(f"{own_id} found data inconsistency with peers")

    def start(self, interval_s: float) -> None:
        """Compare now and then, while this member leads. 0 is never.

        A comparison may fail, of a revision that was compacted meanwhile or for a page that cannot
        be read: the log says so, and there is a next time.
        """
        if interval_s > 0:
            self._task = asyncio.get_running_loop().create_task(self._run(interval_s))

    def stop(self) -> None:
        """No more comparisons."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            if self._host.member.is_leader:
                try:
                    await self.check()
                except (MvccError, StorageError) as error:
                    self._log.warn("failed hash check", error=repr(error))

    async def check(self) -> None:
        """Compare with everybody, and raise the alarm for those who are damaged."""
        before = await self._hash()
        others = await self._ask(before.revision)
        if not await self._is_confirmed():
            return
        found = Comparison(before, await self._hash(), others)
        for member_id in corrupt_members(self._host.member.id, found):
            self._log.error("found hash mismatch", member_id=format_id(member_id))
            self._raise_alarm(member_id)

    def _others(self) -> list[MemberInfo]:
        member = self._host.member
        return [other for other in member.membership.members() if other.id != member.id]

    async def _ask(self, revision: int) -> dict[int, PeerHash | None]:
        return await get_hashes(self._client, self._others(), revision, self._timeout_s)

    async def _hash(self) -> PeerHash:
        """Our own hash at the current revision. Raises StorageError, MvccError."""
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        steps = self._host.member.store.hash_kv_steps(0)
        self._host.drive(steps, lambda _, outcome: done.set_result(outcome), None)
        outcome = await done
        if isinstance(outcome, DecodeError):
            raise unreadable(outcome) from outcome
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, tuple), outcome
        found, revision = outcome
        return PeerHash(revision, found.hash, found.compact_revision)

    async def _is_confirmed(self) -> bool:
        """Whether this member still led, and has applied what was committed."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._host.read(lambda _, refusal: done.set_result(refusal is None), None)
        return await done

    def _raise_alarm(self, member_id: int) -> None:
        request = AlarmRequest(
            action=AlarmAction.ACTIVATE, memberID=member_id, alarm=AlarmType.CORRUPT
        )
        request_id = self._host.next_request_id()
        data = internal_request(request_id, ALARM, request.encode())
        self._host.propose(request_id, data, lambda _, outcome: None, None)
