"""`etcdctl endpoint` health, status, hashkv."""

from __future__ import annotations

import time

from petcd.cli.commands import Command
from petcd.cli.ctl.alarm import alarm_list
from petcd.cli.ctl.exits import ERROR, CommandError, Ended
from petcd.cli.ctl.member import member_list
from petcd.cli.ctl.printers import Health
from petcd.cli.ctl.session import Session
from petcd.cli.flags import INT, Flag
from petcd.cli.units import format_duration
from petcd.client import methods
from petcd.client.channel import Channel
from petcd.client.errors import PERMISSION_DENIED, ClientError
from petcd.wire.kv import RangeRequest, RangeResponse
from petcd.wire.maintenance import (
    AlarmType,
    HashKVRequest,
    HashKVResponse,
    StatusRequest,
    StatusResponse,
)


def endpoints_of(session: Session) -> list[str]:
    """The given endpoints, or with `--cluster` those that all members publish."""
    if not session.flags.boolean("cluster"):
        return session.endpoint_texts
    try:
        members = member_list(session).members
    except ClientError as error:
        raise CommandError(
            ERROR, f"failed to fetch endpoints from etcd cluster member list: {error}"
        ) from None
    return [url for member in members for url in member.clientURLs]


# -- health ----------------------------------------------------------------------------------------


def run_health(session: Session) -> None:
    session.prepare()
    endpoints = endpoints_of(session)
    found = probe_all(session, endpoints) if len(endpoints) > 1 else []
    if len(endpoints) == 1:
        found.append(probe(session, endpoints[0]))
    session.printer.endpoint_health(found)
    if any(item.error for item in found):
        raise CommandError(ERROR, "unhealthy cluster")


def probe_all(session: Session, endpoints: list[str]) -> list[Health]:
    """All endpoints at the same time, in the order in which they answered."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    with ThreadPoolExecutor(len(endpoints)) as pool:
        probes = [pool.submit(probe, session, endpoint) for endpoint in endpoints]
        return [one.result() for one in as_completed(probes)]


def probe(session: Session, endpoint: str) -> Health:
    """Read a key through the quorum, then look at the alarms."""
    try:
        channel = session.open_channel([endpoint], "client")
    except ClientError as error:
        return Health(endpoint, False, "", str(error))
    try:
        return _probe(session, endpoint, channel)
    finally:
        channel.close()


def _probe(session: Session, endpoint: str, channel: Channel) -> Health:
    started = time.perf_counter_ns()
    error = ""
    try:
        request = RangeRequest(key=b"health")
        session.call(methods.RANGE, request, RangeResponse, repeatable=True, channel=channel)
    except ClientError as failure:
        if failure.message != PERMISSION_DENIED:  # being refused took a quorum, too
            error = str(failure)
    took = format_duration(time.perf_counter_ns() - started)
    if not error:
        error = _alarms(session, channel)
    return Health(endpoint, not error, took, error)


def _alarms(session: Session, channel: Channel) -> str:
    try:
        alarms = alarm_list(session, channel).alarms
    except ClientError:
        return "Unable to fetch the alarm list"
    names = AlarmType.names()
    known = (AlarmType.NOSPACE, AlarmType.CORRUPT)
    shown = [names[item.alarm] if item.alarm in known else "UNKNOWN" for item in alarms]
    return "".join(["Active Alarm(s): ", *[f"{name} " for name in shown]]) if shown else ""


# -- status and hash -------------------------------------------------------------------------------


def run_status(session: Session) -> None:
    session.log_in()
    found: list[tuple[str, StatusResponse]] = []
    failed = False
    for endpoint in endpoints_of(session):
        try:
            channel = session.open_channel([endpoint])
            answer = session.call(
                methods.STATUS, StatusRequest(), StatusResponse, repeatable=True, channel=channel
            )
        except ClientError as error:
            failed = True
            session.console.error_line(f"Failed to get the status of endpoint {endpoint} ({error})")
            continue
        channel.close()
        found.append((endpoint, answer))
    session.printer.endpoint_status(found)
    if failed:
        raise Ended(ERROR)


def run_hashkv(session: Session) -> None:
    session.log_in()
    found: list[tuple[str, HashKVResponse]] = []
    last: ClientError | None = None
    request = HashKVRequest(revision=session.flags.integer("rev"))
    for endpoint in endpoints_of(session):
        try:
            channel = session.open_channel([endpoint])
            answer = session.call(
                methods.HASH_KV, request, HashKVResponse, repeatable=True, channel=channel
            )
        except ClientError as error:
            last = error
            session.console.error_line(f"Failed to get the hash of endpoint {endpoint} ({error})")
            continue
        channel.close()
        found.append((endpoint, answer))
    session.printer.endpoint_hashkv(found)
    if last is not None:
        raise CommandError(ERROR, str(last))


HEALTH = Command(
    "health",
    run_health,
    """
Each endpoint must answer a read that the cluster agrees on, and no alarm may be active.
Exit code 1 when one is unhealthy.""",
    (
        ("% endpoint health", "the member at --endpoints"),
        ("% endpoint health --cluster", "every member"),
    ),
)
STATUS = Command(
    "status",
    run_status,
    """
Columns of the simple format: endpoint, id, version, size of the database, whether it leads,
whether it is a learner, Raft's term, index and applied index, errors.""",
    (
        ("% endpoint status --cluster -w table", "every member, with a heading"),
        ("% endpoint status -w json", "also the bytes in use, for programs"),
    ),
)
HASHKV = Command(
    "hashkv",
    run_hashkv,
    """
Members that agree have equal hashes at the same revision.""",
    (
        ("% endpoint hashkv --cluster", "compare all members"),
        ("% endpoint hashkv --rev 1000", "history up to revision 1000"),
    ),
    (Flag("rev", INT, 0, "hash up to this revision; 0: all"),),
)
