"""The list of members as a replicated state machine.

    bucket `members`          key: id in hexadecimal, value: JSON {"id", "peerURLs", "name", ...}
    bucket `members_removed`  key: id in hexadecimal, value: "removed"
    bucket `cluster`          key: "clusterVersion", value: "3.5.0"
                              keys of our own, that etcd does not look at:
                              "petcd/" and an id: what the member said it is, "" for etcd

Invariants: an id once removed never comes back; a member is in exactly one of the two buckets;
what the backend holds equals what is in memory. The JSON is etcd's, so that a snapshot taken
here can be restored there. Source: etcd's `members` bucket as of 3.5.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from petcd.cluster.ids import format_id

MEMBERS = b"members"
MEMBERS_REMOVED = b"members_removed"
CLUSTER = b"cluster"
CLUSTER_VERSION_KEY = b"clusterVersion"
REMOVED_VALUE = b"removed"
_KIND_PREFIX = b"petcd/"


class ClusterBackend(Protocol):
    """What membership needs of the backend."""

    def put(self, bucket: bytes, key: bytes, value: bytes) -> None: ...

    def delete(self, bucket: bytes, key: bytes) -> None: ...

    def get(self, bucket: bytes, key: bytes) -> bytes | None: ...

    def scan(
        self, bucket: bytes, start: bytes, end: bytes | None, limit: int = 0
    ) -> Iterator[tuple[bytes, bytes]]: ...


@dataclass(frozen=True, slots=True)
class MemberInfo:
    """One member: identity, where peers reach it, and what it published about itself."""

    id: int
    peer_urls: tuple[str, ...]
    name: str = ""
    client_urls: tuple[str, ...] = ()
    is_learner: bool = False

    @property
    def is_started(self) -> bool:
        """A member publishes its name with its first entry; until then it never ran."""
        return bool(self.name)

    def to_json(self) -> bytes:
        """etcd's JSON form: zero fields left out, field order as etcd writes it."""
        fields: dict[str, object] = {"id": self.id, "peerURLs": list(self.peer_urls)}
        if self.is_learner:
            fields["isLearner"] = True
        if self.name:
            fields["name"] = self.name
        if self.client_urls:
            fields["clientURLs"] = list(self.client_urls)
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "MemberInfo":
        """Inverse of `to_json`; raises ValueError when the fields are missing or of other types."""
        fields = json.loads(data)
        if not isinstance(fields, dict) or not isinstance(fields.get("id"), int):
            raise ValueError("member record without id")
        return cls(
            id=fields["id"],
            peer_urls=tuple(fields.get("peerURLs") or ()),
            name=fields.get("name", ""),
            client_urls=tuple(fields.get("clientURLs") or ()),
            is_learner=bool(fields.get("isLearner", False)),
        )


def promotion(member_id: int) -> bytes:
    """etcd's JSON of the change that makes a learner a voter."""
    fields = {"id": member_id, "peerURLs": None, "isPromote": True}
    return json.dumps(fields, separators=(",", ":")).encode()


def is_promotion(data: bytes) -> bool:
    """Whether the JSON of a member that is added is a `promotion` of one that is there."""
    return bool(json.loads(data).get("isPromote"))


class ChangeRefused(Exception):
    """A membership change that the state machine does not accept; `member_id` names whom."""

    def __init__(self, member_id: int, reason: str) -> None:
        super().__init__(f"member {format_id(member_id)}: {reason}")
        self.member_id = member_id


class MemberKnown(ChangeRefused):
    """The id is already a member."""


class MemberUnknown(ChangeRefused):
    """The id is no member, or was removed."""


class LastVoter(ChangeRefused):
    """Nobody would be left to decide."""


class PeerUrlKnown(ChangeRefused):
    """Another member has one of the peer URLs."""


class NotALearner(ChangeRefused):
    """Only a learner can be promoted."""


class TooManyLearners(ChangeRefused):
    """There are as many learners as there may be."""


