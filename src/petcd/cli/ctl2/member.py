"""`member list`, `add`, `remove`, `update`."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl2.exits import ERROR, Complaint
from petcd.cli.ctl2.session import Session, told_plainly
from petcd.cli.quoting import quote
from petcd.client.v2 import members
from petcd.client.v2.errors import V2Failure

MANUAL = (
    "https://github.com/etcd-io/etcd/blob/main/Documentation/"
    "runtime-configuration.md#remove-a-member"
)


def run_list(session: Session) -> None:
    session.check_no_arguments()
    cluster = session.synced_cluster()
    until = session.deadline()
    with told_plainly():
        found = members.member_list(cluster, until)
    with told_plainly("Failed to get leader:  "):
        leader = members.member_leader(cluster, until)
    for member in found:
        peer_urls = ",".join(member.peer_urls)
        if not member.name:
            session.console.line(f"{member.id}[unstarted]: peerURLs={peer_urls}")
            continue
        session.console.line(
            f"{member.id}: name={member.name} peerURLs={peer_urls} "
            f"clientURLs={','.join(member.client_urls)} "
            f"isLeader={'true' if member.id == leader.id else 'false'}"
        )


def run_add(session: Session) -> None:
    if len(session.args) != 2:
        raise Complaint("Provide a name and a single member peerURL")
    name, url = session.args
    cluster = session.synced_cluster()
    until = session.deadline()
    with told_plainly():
        added = members.member_add(cluster, url, until)
        session.console.line(f"Added member named {name} with ID {added.id} to cluster")
        found = members.member_list(cluster, until)
    cluster_text = ",".join(
        [
            f"{name if member.id == added.id else member.name}={peer_url}"
            for member in found
            for peer_url in member.peer_urls
        ]
    )
    session.console.line()
    session.console.line(f"ETCD_NAME={quote(name)}")
    session.console.line(f"ETCD_INITIAL_CLUSTER={quote(cluster_text)}")
    session.console.line('ETCD_INITIAL_CLUSTER_STATE="existing"')


def run_remove(session: Session) -> None:
    if len(session.args) != 1:
        raise Complaint("Provide a single member ID")
    member_id = session.args[0]
    cluster = session.synced_cluster()
    until = session.deadline()
    with told_plainly("Error while verifying ID against known members: "):
        found = members.member_list(cluster, until)
    for member in found:
        if member.name == member_id:
            session.console.error_line(
                f"Found a member named {member.name}; if this is correct, please use its ID, eg:\n"
                f"\tetcdctl member remove {member.id}\n"
                f"For more details, read the documentation at {MANUAL}\n"
            )
    if all(member.id != member_id for member in found):
        raise Complaint(f"Couldn't find a member in the cluster with an ID of {member_id}.")
    try:
        members.member_remove(cluster, member_id, until)
    except V2Failure as error:
        text = f"Received an error trying to remove member {member_id}: {error}"
        raise Complaint(text.rstrip("\n"), ERROR) from None
    session.console.line(f"Removed member {member_id} from cluster")


def run_update(session: Session) -> None:
    if len(session.args) != 2:
        raise Complaint(
            "Provide an ID and a list of comma separated peerURL "
            "(0xabcd http://example.com,http://example1.com)"
        )
    member_id, urls = session.args
    cluster = session.synced_cluster()
    with told_plainly():
        members.member_update(cluster, member_id, urls.split(","), session.deadline())
    session.console.line(f"Updated member with ID {member_id} in cluster")


LIST = Command(" ", run_list)
ADD = Command("<name> <peerURL>", run_add)
REMOVE = Command("<memberID>", run_remove)
UPDATE = Command("<memberID> <peerURLs>", run_update)
