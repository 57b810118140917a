"""The version of the cluster: what its oldest member can do.

    leader, when its term begins and every few seconds: asks every member for its version
        -> the lowest one, as major.minor.0, goes into the log

As long as some member does not answer, a cluster without a version gets the lowest there is, and
one with a version keeps it. It rises with its members; it falls by at most one minor version, when
an older member was let in. Source: etcd 3.5.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from petcd.api.host import Finish
from petcd.cluster import MemberInfo
from petcd.member.apply import CLUSTER_VERSION_SET
from petcd.server.log import LogLines
from petcd.server.runtime import Runtime
from petcd.server.surroundings import Loop
from petcd.server.versions import CLUSTER_VERSION_MIN, major_minor
from petcd.version import ETCD_VERSION
from petcd.wire.hot import internal_request
from petcd.wire.membership import ClusterVersionSetRequest

# How often the leader asks; etcd's.
INTERVAL_S = 5.0

# Asks members for their versions: told them by member id, None for who did not say.
AskVersions = Callable[[Sequence[MemberInfo], Callable[[Mapping[int, str | None]], None]], None]


def all_alike(
    members: Sequence[MemberInfo], done: Callable[[Mapping[int, str | None]], None]
) -> None:
    """Where nobody can be asked: everybody runs what we run."""
    done({member.id: ETCD_VERSION for member in members})


class ClusterVersion:
    """Decides and proposes the version while this member leads."""

    def __init__(self, runtime: Runtime, loop: Loop, ask: AskVersions, log: LogLines) -> None:
        self._runtime = runtime
        self._member = runtime.member
        self._membership = runtime.member.membership
        self._loop = loop
        self._ask = ask
        self._log = log
        self._term = 0
        self._due_s = 0.0

    def tend(self) -> None:
        """Look whether it is time to decide; cheap when it is not."""
        member = self._member
        if not member.is_leader or member.applied_term != member.term:
            return
        now_s = self._loop.time()
        if member.term != self._term or now_s >= self._due_s:
            self._term = member.term
            self._due_s = now_s + INTERVAL_S
            self.decide()

    def decide(self, done: Callable[[], None] = lambda: None) -> None:
        """Ask the others and propose what follows; `done` when it is applied or not needed."""
        others = [m for m in self._membership.members() if m.id != self._member.id]

        def told(found: Mapping[int, str | None]) -> None:
            version = decided(self._membership.version, [ETCD_VERSION, *found.values()])
            if version is None or not self._member.is_leader:
                done()
            else:
                self._propose(version, lambda context, outcome: done())

        self._ask(others, told)

    def _propose(self, version: str, finish: Finish) -> None:
        self._log.info(
            "updating cluster version", from_version=self._membership.version, to_version=version
        )
        request_id = self._runtime.next_request_id()
        body = ClusterVersionSetRequest(ver=version).encode()
        data = internal_request(request_id, CLUSTER_VERSION_SET, body)
        self._runtime.propose(request_id, data, finish, None)


def decided(current: str | None, found: Iterable[str | None]) -> str | None:
    """The version to set, None when it stays as it is. `found`: all members', None for unknown."""
    versions = [major_minor(version) if version is not None else None for version in found]
    known = [version for version in versions if version is not None]
    lowest = min(known) if len(known) == len(versions) else None
    if current is None:
        return CLUSTER_VERSION_MIN if lowest is None else _text(lowest)
    now = major_minor(current)
    if lowest is None or now is None or lowest == now or lowest[0] != now[0]:
        return None
    return _text(lowest) if lowest > now or lowest[1] == now[1] - 1 else None


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}.0"
