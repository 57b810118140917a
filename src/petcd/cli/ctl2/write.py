"""`set`, `mk`, `update` of files; `mkdir`, `setdir`, `updatedir` of directories."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl2.output import show_event
from petcd.cli.ctl2.session import Session
from petcd.cli.flags import BOOL, INT, STRING, Flag

TTL = Flag("ttl", INT, 0, "seconds until it goes away; 0: never")
DASHES = """
A value that begins with a dash would be taken for a flag; write

$ etcdctl {name} -- <key> <value>

Without a value, stdin is read to its end."""


def run_set(session: Session) -> None:
    keys, flags = session.keys(), session.flags
    event = keys.set(
        session.key(),
        session.value(),
        session.deadline(),
        ttl_s=flags.integer("ttl"),
        prev_value=flags.string("swap-with-value"),
        prev_index=flags.integer("swap-with-index"),
    )
    show_event(session.console, event, session.output)


def run_mk(session: Session) -> None:
    keys, ttl_s = session.keys(), session.flags.integer("ttl")
    key, value = session.key(), session.value()
    if session.flags.boolean("in-order"):
        event = keys.create_in_order(key, value, session.deadline(), ttl_s)
    else:
        event = keys.set(key, value, session.deadline(), ttl_s, prev_exist=False)
    show_event(session.console, event, session.output)


def run_update(session: Session) -> None:
    keys, ttl_s = session.keys(), session.flags.integer("ttl")
    key, value = session.key(), session.value()
    event = keys.set(key, value, session.deadline(), ttl_s, prev_exist=True)
    show_event(session.console, event, session.output)


def run_mkdir(session: Session) -> None:
    _write_directory(session, prev_exist=False)


def run_setdir(session: Session) -> None:
    _write_directory(session, prev_exist=None)


def run_updatedir(session: Session) -> None:
    _write_directory(session, prev_exist=True)


def _write_directory(session: Session, prev_exist: bool | None) -> None:
    keys, ttl_s = session.keys(), session.flags.integer("ttl")
    event = keys.set(session.key(), None, session.deadline(), ttl_s, prev_exist)
    if session.output != "simple":
        show_event(session.console, event, session.output)


SET = Command(
    "<key> <value>",
    run_set,
    DASHES.format(name="set"),
    flags=(
        TTL,
        Flag("swap-with-value", STRING, "", "only if this is the value now"),
        Flag("swap-with-index", INT, 0, "only if it was last modified at this index"),
    ),
)
MK = Command(
    "<key> <value>",
    run_mk,
    DASHES.format(name="mk"),
    flags=(
        Flag("in-order", BOOL, False, "make a key in directory <key>, named in order of making"),
        TTL,
    ),
)
UPDATE = Command("<key> <value>", run_update, DASHES.format(name="update"), flags=(TTL,))
MKDIR = Command("<key>", run_mkdir, flags=(TTL,))
SETDIR = Command("<key>", run_setdir, flags=(TTL,))
UPDATEDIR = Command("<key>", run_updatedir, flags=(TTL,))
