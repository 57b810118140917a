"""Apply: committed log entries in, changed state machines and outcomes out.

    entry -> parse the internal request -> one handler -> outcome

The outcome of a request is a value of the handler's own type, or the exception that explains why
it was refused; refusing is as deterministic as doing.

Invariants: the result depends on the entry and on the state alone, never on clock, chance or
what else this member is doing, so that every member ends with the same data; each entry, also a
refused one, advances the applied index; data and applied index wait in the same backend buffer
and so reach the disk in one transaction.

It does not answer clients, does not decide who leads, and does no I/O.
Source: the apply layer of etcd 3.5 (backend, quota and alarm appliers).
"""

from collections.abc import Callable
from typing import Protocol

from petcd.cluster import Membership
from petcd.lease import LeaseError, Lessor
from petcd.member.alarms import AlarmStore
from petcd.member.bare_requests import apply_bare_request
from petcd.member.errors import ClusterCorrupt, NoSpace, NotSupported
from petcd.member.publishing import PublishRequest
from petcd.member.quota import LEASE_OVERHEAD_BYTES, PUT_OVERHEAD_BYTES, Quota, txn_cost
from petcd.member.users import UsersAreOn
from petcd.member.v2 import V2View
from petcd.member.v2.errors import V2Refused
from petcd.member.v2.notes import NoteBackend
from petcd.mvcc.errors import MvccError
from petcd.mvcc.store import Store
from petcd.wire.codec import DecodeError
from petcd.wire.hot import parse_internal, parse_put
from petcd.wire.hot_txn import parse_txn
from petcd.wire.kv import CompactionRequest, DeleteRangeRequest, TxnRequest
from petcd.wire.lease import LeaseCheckpointRequest, LeaseGrantRequest, LeaseRevokeRequest
from petcd.wire.maintenance import AlarmAction, AlarmMember, AlarmRequest, AlarmType
from petcd.wire.membership import ClusterVersionSetRequest
from petcd.wire.v2request import Request

# Field numbers of InternalRaftRequest, which name the request in the log.
V2 = 2
PUT = 4
DELETE_RANGE = 5
TXN = 6
COMPACTION = 7
LEASE_GRANT = 8
LEASE_REVOKE = 9
ALARM = 10
LEASE_CHECKPOINT = 11
AUTH_ENABLE = 1000
CLUSTER_VERSION_SET = 1300
CLUSTER_MEMBER_ATTR_SET = 1301

Outcome = object
# Decoded transactions kept between proposal and apply; more than one batch has.
REMEMBERED_MAX = 10_000


class SizedBackend(NoteBackend, Protocol):
    """What the quota and the v2 view need of the backend."""

    def size_in_use(self) -> int: ...


