"""What surrounds a member, as it sees it: a loop, workers beside the loop, clocks and chance.

A process gives it the event loop, threads and the system's clocks; the simulator gives it its own
of each. Nothing below `engine` reads a clock, draws a number or starts a thread in another way,
so that a seed decides everything a simulated member does.
"""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

ResultT = TypeVar("ResultT")


class Handle(Protocol):
    """A call that is due."""

    def cancel(self) -> None:
        """It will not be made."""


class Loop(Protocol):
    """The part of asyncio's event loop that a member uses."""

    def time(self) -> float:
        """Monotonic seconds, the same within one round of the loop."""
        ...

    def call_soon(self, callback: Callable[..., object], /, *args: Any) -> Handle:
        """Call in the next round."""
        ...

    def call_later(self, delay_s: float, callback: Callable[..., object], /, *args: Any) -> Handle:
        """Call after this time."""
        ...

    def call_at(self, time_s: float, callback: Callable[..., object], /, *args: Any) -> Handle:
        """Call at this time of the loop."""
        ...

    def call_soon_threadsafe(self, callback: Callable[..., object], /, *args: Any) -> Handle:
        """Call in the next round; from any thread."""
        ...


class Worker(Protocol):
    """Runs calls beside the loop, such as a thread. Used in the manner of an Executor."""

    def submit(self, work: Callable[..., ResultT], /, *args: Any) -> "Future[ResultT]":
        """Begin the call; the future has its result."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All of it.

    log_worker: for syncs of the log; it does one call at a time.
    backend_worker: for commits, copies and hashes of the backend.
    stopwatch_s: a precise monotonic clock, for how long things take.
    wall_ns: nanoseconds since 1970, for what users call the time; no decision hangs on it.
    randrange: randrange(n) is a number in [0, n).
    """

    loop: Loop
    log_worker: Worker
    backend_worker: Worker
    stopwatch_s: Callable[[], float]
    wall_ns: Callable[[], int]
    randrange: Callable[[int], int]
