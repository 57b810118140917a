"""`etcdctl get`."""

from __future__ import annotations

import os

from petcd.cli.commands import Command
from petcd.cli.ctl.exits import BAD_ARGUMENTS, BAD_FEATURE, CommandError
from petcd.cli.ctl.print_simple import SimplePrinter
from petcd.cli.ctl.session import Session
from petcd.cli.flags import BOOL, INT, STRING, Flag, FlagSet
from petcd.cli.quoting import quote
from petcd.client import methods
from petcd.client.ranges import FROM_KEY, prefix_end
from petcd.wire.kv import RangeRequest, RangeResponse, SortOrder, SortTarget

FLAGS = (
    Flag("consistency", STRING, "l", "l: agreed with the cluster; s: what the member knows"),
    Flag("order", STRING, "", "ASCEND or DESCEND"),
    Flag("sort-by", STRING, "", "CREATE, KEY, MODIFY, VALUE or VERSION"),
    Flag("limit", INT, 0, "at most so many keys"),
    Flag("prefix", BOOL, False, "all keys that begin with <key>"),
    Flag("from-key", BOOL, False, "all keys from <key> on"),
    Flag("rev", INT, 0, "as it was at this revision"),
    Flag("keys-only", BOOL, False, "leave the values out"),
    Flag("count-only", BOOL, False, "only count (with -w fields)"),
    Flag("print-value-only", BOOL, False, "leave the keys out (with -w simple)"),
)
_ORDERS = {"": SortOrder.NONE, "ASCEND": SortOrder.ASCEND, "DESCEND": SortOrder.DESCEND}
_TARGETS = {
    "": SortTarget.KEY,
    "CREATE": SortTarget.CREATE,
    "KEY": SortTarget.KEY,
    "MODIFY": SortTarget.MOD,
    "VALUE": SortTarget.VALUE,
    "VERSION": SortTarget.VERSION,
}


def key_range(flags: FlagSet, args: list[str]) -> tuple[bytes, bytes]:
    """Key and range end of `<key> [range_end]` with `--prefix` and `--from-key`; `args` has one or
    two words.  Raises CommandError."""
    prefix, from_key = flags.boolean("prefix"), flags.boolean("from-key")
    key = os.fsencode(args[0])
    if len(args) > 1:
        if prefix or from_key:
            raise CommandError(
                BAD_ARGUMENTS,
                "too many arguments, only accept one argument when "
                "`--prefix` or `--from-key` is set",
            )
        return key, os.fsencode(args[1])
    if prefix and key:
        return key, prefix_end(key)
    if prefix or from_key:
        return key or b"\0", FROM_KEY
    return key, b""


def refuse_both(flags: FlagSet, one: str, other: str) -> None:
    """Two flags that contradict each other."""
    if flags.boolean(one) and flags.boolean(other):
        raise CommandError(
            BAD_ARGUMENTS, f"`--{one}` and `--{other}` cannot be set at the same time, choose one"
        )


def range_request(flags: FlagSet, args: list[str]) -> RangeRequest:
    """The request of a `get` command line.  Raises CommandError."""
    if not args:
        raise CommandError(
            BAD_ARGUMENTS,
            "get command needs one argument as key and an optional argument as range_end",
        )
    refuse_both(flags, "prefix", "from-key")
    refuse_both(flags, "keys-only", "count-only")
    consistency = flags.string("consistency")
    if consistency not in ("l", "s"):
        raise CommandError(BAD_FEATURE, f"unknown consistency flag {quote(consistency)}")
    key, end = key_range(flags, args)
    order = _ORDERS.get(flags.string("order").upper())
    if order is None:
        raise CommandError(BAD_FEATURE, f"bad sort order {flags.string('order')}")
    target = _TARGETS.get(flags.string("sort-by").upper())
    if target is None:
        raise CommandError(BAD_FEATURE, f"bad sort target {flags.string('sort-by')}")
    if target == SortTarget.KEY and order == SortOrder.ASCEND:
        order = SortOrder.NONE  # what a server does anyway, without sorting
    return RangeRequest(
        key=key,
        range_end=end,
        limit=flags.integer("limit"),
        revision=max(flags.integer("rev"), 0),
        sort_order=order,
        sort_target=target,
        serializable=consistency == "s",
        keys_only=flags.boolean("keys-only"),
        count_only=flags.boolean("count-only"),
    )


def run(session: Session) -> None:
    flags = session.flags
    request = range_request(flags, session.args)
    answer = session.call(methods.RANGE, request, RangeResponse, repeatable=True)
    printer = session.printer
    if request.count_only and printer.name != "fields":
        raise CommandError(BAD_ARGUMENTS, "--count-only is only for `--write-out=fields`")
    if flags.boolean("print-value-only"):
        if not isinstance(printer, SimplePrinter):
            raise CommandError(BAD_ARGUMENTS, "print-value-only is only for `--write-out=simple`")
        printer.value_only = True
    printer.get(answer)


GET = Command(
    "get [options] <key> [range_end]",
    run,
    """
Prints each key and its value on a line of its own; nothing when there is none.

With [range_end] the keys from <key> up to, but not including, [range_end].""",
    (
        ("% get foo", "one key"),
        ("% get foo foz", "the keys from foo up to foz"),
        ("% get --prefix /jobs/ --limit 10", "ten keys below /jobs/"),
        ('% get --prefix "" --keys-only', "the names of all keys"),
        ("% get foo --rev 42", "as it was at revision 42"),
        ("% get foo --print-value-only", "the bare value, for scripts"),
        ('% get --prefix "" --count-only -w fields', "how many keys there are"),
    ),
    FLAGS,
)
