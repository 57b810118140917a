"""`etcdctl lease` grant, revoke, timetolive, list, keep-alive."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl.exits import BAD_ARGUMENTS, BAD_CONNECTION, ERROR, CommandError
from petcd.cli.ctl.print_simple import lease_text
from petcd.cli.ctl.session import Session
from petcd.cli.flags import BOOL, Flag
from petcd.cli.quoting import NumberFault, parse_int
from petcd.client import methods
from petcd.client.errors import ClientError
from petcd.wire.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)


def _only_argument(session: Session, complaint: str) -> str:
    if len(session.args) != 1:
        raise CommandError(BAD_ARGUMENTS, complaint)
    return session.args[0]


def _lease_id(text: str) -> int:
    try:
        return parse_int(text, 16)
    except NumberFault as error:
        raise CommandError(
            BAD_ARGUMENTS, f"bad lease ID arg ({error}), expecting ID in Hex"
        ) from None


def run_grant(session: Session) -> None:
    text = _only_argument(session, "lease grant command needs TTL argument")
    try:
        ttl = parse_int(text)
    except NumberFault as error:
        raise CommandError(BAD_ARGUMENTS, f"bad TTL ({error})") from None
    session.prepare()
    try:
        answer = session.call(methods.LEASE_GRANT, LeaseGrantRequest(TTL=ttl), LeaseGrantResponse)
    except ClientError as error:
        raise CommandError(ERROR, f"failed to grant lease ({error})") from None
    session.printer.grant(answer)


def run_revoke(session: Session) -> None:
    lease_id = _lease_id(_only_argument(session, "lease revoke command needs 1 argument"))
    request = LeaseRevokeRequest(ID=lease_id)
    try:
        answer = session.call(methods.LEASE_REVOKE, request, LeaseRevokeResponse)
    except ClientError as error:
        raise CommandError(ERROR, f"failed to revoke lease ({error})") from None
    session.printer.revoke(lease_id, answer)


def run_time_to_live(session: Session) -> None:
    text = _only_argument(session, "lease timetolive command needs lease ID as argument")
    with_keys = session.flags.boolean("keys")
    session.prepare()
    request = LeaseTimeToLiveRequest(ID=_lease_id(text), keys=with_keys)
    try:
        answer = session.call(
            methods.LEASE_TIME_TO_LIVE,
            request,
            LeaseTimeToLiveResponse,
            repeatable=True,
            timed=False,
        )
    except ClientError as error:
        raise CommandError(BAD_CONNECTION, str(error)) from None
    session.printer.time_to_live(answer, with_keys)


def run_list(session: Session) -> None:
    try:
        answer = session.call(
            methods.LEASE_LEASES,
            LeaseLeasesRequest(),
            LeaseLeasesResponse,
            repeatable=True,
            timed=False,
        )
    except ClientError as error:
        raise CommandError(BAD_CONNECTION, str(error)) from None
    session.printer.leases(answer)


def run_keep_alive(session: Session) -> None:
    from petcd.client.renewal import renew, renew_once

    lease_id = _lease_id(
        _only_argument(session, "lease keep-alive command needs lease ID as argument")
    )
    printer = session.printer
    if session.flags.boolean("once"):
        try:
            answer = renew_once(session.channel, lease_id)
        except ClientError as error:
            raise CommandError(BAD_CONNECTION, str(error)) from None
        printer.keep_alive(answer)
        return
    for answer in renew(session.channel, lease_id):
        printer.keep_alive(answer)
        session.console.flush()
    if printer.name == "simple":
        session.console.line(f"lease {lease_text(lease_id)} expired or revoked.")


GRANT = Command(
    "grant <ttl>",
    run_grant,
    """
A lease ends <ttl> seconds after it was made or last renewed, and takes its keys with it.
Prints the lease's id in hexadecimal, which the other commands want.""",
    (
        ("% lease grant 60", "for a minute"),
        ("% put node1 up --lease 694d81417a8e3f0b", "a key that goes with it"),
    ),
)
REVOKE = Command(
    "revoke <leaseID>",
    run_revoke,
    "",
    (("% lease revoke 694d81417a8e3f0b", "its keys are deleted"),),
)
TIME_TO_LIVE = Command(
    "timetolive <leaseID> [options]",
    run_time_to_live,
    "",
    (
        ("% lease timetolive 694d81417a8e3f0b", "seconds left"),
        ("% lease timetolive 694d81417a8e3f0b --keys", "and the keys attached to it"),
    ),
    (Flag("keys", BOOL, False, "also show the keys attached to it"),),
)
LIST = Command("list", run_list, "", (("% lease list", "ids in hexadecimal"),))
KEEP_ALIVE = Command(
    "keep-alive [options] <leaseID>",
    run_keep_alive,
    """
Renews whenever a third of the lease's time has passed, until it is gone or Ctrl-C.""",
    (
        ("% lease keep-alive 694d81417a8e3f0b", "until stopped"),
        ("% lease keep-alive --once 694d81417a8e3f0b", "once; exit code 2 when it is gone"),
    ),
    (Flag("once", BOOL, False, "renew once and end"),),
)
