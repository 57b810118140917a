"""Random lives of leases against a model that writes every time down and searches through all."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from petcd.lease import LeaseExists, LeaseNotFound, Lessor, NotPrimary
from petcd.lease.lessor import RETRY_INTERVAL_S

EXTENSION_S = 1.5


@dataclass
class Known:
    """A lease as the model knows it."""

    ttl_s: int
    remaining_s: int = 0
    expiry_s: float = 0.0
    proposed_s: float | None = None
    keys: set[bytes] = field(default_factory=set)


class Compared:
    """A lessor and its model, asked the same questions."""

    def __init__(self, new_backend) -> None:
        self.backend = new_backend()
        self.lessor = Lessor(self.backend, ttl_s_min=2)
        self.known: dict[int, Known] = {}
        self.primary = False
        self.now_s = 100.0

    def do_grant(self, lease_id: int, number: int) -> None:
        if lease_id in self.known:
            expect(LeaseExists, self.lessor.grant, lease_id, number, self.now_s)
            return
        ttl_s = max(2, number)
        assert self.lessor.grant(lease_id, number, self.now_s) == ttl_s
        self.known[lease_id] = Known(ttl_s, expiry_s=self.now_s + ttl_s)

    def do_revoke(self, lease_id: int, number: int) -> None:
        if lease_id not in self.known:
            expect(LeaseNotFound, self.lessor.revoke, lease_id)
            return
        assert self.lessor.revoke(lease_id) == sorted(self.known.pop(lease_id).keys)

    def do_attach(self, lease_id: int, number: int) -> None:
        key = b"%d" % number
        self.lessor.attach(lease_id, key)
        if lease_id in self.known:
            self.known[lease_id].keys.add(key)

    def do_detach(self, lease_id: int, number: int) -> None:
        key = b"%d" % number
        self.lessor.detach(lease_id, key)
        if lease_id in self.known:
            self.known[lease_id].keys.discard(key)

    def do_renew(self, lease_id: int, number: int) -> None:
        if not self.primary:
            expect(NotPrimary, self.lessor.renew, lease_id, self.now_s)
            return
        lease = self.known.get(lease_id)
        expiring = lease is not None and lease.expiry_s <= self.now_s
        assert self.lessor.expiring(lease_id, self.now_s) == expiring
        ttl_s = self.lessor.renew(lease_id, self.now_s)
        if lease is None or expiring:
            assert ttl_s == 0
        else:
            assert ttl_s == lease.ttl_s
            lease.expiry_s = max(lease.expiry_s, self.now_s + ttl_s)

    def do_checkpoint(self, lease_id: int, number: int) -> None:
        self.lessor.checkpoint(lease_id, number, self.now_s)
        if lease_id in self.known:
            self.known[lease_id].remaining_s = number
            assert self.lessor.remainder(lease_id) == number

    def do_promote(self, lease_id: int, number: int) -> None:
        self.lessor.promote(self.now_s, EXTENSION_S)
        self.primary = True
        for lease in self.known.values():
            lease.expiry_s = self.now_s + EXTENSION_S + (lease.remaining_s or lease.ttl_s)
            lease.proposed_s = None

    def do_demote(self, lease_id: int, number: int) -> None:
        self.lessor.demote()
        self.primary = False

    def do_restart(self, lease_id: int, number: int) -> None:
        """The store would attach the keys again."""
        self.lessor = Lessor(self.backend, ttl_s_min=2)
        self.lessor.load()
        self.primary = False
        for known_id, lease in self.known.items():
            for key in lease.keys:
                self.lessor.attach(known_id, key)

    def do_wait(self, lease_id: int, number: int) -> None:
        self.now_s += number / 4

    def do_expire(self, lease_id: int, number: int) -> None:
        limit = number % 5 + 1
        found = self.lessor.expired(self.now_s, limit)
        due = [
            (self.order(lease), i)
            for i, lease in self.known.items()
            if self.primary and self.order(lease) <= self.now_s
        ]
        assert found == [i for _, i in sorted(due)[:limit]]
        for i in found:
            self.known[i].proposed_s = self.now_s

    def order(self, lease: Known) -> float:
        """When the lease is proposed next."""
        if lease.proposed_s is None:
            return lease.expiry_s
        return lease.proposed_s + RETRY_INTERVAL_S

    def compare(self) -> None:
        lessor = self.lessor
        assert len(lessor) == len(self.known)
        assert sorted(lessor.leases()) == sorted(self.known)
        for lease_id, lease in self.known.items():
            assert lessor.keys(lease_id) == sorted(lease.keys)
            if self.primary:
                left_s = max(0, int(lease.expiry_s - self.now_s))
                assert lessor.time_to_live(lease_id, self.now_s) == (left_s, lease.ttl_s)
        deadline_s = lessor.next_deadline_s()
        if not self.primary or not self.known:
            assert deadline_s is None
        else:
            assert deadline_s is not None
            assert deadline_s <= min(self.order(lease) for lease in self.known.values())


def expect(error, action, *arguments) -> None:
    try:
        action(*arguments)
    except error:
        return
    raise AssertionError(f"{action.__name__}{arguments} did not raise {error.__name__}")


KINDS = (
    *("grant", "expire", "wait", "renew") * 3,
    *("revoke", "attach", "promote", "checkpoint") * 2,
    *("detach", "demote", "restart"),
)
steps = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(1, 6), st.integers(0, 40)), max_size=50
)


@settings(max_examples=300, deadline=None)
@given(steps=steps, looks=st.booleans())
def test_leases_live_and_end_as_the_model_says(new_backend, steps, looks):
    compared = Compared(new_backend)
    for kind, lease_id, number in steps:
        getattr(compared, "do_" + kind)(lease_id, number)
        if looks:
            compared.compare()
    compared.compare()
