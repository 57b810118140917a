"""Answers as rows of text: the columns that the simple and the table format share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from petcd.cli.units import format_size

if TYPE_CHECKING:
    from petcd.cli.ctl.printers import Health, SnapshotStatus
    from petcd.wire.cluster import MemberListResponse
    from petcd.wire.maintenance import HashKVResponse, StatusResponse

MEMBER_COLUMNS = ("ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner")
HEALTH_COLUMNS = ("endpoint", "health", "took", "error")
STATUS_COLUMNS = (
    *("endpoint", "ID", "version", "db size", "is leader", "is learner", "raft term"),
    *("raft index", "raft applied index", "errors"),
)
HASH_COLUMNS = ("endpoint", "hash")
SNAPSHOT_COLUMNS = ("hash", "revision", "total keys", "total size")


def truth(value: bool) -> str:
    """A boolean as Go prints it."""
    return "true" if value else "false"


def member_rows(answer: MemberListResponse) -> list[list[str]]:
    """One row a member."""
    return [
        [
            f"{member.ID:x}",
            "started" if member.name else "unstarted",
            member.name,
            ",".join(member.peerURLs),
            ",".join(member.clientURLs),
            truth(member.isLearner),
        ]
        for member in answer.members
    ]


def health_rows(found: Sequence[Health]) -> list[list[str]]:
    """One row an endpoint."""
    return [[item.endpoint, truth(item.healthy), item.took, item.error] for item in found]


def status_rows(found: Sequence[tuple[str, StatusResponse]]) -> list[list[str]]:
    """One row an endpoint."""
    rows = []
    for endpoint, status in found:
        member_id = status.header.member_id if status.header is not None else 0
        rows.append(
            [
                endpoint,
                f"{member_id:x}",
                status.version,
                format_size(status.dbSize),
                truth(status.leader == member_id),
                truth(status.isLearner),
                str(status.raftTerm),
                str(status.raftIndex),
                str(status.raftAppliedIndex),
                ", ".join(status.errors),
            ]
        )
    return rows


def hash_rows(found: Sequence[tuple[str, HashKVResponse]]) -> list[list[str]]:
    """One row an endpoint."""
    return [[endpoint, str(answer.hash)] for endpoint, answer in found]


def snapshot_row(status: SnapshotStatus) -> list[str]:
    """The one row of a file."""
    size = format_size(status.size)
    return [f"{status.hash:x}", str(status.revision), str(status.total_keys), size]
