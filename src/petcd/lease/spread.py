"""Spreads expiries after a change of leader, so that leases do not all end in the same second.

A new leader starts every lease afresh, and leases that were granted over an hour would end
together. Seconds are counted; a lease that falls into a full one moves on to the next second
with room, keeping its fraction.

Invariants: a lease is never moved to an earlier time; no second takes more than
`per_second_max`; placing is amortised O(1), in whatever order leases come.

Source: the rule (three quarters of the revocation rate a second) is etcd's, the method is ours:
etcd sorts all leases, which stops a member with a million of them.
"""


class ExpirySpread:
    """Places expiries, one call for each lease."""

    __slots__ = ("_counts", "_later", "_per_second_max")

    def __init__(self, per_second_max: int) -> None:
        assert per_second_max > 0, per_second_max
        self._per_second_max = per_second_max
        self._counts: dict[int, int] = {}
        self._later: dict[int, int] = {}  # a full second -> a later one that may have room

    def place(self, expiry_s: float) -> float:
        """The expiry moved by whole seconds to one with room, which is now counted."""
        wanted = int(expiry_s)
        second = self._with_room(wanted)
        count = self._counts.get(second, 0) + 1
        self._counts[second] = count
        if count == self._per_second_max:
            self._later[second] = second + 1
        return expiry_s + (second - wanted)

    def _with_room(self, second: int) -> int:
        later = self._later
        passed = []
        while second in later:
            passed.append(second)
            second = later[second]
        for full in passed:  # shorten the way for the next one
            later[full] = second
        return second
