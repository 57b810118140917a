"""Find the v2 command that a command line means, read its flags, run it.

Global flags stand in front of the command's name.  Names are not cut short as they may be in API 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from petcd.cli.commands import Command, Entry, Group
from petcd.cli.ctl.console import Console
from petcd.cli.ctl2 import go_flags, help
from petcd.cli.ctl2.exits import ERROR, NO_SUCH_COMMAND, SERVER_ERROR, SUCCESS, Complaint
from petcd.cli.ctl2.table import HELP, ROOT
from petcd.cli.flags import FlagError, FlagSet
from petcd.version import ETCD_VERSION

HELP_NAMES = ("help", "h")


def command_name(words: Sequence[str]) -> str:
    """The command that a line of this set would name, "" when it is none of this set."""
    flags = FlagSet(ROOT.flags)
    try:
        go_flags.read(flags, words)
    except FlagError:
        return ""
    return flags.args[0] if flags.args else ""


def run(words: Sequence[str], env: Mapping[str, str], console: Console) -> int:
    """One command line; the exit code."""
    flags = FlagSet(ROOT.flags)
    try:
        go_flags.read(flags, words)
    except FlagError as error:
        _show(console, f"Incorrect Usage. {error}\n\n" + help.of_program(ROOT))
        console.error_line(str(error))
        return ERROR
    if flags.boolean("help") or (not flags.args and not flags.boolean("version")):
        _show(console, help.of_program(ROOT))
        return SUCCESS
    if flags.boolean("version"):
        console.line(f"etcdctl version: {ETCD_VERSION}")
        console.line("API version: 2")
        return SUCCESS
    return _run_in([ROOT], flags.args, flags, env, console)


def _run_in(
    path: list[Group],
    words: Sequence[str],
    global_flags: FlagSet,
    env: Mapping[str, str],
    console: Console,
) -> int:
    """The command that the first word names in the last group of `path`."""
    name, *rest = words
    if name in HELP_NAMES:
        return _help(path, rest, console)
    child = _child(path[-1], name)
    if child is None:
        console.error_line(f"No help topic for '{name}'")
        return NO_SUCH_COMMAND
    if isinstance(child, Entry):
        return _run_command([*path, child], rest, global_flags, env, console)
    flags = FlagSet([HELP])
    try:
        go_flags.read(flags, rest)
    except FlagError as error:
        _show(console, f"Incorrect Usage. {error}\n\n" + help.of_group(ROOT, child, HELP))
        console.error_line(str(error))
        return ERROR
    if flags.boolean("help") or not flags.args:
        _show(console, help.of_group(ROOT, child, HELP))
        return SUCCESS
    return _run_in([*path, child], flags.args, global_flags, env, console)


def _run_command(
    path: Sequence[Group | Entry],
    words: Sequence[str],
    global_flags: FlagSet,
    env: Mapping[str, str],
    console: Console,
) -> int:
    entry = path[-1]
    assert isinstance(entry, Entry)
    command = entry.load()
    flags = FlagSet([*command.flags, HELP])
    try:
        go_flags.read(flags, go_flags.flags_first(flags, words))
    except FlagError as error:
        _show(console, f"Incorrect Usage: {error}\n\n" + help.of_command(path, command))
        console.error_line(str(error))
        return ERROR
    if flags.boolean("help"):
        _show(console, help.of_command(path, command))
        return SUCCESS
    return _execute(command, flags, global_flags, env, console)


def _execute(
    command: Command,
    flags: FlagSet,
    global_flags: FlagSet,
    env: Mapping[str, str],
    console: Console,
) -> int:
    from petcd.cli.ctl2.session import Session
    from petcd.client.v2.errors import ClusterUnavailable, V2Failure

    session = Session(flags, global_flags, env, console)
    try:
        command.run(session)
    except Complaint as complaint:
        if str(complaint):
            console.error_line(str(complaint))
        return complaint.code
    except V2Failure as failure:
        console.error_line(f"Error:  {failure}")
        if isinstance(failure, ClusterUnavailable):
            console.error_line(failure.detail())
        return SERVER_ERROR
    finally:
        session.close()
    return SUCCESS


def _help(path: Sequence[Group], topic: Sequence[str], console: Console) -> int:
    if not topic:
        group = path[-1]
        shown = help.of_program(ROOT) if group is ROOT else help.of_group(ROOT, group, HELP)
    else:
        child = _child(path[-1], topic[0])
        if child is None:
            console.error_line(f"No help topic for '{topic[0]}'")
            return NO_SUCH_COMMAND
        if isinstance(child, Group):
            shown = help.of_group(ROOT, child, HELP)
        else:
            shown = help.of_command([*path, child], child.load())
    _show(console, shown)
    return SUCCESS


def _child(group: Group, name: str) -> Entry | Group | None:
    return next((entry for entry in group.entries if entry.name == name), None)


def _show(console: Console, text: str) -> None:
    console.write(text.encode())
