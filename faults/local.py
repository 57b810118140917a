"""`./dev cluster 3`: a cluster of local members for humans, and commands that harm it.

One process starts the members, shows their logs and listens for commands: on its standard input,
and on a socket in the data directory, where `./dev cluster kill m1` in another terminal sends its
words. Members stand behind proxies (`proxy`), so that links between them can be cut.

| member | clients | other members |
| --- | --- | --- |
| m1 | 2379 | 2380 |
| m2 | 22379 | 22380 |
| m3 | 32379 | 32380 |

Data stays in the data directory; the next start goes on from there.
"""

import argparse
import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench.servers import Server, ServerFailed, free_ports, real_etcd
from faults.commands import HELP, CommandFailed, obey
from faults.log_lines import Tail, painted
from faults.stand import Stand

CONTROL = "control"  # a socket; relative, for such paths must be short
MEMBERS_MAX = 9
TAIL_PERIOD_S = 0.1
ANSWER_TIMEOUT_S = 60.0


def ports(number: int) -> tuple[int, int]:
    """Of member `number`, for clients and for other members: as etcd's own examples choose them."""
    first = 2379 if number == 1 else 10_000 * number + 2379
    if number > 6:  # 72379 is no port
        first = 2379 + 100 * number
    return first, first + 1


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev cluster",
        usage="./dev cluster [N] [OPTIONS] [-- ETCD FLAGS]    start N members (3)\n"
        "       ./dev cluster COMMAND [NAME ...]              harm or heal the one that runs",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=HELP,
    )
    parser.add_argument("words", nargs="*", metavar="N or COMMAND", help="see above")
    parser.add_argument("--data-dir", type=Path, default=Path("cluster.etcd"), metavar="DIR")
    parser.add_argument("--members", metavar="KINDS", help="e.g. petcd,etcd,etcd (the real one)")
    parser.add_argument("--free-ports", action="store_true", help="instead of 2379, 22379, ...")
    own, flags = arguments, []
    if "--" in arguments:
        at = arguments.index("--")
        own, flags = arguments[:at], arguments[at + 1 :]
    chosen = parser.parse_args(own)
    chosen.flags = flags
    return chosen


# --- the cluster ----------------------------------------------------------------------------------


def make_stand(
    kinds: Sequence[str], folder: Path, with_free_ports: bool, flags: Sequence[str]
) -> Stand:
    count = len(kinds)
    before = len(list(folder.glob("m*/data")))
    if before not in (0, count):
        raise ServerFailed(f"{folder} holds {before} members, not {count}; see --data-dir")
    both = [ports(number) for number in range(1, count + 1)]
    if with_free_ports:
        found = free_ports(2 * count)
        both = list(zip(found[:count], found[count:], strict=True))
    members = []
    for number, (kind, (port, _)) in enumerate(zip(kinds, both, strict=True), 1):
        name = f"m{number}"
        (folder / name).mkdir(parents=True, exist_ok=True)
        own_flags = ("--log-level", "info", *flags)
        member = Server(kind, *own_flags, name=name, folder=folder / name, port=port)
        member.process_group = 0
        members.append(member)
    return Stand(members, [peer for _, peer in both])


