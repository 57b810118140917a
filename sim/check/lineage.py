"""What versions tell of the writes between: evidence for `linear`.

    k at 12, created at 5, of version 4      5 created k, and 6 to 11 put it twice and no more

So a guess that deletes such a key is wrong, and one that puts it when all its versions are there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence

from sim.check.history import Event, KeyValue, Operation, Refused
from sim.check.model import seen_kvs


class Lineage:
    """All pairs that somebody was shown."""

    def __init__(self, operations: Iterable[Operation], seen: Iterable[Iterable[Event]]) -> None:
        self._lives: dict[bytes, dict[int, tuple[int, int]]] = defaultdict(dict)
        self._births: dict[int, set[bytes]] = defaultdict(set)
        for op in operations:
            if op.response is not None and type(op.response) is not Refused:
                self._add(seen_kvs(op.request, op.response))
        for events in seen:
            self._add(event.kv for event in events if event.kind == "put")
        self._revisions = {key: sorted(lives) for key, lives in self._lives.items()}

    def _add(self, kvs: Iterable[KeyValue]) -> None:
        for kv in kvs:
            self._lives[kv.key][kv.mod_revision] = kv.create_revision, kv.version
            self._births[kv.create_revision].add(kv.key)

    def denies(self, revision: int, changes: Sequence[Event]) -> bool:
        """Whether what was shown later, or of this revision, leaves no room for the changes."""
        born = self._births.get(revision)
        if born is not None:
            new = {event.kv.key for event in changes if event.kv.create_revision == revision}
            if not born <= new:
                return True
        return any(self._is_denied(revision, event) for event in changes)

    def _is_denied(self, revision: int, event: Event) -> bool:
        kv = event.kv
        revisions = self._revisions.get(kv.key, [])
        place = bisect_right(revisions, revision)
        if place == len(revisions):
            return False
        created, version = self._lives[kv.key][revisions[place]]
        if created > revision:
            return False
        return kv.create_revision != created or kv.version >= version
