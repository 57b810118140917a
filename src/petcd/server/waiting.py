"""Who waits for the outcome of a request, and for how long.

A request is known by its id wherever it is applied; the member at which the client asked finds it
here and answers. What was not applied in time is refused, though it may still be applied later:
a client that hears of a time-out does not know what became of its request.
"""

from collections.abc import Callable
from typing import Any

from petcd.api.host import Finish
from petcd.member.errors import Stopped


class Waiting:
    """Requests by id, in order of arrival: (finish, context, when it was asked)."""

    def __init__(self, timeout_s: float, late: Callable[[float], Exception]) -> None:
        """`late` gives the refusal of a request that was asked at this time."""
        self.by_id: dict[int, tuple[Finish, Any, float]] = {}
        self.failed_total = 0
        self._timeout_s = timeout_s
        self._late = late

    def expire(self, now_s: float) -> list[int]:
        """Give up on requests that waited too long; returns their ids."""
        limit_s = now_s - self._timeout_s
        late = []
        for request_id, waiter in self.by_id.items():
            if waiter[2] > limit_s:
                break
            late.append(request_id)
        for request_id in late:
            finish, context, asked_s = self.by_id.pop(request_id)
            self.failed_total += 1
            finish(context, self._late(asked_s))
        return late

    def stop(self) -> None:
        """Refuse everything."""
        waiters = list(self.by_id.values())
        self.by_id.clear()
        for finish, context, _ in waiters:
            finish(context, Stopped())
