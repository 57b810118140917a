"""`etcdctl member list`."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl.session import Session
from petcd.client import methods
from petcd.client.channel import Channel
from petcd.wire.cluster import MemberListRequest, MemberListResponse


def member_list(session: Session, channel: Channel | None = None) -> MemberListResponse:
    """The members, as the cluster agrees.  Raises ClientError."""
    request = MemberListRequest(linearizable=True)
    return session.call(
        methods.MEMBER_LIST, request, MemberListResponse, repeatable=True, channel=channel
    )


def run_list(session: Session) -> None:
    session.printer.member_list(member_list(session))


LIST = Command(
    "list",
    run_list,
    """
Columns of the simple format: ID, status, name, peer URLs, client URLs, whether it is a learner.""",
    (
        ("% member list", "for people"),
        ("% member list -w table", "with a heading"),
        ("% member list -w json --hex", "for programs, with the ids that other commands want"),
    ),
)
