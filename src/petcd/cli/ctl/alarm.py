"""`etcdctl alarm list` and `alarm disarm`."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl.exits import BAD_ARGUMENTS, CommandError
from petcd.cli.ctl.session import Session
from petcd.client import methods
from petcd.client.channel import Channel
from petcd.wire.maintenance import AlarmAction, AlarmRequest, AlarmResponse


def alarm_list(session: Session, channel: Channel | None = None) -> AlarmResponse:
    """All alarms.  Raises ClientError."""
    request = AlarmRequest(action=AlarmAction.GET)
    return session.call(methods.ALARM, request, AlarmResponse, repeatable=True, channel=channel)


def _refuse_arguments(session: Session, command: str) -> None:
    if session.args:
        raise CommandError(BAD_ARGUMENTS, f"alarm {command} command accepts no arguments")


def run_list(session: Session) -> None:
    _refuse_arguments(session, "list")
    session.printer.alarms(alarm_list(session))


def run_disarm(session: Session) -> None:
    _refuse_arguments(session, "disarm")
    cleared = AlarmResponse()
    for alarm in alarm_list(session).alarms:
        request = AlarmRequest(
            action=AlarmAction.DEACTIVATE, memberID=alarm.memberID, alarm=alarm.alarm
        )
        cleared.alarms += session.call(methods.ALARM, request, AlarmResponse).alarms
    session.printer.alarms(cleared)


LIST = Command(
    "list",
    run_list,
    """
NOSPACE: a member's store has reached its quota, writes are refused.
CORRUPT: a member's data differs from the others'.""",
    (("% alarm list", "nothing is printed when all is well"),),
)
DISARM = Command(
    "disarm",
    run_disarm,
    """
Clears every alarm and prints what was cleared.  After NOSPACE first make room:
compaction, then defrag.""",
    (("% alarm disarm", "writes are accepted again"),),
)
