"""`exec-watch`: run a command on every change, without waiting for the one before."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence

from petcd.cli.commands import Command
from petcd.cli.ctl2.exits import BAD_ARGUMENTS, ERROR, Complaint
from petcd.cli.ctl2.session import Session
from petcd.cli.ctl2.watch import AFTER_INDEX, end_on_interrupt, events
from petcd.cli.flags import BOOL, Flag
from petcd.client.v2.keys import Event


class Children:
    """Commands that run.  Each is waited for when the system says that one has ended."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []
        signal.signal(signal.SIGCHLD, lambda number, frame: self._reap())

    def start(self, command: Sequence[str], env: dict[str, str]) -> None:
        """Raises Complaint."""
        try:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=env)
        except OSError as error:
            raise Complaint(_not_started(command[0], error), ERROR) from None
        self._running.append(child)
        self._reap()  # it may have ended before it stood in the list

    def _reap(self) -> None:
        self._running = [child for child in self._running if child.poll() is None]


def _not_started(program: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and "/" not in program:
        return f'exec: "{program}": executable file not found in $PATH'
    return f"fork/exec {program}: {(error.strerror or '').lower()}"


def run(session: Session) -> None:
    keys = session.keys()
    key, command = _key_and_command(session.args)
    end_on_interrupt()
    children = Children()
    after_index = session.flags.integer("after-index")
    for event in events(keys, key, after_index, session.flags.boolean("recursive")):
        if event.node.is_dir:
            session.console.error_line(f"Ignored dir {event.node.key} change")
            continue
        children.start(command, {**os.environ, **_variables(event)})


def _key_and_command(args: Sequence[str]) -> tuple[str, list[str]]:
    """`key -- command`.  Without the dashes the key stands last, as it does in etcd's."""
    if len(args) < 2:
        raise Complaint("Error:  key and command to exec required", BAD_ARGUMENTS)
    if "--" in args[1:]:
        command = list(args[2:])
        if not command:
            raise Complaint("Error:  key and command to exec required", BAD_ARGUMENTS)
        return args[0], command
    return args[-1], list(args[:-1])


def _variables(event: Event) -> dict[str, str]:
    return {
        "ETCD_WATCH_ACTION": event.action,
        "ETCD_WATCH_MODIFIED_INDEX": str(event.node.modified_index),
        "ETCD_WATCH_KEY": event.node.key,
        "ETCD_WATCH_VALUE": event.node.value,
    }


EXEC_WATCH = Command(
    "<key> -- <command> [args...]",
    run,
    """
The command finds the change in ETCD_WATCH_ACTION, ETCD_WATCH_MODIFIED_INDEX, ETCD_WATCH_KEY and
ETCD_WATCH_VALUE.

$ etcdctl exec-watch --recursive / -- sh -c 'echo $ETCD_WATCH_KEY'""",
    flags=(
        AFTER_INDEX,
        Flag("recursive", BOOL, False, "also what is below the key", "r"),
    ),
)
