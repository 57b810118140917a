"""`etcdctl compaction`."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl.exits import BAD_ARGUMENTS, ERROR, CommandError
from petcd.cli.ctl.session import Session
from petcd.cli.flags import BOOL, Flag
from petcd.cli.quoting import NumberFault, parse_int
from petcd.client import methods
from petcd.wire.kv import CompactionRequest, CompactionResponse

FLAGS = (Flag("physical", BOOL, False, "wait until the old revisions are gone from disk"),)


def run(session: Session) -> None:
    if len(session.args) != 1:
        raise CommandError(BAD_ARGUMENTS, "compaction command needs 1 argument")
    try:
        revision = parse_int(session.args[0])
    except NumberFault as error:
        raise CommandError(ERROR, str(error)) from None
    request = CompactionRequest(revision=revision, physical=session.flags.boolean("physical"))
    session.call(methods.COMPACT, request, CompactionResponse)
    session.console.line(f"compacted revision {revision}")


COMPACTION = Command(
    "compaction [options] <revision>",
    run,
    """
What keys held before <revision> can no longer be read, nor watched from there.
The newest value of every key stays.""",
    (
        ("% compaction 1234", "forget what was before revision 1234"),
        ("% compaction --physical 1234", "and wait until it is gone"),
    ),
    FLAGS,
)
