"""etcdserverpb.Maintenance: Status, Alarm, Hash, HashKV, Defragment, Snapshot."""

from petcd.api.errors import status_of
from petcd.api.host import Host
from petcd.api.v3.header import header_message
from petcd.api.v3.proposing import propose_body
from petcd.api.v3.snapshot import SnapshotSender
from petcd.member.apply import ALARM
from petcd.member.errors import NoLeader
from petcd.transport.call import Call
from petcd.transport.router import SERVER_STREAM, UNARY, Method, Router
from petcd.version import ETCD_VERSION
from petcd.wire.codec import DecodeError
from petcd.wire.maintenance import (
    AlarmAction,
    AlarmMember,
    AlarmRequest,
    AlarmResponse,
    AlarmType,
    DefragmentRequest,
    DefragmentResponse,
    HashKVRequest,
    HashKVResponse,
    HashRequest,
    HashResponse,
    MoveLeaderRequest,
    MoveLeaderResponse,
    StatusRequest,
    StatusResponse,
)

_SERVICE = b"/etcdserverpb.Maintenance/"
_ALARM_ACTIONS = (AlarmAction.GET, AlarmAction.ACTIVATE, AlarmAction.DEACTIVATE)
_ALARMS = (AlarmType.NONE, AlarmType.NOSPACE, AlarmType.CORRUPT)


def alarm_text(alarm: AlarmMember) -> str:
    """An alarm as Go prints the message: what clients of Status and the command line show."""
    kind = {AlarmType.NOSPACE: "NOSPACE", AlarmType.CORRUPT: "CORRUPT"}.get(alarm.alarm, "NONE")
    return f"memberID:{alarm.memberID} alarm:{kind} "


class MaintenanceService:
    """Handlers of the Maintenance service."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def register(self, router: Router) -> None:
        """Add the methods to the router."""
        for name, handler in (
            (b"Status", self.status),
            (b"Alarm", self.alarm),
            (b"Hash", self.hash),
            (b"HashKV", self.hash_kv),
            (b"Defragment", self.defragment),
            (b"MoveLeader", self.move_leader),
        ):
            router.add(Method(_SERVICE + name, UNARY, handler))
        router.add(Method(_SERVICE + b"Snapshot", SERVER_STREAM, self.snapshot))

    def status(self, call: Call, body: bytes) -> None:
        """Status of this member alone; answered also when there is no leader."""
        try:
            StatusRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        host, member = self._host, self._host.member
        errors = [] if member.leader_id else [status_of(NoLeader())[1]]
        errors += [alarm_text(alarm) for alarm in member.alarms.get()]
        local = member.membership.local
        response = StatusResponse(
            header=header_message(host, member.store.revision),
            version=ETCD_VERSION,
            dbSize=host.long_work.file_bytes(),
            dbSizeInUse=host.long_work.in_use_bytes(),
            leader=member.leader_id,
            raftIndex=member.committed_index,
            raftTerm=member.term,
            raftAppliedIndex=member.applied_index,
            errors=errors,
            isLearner=local is not None and local.is_learner,
        )
        call.reply(response.encode())

    def move_leader(self, call: Call, body: bytes) -> None:
        """MoveLeader: only the leader can, and only to a voter."""
        try:
            request = MoveLeaderRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        moving = self._host.reconfiguration
        moving.move_leader(request.targetID, self._answer_move, call)

    def _answer_move(self, call: Call, outcome: object) -> None:
        if isinstance(outcome, Exception):
            call.fail(*status_of(outcome))
        else:
            call.reply(MoveLeaderResponse().encode())

    def alarm(self, call: Call, body: bytes) -> None:
        """Alarm: all three actions go through the log, as in etcd.

        Not so an action or alarm that does not exist: members of etcd die of it when they apply it.
        """
        try:
            request = AlarmRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        if request.action not in _ALARM_ACTIONS or request.alarm not in _ALARMS:
            call.reply(self._alarm_response([]))
            return
        propose_body(self._host, call, ALARM, body, self._answer_alarm, call)

    def _answer_alarm(self, call: Call, outcome: object) -> None:
        if isinstance(outcome, list):
            call.reply(self._alarm_response(outcome))
        else:
            assert isinstance(outcome, Exception), outcome
            call.fail(*status_of(outcome))

    def _alarm_response(self, alarms: list[AlarmMember]) -> bytes:
        header = header_message(self._host, self._host.member.store.revision)
        return AlarmResponse(header=header, alarms=alarms).encode()

    def hash(self, call: Call, body: bytes) -> None:
        """Hash over all buckets; for tests only, as in etcd."""
        try:
            HashRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        self._host.long_work.hash_all(self._answer_hash, call)

    def _answer_hash(self, call: Call, outcome: object) -> None:
        if isinstance(outcome, tuple):
            value, revision = outcome
            header = header_message(self._host, revision)
            call.reply(HashResponse(header=header, hash=value).encode())
        else:
            assert isinstance(outcome, Exception), outcome
            call.fail(*status_of(outcome))

    def hash_kv(self, call: Call, body: bytes) -> None:
        """HashKV at a revision; equal on every member, and on etcd, for the same history."""
        try:
            request = HashKVRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        steps = self._host.member.store.hash_kv_steps(request.revision)
        self._host.drive(steps, self._answer_hash_kv, call)

    def _answer_hash_kv(self, call: Call, outcome: object) -> None:
        if isinstance(outcome, tuple):
            found, revision = outcome
            response = HashKVResponse(
                header=header_message(self._host, revision),
                hash=found.hash,
                compact_revision=found.compact_revision,
            )
            call.reply(response.encode())
        else:
            assert isinstance(outcome, Exception), outcome
            call.fail(*status_of(outcome))

    def defragment(self, call: Call, body: bytes) -> None:
        """Defragment this member's file in the background; serving goes on."""
        try:
            DefragmentRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        self._host.long_work.defragment(self._answer_defragment, call)

    def _answer_defragment(self, call: Call, outcome: object) -> None:
        if isinstance(outcome, Exception):
            call.fail(*status_of(outcome))
        else:
            call.reply(DefragmentResponse().encode())

    def snapshot(self, call: Call) -> None:
        """Snapshot: the whole database as a bbolt file."""
        SnapshotSender(self._host, call)
