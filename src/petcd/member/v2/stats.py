"""Counters of the v2 view since the start of the process, as /v2/stats/store shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from petcd.member.v2.errors import V2Refused

T = TypeVar("T")

# Operations in the order of the answer.
OPERATIONS = (
    *("gets", "sets", "delete", "update", "create"),
    *("compareAndSwap", "compareAndDelete"),
)


class StoreStats:
    """How often each operation succeeded and was refused; writes count on every member."""

    __slots__ = (
        "_fail",
        "_success",
        "expire_count",
        "gets_success",
        "sets_fail",
        "sets_success",
        "watchers",
    )

    def __init__(self) -> None:
        self.gets_success = 0
        self.sets_success = 0
        self.sets_fail = 0
        self.expire_count = 0
        self.watchers = 0
        self._success = dict.fromkeys(OPERATIONS, 0)
        self._fail = dict.fromkeys(OPERATIONS, 0)

    def counted(self, operation: str, work: Callable[[], T]) -> T:
        """Do the work and count what came of it."""
        try:
            result = work()
        except V2Refused:
            self._fail[operation] += 1
            raise
        self._success[operation] += 1
        return result

    def get_failed(self) -> None:
        """A read found nothing."""
        self._fail["gets"] += 1

    def numbers(self) -> dict[str, int]:
        """All counters, in etcd's order and under its names."""
        found: dict[str, int] = {}
        for operation in OPERATIONS:
            found[operation + "Success"] = self._success[operation]
            found[operation + "Fail"] = self._fail[operation]
        found["getsSuccess"] += self.gets_success
        found["setsSuccess"] += self.sets_success
        found["setsFail"] += self.sets_fail
        found["expireCount"] = self.expire_count
        found["watchers"] = self.watchers
        return found
