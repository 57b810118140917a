"""The open operations of a history, found by what they could do now.

A long history has tens of thousands of them, most of them ends of leases and of nodes of API 2.
Such an end writes only where its lease has keys, or its key a time to live; an operation whose
value was seen has its one place. So few are left to be tried in a gap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator

from sim.check.case import Case
from sim.check.history import Revoke
from sim.check.model import Model, written_keys
from sim.check.v2_model import has_time
from sim.check.v2_records import V2Expire


class Pool:
    """Indices into `case.open`, and which of them fill a gap already.

    `fingerprint` is equal where equally many of each kind are used.
    """

    def __init__(self, case: Case) -> None:
        self.fingerprint = 0
        self._is_used = bytearray(len(case.open))
        self._keys = [written_keys(op.request) for op in case.open]
        self._kinds = case.kinds
        self._used: dict[Hashable, int] = defaultdict(int)
        self._by_lease: dict[int, list[int]] = defaultdict(list)
        self._by_key: dict[bytes, list[int]] = defaultdict(list)
        self._pinned: dict[int, list[int]] = defaultdict(list)
        self._others: list[int] = []
        for index, op in enumerate(case.open):
            revision = case.pinned.get(id(op))
            if revision is not None:
                self._pinned[revision].append(index)
            elif type(op.request) is Revoke:
                self._by_lease[op.request.id].append(index)
            elif type(op.request) is V2Expire:
                self._by_key[op.request.key].append(index)
            else:
                self._others.append(index)

    @property
    def size(self) -> int:
        """How many have to be looked at in every gap."""
        return len(self._others) + len(self._by_key)

    def use(self, index: int) -> None:
        """One fills a gap."""
        self._is_used[index] = 1
        kind = self._kinds[index]
        self._used[kind] += 1
        self.fingerprint ^= hash((kind, self._used[kind]))

    def give_back(self, index: int) -> None:
        """It does not any more."""
        self._is_used[index] = 0
        kind = self._kinds[index]
        self.fingerprint ^= hash((kind, self._used[kind]))
        self._used[kind] -= 1

    def unused(
        self, revision: int, model: Model, due: Collection[bytes] = frozenset()
    ) -> Iterator[int]:
        """Those that may write at `revision`, after what `model` holds, as far as indexes tell,
        and may write all keys that are `due`."""
        for found in self._lists(revision, model):
            for index in found:
                if not self._is_used[index]:
                    keys = self._keys[index]
                    if not due or keys is None or keys.issuperset(due):
                        yield index

    def _lists(self, revision: int, model: Model) -> Iterator[list[int]]:
        yield self._pinned.get(revision, [])
        for lease in model.leases():
            yield self._by_lease.get(lease, [])
        for key, found in self._by_key.items():
            kv = model.kvs.get(key)
            if kv is not None and has_time(kv):
                yield found
        yield self._others
