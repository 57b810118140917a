"""`role add`, `get`, `list`, `remove`, `grant`, `revoke`."""

from __future__ import annotations

import contextlib

from petcd.cli.commands import Command
from petcd.cli.ctl2.exits import Complaint
from petcd.cli.ctl2.session import Session, told_plainly
from petcd.cli.flags import BOOL, STRING, Flag
from petcd.client.v2.errors import V2Failure
from petcd.client.v2.url import clean_path

ACCESS = (
    Flag("path", STRING, "", "the path; with * at its end all that begin so"),
    Flag("read", BOOL, False, "reading"),
    Flag("write", BOOL, False, "writing"),
    Flag("readwrite", BOOL, False, "both", "rw"),
)


def run_add(session: Session) -> None:
    name = _name(session)
    auth = session.auth()
    with contextlib.suppress(V2Failure):
        auth.role(name)
        raise Complaint(f"Role {name} already exists")
    with told_plainly():
        auth.add_role(name)
    session.console.line(f"Role {name} created")


def run_get(session: Session) -> None:
    name = _name(session)
    with told_plainly():
        role = session.auth().role(name)
    session.console.line(f"Role: {role.name}")
    for title, patterns in (("KV Read:", role.read), ("KV Write:", role.write)):
        session.console.line(title)
        for pattern in patterns:
            session.console.line(f"\t{pattern}")


def run_list(session: Session) -> None:
    session.check_no_arguments()
    with told_plainly():
        for name in session.auth().roles():
            session.console.line(name)


def run_remove(session: Session) -> None:
    name = _name(session)
    with told_plainly():
        session.auth().remove_role(name)
    session.console.line(f"Role {name} removed")


def run_grant(session: Session) -> None:
    _change(session, is_grant=True)


def run_revoke(session: Session) -> None:
    _change(session, is_grant=False)


def _change(session: Session, is_grant: bool) -> None:
    path, read, write = _access(session)
    name = _name(session)
    auth = session.auth()
    with told_plainly():
        before = auth.role(name)
        change = auth.grant_path if is_grant else auth.revoke_path
        after = change(name, path, read, write)
    if after == before:
        state = "granted" if is_grant else "revoked"
        session.console.write(f"Role unchanged; already {state}".encode())
    session.console.line(f"Role {name} updated")


def _access(session: Session) -> tuple[str, bool, bool]:
    """(path, whether it is about reading, whether about writing).  Raises Complaint."""
    flags = session.flags
    path = flags.string("path")
    if not path:
        raise Complaint("No path specified; please use `--path`")
    if clean_path(path) != path:
        raise Complaint(f"Not canonical path; please use `--path={clean_path(path)}`")
    given = [name for name in ("read", "write", "readwrite") if flags.boolean(name)]
    if len(given) != 1:
        raise Complaint("Please specify exactly one of --read, --write or --readwrite")
    return path, given != ["write"], given != ["read"]


def _name(session: Session) -> str:
    if len(session.args) != 1:
        raise Complaint("Please provide a role name")
    return session.args[0]


ADD = Command("<role>", run_add)
GET = Command("<role>", run_get)
LIST = Command(" ", run_list)
REMOVE = Command("<role>", run_remove)
GRANT = Command("<role>", run_grant, flags=ACCESS)
REVOKE = Command("<role>", run_revoke, flags=ACCESS)
