"""`etcdctl del`."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl.exits import BAD_ARGUMENTS, CommandError
from petcd.cli.ctl.get import key_range, refuse_both
from petcd.cli.ctl.session import Session
from petcd.cli.flags import BOOL, Flag, FlagSet
from petcd.client import methods
from petcd.wire.kv import DeleteRangeRequest, DeleteRangeResponse

FLAGS = (
    Flag("prefix", BOOL, False, "all keys that begin with <key>"),
    Flag("prev-kv", BOOL, False, "also print what was deleted"),
    Flag("from-key", BOOL, False, "all keys from <key> on"),
    Flag("range", BOOL, False, "confirm that [range_end] is meant"),
)


def delete_request(flags: FlagSet, args: list[str]) -> DeleteRangeRequest:
    """The request of a `del` command line.  Raises CommandError."""
    if not 1 <= len(args) <= 2:
        raise CommandError(
            BAD_ARGUMENTS,
            "del command needs one argument as key and an optional argument as range_end",
        )
    refuse_both(flags, "prefix", "from-key")
    key, end = key_range(flags, args)
    return DeleteRangeRequest(key=key, range_end=end, prev_kv=flags.boolean("prev-kv"))


def run(session: Session) -> None:
    request = delete_request(session.flags, session.args)
    answer = session.call(methods.DELETE_RANGE, request, DeleteRangeResponse)
    session.printer.delete(answer)


DELETE = Command(
    "del [options] <key> [range_end]",
    run,
    """
Prints how many keys were deleted.

With [range_end] the keys from <key> up to, but not including, [range_end].""",
    (
        ("% del foo", "one key"),
        ("% del --prefix /jobs/", "everything below /jobs/"),
        ("% del foo foz --range", "the keys from foo up to foz"),
        ("% del foo --prev-kv", "see what was deleted"),
    ),
    FLAGS,
)
