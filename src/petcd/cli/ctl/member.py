"""`etcdctl member` list, add, remove, update, promote."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl.exits import BAD_ARGUMENTS, ERROR, CommandError
from petcd.cli.ctl.session import Session
from petcd.cli.flags import BOOL, STRING, Flag
from petcd.cli.quoting import NumberFault, parse_uint, quote
from petcd.client import methods
from petcd.client.channel import Channel
from petcd.client.peer_urls import BadPeerUrl, checked_peer_urls
from petcd.wire.cluster import (
    MemberAddRequest,
    MemberAddResponse,
    MemberListRequest,
    MemberListResponse,
    MemberPromoteRequest,
    MemberPromoteResponse,
    MemberRemoveRequest,
    MemberRemoveResponse,
    MemberUpdateRequest,
    MemberUpdateResponse,
)

PEER_URLS = Flag("peer-urls", STRING, "", "peer URLs of the member, separated by commas")


def member_list(session: Session, channel: Channel | None = None) -> MemberListResponse:
    """The members, as the cluster agrees.  Raises ClientError."""
    request = MemberListRequest(linearizable=True)
    return session.call(
        methods.MEMBER_LIST, request, MemberListResponse, repeatable=True, channel=channel
    )


def run_list(session: Session) -> None:
    session.printer.member_list(member_list(session))


# -- changes ---------------------------------------------------------------------------------------


def run_add(session: Session) -> None:
    name = _new_name(session)
    urls = _peer_urls(session)
    request = MemberAddRequest(peerURLs=urls, isLearner=session.flags.boolean("learner"))
    answer = session.call(methods.MEMBER_ADD, request, MemberAddResponse)
    if answer.member is None:
        raise CommandError(ERROR, "malformed response from the server: no member in it")
    session.printer.member_changed("added to", answer.member.ID, answer)
    if session.printer.name == "simple":
        _tell_environment(session, name, answer.member.ID, answer)


def _new_name(session: Session) -> str:
    if not session.args:
        raise CommandError(BAD_ARGUMENTS, "member name not provided")
    if len(session.args) > 1:
        meant = [word for word in session.args if word.lower().startswith("http")]
        hints = "".join([f", did you mean --peer-urls={word}" for word in meant])
        raise CommandError(BAD_ARGUMENTS, f"too many arguments{hints}")
    return session.args[0]


def _tell_environment(
    session: Session, name: str, member_id: int, answer: MemberAddResponse
) -> None:
    """With which the new member is to be started."""
    everyone = [
        f"{name if member_id == member.ID else member.name}={url}"
        for member in answer.members
        for url in member.peerURLs
    ]
    given = session.flags.string("peer-urls")
    session.console.line()
    session.console.line(f"ETCD_NAME={quote(name)}")
    session.console.line(f"ETCD_INITIAL_CLUSTER={quote(','.join(everyone))}")
    session.console.line(f"ETCD_INITIAL_ADVERTISE_PEER_URLS={quote(given)}")
    session.console.line('ETCD_INITIAL_CLUSTER_STATE="existing"')


def run_remove(session: Session) -> None:
    member_id = _member_id(session)
    request = MemberRemoveRequest(ID=member_id)
    answer = session.call(methods.MEMBER_REMOVE, request, MemberRemoveResponse)
    session.printer.member_changed("removed from", member_id, answer)


def run_update(session: Session) -> None:
    member_id = _member_id(session)
    request = MemberUpdateRequest(ID=member_id, peerURLs=_peer_urls(session))
    answer = session.call(methods.MEMBER_UPDATE, request, MemberUpdateResponse)
    session.printer.member_changed("updated in", member_id, answer)


def run_promote(session: Session) -> None:
    member_id = _member_id(session)
    request = MemberPromoteRequest(ID=member_id)
    answer = session.call(methods.MEMBER_PROMOTE, request, MemberPromoteResponse)
    session.printer.member_changed("promoted in", member_id, answer)


def _member_id(session: Session) -> int:
    if len(session.args) != 1:
        raise CommandError(BAD_ARGUMENTS, "member ID is not provided")
    try:
        return parse_uint(session.args[0], 16)
    except NumberFault as error:
        raise CommandError(
            BAD_ARGUMENTS, f"bad member ID arg ({error}), expecting ID in Hex"
        ) from None


def _peer_urls(session: Session) -> list[str]:
    given = session.flags.string("peer-urls")
    if not given:
        raise CommandError(BAD_ARGUMENTS, "member peer urls not provided")
    session.prepare()
    try:
        return checked_peer_urls(given.split(","))
    except BadPeerUrl as error:
        raise CommandError(ERROR, str(error)) from None


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
ADD = Command(
    "add <name>",
    run_add,
    """
Announces a member, which is then to be started with the variables that are printed.  A learner
gets all data and has no vote until it is promoted; a voter that never starts counts as one that
is lost.""",
    (
        ("% member add m4 --peer-urls=http://10.0.0.4:2380 --learner", "at first without a vote"),
        ("% member add m4 --peer-urls=http://10.0.0.4:2380", "at once as a voter"),
    ),
    (
        PEER_URLS,
        Flag("learner", BOOL, False, "without a vote, until it is promoted"),
    ),
)
REMOVE = Command(
    "remove <ID>",
    run_remove,
    """
For good: the member stops, and its data directory is of no use to the cluster any more.""",
    (("% member remove 8211f1d0f64f3269", "the ID is in the first column of member list"),),
)
UPDATE = Command(
    "update <ID>",
    run_update,
    """
The member is reached at other peer URLs from now on.""",
    (("% member update 8211f1d0f64f3269 --peer-urls=http://10.0.0.5:2380", "it has moved"),),
    (PEER_URLS,),
)
PROMOTE = Command(
    "promote <ID>",
    run_promote,
    """
A learner becomes a voter; it must have nearly all of the leader's log by then.""",
    (("% member promote 9bf1b35fc7761a23", "refused while it lags: try again"),),
)
