"""`user add`, `get`, `list`, `remove`, `grant`, `revoke`, `passwd`."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl2.exits import Complaint
from petcd.cli.ctl2.session import Session, told_plainly
from petcd.cli.flags import STRINGS, Flag

ROLES = Flag("roles", STRINGS, [], "a role; may be given several times")


def run_add(session: Session) -> None:
    text = _name(session)
    auth = session.auth()
    name, password = session.name_and_password(text, "New password: ")
    with told_plainly():
        auth.add_user(name, password)
    session.console.line(f"User {name} created")


def run_get(session: Session) -> None:
    name = _name(session)
    with told_plainly():
        roles = session.auth().roles_of(name)
    session.console.line(f"User: {name}")
    # As in etcd: a blank for each role comes first.
    session.console.line(f"Roles: {' ' * len(roles)}{' '.join(roles)}")


def run_list(session: Session) -> None:
    session.check_no_arguments()
    with told_plainly():
        for name in session.auth().users():
            session.console.line(name)


def run_remove(session: Session) -> None:
    name = _name(session)
    with told_plainly():
        session.auth().remove_user(name)
    session.console.line(f"User {name} removed")


def run_grant(session: Session) -> None:
    roles, name = _roles(session), _name(session)
    with told_plainly():
        session.auth().grant_roles(name, roles)
    session.console.line(f"User {name} updated")


def run_revoke(session: Session) -> None:
    roles, name = _roles(session), _name(session)
    with told_plainly():
        session.auth().revoke_roles(name, roles)
    session.console.line(f"User {name} updated")


def run_passwd(session: Session) -> None:
    name = _name(session)
    auth = session.auth()
    _, password = session.name_and_password(name, "New password: ")
    with told_plainly():
        auth.change_password(name, password)
    session.console.line("Password updated")


def _name(session: Session) -> str:
    if len(session.args) != 1:
        raise Complaint("Please provide a username")
    return session.args[0]


def _roles(session: Session) -> list[str]:
    roles = session.flags.strings("roles")
    if not roles:
        raise Complaint("No roles specified; please use `--roles`")
    return roles


ADD = Command("<user>[:<password>]", run_add)
GET = Command("<user>", run_get)
LIST = Command(" ", run_list)
REMOVE = Command("<user>", run_remove)
GRANT = Command("<user>", run_grant, flags=(ROLES,))
REVOKE = Command("<user>", run_revoke, flags=(ROLES,))
PASSWD = Command("<user>", run_passwd)
