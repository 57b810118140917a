"""The gate before the handlers: what is refused while there is no leader, or on a learner.

    learner      only Status, serializable Range and Snapshot are served
    no leader    calls with the metadata `hasleader: true` are refused; their streams that are open
                 are ended once that has lasted for three election time-outs

As a rule neither is the case, and then the methods have their own handlers and the gate costs
nothing: it exchanges the handlers when things change. Only new streams always pass through it.
Source: etcd 3.5's interceptors.
"""

from collections.abc import Callable
from typing import Any

from petcd.api.errors import status_of
from petcd.api.host import Host
from petcd.member.errors import NoLeader, NotServedByLearner
from petcd.transport.call import Call
from petcd.transport.router import UNARY, Method, Router
from petcd.wire.codec import DecodeError
from petcd.wire.kv import RangeRequest

# Election time-outs without a leader after which open streams are ended.
ELECTIONS_WITHOUT_LEADER = 3
_STATUS = "Status"
_RANGE = "Range"
_SNAPSHOT = "Snapshot"
# How many streams are noted before those that have ended are looked for.
_STREAMS_MIN = 64


class Gate:
    """Guards the methods of a router. `look` is to be called after every turn."""

    def __init__(self, host: Host, router: Router, election_timeout_s: float) -> None:
        self._host = host
        self._patience_s = ELECTIONS_WITHOUT_LEADER * election_timeout_s
        self._unary = [(m, m.handler) for m in router.methods() if m.kind == UNARY]
        self._streams: set[Call] = set()
        self._streams_max = _STREAMS_MIN
        self._is_narrow = False
        self._without_leader_s: float | None = None
        for method in router.methods():
            if method.kind != UNARY:
                method.handler = self._stream_guard(method, method.handler)

    def look(self) -> None:
        """Open or narrow the gate as things are now."""
        member = self._host.member
        is_leaderless = not member.leader_id
        is_narrow = is_leaderless or member.node.raft.is_learner
        if is_narrow != self._is_narrow:
            self._is_narrow = is_narrow
            for method, handler in self._unary:
                method.handler = self._unary_guard(method, handler) if is_narrow else handler
        if is_leaderless:
            self._wait_for_leader()
        else:
            self._without_leader_s = None

    def _wait_for_leader(self) -> None:
        now_s = self._host.monotonic_s()
        if self._without_leader_s is None:
            self._without_leader_s = now_s
        elif self._streams and now_s - self._without_leader_s >= self._patience_s:
            streams, self._streams = self._streams, set()
            for call in streams:
                call.finish(*status_of(NoLeader()))

    # -- guards -------------------------------------------------------------------------------

    def _unary_guard(
        self, method: Method, handler: Callable[..., Any]
    ) -> Callable[[Call, bytes], None]:
        def guarded(call: Call, body: bytes) -> None:
            refusal = self._why_not(call, self._is_for_learners(method, body))
            if refusal is None:
                handler(call, body)
            else:
                call.fail(*status_of(refusal))

        return guarded

    def _stream_guard(self, method: Method, handler: Callable[..., Any]) -> Callable[[Call], None]:
        def guarded(call: Call) -> None:
            refusal = self._why_not(call, method.name == _SNAPSHOT)
            if refusal is not None:
                call.finish(*status_of(refusal))
                return
            if needs_leader(call):
                self._note(call)
            handler(call)

        return guarded

    def _why_not(self, call: Call, is_for_learners: bool) -> Exception | None:
        member = self._host.member
        if member.node.raft.is_learner and not is_for_learners:
            return NotServedByLearner()
        if not member.leader_id and needs_leader(call):
            return NoLeader()
        return None

    @staticmethod
    def _is_for_learners(method: Method, body: bytes) -> bool:
        if method.name != _RANGE:
            return method.name == _STATUS
        try:
            return RangeRequest.decode(body).serializable
        except DecodeError:
            return True  # whatever else is to be said of it

    def _note(self, call: Call) -> None:
        """Remember a stream that is to end when the leader is lost."""
        if len(self._streams) >= self._streams_max:
            self._streams = {known for known in self._streams if not known.has_ended}
            self._streams_max = max(_STREAMS_MIN, 2 * len(self._streams))
        self._streams.add(call)


def needs_leader(call: Call) -> bool:
    """Whether the client would rather be refused than served without a leader."""
    return call.metadata().get(b"hasleader") == b"true"
