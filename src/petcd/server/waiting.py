"""Who waits for the outcome of a request, and for how long.

A request is known by its id wherever it is applied; the member at which the client asked finds it
here and answers. What was not applied in time is refused, though it may still be applied later:
a client that hears of a time-out does not know what became of its request.

What was handed to one leader and is not applied when the first entry of the next one is, got lost
on its way but for rare chance: the new leader's log cannot hold it any more. It is refused then,
with the words for a time-out, instead of waiting for nothing.
"""

from collections.abc import Callable, Iterable
from typing import Any

from petcd.api.host import Finish
from petcd.member.errors import Stopped, TimedOutByLeaderFailure


class Waiting:
    """Requests by id, in order of arrival: (finish, context, when it was asked)."""

    def __init__(
        self,
        timeout_s: float,
        late: Callable[[float], Exception],
        gave_up: Callable[[float, Any], None],
    ) -> None:
        """`late` gives the refusal of a request that was asked at this time; `gave_up` is told of
        it: the time now, the context."""
        self.by_id: dict[int, tuple[Finish, Any, float]] = {}
        self.failed_total = 0
        self._orphans: set[int] = set()
        self._timeout_s = timeout_s
        self._late = late
        self._gave_up = gave_up

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
            self._gave_up(now_s, context)
            finish(context, self._late(asked_s))
        return late

    def leader_changed(self, not_handed_over: Iterable[int]) -> None:
        """Somebody else leads; everything but these requests was handed to a leader before."""
        self._orphans |= self.by_id.keys() - set(not_handed_over)

    def term_applied(self) -> None:
        """An entry of the present leader's term is applied: refuse what got lost."""
        orphans, self._orphans = self._orphans, set()
        for request_id in sorted(orphans & self.by_id.keys()):
            finish, context, _ = self.by_id.pop(request_id)
            self.failed_total += 1
            finish(context, TimedOutByLeaderFailure())

    @property
    def has_orphans(self) -> bool:
        """Whether some requests may have got lost."""
        return bool(self._orphans)

    def stop(self) -> None:
        """Refuse everything."""
        waiters = list(self.by_id.values())
        self.by_id.clear()
        for finish, context, _ in waiters:
            finish(context, Stopped())
