"""Running a service in this process until a signal ends it.

    start -> READY to systemd, `on_ready` -> SIGINT or SIGTERM -> STOPPING -> stop

A signal that comes during the start gives the start up; `stop` is called in every case.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any, Protocol

from petcd.cli.systemd import ALIVE, READY, STOPPING, Notifier


class Service(Protocol):
    """What can be started once and stopped once."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Log(Protocol):
    """Where it is told how the supervisor took the news."""

    def info(self, message: str, **fields: object) -> None: ...

    def warn(self, message: str, **fields: object) -> None: ...


def event_loop() -> asyncio.AbstractEventLoop:
    """uvloop where it exists; the standard loop serves too, slower."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def serve(service: Service, log: Log, on_ready: Callable[[], None] = lambda: None) -> None:
    """Run until SIGINT or SIGTERM. Raises what the service's start raises."""
    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(_serve(service, log, on_ready))


async def _serve(service: Service, log: Log, on_ready: Callable[[], None]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_teller(log))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    starting = asyncio.ensure_future(service.start())
    waiting = asyncio.ensure_future(stopped.wait())
    await asyncio.wait((starting, waiting), return_when=asyncio.FIRST_COMPLETED)
    notifier = Notifier(os.environ)
    try:
        if starting.done():
            starting.result()
            _tell(notifier, READY, log)
            _keep_telling(loop, notifier, log)
            on_ready()
            await waiting
        else:
            starting.cancel()
            await asyncio.wait((starting,))
    finally:
        waiting.cancel()
        _tell(notifier, STOPPING, log)
        await service.stop()


def _teller(log: Log) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """What is told of errors that nobody took."""

    def tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), MemoryError):
            log.warn("out of memory, gave up on one thing", what=context.get("message", ""))
        else:
            loop.default_exception_handler(context)

    return tell


def _tell(notifier: Notifier, state: str, log: Log) -> None:
    try:
        notifier.send(state)
    except OSError as error:
        log.warn("failed to notify systemd", state=state, error=str(error))


def _keep_telling(loop: asyncio.AbstractEventLoop, notifier: Notifier, log: Log) -> None:
    """Signs of life come from the loop that serves: when it hangs, they end."""
    if notifier.watchdog_s:
        _tell(notifier, ALIVE, log)
        loop.call_later(notifier.watchdog_s, _keep_telling, loop, notifier, log)
