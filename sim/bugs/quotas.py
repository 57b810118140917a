"""Defects of a backend that becomes full."""

from __future__ import annotations

from petcd.member.alarms import AlarmStore
from petcd.member.apply import Applier, Outcome
from petcd.member.errors import NoSpace
from petcd.server.runtime import Runtime
from petcd.wire.kv import TxnRequest
from petcd.wire.maintenance import AlarmAction, AlarmMember, AlarmRequest
from sim.bugs.exhibit import DIVERGED, Exhibit
from sim.bugs.switch import Patch

_put = Applier._put
_compaction = Applier._compaction
_alarm = Applier._alarm
_propose_alarm = Runtime.propose_alarm

_FULL = {"features": "quota", "interval_s": 2.0, "duration_s": 30.0}
_DIFFER = "members differ at one applied index"


def _alarms_not_restored() -> list[Patch]:
    def load(self: AlarmStore) -> None:
        self._raised.clear()
        self._count()

    return [Patch(AlarmStore, "load", load)]


def _disarmed_in_memory_only() -> list[Patch]:
    def deactivate(self: AlarmStore, member_id: int, alarm_type: int) -> AlarmMember | None:
        alarm = self._raised.pop((alarm_type, member_id), None)
        self._count()
        return alarm

    return [Patch(AlarmStore, "deactivate", deactivate)]


def _local_space_decides() -> list[Patch]:
    """The put that would use up what this member has left is not done; others may have room."""

    def put(self: Applier, body: bytes) -> Outcome:
        if self._room_bytes <= len(body):
            return NoSpace()
        return _put(self, body)

    return [Patch(Applier, "_put", put)]


def _transactions_ignore_the_alarm() -> list[Patch]:
    def txn(self: Applier, request_id: int, body: bytes) -> Outcome:
        self._decoded.pop(request_id, None)
        return self.store.txn(TxnRequest.decode(body))

    return [Patch(Applier, "_txn", txn)]


def _compaction_refused() -> list[Patch]:
    """What would make room is refused for want of it."""

    def compaction(self: Applier, body: bytes) -> Outcome:
        if self.alarms.nospace:
            raise NoSpace
        return _compaction(self, body)

    return [Patch(Applier, "_compaction", compaction)]


def _alarm_of_member_zero() -> list[Patch]:
    """The alarm is raised in nobody's name, and cleared by name only."""

    def propose_alarm(self: Runtime, action: int, alarm_type: int) -> None:
        if action != AlarmAction.ACTIVATE:
            _propose_alarm(self, action, alarm_type)
            return
        member, self.member = self.member, _Nobody(self.member)  # type: ignore[assignment]
        _propose_alarm(self, action, alarm_type)
        self.member = member

    def alarm(self: Applier, body: bytes) -> Outcome:
        request = AlarmRequest.decode(body)
        if request.action == AlarmAction.DEACTIVATE and not request.memberID:
            return []
        return _alarm(self, body)

    return [Patch(Runtime, "propose_alarm", propose_alarm), Patch(Applier, "_alarm", alarm)]


class _Nobody:
    """A member without an id."""

    id = 0

    def __init__(self, member: object) -> None:
        self._member = member

    def __getattr__(self, name: str) -> object:
        return getattr(self._member, name)


EXHIBITS = (
    Exhibit(
        "alarms are not restored",
        "plausible of ours: one state machine is left out at the start",
        "A member that was restarted, or got a snapshot, writes what the others refuse.",
        (_DIFFER, *DIVERGED),
        _alarms_not_restored,
        options=_FULL,
    ),
    Exhibit(
        "disarmed in memory only",
        "plausible of ours: the twin of the one above",
        "A cleared alarm is back on the member that restarts, and only there.",
        (_DIFFER, *DIVERGED),
        _disarmed_in_memory_only,
        options=_FULL,
    ),
    Exhibit(
        "local space decides what is applied",
        "etcd-io/etcd#14571's kind: apply looks at what the log does not say",
        "A put is done by members that have room and not by the others.",
        (_DIFFER, *DIVERGED),
        _local_space_decides,
        options=_FULL,
    ),
    Exhibit(
        "transactions ignore the alarm",
        "plausible of ours: one of the appliers that the alarm must cap",
        "A transaction is done while there is no space.",
        ("a write in spite of the alarm",),
        _transactions_ignore_the_alarm,
        options=_FULL,
    ),
    Exhibit(
        "compaction refused for want of space",
        "etcd-io/etcd#14884, of transactions that only delete",
        "Nobody can make room any more.",
        ("refused for want of space what takes none", "there is no room again"),
        _compaction_refused,
        options=_FULL,
    ),
    Exhibit(
        "alarm of member zero",
        "etcd-io/etcd#14272, of the alarm CORRUPT",
        "The alarm is raised in the name of member 0, which no request can clear.",
        ("there is no room again",),
        _alarm_of_member_zero,
        options=_FULL,
    ),
)