class Membership:
    """Members of one cluster. Change methods assume a check by the matching `check_*` first."""

    def __init__(
        self, backend: ClusterBackend, cluster_id: int, local_id: int, learners_max: int = 1
    ) -> None:
        """`learners_max` must be the same on every member: it decides what is applied."""
        self._backend = backend
        self.cluster_id = cluster_id
        self.local_id = local_id
        self.version: str | None = None
        # Whether no member is, or may be, one of etcd, which keeps the data of v2 apart.
        self.is_all_petcd = True
        # Counts changes of the list, for whoever follows it.
        self.changes = 0
        self._learners_max = learners_max
        self._members: dict[int, MemberInfo] = {}
        self._removed: set[int] = set()
        self._kinds: dict[int, str] = {}

    def load(self) -> None:
        """Read members, removed ids and the cluster version from the backend."""
        self._members.clear()
        for _, value in self._backend.scan(MEMBERS, b"", None):
            member = MemberInfo.from_json(value)
            self._members[member.id] = member
        self._removed = {int(key, 16) for key, _ in self._backend.scan(MEMBERS_REMOVED, b"", None)}
        self.changes += 1
        past_prefix = _KIND_PREFIX[:-1] + b"0"
        self._kinds = {
            int(key[len(_KIND_PREFIX) :], 16): value.decode()
            for key, value in self._backend.scan(CLUSTER, _KIND_PREFIX, past_prefix)
        }
        self._look_at_kinds()
        version = self._backend.get(CLUSTER, CLUSTER_VERSION_KEY)
        self.version = version.decode() if version is not None else None

    def members(self) -> list[MemberInfo]:
        """All members, by id."""
        return [self._members[i] for i in sorted(self._members)]

    def get(self, member_id: int) -> MemberInfo | None:
        """The member, or None when unknown or removed."""
        return self._members.get(member_id)

    def is_removed(self, member_id: int) -> bool:
        """Whether the id belonged to a member that was removed."""
        return member_id in self._removed

    @property
    def local(self) -> MemberInfo | None:
        """This member's own record; None once removed or before the first entry is applied."""
        return self._members.get(self.local_id)

    def _look_at_kinds(self) -> None:
        """One of whom nothing is known may be of etcd: it has not started, or the list came with a
        snapshot of etcd."""
        self.is_all_petcd = all(self._kinds.get(i) for i in self._members)

    # -- checks -------------------------------------------------------------------------------

    def check_add(self, member: MemberInfo) -> None:
        """Raise ChangeRefused when the member cannot be added."""
        self._check_not_removed(member.id)
        if member.id in self._members:
            raise MemberKnown(member.id, "already a member")
        self._check_urls_free(member.peer_urls, member.id)
        learners = sum(known.is_learner for known in self._members.values())
        if member.is_learner and learners >= self._learners_max:
            raise TooManyLearners(member.id, f"{learners} learners are as many as there may be")

    def check_promote(self, member_id: int) -> None:
        """Raise ChangeRefused unless the id is a learner."""
        self._check_known(member_id)
        if not self._members[member_id].is_learner:
            raise NotALearner(member_id, "not a learner")

    def check_remove(self, member_id: int) -> None:
        """Raise ChangeRefused unless the id is a member, and not the last voter: no configuration
        is without. The check of the quorum before the proposal may be off, or too early."""
        self._check_known(member_id)
        voters = [known.id for known in self._members.values() if not known.is_learner]
        if voters == [member_id]:
            raise LastVoter(member_id, "the last voter")

    def check_update(self, member_id: int, peer_urls: Iterable[str]) -> None:
        """Raise ChangeRefused when the id is unknown or a URL belongs to another member."""
        self._check_known(member_id)
        self._check_urls_free(peer_urls, member_id)

    def _check_not_removed(self, member_id: int) -> None:
        if member_id in self._removed:
            raise MemberUnknown(member_id, "was removed from the cluster")

    def _check_known(self, member_id: int) -> None:
        self._check_not_removed(member_id)
        if member_id not in self._members:
            raise MemberUnknown(member_id, "not a member")

    def _check_urls_free(self, peer_urls: Iterable[str], owner: int) -> None:
        wanted = set(peer_urls)
        for other in self._members.values():
            if other.id != owner and not wanted.isdisjoint(other.peer_urls):
                raise PeerUrlKnown(owner, f"peer URL in use by {format_id(other.id)}")

    # -- changes ------------------------------------------------------------------------------

    def add(self, member: MemberInfo) -> None:
        """Add a member or learner."""
        self._put(member)
        self._look_at_kinds()

    def promote(self, member_id: int) -> None:
        """Make a learner a voter."""
        self._put(replace(self._members[member_id], is_learner=False))

    def remove(self, member_id: int) -> None:
        """Remove a member and remember its id for ever."""
        key = format_id(member_id).encode()
        self._members.pop(member_id, None)
        self._removed.add(member_id)
        if self._kinds.pop(member_id, None) is not None:
            self._backend.delete(CLUSTER, _KIND_PREFIX + key)
        self._look_at_kinds()
        self.changes += 1
        self._backend.delete(MEMBERS, key)
        self._backend.put(MEMBERS_REMOVED, key, REMOVED_VALUE)

    def update_peer_urls(self, member_id: int, peer_urls: Iterable[str]) -> None:
        """Change the peer URLs, and nothing else."""
        self._put(replace(self._members[member_id], peer_urls=tuple(peer_urls)))

    def publish(
        self, member_id: int, name: str, client_urls: Iterable[str], petcd_version: str = ""
    ) -> None:
        """Record what a member says of itself; an entry of a removed member is ignored.

        `petcd_version` is empty for a member of etcd.
        """
        known = self._members.get(member_id)
        if known is not None:
            self._put(replace(known, name=name, client_urls=tuple(client_urls)))
            self._set_kind(member_id, petcd_version)

    def set_version(self, version: str) -> None:
        """Record the version all members agreed on, such as "3.5.0"."""
        self.version = version
        self._backend.put(CLUSTER, CLUSTER_VERSION_KEY, version.encode())

    def _set_kind(self, member_id: int, petcd_version: str) -> None:
        self._kinds[member_id] = petcd_version
        key = _KIND_PREFIX + format_id(member_id).encode()
        self._backend.put(CLUSTER, key, petcd_version.encode())
        self._look_at_kinds()

    def _put(self, member: MemberInfo) -> None:
        self._members[member.id] = member
        self.changes += 1
        self._backend.put(MEMBERS, format_id(member.id).encode(), member.to_json())
