"""/v2/stats: self, leader and store."""

import json
from collections.abc import Callable, Sequence
from typing import Protocol

from petcd.api.host import Host
from petcd.api.v2.answers import JSON, send_not_allowed, send_not_found
from petcd.api.v2.go_json import duration_text, time_text
from petcd.cluster import format_id
from petcd.transport.http import Header, HttpRequest, HttpResponder

PREFIX = "/v2/stats/"


class AppendStats(Protocol):
    """What is counted about the appends of this member, in etcd's shapes."""

    def append_numbers(self) -> dict[str, object]:
        """What /v2/stats/self shows of them."""

    def follower_numbers(self) -> dict[str, object]:
        """What /v2/stats/leader shows of each follower, by its id."""


class StatsHandler:
    """Answers /v2/stats/*. Made when the member starts to serve."""

    def __init__(
        self, host: Host, clock_ns: Callable[[], int], appends: AppendStats | None = None
    ) -> None:
        self._member = host.member
        self._appends = appends
        self._clock_ns = clock_ns
        self._start_ns = clock_ns()
        self._leader_seen = (0, self._start_ns)  # id, since when

    def handle(
        self, name: str, request: HttpRequest, respond: HttpResponder, more: Sequence[Header]
    ) -> None:
        """Answer a request for the statistics of this name."""
        make = {"self": self._self, "leader": self._leader, "store": self._store}.get(name)
        if make is None:
            send_not_found(respond, more)
        elif request.method != "GET":
            send_not_allowed(respond, "GET", more)
        elif name == "leader" and not self._member.is_leader:
            respond.send(403, [JSON, *more], b'{"message":"not current leader"}')
        else:
            body = json.dumps(make(), separators=(",", ":")).encode()
            respond.send(200, [JSON, *more], body)

    def _self(self) -> dict[str, object]:
        member = self._member
        now_ns = self._clock_ns()
        leader_id = member.leader_id
        if self._leader_seen[0] != leader_id:
            first = self._leader_seen[0] == 0
            self._leader_seen = (leader_id, self._start_ns if first else now_ns)
        local = member.membership.local
        since_ns = self._leader_seen[1]
        return {
            "name": local.name if local is not None else "",
            "id": format_id(member.id),
            "state": member.state_name,
            "startTime": time_text(self._start_ns),
            "leaderInfo": {
                "leader": format_id(leader_id),
                "uptime": duration_text(now_ns - since_ns),
                "startTime": time_text(since_ns),
            },
            **self._append_numbers(),
        }

    def _append_numbers(self) -> dict[str, object]:
        if self._appends is None:
            return {"recvAppendRequestCnt": 0, "sendAppendRequestCnt": 0}
        return self._appends.append_numbers()

    def _leader(self) -> dict[str, object]:
        followers = {} if self._appends is None else self._appends.follower_numbers()
        return {"leader": format_id(self._member.id), "followers": followers}

    def _store(self) -> dict[str, int]:
        return self._member.applier.v2.stats.numbers()
