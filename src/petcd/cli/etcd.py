"""The `etcd` command: starts a member with an embedded store.

Exit codes: 0 after a clean stop or for --help and --version, 1 when the member cannot start or go
on, 2 for a mistake on the command line.
"""

import asyncio
import os
import platform
import signal
import sys
from collections.abc import Callable

from petcd.cli import etcd_gateway, etcd_grpc_proxy
from petcd.cli.etcd_help import USAGE, flag_help
from petcd.cli.serving import serve
from petcd.server.bootstrap import DataUnusable
from petcd.server.config import ConfigError, ServerConfig, environment, load_config
from petcd.server.discovery_registry import ClusterFull
from petcd.server.log import Logger
from petcd.server.proxying import ProxyServer, is_proxy
from petcd.server.serve import MemberRemoved, Server
from petcd.storage.errors import BackendDamaged, StorageError, WalDamaged, WalNotFound
from petcd.version import ETCD_VERSION, PETCD_VERSION
from petcd.wire.codec import DecodeError

# The progress of loading is shown once a start takes longer than this many rows.
PROGRESS_ROWS = 100_000
DAMAGE_ADVICE = (
    "if other members are whole, replace this one: etcdctl member remove, member add, and a start "
    "with an empty data-dir; if there are none, etcdctl snapshot restore"
)
# etcd's second.
REMOVAL_GRACE_S = 1.0


def version_text() -> str:
    """What --version prints. Tools read the first line; the second tells what this really is."""
    machine = platform.machine().replace("x86_64", "amd64").replace("aarch64", "arm64")
    return (
        f"etcd Version: {ETCD_VERSION}\n"
        f"petcd Version: {PETCD_VERSION}\n"
        f"Python Version: {platform.python_version()}\n"
        f"OS/Arch: {platform.system().lower()}/{machine}\n"
    )


def banner(config: ServerConfig, kind: str) -> str:
    """What a person at a terminal wants to know once the member or proxy serves."""
    urls = ", ".join(config.listen_client_urls)
    address = config.listen_client_urls[0].removeprefix("http://")
    return (
        f"\n  petcd {PETCD_VERSION} (etcd {ETCD_VERSION}) is ready\n"
        f"    {kind:<10}{config.name}\n"
        f"    data      {os.path.abspath(config.data_dir)}\n"
        f"    clients   {urls}\n"
        f"    try       etcdctl --endpoints {address} put hello world\n"
        f"              curl http://{address}/health\n"
        "    stop      Ctrl-C\n\n"
    )


def loading_progress(show: bool) -> Callable[[int], None]:
    """A line that counts the rows read at start, on a terminal and for large stores only."""

    def progress(rows: int) -> None:
        if show and rows >= PROGRESS_ROWS:
            sys.stderr.write(f"\r  loading the store: {rows:,} revisions")
            sys.stderr.flush()

    return progress


class Member:
    """A server that shows how it loads its store."""

    def __init__(self, config: ServerConfig, log: Logger) -> None:
        self._server = Server(config, log)

    async def start(self) -> None:
        """See Server."""
        await self._server.start(loading_progress(sys.stderr.isatty()))
        self._server.removed.add_done_callback(self._end)

    @staticmethod
    def _end(removed: "asyncio.Future[None]") -> None:
        """A removed member ends as by SIGTERM, when its last messages had time to leave."""
        removed.get_loop().call_later(REMOVAL_GRACE_S, signal.raise_signal, signal.SIGTERM)

    async def stop(self) -> None:
        """See Server."""
        await self._server.stop()


def serve_member_or_proxy(config: ServerConfig, log: Logger) -> None:
    """Serve until a signal ends it. Raises what a start raises."""

    def show(kind: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(banner(config, kind))

    if not is_proxy(config):
        try:
            serve(Member(config, log), log, lambda: show("member"))
            return
        except ClusterFull as error:
            if config.discovery.fallback != "proxy":
                raise
            log.warn("discovery cluster is full, falling back to proxy", error=str(error))
    serve(ProxyServer(config, log), log, lambda: show("proxy"))


def run(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    if arguments and arguments[0] == "gateway":
        return etcd_gateway.run(arguments[1:])
    if arguments and arguments[0] == "grpc-proxy":
        return etcd_grpc_proxy.run(arguments[1:])
    if any(word in ("-h", "-help", "--help") for word in arguments):
        sys.stderr.write(USAGE)
        sys.stdout.write(flag_help())
        return 0
    if any(word in ("-version", "--version") for word in arguments):
        sys.stdout.write(version_text())
        return 0
    try:
        config = load_config(arguments, environment())
        log = Logger(config.log_level, config.log_format, config.log_outputs)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n" + (USAGE if error.exit_code == 2 else ""))
        return error.exit_code
    except (OSError, ValueError) as error:
        sys.stderr.write(f"etcd: cannot log: {error}\n")
        return 1
    for note in config.notes:
        log.warn(note)
    try:
        serve_member_or_proxy(config, log)
    except MemberRemoved:
        return 0  # said by the server; a supervisor need not try again
    except (WalDamaged, WalNotFound, BackendDamaged) as error:
        log.fatal("cannot start", error=str(error), advice=DAMAGE_ADVICE)
        return 1
    except (ConfigError, StorageError, DataUnusable, DecodeError, OSError) as error:
        log.fatal("cannot start", error=str(error))
        return 1
    return 0


def main() -> None:
    """Entry point of the command."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
