"""`etcdctl txn`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from petcd.cli.commands import Command
from petcd.cli.ctl.console import Console
from petcd.cli.ctl.exits import BAD_ARGUMENTS, INVALID_INPUT, CommandError
from petcd.cli.ctl.session import Session
from petcd.cli.ctl.txn_input import parse_compare, parse_request
from petcd.cli.flags import BOOL, Flag
from petcd.client import methods
from petcd.wire.kv import TxnRequest, TxnResponse

FLAGS = (Flag("interactive", BOOL, False, "say what is to be typed", "i"),)

_Item = TypeVar("_Item")


def read_block(console: Console, parse: Callable[[str], _Item]) -> list[_Item]:
    """The lines up to an empty one, each parsed.  Raises CommandError, also when input ends."""
    items: list[_Item] = []
    while True:
        raw = console.stdin.readline()
        if not raw.endswith(b"\n"):
            raise CommandError(INVALID_INPUT, "EOF")
        line = raw.decode("utf-8", "surrogateescape").strip()
        if not line:
            return items
        items.append(parse(line))


def run(session: Session) -> None:
    if session.args:
        raise CommandError(BAD_ARGUMENTS, "txn command does not accept argument")
    session.prepare()
    console = session.console

    def prompt(text: str) -> None:
        if session.flags.boolean("interactive"):
            console.line(text)
            console.flush()

    prompt("compares:")
    compares = read_block(console, parse_compare)
    prompt("success requests (get, put, del):")
    success = read_block(console, parse_request)
    prompt("failure requests (get, put, del):")
    failure = read_block(console, parse_request)
    request = TxnRequest(compare=compares, success=success, failure=failure)
    answer = session.call(methods.TXN, request, TxnResponse, timed=False)
    session.printer.txn(answer)


TXN = Command(
    "txn [options]",
    run,
    """
Reads three blocks from stdin, each ended by an empty line: comparisons, the requests to carry out
if all of them hold, and the requests to carry out otherwise.

comparison   target("key") op "value"
    target   val (value), ver (version), c (create), m (mod) for revisions, lease (hexadecimal)
    op       =  !=  <  >
request      get, put or del with their arguments and flags
words        as they are, 'in single quotes', or "in double quotes" with \\n, \\", \\x00 ...""",
    (
        ("% txn -i", "type it in"),
        (
            """printf 'val("lock") = ""\\n\\nput lock me\\n\\nget lock\\n\\n' | % txn""",
            "take a lock that nobody holds, or see who does",
        ),
    ),
    FLAGS,
)
