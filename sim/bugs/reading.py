"""Defects of linearizable reads."""

from __future__ import annotations

from petcd.raft import reads
from petcd.raft.core import Raft
from petcd.raft.read_only import ReadRequest
from petcd.server.reads import ReadQueue
from sim.bugs.exhibit import Exhibit
from sim.bugs.switch import Patch

_continue_round = ReadQueue._continue_round


def _read_before_the_first_commit() -> list[Patch]:
    def committed_in_term(self: Raft) -> bool:
        return True

    return [Patch(Raft, "committed_in_term", committed_in_term)]


def _read_without_confirmation() -> list[Patch]:
    def confirm(r: Raft, read: ReadRequest) -> None:
        reads._answer(r, read.from_, read.context, r.raft_log.committed)

    return [Patch(reads, "_confirm", confirm)]


def _read_round_reuses_its_id() -> list[Patch]:
    """An answer that comes late confirms a round it was not given for."""

    def ask(self: ReadQueue, now_s: float) -> None:
        request = bytes(8)
        self._round_ids.add(request)
        self._asked_s = now_s
        self._member.node.read_index(request)

    return [Patch(ReadQueue, "_ask", ask)]


def _read_does_not_wait_for_apply() -> list[Patch]:
    def go_on(self: ReadQueue, now_s: float) -> None:
        if self._index is not None:
            self._end(None)
        else:
            _continue_round(self, now_s)

    return [Patch(ReadQueue, "_continue_round", go_on)]


_STALE = ("a stale read", "a session goes back", "a read was answered wrongly")

EXHIBITS = (
    Exhibit(
        "read before the first commit of the term",
        "etcd-io/etcd#20418, Raft section 8",
        "A new leader answers reads before it knows what its predecessors committed.",
        _STALE,
        _read_before_the_first_commit,
        options={"kinds": "kill,bad-weather", "interval_s": 0.7},
    ),
    Exhibit(
        "read without confirmation",
        "RedisLabs/redisraft#19",
        "A leader answers reads without asking whether it still leads.",
        _STALE,
        _read_without_confirmation,
        options={"kinds": "pause,leader-isolated,split", "interval_s": 1.0},
    ),
    Exhibit(
        "read round reuses its id",
        "etcd-io/etcd#20418",
        "The late answer to an earlier round, before a pause, confirms a later one.",
        _STALE,
        _read_round_reuses_its_id,
        options={
            "kinds": "bad-weather",
            "interval_s": 1.0,
            "operations_per_s": 100.0,
            "clients": 30,
        },
    ),
    Exhibit(
        "read does not wait for apply",
        "Raft dissertation section 6.4, step 4",
        "A follower answers a confirmed read before it has applied the read index.",
        _STALE,
        _read_does_not_wait_for_apply,
        options={"kinds": "bad-weather", "interval_s": 1.0},
    ),
)