class Applier:
    """Applies requests to the state machines of one member.

    `now_s` is the monotonic time that the shell passed in with the current turn. Only the
    lessor of a leader looks at it, for expiry, which is not replicated state.
    """

    def __init__(
        self,
        store: Store,
        lessor: Lessor,
        membership: Membership,
        alarms: AlarmStore,
        quota: Quota,
        backend: SizedBackend,
    ) -> None:
        self.store = store
        self.lessor = lessor
        self.membership = membership
        self.alarms = alarms
        self.quota = quota
        self.v2 = V2View(store, lessor, backend)
        self.now_s = 0.0
        self._backend = backend
        self._room_bytes = 0
        self._decoded: dict[int, tuple[bytes, TxnRequest]] = {}
        self._handlers: dict[int, Callable[[bytes], Outcome]] = {
            V2: self._v2,
            DELETE_RANGE: self._delete_range,
            COMPACTION: self._compaction,
            LEASE_GRANT: self._lease_grant,
            LEASE_REVOKE: self._lease_revoke,
            ALARM: self._alarm,
            LEASE_CHECKPOINT: self._lease_checkpoint,
            AUTH_ENABLE: self._auth_enable,
            CLUSTER_VERSION_SET: self._cluster_version_set,
            CLUSTER_MEMBER_ATTR_SET: self._cluster_member_attr_set,
        }

    def begin_batch(self, now_s: float) -> None:
        """Look once at time and space for all entries of a batch.

        The size is read once a batch: what the batch itself adds is charged by its cost.
        """
        self.now_s = now_s
        self._room_bytes = self.quota.room_bytes(self._backend.size_in_use())

    def apply(self, data: bytes) -> tuple[int, Outcome]:
        """Apply one normal entry. Returns (request id, outcome).

        A request that this version does not know gives NotSupported on every member alike. Raises
        UsersAreOn, which is no outcome: the member must end.
        """
        try:
            request_id, field_number, body = parse_internal(data)
        except DecodeError:
            return self._bare(Request.decode(data))
        outcome: Outcome
        try:
            if field_number == PUT:
                outcome = self._put(body)
            elif field_number == TXN:
                outcome = self._txn(request_id, body)
            else:
                handler = self._handlers.get(field_number)
                outcome = NotSupported(field_number) if handler is None else handler(body)
        except (MvccError, LeaseError, V2Refused, NoSpace, ClusterCorrupt, DecodeError) as refusal:
            outcome = refusal
        if self.lessor.loosened:
            self.v2.end_lost_leases()
        return request_id, outcome

    def _bare(self, request: Request) -> tuple[int, Outcome]:
        """An entry of an etcd member's that is no internal request; see `bare_requests`."""
        known = apply_bare_request(request, self.membership)
        return request.ID, None if known else NotSupported(0)

    # -- keys ---------------------------------------------------------------------------------

    def _put(self, body: bytes) -> Outcome:
        if self.alarms.corrupt:
            return ClusterCorrupt()
        if self.alarms.nospace:
            return NoSpace()
        key, value, lease, prev_kv, ignore_value, ignore_lease = parse_put(body)
        outcome: Outcome
        if lease or prev_kv or ignore_value or ignore_lease:
            outcome = self.store.put(key, value, lease, prev_kv, ignore_value, ignore_lease)
        else:
            outcome = self.store.put_plain(key, value)
        self._room_bytes -= PUT_OVERHEAD_BYTES + len(key) + len(value)
        if self._room_bytes <= 0:
            # As in etcd the put is done but answered with the error, which raises the alarm.
            return NoSpace()
        return outcome

    def _delete_range(self, body: bytes) -> Outcome:
        self._refuse_when_corrupt()
        return self.store.delete_range(DeleteRangeRequest.decode(body))

    def remember(self, request_id: int, body: bytes, request: TxnRequest) -> None:
        """A transaction that this member proposes is decoded already; spare it the second time.

        An entry with the id counts as this one only when it has the same bytes, so it has the same
        effect here as on a member that decodes it. Forgotten requests, whose entries never came,
        are bounded.
        """
        if len(self._decoded) >= REMEMBERED_MAX:
            self._decoded.clear()
        self._decoded[request_id] = body, request

    def _txn(self, request_id: int, body: bytes) -> Outcome:
        known = self._decoded.pop(request_id, None)
        self._refuse_when_corrupt()
        request = known[1] if known is not None and known[0] == body else parse_txn(body)
        cost = txn_cost(request)
        if cost and self.alarms.nospace:
            raise NoSpace
        outcome = self.store.txn(request)
        return self._charged(cost, outcome)

    def _compaction(self, body: bytes) -> Outcome:
        self._refuse_when_corrupt()
        self.store.compact(CompactionRequest.decode(body).revision)
        return self.store.revision

    def _v2(self, body: bytes) -> Outcome:
        self._refuse_when_corrupt()
        if self.alarms.nospace and not is_removal(body):
            raise NoSpace
        outcome = self.v2.apply(body, self.now_s)
        cost = PUT_OVERHEAD_BYTES + len(body)
        if cost >= self._room_bytes and is_removal(body):
            return outcome
        return self._charged(cost, outcome)

    def _charged(self, cost_bytes: int, outcome: Outcome) -> Outcome:
        if cost_bytes == 0:
            return outcome
        self._room_bytes -= cost_bytes
        return NoSpace() if self._room_bytes <= 0 else outcome

    def _refuse_when_corrupt(self) -> None:
        if self.alarms.corrupt:
            raise ClusterCorrupt

    # -- leases -------------------------------------------------------------------------------

    def _lease_grant(self, body: bytes) -> Outcome:
        self._refuse_when_corrupt()
        if self.alarms.nospace:
            raise NoSpace
        request = LeaseGrantRequest.decode(body)
        ttl_s = self.lessor.grant(request.ID, request.TTL, self.now_s)
        return self._charged(LEASE_OVERHEAD_BYTES, (request.ID, ttl_s, self.store.revision))

    def _lease_revoke(self, body: bytes) -> Outcome:
        self._refuse_when_corrupt()
        request = LeaseRevokeRequest.decode(body)
        if request.ID in self.v2.expiries:
            self.v2.end_lease(request.ID)
            return self.store.revision
        keys = self.lessor.revoke(request.ID)
        self.store.delete_keys(keys)
        return self.store.revision

    def _lease_checkpoint(self, body: bytes) -> Outcome:
        for checkpoint in LeaseCheckpointRequest.decode(body).checkpoints:
            self.lessor.checkpoint(checkpoint.ID, checkpoint.remaining_TTL, self.now_s)
        return self.store.revision

    # -- cluster ------------------------------------------------------------------------------

    def _auth_enable(self, body: bytes) -> Outcome:
        raise UsersAreOn

    def _alarm(self, body: bytes) -> Outcome:
        request = AlarmRequest.decode(body)
        changed: list[AlarmMember] = []
        if request.action == AlarmAction.GET:
            changed = self.alarms.get(request.alarm)
        elif request.action == AlarmAction.ACTIVATE and request.alarm != AlarmType.NONE:
            changed = [self.alarms.activate(request.memberID, request.alarm)]
        elif request.action == AlarmAction.DEACTIVATE:
            cleared = self.alarms.deactivate(request.memberID, request.alarm)
            changed = [cleared] if cleared is not None else []
        return changed

    def _cluster_version_set(self, body: bytes) -> Outcome:
        self.membership.set_version(ClusterVersionSetRequest.decode(body).ver)
        return None

    def _cluster_member_attr_set(self, body: bytes) -> Outcome:
        request = PublishRequest.decode(body)
        attributes = request.member_attributes
        if attributes is not None:
            self.membership.publish(
                request.member_ID,
                attributes.name,
                attributes.client_urls,
                request.petcd_version,
            )
        return None


def is_removal(body: bytes) -> bool:
    """Whether a v2 request only takes away, which is allowed when the space is used up."""
    return Request.decode(body).Method in ("DELETE", "SYNC")
