"""docs/compatibility.md is true: its rows and the code know of each other.

The tables of flags and commands are made from their declarations; after a change there,

    PETCD_REWRITE=1 ./dev test tests/unit/test_compatibility_table.py

writes them anew.
"""

import importlib
import inspect
import os
import pkgutil
import re
from pathlib import Path
from unittest.mock import Mock

import pytest

import petcd.api.v3
from petcd.cli.commands import Entry, Group
from petcd.cli.ctl.v3 import ROOT as ETCDCTL
from petcd.cli.ctl2.table import ROOT as SET_2
from petcd.cli.utl.table import ROOT as ETCDUTL
from petcd.server.flag import Flag, Support
from petcd.server.flag_table import SECTIONS
from petcd.transport.router import Router

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
STATUSES = ("done", "partial", "refused")
RPCS_OF_ETCD = 49  # in its eight services, as of 3.7
ROW = re.compile(r"^\| `(/[\w.]+/\w+)` \| (\w+) \|", re.MULTILINE)


def documented_rpcs(page: str) -> dict[str, str]:
    """Path -> status, of the table of RPCs."""
    rows = ROW.findall(page)
    assert len(rows) == len(dict(rows)), "a row stands twice"
    return dict(rows)


def served_rpcs() -> set[str]:
    """The paths that the services register."""
    router = Router()
    for module in pkgutil.iter_modules(petcd.api.v3.__path__):
        namespace = importlib.import_module(f"petcd.api.v3.{module.name}")
        for _, service in inspect.getmembers(namespace, inspect.isclass):
            if service.__module__ == namespace.__name__ and hasattr(service, "register"):
                service(Mock()).register(router)
    return {method.path.decode() for method in router.methods()}


def contradictions(documented: dict[str, str], served: set[str]) -> list[str]:
    found = [f"{path} has no row" for path in sorted(served - documented.keys())]
    for path, status in documented.items():
        if status not in STATUSES:
            found.append(f"{path}: what does {status!r} mean?")
        elif (status != "refused") != (path in served):
            found.append(f"{path} is {status} and {'' if path in served else 'not '}served")
    return found


def test_every_rpc_that_is_served_has_a_row_and_no_other_row_promises_one() -> None:
    assert not contradictions(documented_rpcs(PAGE.read_text()), served_rpcs())


def test_every_rpc_of_etcd_has_a_row() -> None:
    rows = documented_rpcs(PAGE.read_text())
    assert len([path for path in rows if not path.startswith("/grpc.health")]) == RPCS_OF_ETCD


def test_a_row_too_few_and_a_promise_too_many_are_found() -> None:
    documented = {"/s.A/One": "done", "/s.A/Two": "refused", "/s.A/Three": "partial"}
    assert contradictions(documented, {"/s.A/One", "/s.A/Three"}) == []
    assert contradictions(documented, {"/s.A/One", "/s.A/Three", "/s.A/Four"}) == [
        "/s.A/Four has no row"
    ]
    assert contradictions(documented, {"/s.A/One"}) == ["/s.A/Three is partial and not served"]
    assert contradictions(documented, {"/s.A/One", "/s.A/Two", "/s.A/Three"}) == [
        "/s.A/Two is refused and served"
    ]
    assert contradictions({"/s.A/One": "planned"}, set()) == ["/s.A/One: what does 'planned' mean?"]


# --- tables made from declarations ---


def flag_rows() -> list[str]:
    lines = ["| flag | default | status | note |", "| --- | --- | --- | --- |"]
    lines += [flag_row(flag) for _, flags in SECTIONS for flag in flags]
    return lines


def flag_row(flag: Flag) -> str:
    status = {Support.USED: "done", Support.NO_EFFECT: "partial", Support.REFUSED: "refused"}
    effect = "changes nothing: " if flag.support is Support.NO_EFFECT and flag.note else ""
    default = f"`{flag.default}`" if flag.default else ""
    cells = (f"`--{flag.name}`", default, status[flag.support], effect + flag.note)
    return "| " + " | ".join(cells) + " |"


# Commands of etcdctl 3.5 to 3.7 that come after the first ones; whoever adds one takes it out here.
NOT_THERE_YET = (
    *("lock", "elect", "make-mirror", "completion"),
    *("auth enable", "auth disable", "auth status"),
    *("user add", "user delete", "user get", "user list", "user passwd"),
    *("user grant-role", "user revoke-role"),
    *("role add", "role delete", "role get", "role list"),
    *("role grant-permission", "role revoke-permission"),
    *("downgrade validate", "downgrade enable", "downgrade cancel"),
)


def commands_below(group: Group, path: tuple[str, ...] = ()) -> list[str]:
    """Full names of the commands in the order of the help."""
    names = []
    for child in group.entries:
        below = (*path, child.name)
        names += [" ".join(below)] if isinstance(child, Entry) else commands_below(child, below)
    return names


def command_rows() -> list[str]:
    there = commands_below(ETCDCTL)
    assert not set(there) & set(NOT_THERE_YET)
    lines = ["| command | status |", "| --- | --- |"]
    lines += [f"| `{name}` | done |" for name in there]
    return lines + [f"| `{name}` | refused |" for name in NOT_THERE_YET]


# v2's access control is not served yet, so that its commands can only be refused by the server.
PARTIAL_IN_SET_2 = ("user", "role", "auth")


def set_2_rows() -> list[str]:
    lines = ["| command | status | note |", "| --- | --- | --- |"]
    for name in commands_below(SET_2):
        if name.partition(" ")[0] in PARTIAL_IN_SET_2:
            lines.append(f"| `{name}` | partial | at etcd; petcd has no access control of v2 yet |")
        else:
            lines.append(f"| `{name}` | done | |")
    return lines


def etcdutl_rows() -> list[str]:
    lines = ["| command | status |", "| --- | --- |"]
    return lines + [f"| `{name}` | done |" for name in commands_below(ETCDUTL)]


def between(page: str, name: str) -> tuple[str, str, str]:
    """What stands before, between and after the marks of a made table."""
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    before, rest = page.split(begin)
    table, after = rest.split(end)
    return before + begin, table, end + after


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("flags", flag_rows),
        ("commands", command_rows),
        ("commands-2", set_2_rows),
        ("etcdutl", etcdutl_rows),
    ],
)
def test_made_tables_are_up_to_date(name: str, rows) -> None:
    before, table, after = between(PAGE.read_text(), name)
    wanted = "\n".join(rows()) + "\n"
    if os.environ.get("PETCD_REWRITE"):
        PAGE.write_text(before + wanted + after)
    else:
        assert table == wanted, "PETCD_REWRITE=1 writes it anew"
