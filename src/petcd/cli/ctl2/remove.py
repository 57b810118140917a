"""`rm` and `rmdir`."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl2.output import show_event
from petcd.cli.ctl2.session import Session
from petcd.cli.flags import BOOL, INT, STRING, Flag
from petcd.client.v2.keys import Event


def run_rm(session: Session) -> None:
    keys, flags = session.keys(), session.flags
    event = keys.delete(
        session.key(),
        session.deadline(),
        is_dir=flags.boolean("dir"),
        recursive=flags.boolean("recursive"),
        prev_value=flags.string("with-value"),
        prev_index=flags.integer("with-index"),
    )
    _show(session, event)


def run_rmdir(session: Session) -> None:
    _show(session, session.keys().delete(session.key(), session.deadline(), is_dir=True))


def _show(session: Session, event: Event) -> None:
    if not event.node.is_dir or session.output != "simple":
        show_event(session.console, event, session.output)


RM = Command(
    "<key>",
    run_rm,
    flags=(
        Flag("dir", BOOL, False, "also if it is an empty directory"),
        Flag("recursive", BOOL, False, "a directory with all that is in it", "r"),
        Flag("with-value", STRING, "", "only if this is the value now"),
        Flag("with-index", INT, 0, "only if it was last modified at this index"),
    ),
)
RMDIR = Command("<key>", run_rmdir)
