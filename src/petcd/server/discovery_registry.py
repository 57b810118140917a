"""How the first members of a cluster gather in a registry, whichever API keeps it.

```
  registry     _config/size = 3                   written by whoever made the token
               MEMBER ID    = NAME=PEER URL,...   one for each member, in order of creation

  join:  look (full?) -> register -> look -> wait for a change and look, until `size` are there
```

The first `size` entries are the cluster; who is not among them finds it full. A service that does
not answer is asked again for ever, with growing pauses. Source: etcd's discovery protocol.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from petcd.server.config import ConfigError
from petcd.server.founding import parse_initial_cluster

EXPONENTIAL_RETRIES_MAX = 8
"""Pauses grow from 2 s to 256 s and stay there; etcd's."""

SIZE_NOT_FOUND = "discovery: size key not found"
BAD_SIZE = "discovery: size key is bad"
DUPLICATE_ID = "discovery: found duplicate id"
DUPLICATE_NAME = "discovery: found duplicate name"
INVALID_URL = "discovery: invalid URL"
BAD_ENDPOINT = "discovery: bad discovery endpoint"


class Log(Protocol):
    """Where operators read how far it is."""

    def info(self, message: str, **fields: object) -> None: ...

    def warn(self, message: str, **fields: object) -> None: ...


class DiscoveryFailed(ConfigError):
    """There is no cluster to start with; the text is etcd's."""


class ClusterFull(DiscoveryFailed):
    """The cluster has all its members, whom `initial_cluster` names, and we are none of them."""

    def __init__(self, initial_cluster: str) -> None:
        super().__init__("discovery: cluster is full")
        self.initial_cluster = initial_cluster


class Unanswered(Exception):
    """The service cannot be reached, or has no leader: to be tried again."""


class Entry(NamedTuple):
    """A registered member; `created` orders them."""

    member_id: str
    peers: str
    created: int


class Registry(Protocol):
    """A token's registry. All raise Unanswered, and DiscoveryFailed for good."""

    async def size(self) -> str:
        """The text of the size."""

    async def entries(self) -> tuple[list[Entry], int]:
        """What is registered, and the index of this answer."""

    async def register(self, member_id: str, peers: str) -> bool:
        """Make an entry; False when there is one with this id."""

    async def changed_since(self, index: int) -> None:
        """Wait until an entry was made after `index`."""


class Gathering:
    """One member's (or proxy's) dealings with a registry."""

    def __init__(
        self,
        registry: Registry,
        where: str,
        log: Log,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """`where` is for the log."""
        self._registry = registry
        self._where = where
        self._log = log
        self._sleep = sleep
        self._retries = 0
        self._told: set[str] = set()

    async def join(self, member_id: str, peers: str) -> str:
        """Register and wait for the others; the initial cluster. Raises DiscoveryFailed."""
        await self._look(member_id)
        await self._register(member_id, peers)
        return await self._wait(member_id)

    async def find(self) -> str:
        """The initial cluster for one that is no member. Raises DiscoveryFailed."""
        try:
            return await self._wait("")
        except ClusterFull as full:
            return full.initial_cluster

    async def _wait(self, member_id: str) -> str:
        while True:
            size, entries, index = await self._look(member_id)
            if len(entries) >= size:
                self._log.info(
                    "found all needed peers from discovery server",
                    discovery_url=self._where,
                    found_peers=size,
                )
                return initial_cluster(entries[:size])
            self._log.info(
                "found peers from discovery server; waiting for more",
                discovery_url=self._where,
                found_peers=len(entries),
                needed_peers=size - len(entries),
            )
            try:
                await self._registry.changed_since(index)
            except Unanswered as error:
                await self._pause("waiting for other nodes", error)

    async def _look(self, member_id: str) -> tuple[int, list[Entry], int]:
        """Size, entries by age, index. Raises ClusterFull when others were quicker."""
        while True:
            try:
                size = _size(await self._registry.size())
                entries, index = await self._registry.entries()
                break
            except Unanswered as error:
                await self._pause("cluster status check", error)
        entries = sorted(entries, key=lambda entry: entry.created)
        first = entries[:size]
        if len(first) == size and all(entry.member_id != member_id for entry in first):
            raise ClusterFull(initial_cluster(first))
        for entry in first:
            if entry.member_id not in self._told:
                self._told.add(entry.member_id)
                self._log.info(
                    "found peer from discovery server",
                    discovery_url=self._where,
                    peer=entry.member_id,
                )
        return size, entries, index

    async def _register(self, member_id: str, peers: str) -> None:
        unsure = False
        while True:
            try:
                if await self._registry.register(member_id, peers):
                    return
                break
            except Unanswered as error:
                unsure = True
                await self._pause("register member itself", error)
        if unsure:  # an attempt that got no answer may have made the entry
            _, entries, _ = await self._look(member_id)
            if any((entry.member_id, entry.peers) == (member_id, peers) for entry in entries):
                return
        raise DiscoveryFailed(DUPLICATE_ID)

    async def _pause(self, reason: str, error: Unanswered) -> None:
        self._retries += 1
        seconds = float(1 << min(self._retries, EXPONENTIAL_RETRIES_MAX))
        self._log.warn(
            "retry connecting to discovery service",
            url=self._where,
            reason=reason,
            error=str(error),
            backoff=f"{seconds:g}s",
        )
        await self._sleep(seconds)


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise DiscoveryFailed(BAD_SIZE)
    return int(text)


def initial_cluster(entries: Sequence[Entry]) -> str:
    """What --initial-cluster would be. Raises DiscoveryFailed."""
    text = ",".join(entry.peers for entry in entries)
    try:
        members = parse_initial_cluster(text)
    except ConfigError:
        raise DiscoveryFailed(INVALID_URL) from None
    if len(members) != len(entries):
        raise DiscoveryFailed(DUPLICATE_NAME)
    return text
