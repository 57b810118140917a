"""The `etcdctl` command: finds the command that is meant, reads its flags, runs it.

`ETCDCTL_API` chooses the set of commands: 2 (`ctl2`) or 3 (`ctl`).  Without it the set is 3, but
names that only 2 has are found as well.  Exit codes of set 3 are in `ctl.exits`.  This module and
what it imports stay small, for every call of the program pays for them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import BinaryIO

from petcd.cli.commands import Command, Entry, Found, Group, UnknownCommand, find
from petcd.cli.ctl.console import Console
from petcd.cli.ctl.exits import ERROR, IO_ERROR, SUCCESS, CommandError, Ended
from petcd.cli.flags import HELP, FlagError, FlagSet

SETS = ("", "2", "3")
"""Values of ETCDCTL_API."""
ONLY_IN_SET_2 = frozenset(
    (
        *("backup", "cluster-health", "exec-watch", "import", "ls", "mk", "mkdir", "rm", "rmdir"),
        *("set", "setdir", "update", "updatedir"),
    )
)


Run = Callable[[Sequence[str], Mapping[str, str], Console], int]


def main() -> int:
    """The program.  Returns the exit code."""
    return program(run)


def program(run: Run) -> int:
    """A program around `run`: streams, signals, output that nobody takes; the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    console = Console(*_streams())
    try:
        code = run(sys.argv[1:], os.environ, console)
        console.flush()
    except BrokenPipeError:
        _die_of_broken_pipe()
    except OSError as error:
        os.write(2, f"Error: {error.strerror or error}\n".encode())
        os._exit(IO_ERROR)  # what could not be written would fail again at the end
    return code


def _streams() -> tuple[BinaryIO, BinaryIO, BinaryIO]:
    """stdin, stdout, stderr as bytes; a stream that was closed is empty, or swallows."""
    return (
        sys.stdin.buffer if sys.stdin is not None else BytesIO(),
        sys.stdout.buffer if sys.stdout is not None else BytesIO(),
        sys.stderr.buffer if sys.stderr is not None else BytesIO(),
    )


def run(words: Sequence[str], env: Mapping[str, str], console: Console) -> int:
    """One command line; the exit code."""
    api = env.get("ETCDCTL_API", "")
    if api not in SETS:
        console.error_line(f"unsupported API version: {api}")
        return ERROR
    if api == "2" or (not api and _means_set_2(words)):
        from petcd.cli.ctl2.program import run as run_set_2

        return run_set_2(words, env, console)
    from petcd.cli.ctl.v3 import ROOT

    return run_command(ROOT, words, env, console)


def _means_set_2(words: Sequence[str]) -> bool:
    if ONLY_IN_SET_2.isdisjoint(words):
        return False
    from petcd.cli.ctl2.program import command_name

    return command_name(words) in ONLY_IN_SET_2


def run_command(root: Group, words: Sequence[str], env: Mapping[str, str], console: Console) -> int:
    """A command line for the commands below `root`; the exit code."""
    try:
        return _run(root, words, env, console)
    except CommandError as error:
        console.error_line(f"Error: {error}")
        return error.code
    except Ended as end:
        return end.code


def _run(root: Group, words: Sequence[str], env: Mapping[str, str], console: Console) -> int:
    try:
        found = find(root, words)
    except UnknownCommand as error:
        console.error_line(f"Error: {error}")
        console.error_line(f"Run '{root.name} --help' for usage.")
        console.error_line(f"Error: {error}")
        return ERROR
    target = found.target
    command = target.load() if isinstance(target, Entry) else None
    own = command.flags if command is not None else ()
    groups = [flag for group in found.groups for flag in group.flags]
    flags = FlagSet([*groups, *own, HELP])
    try:
        flags.parse(found.words)
    except FlagError as error:
        console.error_line(f"Error: {error}")
        _show_help(found, command, console)
        console.error_line("")
        console.error_line(f"Error: {error}")
        return ERROR
    if command is None or flags.boolean("help"):
        _show_help(found, command, console)
        return SUCCESS
    if target.name == "help" and len(found.path) == 2:
        return _help(root, flags.args, console)
    return _execute(command, flags, found, env, console)


def _execute(
    command: Command, flags: FlagSet, found: Found, env: Mapping[str, str], console: Console
) -> int:
    from petcd.cli.ctl.session import Session
    from petcd.client.errors import ClientError

    session = Session(flags, found.inherited(), env, console)
    try:
        command.run(session)
    except ClientError as error:
        raise CommandError(ERROR, str(error)) from None
    finally:
        session.close()
    return SUCCESS


def _help(root: Group, topic: Sequence[str], console: Console) -> int:
    try:
        found = find(root, topic)
    except UnknownCommand:
        console.error_line(f"Unknown help topic [{' '.join([f'`{word}`' for word in topic])}]")
        found = Found([root], [])
    target = found.target
    _show_help(found, target.load() if isinstance(target, Entry) else None, console)
    return SUCCESS


def _show_help(found: Found, command: Command | None, console: Console) -> None:
    from petcd.cli.help_text import Edition, help_of
    from petcd.version import CLUSTER_VERSION, ETCD_VERSION, PETCD_VERSION

    edition = Edition(f"{ETCD_VERSION} (petcd {PETCD_VERSION})", CLUSTER_VERSION.rpartition(".")[0])
    console.write(help_of(found, command, edition).encode() + b"\n")


def _die_of_broken_pipe() -> None:
    """Whoever read our output is gone: end as other programs do, without a word."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)


if __name__ == "__main__":
    sys.exit(main())
