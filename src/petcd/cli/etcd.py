"""The `etcd` command: starts a member with an embedded store."""

import asyncio
import signal
import sys

import uvloop

from petcd.server.config import ConfigError, environment, load_config
from petcd.server.log import Logger
from petcd.server.serve import Server
from petcd.storage.errors import StorageError


async def _serve(server: Server) -> None:
    await server.start()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    await server.stop()


def main() -> None:
    """Entry point of the command."""
    try:
        config = load_config(sys.argv[1:], environment())
        log = Logger(config.log_level, config.log_format, config.log_outputs)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(Server(config, log)))
    except (ConfigError, StorageError) as error:
        sys.stderr.write(f"etcd: {error}\n")
        sys.exit(getattr(error, "exit_code", 1))


if __name__ == "__main__":
    main()
