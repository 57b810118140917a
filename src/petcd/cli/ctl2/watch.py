"""`watch`: show the next change, or every one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from petcd.cli.commands import Command
from petcd.cli.ctl2.exits import SUCCESS
from petcd.cli.ctl2.output import show_event
from petcd.cli.ctl2.session import Session
from petcd.cli.flags import BOOL, INT, Flag
from petcd.client.v2.keys import Event, Keys

AFTER_INDEX = Flag("after-index", INT, 0, "begin behind this index; 0: with what changes from now")


def run(session: Session) -> None:
    keys, key = session.keys(), session.key()
    recursive, forever = session.flags.boolean("recursive"), session.flags.boolean("forever")
    end_on_interrupt()
    for event in events(keys, key, session.flags.integer("after-index"), recursive):
        if event.node.is_dir:
            continue
        if recursive:
            session.console.line(f"[{event.action}] {event.node.key}")
        show_event(session.console, event, session.output)
        session.console.flush()
        if not forever:
            return


def events(keys: Keys, key: str, after_index: int, recursive: bool) -> Iterator[Event]:
    """Every change of a key behind an index, for ever.  Raises V2Failure."""
    wait_index = after_index % (1 << 64)
    if wait_index:
        wait_index += 1
    while True:
        event = keys.next_event(key, wait_index, recursive)
        yield event
        wait_index = event.node.modified_index + 1


def end_on_interrupt() -> None:
    """From here on Ctrl-C is a way to end well."""
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(SUCCESS))


WATCH = Command(
    "<key>",
    run,
    flags=(
        Flag("forever", BOOL, False, "every change until Ctrl-C, not only one", "f"),
        AFTER_INDEX,
        Flag("recursive", BOOL, False, "also what is below the key", "r"),
    ),
)
