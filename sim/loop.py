"""Time in the simulator: one queue of events for the whole world, one view of it for each process.

    Schedule        global virtual time; runs the next event, never waits
      Process       what one member sees as its event loop: its own clock, which runs a little fast
                    or slow, may be paused (SIGSTOP), held up (a slow disk) or ended (kill -9)
        Executor    its worker threads: work that is done after a while drawn from the seed

Laws: events of one process that are due at the same time run in the order in which they were asked
for; a process that has ended runs nothing more; nothing here depends on the real clock. `digest`
sums up which events ran when, so two runs of a seed can be compared.

It does not do: coroutines and sockets, which production code in the simulator must not need.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from heapq import heappop, heappush
from random import Random
from typing import Any

Callback = Callable[..., object]

# What happens at one moment has an end; whoever asks again without waiting would go on for ever.
STEPS_AT_ONCE_MAX = 100_000


class ProcessKilled(BaseException):
    """Unwinds whatever a process was doing when it ended; nothing in production may catch it."""


class Handle:
    """One event to come."""

    __slots__ = ("args", "callback", "due_s", "process")

    def __init__(
        self, process: Process, callback: Callback, args: tuple[Any, ...], due_s: float
    ) -> None:
        self.process = process
        self.callback: Callback | None = callback
        self.args = args
        self.due_s = due_s

    def cancel(self) -> None:
        """It will not happen; a second call does nothing."""
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.callback is None

    def when(self) -> float:
        """When it is due, by the clock of its process."""
        return self.process.local_s(self.due_s)


class Schedule:
    """All events of a world. `now_s` starts at 0 and only grows."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.steps = 0
        self.digest = 0
        self.ran: Callable[[Process], None] = lambda process: None
        self.killed: Callable[[Process], None] = lambda process: None
        self._ready: deque[Handle] = deque()
        self._timers: list[tuple[float, int, Handle]] = []
        self._sequence = 0

    def soon(self, handle: Handle) -> None:
        """Run it at the present moment, after all that is there already."""
        self._ready.append(handle)

    def at(self, due_s: float, handle: Handle) -> None:
        """Run it at a time, at once when that is past."""
        self._sequence += 1
        heappush(self._timers, (due_s, self._sequence, handle))

    def run(self, until_s: float) -> None:
        """Run everything that is due before `until_s`; the time is `until_s` then."""
        ready, timers = self._ready, self._timers
        while True:
            limit = self.steps + STEPS_AT_ONCE_MAX
            while ready:
                assert self.steps < limit, f"time stands still at {self.now_s}"
                handle = ready.popleft()
                if handle.callback is not None:
                    self._step(handle)
            if not timers or timers[0][0] >= until_s:
                break
            self.now_s = due_s = max(self.now_s, timers[0][0])
            # All that is due at one moment comes first, and then what follows from it.
            while timers and timers[0][0] <= due_s:
                ready.append(heappop(timers)[2])
        self.now_s = max(self.now_s, until_s)

    def _step(self, handle: Handle) -> None:
        process = handle.process
        if process.held_until_s > self.now_s:
            process.hold(handle)
            return
        if process.ended:
            return
        self.steps += 1
        self.digest = hash((self.digest, self.now_s, process.number))
        callback = handle.callback
        assert callback is not None
        try:
            callback(*handle.args)
        except ProcessKilled:
            assert process.ended, "killed, but still alive"
            self.killed(process)
        else:
            self.ran(process)


