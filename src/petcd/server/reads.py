"""Linearizable reads: many reads wait for one confirmation.

Reads that arrive while a confirmation is under way wait for the next one, because the index that
is being confirmed may be older than a write they must see. Each round, and each retry of a round,
has an id of its own, so that a late answer to an earlier one confirms nothing. When the leader
changes, the new one is asked at once: its answer is as good, and clients need not hear of it.
Source: Raft dissertation, section 6.4; the rounds are etcd's.
"""

from collections.abc import Callable
from typing import Any

from petcd.member import Member
from petcd.member.errors import TimedOut
from petcd.server.slowness import Slowness

RETRY_S = 0.5

Serve = Callable[[Any, object], None]


class ReadQueue:
    """Reads of one member that wait for the read index."""

    def __init__(
        self,
        member: Member,
        next_id: Callable[[], int],
        request_timeout_s: float,
        slowness: Slowness,
    ) -> None:
        self.failed_total = 0  # rounds that nobody confirmed in time
        self.slow_total = 0  # those, and answers that came too late for their round
        self._member = member
        self._next_id = next_id
        self._timeout_s = request_timeout_s
        self._slowness = slowness
        self._waiting: list[tuple[Serve, Any]] = []
        self._round: list[tuple[Serve, Any]] = []
        self._round_ids: set[bytes] = set()
        self._round_started_s = 0.0
        self._asked_s = 0.0
        self._asked_id = 0
        self._leader_id = 0
        self._index: int | None = None

    def add(self, serve: Serve, context: Any) -> None:
        """Queue a read; `pump` takes it from there."""
        self._waiting.append((serve, context))

    @property
    def is_idle(self) -> bool:
        """Whether no read waits."""
        return not self._waiting and not self._round

    def pump(self, now_s: float) -> None:
        """Start a round, ask again, serve or give up: whatever is due now."""
        if self._round:
            self._continue_round(now_s)
        if not self._round and self._waiting:
            self._round, self._waiting = self._waiting, []
            self._round_started_s = now_s
            self._leader_id = self._member.leader_id
            self._index = None
            self._ask(now_s)

    def confirmed(self, context: bytes, index: int) -> None:
        """Raft confirmed a read index; answers to earlier rounds are dropped."""
        if context in self._round_ids:
            self._index = index
        elif self._round:
            self.slow_total += 1

    def _ask(self, now_s: float) -> None:
        request_id = self._next_id()
        request = request_id.to_bytes(8, "big")
        self._round_ids.add(request)
        self._asked_s = now_s
        self._asked_id = request_id
        self._member.node.read_index(request)

    def _continue_round(self, now_s: float) -> None:
        member = self._member
        took_s = now_s - self._round_started_s
        if self._index is not None and member.applied_index >= self._index:
            if took_s > self._slowness.apply_s:
                self._tell_of_wait(took_s, None)
            self._end(None)
        elif took_s > self._timeout_s:
            if self._index is None:
                self.failed_total += 1
                self.slow_total += 1
                self._slowness.read_index_failed(self._timeout_s)
            refusal = TimedOut()
            self._tell_of_wait(took_s, refusal)
            self._end(refusal)
        elif self._index is not None:
            return  # the entries up to there are on their way
        elif now_s - self._asked_s >= RETRY_S or self._has_new_leader():
            if now_s - self._asked_s >= RETRY_S:
                self._slowness.read_index_retried(self._asked_id, RETRY_S)
            self._leader_id = member.leader_id
            self._ask(now_s)

    def _tell_of_wait(self, took_s: float, refusal: Exception | None) -> None:
        self._slowness.read_index_late(took_s, [context for _, context in self._round], refusal)

    def _has_new_leader(self) -> bool:
        """Whether somebody leads whom this round did not ask; the one it asked has forgotten."""
        return self._member.leader_id not in (0, self._leader_id)

    def _end(self, refusal: Exception | None) -> None:
        served, self._round = self._round, []
        self._round_ids.clear()
        self._index = None
        for serve, context in served:
            serve(context, refusal)
