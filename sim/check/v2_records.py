"""What clients of API 2 ask and see, as records of a history.

    V2Set     PUT, with a value and any of ttl, prevIndex, prevValue, prevExist, refresh
    V2Delete  DELETE, with prevIndex or prevValue
    V2Get     GET, with quorum=true or of what the member has

The answer is a V2Response or, for what API 2 calls an error and is as certain, a V2Error. Both say
at which revision they hold: the modified index, or the index of the error.
"""

from __future__ import annotations

from typing import Final, NamedTuple

# Ids of the leases that carry times to live: this in the upper 16 bits, below it the revision.
LEASE_BASE = 0x7632 << 48
NOT_FOUND: Final = 100
NOT_EQUAL: Final = 101
EXISTS: Final = 105
CLEARED: Final = 401


class V2Set(NamedTuple):
    """`prev_exist` is "true", "false" or not given; `ttl_s` 0 is for ever."""

    key: bytes
    value: bytes
    ttl_s: int = 0
    prev_index: int = 0
    prev_value: bytes = b""
    prev_exist: str = ""
    refresh: bool = False


class V2Delete(NamedTuple):
    """Of a file."""

    key: bytes
    prev_index: int = 0
    prev_value: bytes = b""


class V2Get(NamedTuple):
    """Of a file."""

    key: bytes
    quorum: bool = False


class V2Expire(NamedTuple):
    """Nobody's request: the time of the node is over."""

    key: bytes


class V2Node(NamedTuple):
    """A file; the value is empty when it went away."""

    key: bytes
    value: bytes
    modified: int
    created: int


class V2Response(NamedTuple):
    """What was done, or, of a watch, what has happened."""

    action: str
    node: V2Node
    prev: V2Node | None = None


class V2Error(NamedTuple):
    """An answer that depends on the data alone: 100, 101, 105."""

    number: int


class V2Expiration(NamedTuple):
    """Somebody was told that the node of this modified index ends at `at_s`.

    By the time of day, counted from the beginning of the world.
    """

    key: bytes
    modified: int
    at_s: float


class ClockSet(NamedTuple):
    """From `time_s` on a member's time of day is off by `offset_s`."""

    member: int
    time_s: float
    offset_s: float


class V2Watch(NamedTuple):
    """A GET with wait=true and all it was told.

    `key` b"/" is everything below the root. `wait_index` 0: what comes next, after `began_at`,
    the index of the answer's head, which is 0 when none came. `is_cleared`: error 401.
    """

    id: int
    key: bytes
    wait_index: int
    stream: bool
    began_at: int = 0
    events: tuple[V2Response, ...] = ()
    is_cleared: bool = False