class Process:
    """The event loop that one member sees.

    `rate` is how many of its seconds pass in one real second; its clock starts anywhere, as the
    clock of a machine does.
    """

    def __init__(
        self, schedule: Schedule, number: int, rate: float = 1.0, started_s: float = 0.0
    ) -> None:
        self.schedule = schedule
        self.number = number
        self.ended = False
        self.held_until_s = 0.0
        self.in_worker = False
        # Set by what cannot have changed anything that is worth a look, such as a message that
        # only waits from now on.
        self.is_unchanged = False
        self._rate = rate
        self._epoch_s = schedule.now_s
        self._started_s = started_s
        self._held: deque[Handle] = deque()
        self._wake: Handle | None = None

    # -- the loop as production code knows it -------------------------------------------------

    def time(self) -> float:
        """Monotonic seconds of this process."""
        schedule = self.schedule
        now_s = schedule.now_s
        if self.held_until_s > now_s:
            now_s = self.held_until_s
        return self._started_s + (now_s - self._epoch_s) * self._rate

    def call_soon(self, callback: Callback, *args: Any, context: object = None) -> Handle:
        """Run a function after what is there already."""
        handle = Handle(self, callback, args, self.schedule.now_s)
        self.schedule.soon(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callback, *args: Any, context: object = None
    ) -> Handle:
        """There is one thread."""
        return self.call_soon(callback, *args)

    def call_later(
        self, delay: float, callback: Callback, *args: Any, context: object = None
    ) -> Handle:
        """Run a function in `delay` seconds of this process."""
        due_s = self.now_s() + max(0.0, delay) / self._rate
        return self.call_at_global(due_s, callback, *args)

    def call_at(
        self, when: float, callback: Callback, *args: Any, context: object = None
    ) -> Handle:
        """Run a function when `time` has reached `when`."""
        due_s = self._epoch_s + (when - self._started_s) / self._rate
        return self.call_at_global(due_s, callback, *args)

    # -- what the world does with it ----------------------------------------------------------

    def call_at_global(self, due_s: float, callback: Callback, *args: Any) -> Handle:
        """Run a function in this process at a time of the world."""
        handle = Handle(self, callback, args, due_s)
        self.schedule.at(due_s, handle)
        return handle

    def now_s(self) -> float:
        """The world's time as far as this process has come: later while it is held up."""
        return max(self.schedule.now_s, self.held_until_s)

    def local_s(self, world_s: float) -> float:
        """What the clock of this process shows at a time of the world."""
        return self._started_s + (world_s - self._epoch_s) * self._rate

    def stall(self, duration_s: float) -> None:
        """What runs now takes this long; a worker thread holds nobody up."""
        if not self.in_worker and duration_s > 0.0:
            self.held_until_s = self.now_s() + duration_s

    def pause(self, duration_s: float) -> None:
        """Run nothing for this long; what is due meanwhile runs afterwards, in order."""
        self.held_until_s = max(self.held_until_s, self.schedule.now_s + duration_s)

    def resume(self) -> None:
        """End a pause."""
        self.held_until_s = min(self.held_until_s, self.schedule.now_s)
        self.call_at_global(self.schedule.now_s, self._go_on)

    def hold(self, handle: Handle) -> None:
        """Keep an event until this process goes on."""
        if handle is self._wake:
            self._wake = None
        elif not self.ended:
            self._held.append(handle)
        if self._wake is None and not self.ended:
            self._wake = self.call_at_global(self.held_until_s, self._go_on)

    def _go_on(self) -> None:
        self._wake = None
        held, self._held = self._held, deque()
        for handle in held:
            self.schedule.soon(handle)

    def end(self) -> None:
        """Run nothing more, for ever."""
        self.ended = True
        self._held.clear()


class Executor:
    """Worker threads of a process. What is submitted is done after a while, and only then.

    A thread takes one piece of work after the other; which of two threads ends first is up to the
    seed. When the process ends, work under way was perhaps done just before.
    """

    def __init__(
        self, process: Process, random: Random, threads: int, duration_s: Callable[[], float]
    ) -> None:
        self._process = process
        self._random = random
        self._duration_s = duration_s
        self._free_at_s = [0.0] * threads
        self._under_way: dict[Future[Any], tuple[Callback, tuple[Any, ...]]] = {}

    def submit(self, work: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """See `concurrent.futures.Executor`."""
        process = self._process
        thread = min(range(len(self._free_at_s)), key=self._free_at_s.__getitem__)
        start_s = max(process.now_s(), self._free_at_s[thread])
        due_s = start_s + self._duration_s()
        self._free_at_s[thread] = due_s
        future: Future[Any] = Future()
        self._under_way[future] = (work, args)
        process.call_at_global(due_s, self._end, future)
        return future

    @property
    def is_busy(self) -> bool:
        """Whether work is under way."""
        return bool(self._under_way)

    def crash(self) -> None:
        """The process ended: each piece of work under way was done before, or never."""
        for work, args in self._under_way.values():
            if self._random.random() < 0.5:
                try:
                    work(*args)
                except Exception:  # nobody is left to be told
                    continue
        self._under_way.clear()

    def _end(self, future: Future[Any]) -> None:
        found = self._under_way.pop(future, None)
        if found is None:
            return
        work, args = found
        process = self._process
        process.in_worker = True
        try:
            result = work(*args)
        except Exception as error:
            process.in_worker = False
            future.set_exception(error)
        else:
            process.in_worker = False
            future.set_result(result)