def check_ports(stand: Stand) -> None:
    """The proxies' own ports are noticed when they listen."""
    for member in stand.members:
        if not is_free(member.port):
            raise ServerFailed(f"port {member.port} is taken; stop who has it, or use --free-ports")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Local:
    """The running cluster: its logs on the screen, its commands from anywhere."""

    def __init__(self, stand: Stand, folder: Path) -> None:
        self.stand = stand
        self.tails = [Tail(member.name, member.folder / "log") for member in stand.members]
        self.over = asyncio.Event()
        self.server: asyncio.Server | None = None
        os.chdir(folder)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.over.set)
        await self.listen()
        tasks = [asyncio.ensure_future(self.show_logs())]
        try:
            starting = asyncio.ensure_future(self.stand.start())
            await asyncio.wait(
                [starting, asyncio.ensure_future(self.over.wait())],
                return_when=asyncio.FIRST_COMPLETED,
            )
            if starting.done():
                await starting
                self.introduce()
                tasks.append(asyncio.ensure_future(self.read_commands()))
                await self.over.wait()
            else:
                starting.cancel()
        finally:
            say("stopping all members")
            for task in tasks:
                task.cancel()
            await self.stand.close()
            with contextlib.suppress(OSError):
                os.unlink(CONTROL)

    def introduce(self) -> None:
        endpoints = [f"127.0.0.1:{member.port}" for member in self.stand.members]
        for member, endpoint in zip(self.stand.members, endpoints, strict=True):
            say(f"{painted(member.name)} serves at http://{endpoint}")
        say(f"export ETCDCTL_ENDPOINTS={','.join(endpoints)}")
        say("type help for commands; Ctrl-C stops all and keeps the data")

    async def show_logs(self) -> None:
        while True:
            for tail in self.tails:
                for line in tail.lines():
                    say(line)
            for member in self.stand.running():
                if member.process is not None and member.process.poll() is not None:
                    say(f"{painted(member.name)} ended by itself, code {member.process.returncode}")
                    member.process = None
            await asyncio.sleep(TAIL_PERIOD_S)

    # --- commands ---

    async def obey(self, line: str) -> str:
        words = line.split()
        if not words:
            return ""
        if words[0] in ("quit", "exit"):
            self.over.set()
            return "stopping"
        try:
            return await obey(self.stand, words)
        except (CommandFailed, ServerFailed) as error:
            return f"error: {error}"

    async def read_commands(self) -> None:
        """From standard input, until it ends; a file that cannot be waited for is not read."""
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()
        try:
            loop.add_reader(0, arrived.set)
        except OSError:
            return
        rest = b""
        while True:
            await arrived.wait()
            arrived.clear()
            data = os.read(0, 4096)
            if not data:
                loop.remove_reader(0)
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                say(await self.obey(line.decode()))

    async def listen(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if await asked("status") is not None:
                raise ServerFailed("a cluster is running on this data directory")
            os.unlink(CONTROL)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = (await reader.readline()).decode()
            answer = await self.obey(line)
            writer.write(answer.encode() + b"\n")
            await writer.drain()
            writer.close()

        self.server = await asyncio.start_unix_server(serve, CONTROL)
        os.chmod(CONTROL, 0o600)


async def asked(line: str) -> str | None:
    """The answer of the cluster that runs on this directory; None when there is none."""
    try:
        reader, writer = await asyncio.open_unix_connection(CONTROL)
    except ConnectionRefusedError:
        return None  # left behind by one that was killed
    writer.write(line.encode() + b"\n")
    answer = await asyncio.wait_for(reader.read(), ANSWER_TIMEOUT_S)
    writer.close()
    return answer.decode().rstrip("\n")


def say(line: str) -> None:
    if line:
        print(line, flush=True)


# --- the command line -----------------------------------------------------------------------------


def start(count: int, chosen: argparse.Namespace) -> int:
    kinds = chosen.members.split(",") if chosen.members else ["petcd"] * count
    if set(kinds) - {"petcd", "etcd"}:
        raise ServerFailed(f"--members takes petcd and etcd, not {chosen.members}")
    if "etcd" in kinds:
        real_etcd()
    if not 1 <= len(kinds) <= MEMBERS_MAX:
        raise ServerFailed(f"a cluster has 1 to {MEMBERS_MAX} members here")
    folder = chosen.data_dir.resolve()
    stand = make_stand(kinds, folder, chosen.free_ports, chosen.flags)
    check_ports(stand)
    uvloop.run(Local(stand, folder).run())
    return 0


def send(words: list[str], chosen: argparse.Namespace) -> int:
    try:
        os.chdir(chosen.data_dir)
        answer = uvloop.run(asked(" ".join(words)))
    except FileNotFoundError:
        answer = None
    if answer is None:
        raise ServerFailed(f"no cluster runs on {chosen.data_dir}; ./dev cluster 3 starts one")
    print(answer)
    return 1 if answer.startswith("error: ") else 0


def main(arguments: list[str]) -> int:
    chosen = options(arguments)
    words = chosen.words or ["3"]
    try:
        if words[0].isdecimal() and len(words) == 1:
            return start(int(words[0]), chosen)
        return send(words, chosen)
    except ServerFailed as error:
        print(f"cluster: {error}", file=sys.stderr)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(f"cluster: {error.strerror}; stop who has it, or use --free-ports", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
