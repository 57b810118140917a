"""`get` and `ls`."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl2.exits import ERROR, Complaint
from petcd.cli.ctl2.output import show_event
from petcd.cli.ctl2.session import Session
from petcd.cli.flags import BOOL, Flag

SORT = Flag("sort", BOOL, False, "in the order of the names")
QUORUM = Flag("quorum", BOOL, False, "what the majority agrees on, not what one member knows", "q")


def run_get(session: Session) -> None:
    keys, flags = session.keys(), session.flags
    event = keys.get(
        session.key(),
        session.deadline(),
        sort=flags.boolean("sort"),
        quorum=flags.boolean("quorum"),
    )
    if event.node.is_dir:
        raise Complaint(f"{event.node.key}: is a directory", ERROR)
    show_event(session.console, event, session.output)


def run_ls(session: Session) -> None:
    keys, flags = session.keys(), session.flags
    event = keys.get(
        session.args[0] if session.args else "/",
        session.deadline(),
        recursive=flags.boolean("recursive"),
        sort=flags.boolean("sort"),
        quorum=flags.boolean("quorum"),
    )
    if session.output != "simple":
        show_event(session.console, event, session.output)
        return
    if not event.node.is_dir:
        session.console.line(event.node.key)
    slash = "/" if flags.boolean("p") else ""
    # A stack, since directories may lie deeper in each other than calls go.
    left = [*reversed(event.node.nodes or [])]
    while left:
        node = left.pop()
        session.console.line(node.key + (slash if node.is_dir else ""))
        left += reversed(node.nodes or [])


GET = Command("<key>", run_get, flags=(SORT, QUORUM))
LS = Command(
    "[key]",
    run_ls,
    flags=(
        SORT,
        Flag("recursive", BOOL, False, "also what is in directories below", "r"),
        Flag("p", BOOL, False, "append a slash to directories"),
        QUORUM,
    ),
)
