"""`cluster-health`: ask every member whether it can serve."""

from __future__ import annotations

import time
from collections.abc import Sequence

from petcd.cli.commands import Command
from petcd.cli.ctl2.exits import NOT_HEALTHY, SERVER_ERROR, Complaint
from petcd.cli.ctl2.session import Session, complaint_of
from petcd.cli.ctl2.watch import end_on_interrupt
from petcd.cli.flags import BOOL, Flag
from petcd.client.v2.cluster import Cluster, json_object
from petcd.client.v2.errors import V2Failure
from petcd.client.v2.exchange import Request
from petcd.client.v2.members import Member, member_list
from petcd.client.v2.url import Url

PAUSE_S = 10.0


def run(session: Session) -> None:
    forever = session.flags.boolean("forever")
    if forever:
        end_on_interrupt()
    cluster = session.given_cluster()
    try:
        members = member_list(cluster, None)
    except V2Failure as error:
        session.console.line("cluster may be unhealthy: failed to list members")
        raise complaint_of(error, SERVER_ERROR) from None
    while True:
        healthy = _check_all(session, cluster, members)
        if not forever:
            break
        session.console.line("\nnext check after 10 second...\n")
        session.console.flush()
        time.sleep(PAUSE_S)
    if not healthy:
        raise Complaint("", NOT_HEALTHY)


def _check_all(session: Session, cluster: Cluster, members: Sequence[Member]) -> bool:
    """Prints a line for each member and the verdict."""
    count = sum([_is_healthy(session, cluster, member) for member in members])
    if count == len(members):
        session.console.line("cluster is healthy")
    else:
        session.console.line(f"cluster is {'degraded' if count else 'unavailable'}")
    session.console.flush()
    return count == len(members)


def _is_healthy(session: Session, cluster: Cluster, member: Member) -> bool:
    line = session.console.line
    if not member.client_urls:
        line(f"member {member.id} is unreachable: no available published client urls")
        return False
    for text in member.client_urls:
        try:
            healthy = _health(cluster, text)
        except V2Failure as error:
            failed = f'Get "{text}/health": {error}'
            line(f"failed to check the health of member {member.id} on {text}: {failed}")
            continue
        verdict = "healthy" if healthy else "unhealthy"
        line(f"member {member.id} is {verdict}: got {verdict} result from {text}")
        return healthy
    urls = " ".join(member.client_urls)
    line(f"member {member.id} is unreachable: [{urls}] are all unreachable")
    return False


def _health(cluster: Cluster, text: str) -> bool:
    """Raises V2Failure."""
    url = Url(text)
    answer = cluster.dialer.ask(url, Request("GET", f"{url.path}/health"), None, patient=True)
    return json_object(answer.body).get("health") in ("true", True)


CLUSTER_HEALTH = Command(
    " ",
    run,
    flags=(Flag("forever", BOOL, False, "again every 10 seconds until Ctrl-C", "f"),),
)
