"""`ETCDCTL_*` variables: every inherited flag `--some-flag` may come from `ETCDCTL_SOME_FLAG`.

A flag and its variable together are refused.  A variable that belongs to no flag, or whose value
its flag cannot read, is named in a warning and left aside.  Empty counts as not set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from petcd.cli.ctl.exits import ERROR, Ended
from petcd.cli.flags import Flag, FlagSet
from petcd.client.log import Log

PREFIX = "ETCDCTL_"
API_VARIABLE = "ETCDCTL_API"
CALLER = "ctl/environment.py"


def variable_of(name: str) -> str:
    """The variable of a flag."""
    return PREFIX + name.upper().replace("-", "_")


def apply(
    flags: FlagSet,
    inherited: Sequence[Flag],
    env: Mapping[str, str],
    log: Log,
    known: Sequence[str] = (),
) -> None:
    """Set the inherited flags that have a variable.  `known` are variables that have another use.

    Raises Ended after a conflict, which has been logged.
    """
    used = {API_VARIABLE, *known}
    given = {variable_of(flag.name) for flag in inherited if flag.name in flags.given}
    for flag in inherited:
        variable = variable_of(flag.name)
        text = env.get(variable, "")
        if not text or variable in given:
            continue
        used.add(variable)
        try:
            flags.set(flag, text)
        except ValueError as error:
            fields: dict[str, str | int] = {"environment-variable": variable, "error": str(error)}
            log("warn", CALLER, "environment variable cannot be read, using the default", fields)
    for variable, text in env.items():
        if variable in used:
            continue
        if variable in given:
            _refuse(variable, log)
        if variable.startswith(PREFIX):
            shown: dict[str, str | int] = {"environment-variable": f"{variable}={text}"}
            log("warn", CALLER, "unrecognized environment variable", shown)


def _refuse(variable: str, log: Log) -> None:
    message = (
        "conflicting environment variable is shadowed by corresponding command-line flag "
        "(either unset environment variable or disable flag))"
    )
    log("fatal", CALLER, message, {"environment-variable": variable})
    raise Ended(ERROR)
