"""The lessor: which leases there are, which keys hang on them, and when they end.

Two kinds of state, kept apart:

    replicated   id, granted time to live, checkpointed remainder, keys
                 changed by applied log entries only (grant, revoke, checkpoint, attach, detach),
                 equal on every member; the first three are rows of bucket `lease`, the keys are
                 found again in the store when it loads
    primary's    expiry, a point in the monotonic time of the member that leads now
                 changed by promote, demote, grant and renew; never written down

    grant --> living --(now >= expiry)--> returned by expired() --> shell proposes the revoke
                ^  |                          |  again each retry interval until it is applied
                +--+ renew                    +--> revoke() applied: gone, its keys are deleted

Invariants
* A lease never ends before its time to live has passed since the grant or the last renewal on
  the primary's clock; a new primary gives every lease all of it (or its checkpointed remainder)
  and an extension on top.
* A lease past its expiry is not renewed any more: it either goes, or a later primary lets it live.
* Renewing touches no heap: the queued deadline may be early, never late, and is moved when it
  comes up. So a renewal is O(1), a grant or revoke O(log n), and `promote` and `demote` are O(1):
  leases get their new expiry when they are touched or, slice by slice, in `expired`.

It proposes nothing, reads no clock (times are parameters, monotonic seconds) and deletes no keys.
Whether this member still leads must be confirmed by the caller before it proposes a revocation or
answers a renewal: a paused leader does not know that it was replaced.

Source: semantics of etcd 3.5's lessor; the structure is ours.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from petcd.lease.deadlines import Deadlines
from petcd.lease.errors import (
    LeaseExists,
    LeaseNotFound,
    LeaseRecordDamaged,
    NotPrimary,
    TtlTooLarge,
)
from petcd.lease.spread import ExpirySpread
from petcd.wire.codec import DecodeError
from petcd.wire.internal import StoredLease

BUCKET = b"lease"

# etcd's limit, about 285 years.
TTL_S_MAX = 9_000_000_000
# How many revocations a second the spread after a change of leader aims for. etcd has 1000 and
# falls behind by minutes with hundreds of thousands of leases; our apply path takes many more.
REVOKE_RATE = 5_000
# After this time a lease whose revocation was asked for and not applied is asked for again.
RETRY_INTERVAL_S = 3.0
# As etcd: leases that live longer than this note their remainder in the log this often.
CHECKPOINT_INTERVAL_S = 300.0
# Leases looked at in one call of `expired` or `checkpoints_due` beyond those returned: 2 to 4 us
# each with a hundred thousand leases.
EXAMINED_MAX = 1_000

_NEVER = float("inf")
_MASK_64 = (1 << 64) - 1


class LeaseBackend(Protocol):
    """What leases need of the backend."""

    def put(self, bucket: bytes, key: bytes, value: bytes) -> None: ...

    def delete(self, bucket: bytes, key: bytes) -> None: ...

    def scan(
        self, bucket: bytes, start: bytes, end: bytes | None, limit: int = 0
    ) -> Iterator[tuple[bytes, bytes]]: ...


class TimeToLive(NamedTuple):
    """What is left of a lease: whole seconds, cut, at least 0; and what it was granted."""

    remaining_s: int
    granted_s: int


def ttl_s_min(election_ticks: int, heartbeat_ms: int) -> int:
    """The shortest time to live granted: one and a half election time-outs, rounded up."""
    return -(-(3 * election_ticks // 2) * heartbeat_ms // 1000)


class _Lease:
    """One lease. `expiry_s` is meaningful only while `reign` is the lessor's."""

    __slots__ = ("checkpoint_due", "expiry_s", "keys", "reign", "remaining_s", "ttl_s")

    def __init__(self, ttl_s: int, remaining_s: int) -> None:
        self.ttl_s = ttl_s
        self.remaining_s = remaining_s  # checkpointed; 0: none
        self.checkpoint_due = False  # returned by `checkpoints_due`, and not applied yet
        self.expiry_s = _NEVER
        self.reign = 0
        self.keys: set[bytes] | None = None  # most leases have none or one

    def span_s(self) -> int:
        """How long it lives from a change of leader on, without the extension."""
        return self.remaining_s if self.remaining_s > 0 else self.ttl_s


