"""The command line of the bench: see `./dev bench --help`."""

import argparse
import fcntl
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from bench.connection import GrpcError
from bench.disk import fsync_times
from bench.disturbance import Disturbance
from bench.groups import GROUPS, QUICK, Group, Sizes
from bench.h2load import LoadFailed
from bench.measures import BY_NAME
from bench.report import Report, Runs, machine, text, write_json, write_readme
from bench.requests import MILLION_STRIDE, PutTxns
from bench.servers import ROOT, SCRATCH, ServerFailed, real_etcd

SERVERS = ("petcd", "etcd")
FAILURES = (LoadFailed, ServerFailed, GrpcError, OSError, TimeoutError)


def options(arguments: list[str]) -> argparse.Namespace:
    names = [group.name for group in GROUPS]
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description="Puts the same load on petcd and on the real etcd, in turn, and compares.",
        epilog="groups: " + "; ".join(f"{group.name}: {group.meaning}" for group in GROUPS),
    )
    parser.add_argument("names", nargs="*", metavar="GROUP", help="only these groups")
    parser.add_argument("--only", action="append", default=[], metavar="GROUP", help="the same")
    parser.add_argument("--quick", action="store_true", help="a fifth of the load, one round")
    parser.add_argument("--repeat", type=int, metavar="N", help="rounds of the short groups")
    parser.add_argument("--keys", type=int, metavar="N", help="instead of a million")
    parser.add_argument("--server", choices=SERVERS, help="only this one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go as JSON")
    parser.add_argument("--plain", action="store_true", help="not the compiled petcd")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    chosen = parser.parse_args(arguments)
    if chosen.plain:
        os.environ.pop("PETCD_COMPILED", None)
    chosen.names += chosen.only
    unknown = [name for name in chosen.names if name not in names]
    if unknown:
        parser.error(f"no group {unknown[0]!r}; there are {', '.join(names)}")
    keys = chosen.keys
    if keys is not None and (
        keys < 1000 or keys % PutTxns.PUTS_PER_TXN or not keys % MILLION_STRIDE
    ):
        parser.error(f"--keys must be a multiple of {PutTxns.PUTS_PER_TXN}, 1000 at least")
    return chosen


class Screen:
    """Progress on stderr: one line that changes on a terminal, a line a step elsewhere."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.where = "bench"
        self.live = sys.stderr.isatty()

    def say(self, what: str) -> None:
        line = f"{time.monotonic() - self.start:6.0f} s  {self.where}: {what}"
        if self.live:
            line, end = f"\r\x1b[K{line}", ""
        else:
            end = "\n"
        print(line, end=end, file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self.live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextmanager
def alone(screen: Screen) -> Iterator[None]:
    """Two benches at once would measure each other."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with open(SCRATCH / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            screen.say("waiting for another bench to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


async def run_rounds(
    group: Group, rounds: int, sizes: Sizes, servers: list[str], screen: Screen, into: Report
) -> None:
    """Each round runs every server once, and each round begins with another."""
    for number in range(rounds):
        order = servers if number % 2 == 0 else servers[::-1]
        for kind in order:
            screen.where = f"{group.name} {number + 1}/{rounds}  {kind}"
            disturbance = Disturbance()
            try:
                values = await group.run(kind, sizes, screen.say)
            except FAILURES as error:
                into.failures.append(f"{group.name} on {kind}: {error or type(error).__name__}")
                continue
            into.disturbed.append((f"{group.name} {number + 1}", kind, disturbance.share()))
            record(into.runs, kind, values)


def record(runs: Runs, kind: str, values: dict[str, float]) -> None:
    for name, value in values.items():
        if name in BY_NAME:
            runs.setdefault(name, {}).setdefault(kind, []).append(value)


async def bench(chosen: argparse.Namespace, screen: Screen, command: str) -> Report:
    sizes = QUICK if chosen.quick else Sizes()
    if chosen.keys:
        sizes = sizes._replace(keys=chosen.keys)
    servers = [chosen.server] if chosen.server else list(SERVERS)
    wanted = [group for group in GROUPS if not chosen.names or group.name in chosen.names]
    report = Report(command, machine(), fsync_times(), {}, [], [])
    for group in wanted:
        rounds = chosen.repeat or (1 if chosen.quick else 3)
        if group.name == "perf" and chosen.quick and "perf" not in chosen.names:
            continue
        await run_rounds(group, 1 if group.long else rounds, sizes, servers, screen, report)
    return report


def main(arguments: list[str]) -> int:
    chosen = options(arguments)
    screen = Screen()
    try:
        real_etcd()
    except ServerFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if os.getloadavg()[0] > 0.7:
        screen.say(f"other work is running (load average {os.getloadavg()[0]:.1f}), figures suffer")
    with alone(screen):
        command = shlex.join(["./dev", "bench", *arguments])
        report = uvloop.run(bench(chosen, screen, command))
    screen.clear()
    print(text(report))
    path = chosen.json or ROOT / ".cache" / "bench" / "latest.json"
    write_json(path, report)
    print(f"figures: {path}")
    if chosen.readme:
        write_readme(ROOT / "README.md", report)
    return 1 if report.failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
