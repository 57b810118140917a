"""Work in small steps between other work of the loop."""

from collections.abc import Callable

from petcd.server.surroundings import Loop


class Pump:
    """Calls a step again and again, one a turn of the loop, until it says that it is done."""

    def __init__(self, loop: Loop, step: Callable[[], bool]) -> None:
        """`step` does a slice of a millisecond or two; True means there is more."""
        self._loop = loop
        self._step = step
        self._running = False

    def start(self) -> None:
        """There is work; a second call while running changes nothing."""
        if not self._running:
            self._running = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        try:
            has_more = self._step()
        except BaseException:
            self._running = False  # the loop tells of it; whoever has work next starts anew
            raise
        if has_more:
            # A timer, not call_soon: sockets are served between two steps.
            self._loop.call_later(0, self._run)
        else:
            self._running = False