class Lessor:
    """All leases of one member. Not primary until `promote`."""

    def __init__(
        self,
        backend: LeaseBackend,
        ttl_s_min: int = 2,
        revoke_rate: int = REVOKE_RATE,
        retry_interval_s: float = RETRY_INTERVAL_S,
        checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S,
        persist_checkpoints: bool = True,
    ) -> None:
        """`revoke_rate` is in leases a second; without `persist_checkpoints` a checkpoint is
        kept in memory only, as etcd 3.5 does by default."""
        self.granted_total = 0
        self.revoked_total = 0
        self.renewed_total = 0
        # Granted times to live: ttl_counts[n] of those above 2^(n-1) and up to 2^n seconds.
        self.ttl_counts = [0] * (TTL_S_MAX.bit_length() + 1)
        self.ttl_sum_s = 0
        # Whether the last call of `expired` ended before it had looked at everything that is due,
        # though it found fewer than asked for.
        self.unfinished = False
        # Leases that lost a key; whoever applies log entries takes them out after each.
        self.loosened: set[int] = set()
        self._backend = backend
        self._ttl_s_min = ttl_s_min
        self._revoke_rate = revoke_rate
        self._retry_interval_s = retry_interval_s
        self._checkpoint_interval_s = checkpoint_interval_s
        self._persist_checkpoints = persist_checkpoints
        self._leases: dict[int, _Lease] = {}
        self._primary = False
        self._reign = 0  # counts promotions; a lease of another reign has no expiry yet
        self._promoted_s = 0.0
        self._start_s = 0.0  # when times to live began to run: promotion and extension
        self._unsettled: list[int] = []  # ids that may still have no expiry in this reign
        self._spread: ExpirySpread | None = None
        self._expiries = Deadlines()
        self._checkpoints = Deadlines()

    # -- replicated state: called while a log entry is applied ---------------------------------

    def load(self) -> None:
        """Read the leases from the backend, after a restart or an installed snapshot.

        The keys are missing until the store loads and attaches them. The lessor is not primary
        afterwards. Raises LeaseRecordDamaged.
        """
        self.demote()
        self._leases.clear()
        self.loosened.clear()
        for key, value in self._backend.scan(BUCKET, b"", None):
            stored = _decode(key, value)
            ttl_s = max(stored.TTL, self._ttl_s_min)
            self._leases[stored.ID] = _Lease(ttl_s, stored.RemainingTTL)

    def grant(self, lease_id: int, ttl_s: int, now_s: float) -> int:
        """Create a lease; returns its time to live, raised to the minimum.

        Raises LeaseNotFound for id 0 (which means no lease), TtlTooLarge, LeaseExists.
        """
        if lease_id == 0:
            raise LeaseNotFound(lease_id)
        if ttl_s > TTL_S_MAX:
            raise TtlTooLarge(ttl_s, TTL_S_MAX)
        if lease_id in self._leases:
            raise LeaseExists(lease_id)
        lease = _Lease(max(ttl_s, self._ttl_s_min), 0)
        self._leases[lease_id] = lease
        self._persist(lease_id, lease)
        self.granted_total += 1
        self.ttl_counts[(lease.ttl_s - 1).bit_length()] += 1
        self.ttl_sum_s += lease.ttl_s
        if self._primary:
            lease.reign = self._reign
            lease.expiry_s = now_s + lease.ttl_s
            self._expiries.set(lease_id, lease.expiry_s)
            self._schedule_checkpoint(lease_id, lease, now_s)
        return lease.ttl_s

    def revoke(self, lease_id: int) -> list[bytes]:
        """End a lease; returns its keys, sorted, which the caller deletes in one revision.

        Raises LeaseNotFound.
        """
        lease = self._leases.pop(lease_id, None)
        if lease is None:
            raise LeaseNotFound(lease_id)
        self._backend.delete(BUCKET, _row_key(lease_id))
        self._expiries.discard(lease_id)
        self._checkpoints.discard(lease_id)
        self.revoked_total += 1
        return sorted(lease.keys or ())

    def checkpoint(self, lease_id: int, remaining_s: int, now_s: float) -> None:
        """Note what is left of a lease for the next leader; 0 takes the note back.

        An unknown lease is skipped: it was revoked between proposal and apply.
        """
        lease = self._settled(lease_id) if self._primary else self._leases.get(lease_id)
        if lease is None:
            return
        lease.remaining_s = remaining_s
        if remaining_s > 0:
            lease.checkpoint_due = False
        if self._persist_checkpoints:
            self._persist(lease_id, lease)
        if self._primary:
            self._schedule_checkpoint(lease_id, lease, now_s)

    def exists(self, lease_id: int) -> bool:
        """Whether the lease lives (perhaps past its expiry, waiting for its revocation)."""
        return lease_id in self._leases

    def attach(self, lease_id: int, key: bytes) -> None:
        """Hang a key on a lease. A key hangs on one lease at most: the store detaches first.

        An unknown lease is skipped: while loading, the store may meet a key whose lease is gone.
        """
        lease = self._leases.get(lease_id)
        if lease is None:
            return
        if lease.keys is None:
            lease.keys = {key}
        else:
            lease.keys.add(key)

    def detach(self, lease_id: int, key: bytes) -> None:
        """Take a key off its lease; nothing happens when lease or key are unknown."""
        lease = self._leases.get(lease_id)
        if lease is not None and lease.keys is not None:
            lease.keys.discard(key)
            self.loosened.add(lease_id)

    def keys(self, lease_id: int) -> list[bytes]:
        """Keys of a lease, sorted. Raises LeaseNotFound."""
        return sorted(self._known(lease_id).keys or ())

    def __len__(self) -> int:
        return len(self._leases)

    # -- the primary's business ----------------------------------------------------------------

    @property
    def primary(self) -> bool:
        """Whether this member lets leases expire and renews them."""
        return self._primary

    def promote(self, now_s: float, extend_s: float) -> None:
        """Become primary: every lease starts again with its full time to live, or with its
        checkpointed remainder, and `extend_s` on top (the election time-out).

        When there are more leases than can be revoked in a second, expiries that coincide are
        moved apart, to later times.
        """
        self._forget_times()
        self._primary = True
        self._reign += 1
        self._promoted_s = now_s
        self._start_s = now_s + extend_s
        self._unsettled = list(self._leases)
        if len(self._leases) >= self._revoke_rate:
            self._spread = ExpirySpread(max(1, self._revoke_rate * 3 // 4))

    def demote(self) -> None:
        """Stop being primary: no lease expires here any more."""
        self._forget_times()
        self._primary = False

    def renew(self, lease_id: int, now_s: float) -> int:
        """Start the lease's time again; returns its time to live, or 0 when it is unknown or past
        its expiry. Raises NotPrimary.

        When it `is_checkpointed` the caller first has a checkpoint of 0 committed: otherwise the
        next leader would end the lease before the time that is promised here.
        """
        lease = self._settled(lease_id)
        if lease is None or now_s >= lease.expiry_s:
            return 0
        lease.expiry_s = max(lease.expiry_s, now_s + lease.ttl_s)
        self.renewed_total += 1
        return lease.ttl_s

    def remainder(self, lease_id: int) -> int:
        """The checkpointed remainder in seconds; 0 when there is none or no such lease."""
        lease = self._leases.get(lease_id)
        return 0 if lease is None else max(0, lease.remaining_s)

    def is_checkpointed(self, lease_id: int) -> bool:
        """Whether the next leader would go by a checkpointed remainder, or might when the one that
        `checkpoints_due` returned last is applied."""
        lease = self._leases.get(lease_id)
        return lease is not None and (lease.remaining_s > 0 or lease.checkpoint_due)

    def expiring(self, lease_id: int, now_s: float) -> bool:
        """Whether the lease is past its expiry and only waits for its revocation.

        The answer to a renewal should wait until it is gone: told earlier, the client could still
        find the keys, or the id taken. Raises NotPrimary.
        """
        lease = self._settled(lease_id)
        return lease is not None and now_s >= lease.expiry_s

    def time_to_live(self, lease_id: int, now_s: float) -> TimeToLive:
        """What is left of a lease. Raises LeaseNotFound, NotPrimary."""
        self._known(lease_id)
        lease = self._settled(lease_id)
        assert lease is not None, lease_id
        return TimeToLive(max(0, int(lease.expiry_s - now_s)), lease.ttl_s)

    def leases(self) -> list[int]:
        """Ids of all leases; on the primary by expiry, elsewhere by id."""
        if not self._primary:
            return sorted(self._leases)
        self._settle(len(self._unsettled))
        return sorted(self._leases, key=lambda i: (self._leases[i].expiry_s, i))

    def expired(self, now_s: float, limit: int) -> list[int]:
        """Up to `limit` leases whose revocation is to be proposed now, the earliest first.

        Each comes once; again only when the retry interval has passed and it still lives. A call
        does a bounded amount of work: while `unfinished` is true afterwards, call again soon.
        Empty when this member is not primary.
        """
        self._settle(EXAMINED_MAX)
        self.unfinished = bool(self._unsettled)
        found: list[int] = []
        examined = 0
        while len(found) < limit:
            lease_id = self._expiries.first_due(now_s)
            if lease_id is None:
                break
            expiry_s = self._leases[lease_id].expiry_s
            if expiry_s <= now_s:
                found.append(lease_id)
                expiry_s = now_s + self._retry_interval_s
            elif examined == EXAMINED_MAX:
                self.unfinished = True
                break
            else:
                examined += 1  # renewed since it was queued
            self._expiries.move_first(lease_id, expiry_s)
        return found

    def next_deadline_s(self) -> float | None:
        """When `expired` should be called next; None when nothing can expire.

        Never later than the next expiry; it may be earlier, since renewals do not move it.
        """
        return self._promoted_s if self._unsettled else self._expiries.next_s()

    def checkpoints_due(self, now_s: float, limit: int) -> list[tuple[int, int]]:
        """Up to `limit` pairs (id, remaining seconds, rounded up) to be proposed as a checkpoint.

        Of leases with more than the checkpoint interval left, once each interval. Empty when this
        member is not primary.
        """
        found: list[tuple[int, int]] = []
        for _ in range(EXAMINED_MAX + limit):
            lease_id = self._checkpoints.first_due(now_s) if len(found) < limit else None
            if lease_id is None:
                break
            lease = self._leases[lease_id]
            remaining_s = -int((now_s - lease.expiry_s) // 1)
            if 0 < remaining_s < lease.ttl_s:
                found.append((lease_id, remaining_s))
                lease.checkpoint_due = True
            self._checkpoints.move_first(lease_id, now_s + self._checkpoint_interval_s)
        return found

    # -- inside --------------------------------------------------------------------------------

    def _known(self, lease_id: int) -> _Lease:
        lease = self._leases.get(lease_id)
        if lease is None:
            raise LeaseNotFound(lease_id)
        return lease

    def _persist(self, lease_id: int, lease: _Lease) -> None:
        row = StoredLease(ID=lease_id, TTL=lease.ttl_s, RemainingTTL=lease.remaining_s)
        self._backend.put(BUCKET, _row_key(lease_id), row.encode())

    def _forget_times(self) -> None:
        self._unsettled = []
        self.unfinished = False
        self._spread = None
        self._expiries.clear()
        self._checkpoints.clear()

    def _settled(self, lease_id: int) -> _Lease | None:
        """The lease, with an expiry of this reign. Raises NotPrimary."""
        if not self._primary:
            raise NotPrimary
        lease = self._leases.get(lease_id)
        if lease is not None and lease.reign != self._reign:
            self._give_expiry(lease_id, lease)
        return lease

    def _settle(self, count_max: int) -> None:
        """Give an expiry to some of the leases that this reign found."""
        unsettled = self._unsettled
        for _ in range(min(count_max, len(unsettled))):
            lease_id = unsettled.pop()
            lease = self._leases.get(lease_id)
            if lease is not None and lease.reign != self._reign:
                self._give_expiry(lease_id, lease)
        if not unsettled:
            self._spread = None

    def _give_expiry(self, lease_id: int, lease: _Lease) -> None:
        lease.reign = self._reign
        lease.checkpoint_due = False  # that of an earlier reign is applied, or never will be
        expiry_s = self._start_s + lease.span_s()
        lease.expiry_s = expiry_s if self._spread is None else self._spread.place(expiry_s)
        self._expiries.set(lease_id, lease.expiry_s)
        self._schedule_checkpoint(lease_id, lease, self._start_s)

    def _schedule_checkpoint(self, lease_id: int, lease: _Lease, now_s: float) -> None:
        if lease.span_s() > self._checkpoint_interval_s and lease_id not in self._checkpoints:
            self._checkpoints.set(lease_id, now_s + self._checkpoint_interval_s)


def _row_key(lease_id: int) -> bytes:
    return (lease_id & _MASK_64).to_bytes(8, "big")


def _decode(key: bytes, value: bytes) -> StoredLease:
    try:
        stored = StoredLease.decode(value)
    except DecodeError as error:
        raise LeaseRecordDamaged(key, str(error)) from None
    if _row_key(stored.ID) != key:
        raise LeaseRecordDamaged(key, f"it holds lease {stored.ID:x}")
    return stored
