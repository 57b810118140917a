"""Staying awake for a client that asks again at once.

A client that waits for each answer before it asks the next leaves the member asleep in between: the
processor halts, and waking it costs more than the request (30 to 60 us on a virtual machine, of a
put's 350). So after a lone answer the loop looks at its sockets without sleeping, for as long as
such a client would take.

    answer written -> bytes within `POLL_S`?  yes: poll after the next lone answer as well
                                              no:  sleep until some client is as quick again

This is what the kernel's `SO_BUSY_POLL` does for network cards, and `haltpoll` for a guest's
processors. A poll that found nothing is not repeated, so an idle member stays idle, and a client
that thinks between its requests costs nothing. A member that shares its machine's only processor
with the client never polls, and a member of a larger cluster neither: it waits for others.
"""

import asyncio
import os
from collections.abc import Callable

# A local client's turnaround, woken from sleep, is 40 to 100 us.
POLL_S = 0.0002


class BusyPolling:
    """Decides when the loop polls, and keeps it from sleeping then. Belongs to the loop's thread.

    `alone` says whether the member's answers depend on nobody else.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        stopwatch_s: Callable[[], float],
        alone: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._stopwatch_s = stopwatch_s
        self._alone = alone
        self._answered_s = 0.0  # when the last lone answer was written; 0: bytes came since
        self._asks_again = False  # whether they came soon
        self._polling = False

    def answered(self) -> None:
        """A lone request's answer was written just now."""
        self._answered_s = self._stopwatch_s()
        if self._asks_again and not self._polling and self._alone():
            self._polling = True
            self._loop.call_soon(self._poll)

    def received(self) -> None:
        """A socket brought bytes."""
        if self._answered_s:
            self._asks_again = self._stopwatch_s() - self._answered_s < POLL_S
            self._answered_s = 0.0

    def _poll(self) -> None:
        """One round of the loop: its next look at the sockets does not sleep."""
        if self._answered_s:
            if self._stopwatch_s() - self._answered_s < POLL_S:
                self._loop.call_soon(self._poll)
                return
            self._asks_again = False
        self._polling = False


def has_spare_processor() -> bool:
    """Whether polling takes the processor from nobody who must work meanwhile."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) > 1
    return (os.cpu_count() or 1) > 1
