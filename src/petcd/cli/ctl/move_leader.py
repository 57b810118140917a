"""`etcdctl move-leader`."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl.exits import BAD_ARGUMENTS, CommandError
from petcd.cli.ctl.session import Session
from petcd.cli.quoting import NumberFault, parse_uint
from petcd.client import methods
from petcd.client.channel import Channel
from petcd.wire.maintenance import (
    MoveLeaderRequest,
    MoveLeaderResponse,
    StatusRequest,
    StatusResponse,
)


def run(session: Session) -> None:
    if len(session.args) != 1:
        raise CommandError(BAD_ARGUMENTS, "move-leader command needs 1 argument")
    try:
        target = parse_uint(session.args[0], 16)
    except NumberFault as error:
        raise CommandError(BAD_ARGUMENTS, str(error)) from None
    session.log_in()
    found = _find_leader(session)
    if found is None:
        endpoints = " ".join(session.endpoint_texts)
        raise CommandError(BAD_ARGUMENTS, f"no leader endpoint given at [{endpoints}]")
    leader, channel = found
    request = MoveLeaderRequest(targetID=target)
    try:
        answer = session.call(methods.MOVE_LEADER, request, MoveLeaderResponse, channel=channel)
    finally:
        channel.close()
    session.printer.leader_moved(leader, target, answer)


def _find_leader(session: Session) -> tuple[int, Channel] | None:
    """The leader's id and the way to it.  Raises ClientError."""
    for endpoint in session.endpoint_texts:
        channel = session.open_channel([endpoint])
        status = session.call(
            methods.STATUS, StatusRequest(), StatusResponse, repeatable=True, channel=channel
        )
        if status.header is not None and status.header.member_id == status.leader:
            return status.leader, channel
        channel.close()
    return None


MOVE_LEADER = Command(
    "move-leader <ID>",
    run,
    """
The leader must be among the --endpoints; it hands over to the voter with this ID.""",
    (
        ("% member list", "whose ID?"),
        (
            "% move-leader 8211f1d0f64f3269 --endpoints 10.0.0.1:2379,10.0.0.2:2379",
            "before the leader's machine goes down",
        ),
    ),
)
