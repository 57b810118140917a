"""The language of `etcdctl txn`: comparisons and requests, one a line.

```
compare   target("key") op "value"      ver version c create m mod val value lease;  = != < >
request   put KEY VALUE [flags] | get KEY [END] [flags] | del KEY [END] [flags]
words     plain   'as it is'   "with Go's escapes"
```

Pure.  A `put` without a value is refused, since stdin is what is being read.
"""

from __future__ import annotations

import re

from petcd.cli.commands import Entry, Group, UnknownCommand, find
from petcd.cli.ctl import delete, get, put
from petcd.cli.ctl.exits import INVALID_INPUT, CommandError
from petcd.cli.flags import HELP, FlagError, FlagSet
from petcd.cli.quoting import NumberFault, SyntaxFault, parse_int, quote, unquote
from petcd.wire.kv import Compare, CompareResult, CompareTarget, RequestOp

_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|' r"'[^']*'|[^'\"\s]\S*[^'\"\s]?")
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`', re.DOTALL)

_TARGETS = {
    "ver": CompareTarget.VERSION,
    "version": CompareTarget.VERSION,
    "c": CompareTarget.CREATE,
    "create": CompareTarget.CREATE,
    "m": CompareTarget.MOD,
    "mod": CompareTarget.MOD,
    "val": CompareTarget.VALUE,
    "value": CompareTarget.VALUE,
    "lease": CompareTarget.LEASE,
}
_OPERATORS = {
    "=": CompareResult.EQUAL,
    "!=": CompareResult.NOT_EQUAL,
    ">": CompareResult.GREATER,
    "<": CompareResult.LESS,
}
_REQUESTS = Group(
    "txn",
    "",
    (
        Entry("put", "", "petcd.cli.ctl.put:PUT"),
        Entry("get", "", "petcd.cli.ctl.get:GET"),
        Entry("del", "", "petcd.cli.ctl.delete:DELETE"),
    ),
)


def split_words(line: str) -> list[str]:
    """The words of a line.  Raises CommandError when a word in double quotes is malformed."""
    words = []
    for word in _WORD.findall(line):
        if word[0] == "'":
            words.append(word[1:-1])
        elif word[0] == '"':
            try:
                words.append(unquote(word).decode("utf-8", "surrogateescape"))
            except SyntaxFault as error:
                raise CommandError(INVALID_INPUT, str(error)) from None
        else:
            words.append(word)
    return words


class _Scan:
    """What could be read of `"key") op "value"`, in order; `count` of the three."""

    __slots__ = ("count", "key", "operator", "value")

    def __init__(self, text: str) -> None:
        self.count = 0
        self.key = self.value = b""
        self.operator = ""
        key, rest = _literal(text)
        if key is None:
            return
        self.key, self.count = key, 1
        if rest[:1] != ")" or not rest[1:2].isspace():
            return
        operator, _, rest = rest[1:].lstrip().partition(" ")
        if not operator:
            return
        self.operator, self.count = operator, 2
        value, _ = _literal(rest)
        if value is not None:
            self.value, self.count = value, 3


def _literal(text: str) -> tuple[bytes | None, str]:
    """A quoted string at the start of `text` (blanks aside), None if there is none; the rest."""
    stripped = text.lstrip()
    found = _LITERAL.match(stripped)
    if found is None:
        return None, stripped
    try:
        return unquote(found.group()), stripped[found.end() :]
    except SyntaxFault:
        return None, stripped


def parse_compare(line: str) -> Compare:
    """A comparison.  Raises CommandError."""
    target_name, parenthesis, rest = line.partition("(")
    if not parenthesis:
        raise CommandError(INVALID_INPUT, f"malformed comparison: {line}")
    scan = _Scan(rest)
    if scan.count != 3:
        got = f"{target_name}({quote(scan.key)}) {scan.operator} {quote(scan.value)}"
        raise CommandError(INVALID_INPUT, f"malformed comparison: {line}; got {got}")
    target = _TARGETS.get(target_name)
    if target is None:
        raise CommandError(
            INVALID_INPUT, f"malformed comparison: {line} (unknown target {target_name})"
        )
    result = _OPERATORS.get(scan.operator)
    if result is None:
        raise CommandError(
            INVALID_INPUT, f"malformed comparison: {line} (unknown operator {scan.operator})"
        )
    compare = Compare(key=scan.key, target=target, result=result)
    try:
        _set_operand(compare, scan.value)
    except NumberFault:
        raise CommandError(INVALID_INPUT, f"invalid txn compare request: {line}") from None
    return compare


def _set_operand(compare: Compare, value: bytes) -> None:
    text = value.decode("utf-8", "surrogateescape")
    if compare.target == CompareTarget.VALUE:
        compare.value = value
    elif compare.target == CompareTarget.LEASE:
        compare.lease = parse_int(text, 16)
    elif compare.target == CompareTarget.VERSION:
        compare.version = parse_int(text)
    elif compare.target == CompareTarget.CREATE:
        compare.create_revision = parse_int(text)
    else:
        compare.mod_revision = parse_int(text)


def parse_request(line: str) -> RequestOp:
    """A request.  Raises CommandError."""
    words = split_words(line)
    if len(words) < 2:
        raise CommandError(INVALID_INPUT, f"invalid txn compare request: {line}")
    refusal = CommandError(INVALID_INPUT, f"invalid txn request: {line}")
    try:
        found = find(_REQUESTS, words)
    except UnknownCommand:
        raise refusal from None
    if not isinstance(found.target, Entry):
        raise refusal
    flags = FlagSet([*found.target.load().flags, HELP])
    try:
        flags.parse(found.words)
    except FlagError:
        raise refusal from None
    if flags.boolean("help"):
        raise refusal
    if found.target.name == "put":
        return RequestOp(request_put=put.put_request(flags, flags.args, None))
    if found.target.name == "get":
        return RequestOp(request_range=get.range_request(flags, flags.args))
    return RequestOp(request_delete_range=delete.delete_request(flags, flags.args))
