"""`etcdctl put`."""

from __future__ import annotations

import os

from petcd.cli.commands import Command
from petcd.cli.ctl.console import Console
from petcd.cli.ctl.exits import BAD_ARGUMENTS, CommandError
from petcd.cli.ctl.session import Session
from petcd.cli.flags import BOOL, STRING, Flag, FlagSet
from petcd.cli.quoting import NumberFault, parse_int
from petcd.client import methods
from petcd.wire.kv import PutRequest, PutResponse

FLAGS = (
    Flag("lease", STRING, "0", "attach the key to this lease (hexadecimal)"),
    Flag("prev-kv", BOOL, False, "also print what the key held before"),
    Flag("ignore-value", BOOL, False, "keep the value that the key has"),
    Flag("ignore-lease", BOOL, False, "keep the lease that the key has"),
)
_NEEDS = "put command needs 1 argument and input from stdin or 2 arguments"


def put_request(flags: FlagSet, args: list[str], console: Console | None) -> PutRequest:
    """The request of a `put` command line; a missing value is read from stdin, if given.

    Raises CommandError.
    """
    if not args:
        raise CommandError(BAD_ARGUMENTS, _NEEDS)
    keep_value = flags.boolean("ignore-value")
    if keep_value and len(args) > 1:
        raise CommandError(
            BAD_ARGUMENTS, "put command needs only 1 argument when 'ignore-value' is set"
        )
    value = b""
    if not keep_value:
        if len(args) > 1:
            value = os.fsencode(args[1])
        elif console is not None:
            value = console.stdin.read()
        if len(args) < 2 and not value:
            raise CommandError(BAD_ARGUMENTS, _NEEDS)
    try:
        lease = parse_int(flags.string("lease"), 16)
    except NumberFault as error:
        raise CommandError(BAD_ARGUMENTS, f"bad lease ID ({error}), expecting ID in Hex") from None
    return PutRequest(
        key=os.fsencode(args[0]),
        value=value,
        lease=lease,
        prev_kv=flags.boolean("prev-kv"),
        ignore_value=keep_value,
        ignore_lease=flags.boolean("ignore-lease"),
    )


def run(session: Session) -> None:
    request = put_request(session.flags, session.args, session.console)
    answer = session.call(methods.PUT, request, PutResponse)
    session.printer.put(answer)


PUT = Command(
    "put [options] <key> [value]",
    run,
    """
Without [value] the value is what stdin holds, to its end.

A key or value that begins with a dash goes behind `--`.""",
    (
        ("% put foo bar", "write"),
        ("% put config < settings.json", "write what a file holds"),
        ("% put foo -- -5", "a value with a dash"),
        ("% put node1 up --lease 694d81417a8e3f0b", "goes when the lease ends"),
        ("% put foo bar --prev-kv", "see what was there before"),
    ),
    FLAGS,
)
